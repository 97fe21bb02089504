"""A world without accounts: fake credentials, and the names that Powertools reads."""

import os
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

pytest_plugins = ["tests.security.canary.plugin"]
ROOT = Path(__file__).parents[1]
# Before any handler is imported: Powertools reads these when its objects are made.
os.environ |= {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "POWERTOOLS_SERVICE_NAME": "lora-drop",
    "POWERTOOLS_METRICS_NAMESPACE": "LoraDrop",
    "LORA_DROP_CONFIG": os.devnull,  # no defaults of the person who runs the tests
}
for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "FAL_KEY", "LORA_DROP_STACK"):
    os.environ.pop(name, None)


# Files from other projects, too large to be kept here.
CORPORA = Path(os.environ.get("CORPORA", ROOT.parent / "shared" / "corpora"))


@pytest.fixture(scope="session")
def corpora() -> Path:
    """The folder of foreign files; where it is missing, a test that needs it is skipped, or fails."""
    if not CORPORA.is_dir():
        reason = f"no foreign files at {CORPORA}; CORPORA names another folder"
        if os.environ.get("LORA_DROP_CORPORA"):
            pytest.fail(reason)
        pytest.skip(reason)
    return CORPORA


@pytest.fixture
def root() -> Path:
    """The project's root."""
    return ROOT


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests that deploy first, since they take longest."""
    items.sort(key=lambda item: item.get_closest_marker("stack") is None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Keep a file in one worker, and all tests of the one deployed stack in one."""
    return ByFileAndStack(config, log)


class ByFileAndStack(LoadScopeScheduling):  # type: ignore[misc]  # its types are not known
    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        shared = file.startswith("tests/e2e/") and "stack: Deployed" in (ROOT / file).read_text()
        return "stack" if shared else file

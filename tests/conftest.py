"""A world without accounts: fake credentials, and the names that Powertools reads."""

import os
import ssl
from functools import cache
from pathlib import Path
from typing import Any

import certifi
import pytest
from xdist.scheduler import LoadScopeScheduling

from lora_drop.local import deployment
from tests.template.rules import FAL

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
    "LORA_DROP_FACES": "false",  # most tests' photos show none
}
for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "FAL_KEY", "LORA_DROP_STACK"):
    os.environ.pop(name, None)

# Reading the public authorities takes longer than most tests: clients that trust them alone share a context.
_made, _public = ssl.create_default_context, certifi.where()
_kept = cache(_made)


def _context(*given: Any, **how: Any) -> ssl.SSLContext:
    """``ssl.create_default_context``, made once for the public authorities."""
    return (
        _kept(cafile=_public) if not given and how == {"cafile": _public} else _made(*given, **how)
    )


ssl.create_default_context = _context

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


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a stack that is built and not up: ``sam build`` runs once in a worker."""
    state = tmp_path_factory.mktemp("stack")
    deployment.build(state, FAL.model_copy(update={"ca_file": None}))
    return state


@pytest.fixture
def root() -> Path:
    """The project's root."""
    return ROOT


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests that deploy first, since they take longest."""
    items.sort(key=lambda item: item.get_closest_marker("stack") is None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Keep a file in one worker, and all tests of the one built and deployed stack in one."""
    return ByFileAndStack(config, log)


class ByFileAndStack(LoadScopeScheduling):  # type: ignore[misc]  # its types are not known
    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        where, text = file.startswith(("tests/e2e/", "tests/template/")), (ROOT / file).read_text()
        shared = where and ("stack: Deployed" in text or "built: Path" in text)
        return "stack" if shared else file

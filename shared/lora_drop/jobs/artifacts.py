"""Which result files are kept, and under what names."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from lora_drop.jobs.proof import PICTURE_NAME

# What every trainer has has a name of its own in the models bucket; some call the LoRA otherwise.
WEIGHTS = "lora.safetensors"
CONFIGURATION = "config.json"
KNOWN_OUTPUTS: Mapping[str, str] = {
    "diffusers_lora_file": WEIGHTS,
    "lora_file": WEIGHTS,
    "config_file": CONFIGURATION,
}
# Files that the job itself writes there; an output never takes one of these names.
RESERVED_NAMES = frozenset(
    {"status.json", "job.json", "ERROR.txt", "report.html", "report.json", "dataset.zip"}
    | {PICTURE_NAME}
    | set(KNOWN_OUTPUTS.values())
)
# What a result can be: weights and their configuration, both of which are looked into.
WEIGHTS_SUFFIX = ".safetensors"
JSON_SUFFIX = ".json"
# What is kept of a file that is not what its name says.
INVALID_SUFFIX = ".invalid"
PICTURE_TYPES = frozenset({"image/jpeg", "image/png"})
MAX_SIDE = 16_384  # pixels
MAX_FILE_NAME = 120
MAX_FILES = 16  # of a result; they and their addresses have to fit into the job's row
MAX_URL = 4096
MAX_BYTES = 10 * 1024**3  # of a file; fal itself takes LoRAs of 5 GB at most


class Artifact(BaseModel):
    """A file that fal offers: where it is and the name it will have with us.

    Of a picture fal says its size in pixels as well, and whether its safety checker has made it black.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    url: str
    content_type: str | None = None
    size: int | None = None
    width: int | None = None
    height: int | None = None
    blackened: bool | None = None


class Upload(BaseModel):
    """An unfinished copy of an artifact: its multipart upload, and the very file it is a copy of.

    ``identity`` is what tells the source's file from another one (its ETag), ``size`` in bytes.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    upload_id: str
    identity: str
    size: int


class StoredFile(BaseModel):
    """A file in the models bucket; ``size`` in bytes, ``sha256`` in hex, of the bytes we read."""

    model_config = ConfigDict(frozen=True)

    name: str
    bucket: str
    key: str
    size: int
    sha256: str


class LoraFacts(BaseModel):
    """What the header of a stored LoRA says: its tensors, their types and ranks, and its own metadata.

    It comes from a file that fal has sent: ``results.lora_facts`` bounds each text and each list.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    size: int = Field(description="bytes of the file")
    tensors: int = Field(description="how many tensors it holds")
    dtypes: tuple[str, ...] = Field(
        default=(), description="types of their numbers, the one of most tensors first"
    )
    ranks: tuple[int, ...] = Field(
        default=(), description="the ranks of its matrices, each once, the smallest first"
    )
    metadata: Mapping[str, str] = Field(
        default={}, description="`__metadata__` of the file, cut where it is long"
    )


def holds_weights(name: str) -> bool:
    """Return whether a stored file of this name is the LoRA."""
    return re.fullmatch(rf"([0-9]+-)?{re.escape(WEIGHTS)}", name) is not None


def is_weights(artifact: Artifact) -> bool:
    """Return whether a file has to be a safetensors file."""
    return artifact.name.lower().endswith(WEIGHTS_SUFFIX)


def has_weights(artifacts: Sequence[Artifact]) -> bool:
    """Return whether a LoRA is among the files: a result without one is none, whatever else it names."""
    return any(is_weights(each) for each in artifacts)


def is_picture(artifact: Artifact) -> bool:
    """Return whether a file has to be the picture of a request for one."""
    return artifact.name.removesuffix(INVALID_SUFFIX) == PICTURE_NAME


def is_essential(artifact: Artifact) -> bool:
    """Return whether a result without this file is none."""
    return is_weights(artifact) or is_picture(artifact)


def of_kind(artifacts: Sequence[Artifact], *, picture: bool) -> tuple[Artifact, ...]:
    """Return those files of a result that a job of this kind keeps: a picture, or what a training makes."""
    return tuple(each for each in artifacts if is_picture(each) is picture)


def is_json(artifact: Artifact) -> bool:
    """Return whether a file has to be JSON."""
    kind = (artifact.content_type or "").partition(";")[0].strip().lower()
    named = artifact.name.lower().endswith(JSON_SUFFIX)
    return named or (kind.endswith(("/json", "+json")) and not is_weights(artifact))


def artifacts_in(payload: Mapping[str, Any]) -> tuple[Artifact, ...]:
    """Return the weights and JSON files of a result, the trainer's own first, under the names they are kept by.

    A File is an object with a ``url`` (fal's File type: url, content_type, file_name, file_size). Files
    of other kinds are left out: what cannot be looked into is not brought into the house. The first of its ``images``
    is the picture, in a result of inference; ``of_kind`` says which of them a job keeps.
    """
    found: dict[str, Artifact] = {}
    # A sort that keeps the rest in fal's order.
    for output in sorted(payload, key=lambda output: output not in KNOWN_OUTPUTS):
        value = payload[output]
        for item in value if isinstance(value, list) else [value]:
            if not (isinstance(item, Mapping) and isinstance(item.get("url"), str)):
                continue
            artifact = _artifact(_free_name(output, item, taken=set(found)), item)
            kept = is_weights(artifact) or is_json(artifact)
            if kept and len(artifact.url) <= MAX_URL and len(found) < MAX_FILES:
                found[artifact.name] = artifact
    return (*found.values(), *_pictures(payload))


def _pictures(payload: Mapping[str, Any]) -> tuple[Artifact, ...]:
    """Return the first picture of ``images``, with what ``has_nsfw_concepts`` says of it."""
    images, unsafe = payload.get("images"), payload.get("has_nsfw_concepts")
    item = images[0] if isinstance(images, list) and images else None
    if not (isinstance(item, Mapping) and isinstance(url := item.get("url"), str)):
        return ()
    if len(url) > MAX_URL:
        return ()
    said = item.get("content_type")
    first = unsafe[0] if isinstance(unsafe, list) and unsafe else None
    picture = Artifact(
        name=PICTURE_NAME,
        url=url,
        content_type=said if said in PICTURE_TYPES else "image/jpeg",
        width=_pixels(item.get("width")),
        height=_pixels(item.get("height")),
        blackened=first if isinstance(first, bool) else None,
    )
    return (picture,)


def _pixels(value: object) -> int | None:
    return value if type(value) is int and 0 < value <= MAX_SIDE else None


def _artifact(name: str, item: Mapping[str, Any]) -> Artifact:
    size, content_type = item.get("file_size"), item.get("content_type")
    return Artifact(
        name=name,
        url=item["url"],
        content_type=content_type[:MAX_FILE_NAME] if isinstance(content_type, str) else None,
        size=size if type(size) is int and 0 <= size <= MAX_BYTES else None,
    )


def _free_name(output: str, item: Mapping[str, Any], *, taken: set[str]) -> str:
    known = KNOWN_OUTPUTS.get(output)
    if known and known not in taken:
        return known
    offered = item.get("file_name")
    plain = _plain(offered if isinstance(offered, str) and offered else _in_url(item) or output)
    name, number = plain, 1
    while name in taken or name in RESERVED_NAMES:
        number += 1
        name = f"{number}-{plain}"
    return name


def _in_url(item: Mapping[str, Any]) -> str:
    """Return the file name in the address of a file of a kind that is kept; empty for others."""
    name = re.split(r"[?#]", str(item["url"]))[0].rpartition("/")[2]
    return name if name.lower().endswith((WEIGHTS_SUFFIX, JSON_SUFFIX)) else ""


def _plain(name: str) -> str:
    """Return a file name without folders or surprises: a name from outside is never a path."""
    last = re.split(r"[/\\]", name)[-1]
    cleaned = re.sub(r"[^A-Za-z0-9._-]+", "-", last).lstrip(".-")[-MAX_FILE_NAME:]
    return cleaned or "file"

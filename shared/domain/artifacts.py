"""Which result files are kept, and under what names."""

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

# What every trainer has has a name of its own in the models bucket; some call the LoRA otherwise.
WEIGHTS = "lora.safetensors"
KNOWN_OUTPUTS: Mapping[str, str] = {
    "diffusers_lora_file": WEIGHTS,
    "lora_file": WEIGHTS,
    "config_file": "config.json",
}
# Files that the job itself writes there; an output never takes one of these names.
RESERVED_NAMES = frozenset(
    {"status.json", "job.json", "ERROR.txt", "report.html", "report.json", "dataset.zip"}
    | set(KNOWN_OUTPUTS.values())
)
MAX_FILE_NAME = 120


class Artifact(BaseModel):
    """A file that fal offers: where it is and the name it will have with us."""

    model_config = ConfigDict(frozen=True)

    name: str
    url: str
    content_type: str | None = None
    size: int | None = None


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


def holds_weights(name: str) -> bool:
    """Whether a stored file of this name is the LoRA."""
    return re.fullmatch(rf"([0-9]+-)?{re.escape(WEIGHTS)}", name) is not None


def artifacts_in(payload: Mapping[str, Any]) -> tuple[Artifact, ...]:
    """Every File-shaped output of a result, under the name it is kept by.

    A File is an object with a ``url`` (fal's File type: url, content_type, file_name, file_size).
    """
    found: dict[str, Artifact] = {}
    for output, value in payload.items():
        values = value if isinstance(value, list) else [value]
        for item in values:
            if not (isinstance(item, Mapping) and isinstance(item.get("url"), str)):
                continue
            name = _free_name(output, item, taken=set(found))
            size = item.get("file_size")
            content_type = item.get("content_type")
            found[name] = Artifact(
                name=name,
                url=item["url"],
                content_type=content_type if isinstance(content_type, str) else None,
                size=size if isinstance(size, int) and size >= 0 else None,
            )
    return tuple(found.values())


def _free_name(output: str, item: Mapping[str, Any], *, taken: set[str]) -> str:
    known = KNOWN_OUTPUTS.get(output)
    if known and known not in taken:
        return known
    offered = item.get("file_name")
    plain = _plain(offered if isinstance(offered, str) and offered else output)
    name, number = plain, 1
    while name in taken or name in RESERVED_NAMES:
        number += 1
        name = f"{number}-{plain}"
    return name


def _plain(name: str) -> str:
    """A file name without folders or surprises: a name from outside is never a path."""
    last = re.split(r"[/\\]", name)[-1]
    cleaned = re.sub(r"[^A-Za-z0-9._-]+", "-", last).lstrip(".-")[-MAX_FILE_NAME:]
    return cleaned or "file"

"""The folder on this machine that holds the files of one training without a stack, and whose they are."""

import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

from lora_drop.adapters.local_files import sha256_of
from lora_drop.client.errors import CommandError

# As the files of a job are named; jobs.artifacts loads pydantic, which `lora-drop watch` needs only for a stack.
LORA, CONFIG, RECORD = "lora.safetensors", "config.json", "job.json"


@dataclass(frozen=True, slots=True)
class SavedFile:
    """A file of a result in a folder; ``url`` is where it came from, ``sha256`` in hex."""

    name: str
    size: int
    sha256: str
    url: str
    content_type: str | None


def saved_record(folder: Path, request_id: str) -> dict[str, Any] | None:
    """Return the folder's ``job.json`` where all files of this request are there and whole; else None."""
    record = record_in(folder)
    if record.get("request_id") != request_id:
        return None
    try:
        files = {each["name"]: each["sha256"] for each in record["files"]}
        whole = all(sha256_of(folder / name) == sha256 for name, sha256 in files.items())
    except (KeyError, TypeError, OSError):
        return None
    return record if whole and LORA in files else None


def refuse_folder(folder: Path, request_id: str | None) -> None:
    """Raise CommandError for a folder that cannot be written or holds another training's files.

    It is looked at before anything is paid: ``request_id`` is None for a training that is still to be paid.
    """
    there = [name for name in (RECORD, LORA, CONFIG) if (folder / name).exists()]
    if there and (request_id is None or record_in(folder).get("request_id") != request_id):
        raise CommandError(
            f"{folder / there[0]} is there already, and is of another training. Nothing was sent. Choose "
            "another folder (--to, for the command)"
        )
    nearest = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    try:
        with tempfile.TemporaryFile(dir=nearest):
            pass
    except OSError as error:
        raise CommandError(
            f"{folder} cannot be written: {error}. Nothing was sent. Choose another folder (--to, for the command)"
        ) from error


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write ``job.json``, whole or not at all."""
    part = folder / f".{RECORD}.{os.getpid()}-{uuid4().hex}.part"
    part.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    part.replace(folder / RECORD)


def kept_files(folder: Path, request_id: str, names: Sequence[str]) -> tuple[SavedFile, ...]:
    """Return the files of an earlier call, if all are there; raises CommandError for files of something else."""
    record = record_in(folder)
    ours = record.get("request_id") == request_id
    try:
        files = tuple(SavedFile(**each) for each in record.get("files", ())) if ours else ()
    except TypeError as error:
        raise CommandError(
            f"{folder / RECORD} cannot be read. Move it away, or choose another folder (--to, for the command)"
        ) from error
    of_name = {file.name: file for file in files}
    there = [name for name in names if (folder / name).exists()]
    for name in [*there, *([] if ours or not (folder / RECORD).exists() else [RECORD])]:
        if name not in of_name or sha256_of(folder / name) != of_name[name].sha256:
            raise CommandError(
                f"{folder / name} is there already, and is another file. Move it away, or choose another folder (--to of lora-drop train)"
            )
    return files if len(there) == len(names) else ()


def record_in(folder: Path) -> dict[str, Any]:
    """Return what the folder's ``job.json`` says; nothing where there is none that can be read."""
    try:
        found = json.loads((folder / RECORD).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}

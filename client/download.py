"""A job's files, from the models bucket to this machine; whole, or not at all."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from botocore.exceptions import BotoCoreError, ClientError

from client.errors import CommandFailed
from client.lora_drop import LoraDrop
from client.stack import Stack, find_stack
from client.terminal import Json, StackName, told, write, write_line

Target = Annotated[
    Path, typer.Option("--to", help="A folder; it is made if there is none.", file_okay=False)
]


def download(
    job_id: Annotated[str, typer.Argument(help="A job that has files, as a rule SUCCEEDED.")],
    *,
    to: Target = Path(),
    stack: StackName = None,
    json_output: Json = False,
) -> None:
    """Fetch a job's files, the LoRA and what came with it, and hold them against their SHA-256."""
    with told():
        drop = LoraDrop(find_stack(stack))
        paths = fetch(drop.stack, drop.job(job_id), to)
    if json_output:
        write({"job_id": job_id, "files": [str(path) for path in paths]})
        return
    for path in paths:
        write_line(str(path))


def fetch(stack: Stack, job: Mapping[str, Any], folder: Path) -> Sequence[Path]:
    """The job's files in this folder; what lies there already is kept if it is the same.

    Raises CommandFailed: no files, another file of that name, one that is not what was stored.
    """
    if not job["files"]:
        raise CommandFailed(f"{job['job_id']} is {job['status']} and has no files.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return [_fetched(stack, file, folder / file["name"]) for file in job["files"]]
    except (OSError, BotoCoreError, ClientError) as error:
        raise CommandFailed(f"The files could not be fetched: {error}") from error


def _fetched(stack: Stack, file: Mapping[str, Any], path: Path) -> Path:
    if path.exists():
        if _digest(path) == file["sha256"]:
            return path
        raise CommandFailed(f"{path} is there already, and is another file. Choose a folder: --to")
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        stack.client("s3").download_file(file["bucket"], file["key"], str(part))
        if _digest(part) != file["sha256"]:
            raise CommandFailed(
                f"s3://{file['bucket']}/{file['key']} is not what was stored: its SHA-256 differs."
            )
        part.rename(path)
    finally:
        with suppress(FileNotFoundError):
            part.unlink()
    return path


def _digest(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()

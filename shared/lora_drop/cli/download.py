"""A job's files, from the models bucket to this machine; whole, or not at all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lora_drop.cli.terminal import Json, StackName, client_of, job_ids, reporting, write, write_line
from lora_drop.client.errors import CommandError

if TYPE_CHECKING:
    from lora_drop.client.stack import Stack

# The files about a job beside its results, as far as there are any; rewritten as the job goes on.
# Their names stand in lora_drop.jobs.job_files as well, which takes long to import; a test compares.
NOTICES = ("report.html", "report.json", "ERROR.txt", "status.json", "job.json")
# S3 says 403 of a missing key to a caller who may not list the bucket.
MISSING = frozenset({"404", "NoSuchKey", "403"})

Target = Annotated[
    Path | None,
    typer.Option(
        "--to",
        help="A folder; it is made if there is none. Else one that is called like the job.",
        file_okay=False,
    ),
]


def download(
    job_id: Annotated[
        str,
        typer.Argument(
            help="As `lora-drop jobs` lists it, however it stands.", autocompletion=job_ids
        ),
    ],
    *,
    to: Target = None,
    stack: StackName = None,
    json_output: Json = False,
) -> None:
    """Fetch what there is of a job: the LoRA and what came with it, held against their SHA-256.

    With it come the report and the other files about the job, which is all that a rejected one has.
    """
    with reporting(json_output=json_output) as display:
        drop = client_of(stack)
        job = drop.job(job_id)
        paths = fetch(drop.stack, job, to or Path(job_id))
        if not job["files"]:
            display.say_whole(f"{job_id} is {job['status']}, and has no LoRA.")
    if json_output:
        write({"job_id": job_id, "files": [str(path) for path in paths]})
        return
    for path in paths:
        write_line(str(path))


def fetch(stack: Stack, job: Mapping[str, Any], folder: Path) -> Sequence[Path]:
    """The job's files in this folder, then its notices; a file that is the same already is kept.

    An earlier notice of this job is replaced by today's. Raises CommandError: nothing to fetch,
    another file of that name, one that is not what was stored.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in NOTICES:
            _refuse_anothers(folder / name, job["job_id"])
        paths = [_fetched(stack, file, folder / file["name"]) for file in job["files"]]
        notices = [_noticed(stack, job, folder / name) for name in NOTICES]
    except (OSError, BotoCoreError, ClientError) as error:
        raise CommandError(f"The files could not be fetched: {error}") from error
    paths += [path for path in notices if path]
    if not paths:
        raise CommandError(f"{job['job_id']} is {job['status']} and has no files to fetch.")
    return paths


def _fetched(stack: Stack, file: Mapping[str, Any], path: Path) -> Path:
    if path.exists():
        if _digest(path) == file["sha256"]:
            return path
        raise _occupied(path)
    where = f"s3://{file['bucket']}/{file['key']}"

    def check(part: Path) -> None:
        if _digest(part) != file["sha256"]:
            raise CommandError(f"{where} is not what was stored: its SHA-256 differs.")

    _download(stack, file["bucket"], file["key"], path, check=check)
    return path


def _noticed(stack: Stack, job: Mapping[str, Any], path: Path) -> Path | None:
    """None where the job has no such notice."""
    from botocore.exceptions import ClientError

    bucket, _, prefix = job["location"].removeprefix("s3://").partition("/")
    try:
        _download(stack, bucket, prefix + path.name, path, check=lambda _: None)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in MISSING:
            return None
        raise
    return path


def _download(
    stack: Stack, bucket: str, key: str, path: Path, *, check: Callable[[Path], None]
) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        stack.client("s3").download_file(bucket, key, str(part))
        check(part)
        part.replace(path)
    finally:
        with suppress(FileNotFoundError):
            part.unlink()


def _refuse_anothers(path: Path, job_id: str) -> None:
    """Every notice of a job names it; a file that does not is the user's own, or another job's."""
    if path.exists() and not (path.is_file() and job_id.encode() in path.read_bytes()):
        raise _occupied(path)


def _occupied(path: Path) -> CommandError:
    return CommandError(f"{path} is there already, and is another file. Choose a folder: --to")


def _digest(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()

"""A job's files, from the models bucket to this machine; whole, or not at all."""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from lora_drop.adapters.local_files import sha256_of
from lora_drop.client.errors import CommandError
from lora_drop.client.proof_words import SheetProgress, is_open
from lora_drop.client.ranges import Ranges
from lora_drop.client.stack import Stack
from lora_drop.client.stack_client import StackClient
from lora_drop.jobs.errors import JobNotFoundError
from lora_drop.jobs.job_files import ERROR_FILE, JOB_FILE, REPORT_FILE, REPORT_PAGE, STATUS_FILE
from lora_drop.jobs.proof import PICTURE_NAME, PROOF_FILE, PROOF_FOLDER, PROOF_PAGE
from lora_drop.jobs.status import Status

# The files about a job beside its results, as far as there are any; rewritten as the job goes on.
NOTICES = (REPORT_PAGE, REPORT_FILE, ERROR_FILE, STATUS_FILE, JOB_FILE)
# Those of a proof sheet; the page's links to the pictures hold on this machine too, for all names are kept.
PROOF_NOTICES = (f"{PROOF_FOLDER}/{PROOF_PAGE}", f"{PROOF_FOLDER}/{PROOF_FILE}")
PICTURE = re.compile(rf"{PROOF_FOLDER}/[0-9]+/[A-Za-z0-9_][A-Za-z0-9._-]*")
# S3 says 403 of a missing key to a caller who may not list the bucket.
MISSING = frozenset({"404", "NoSuchKey", "403"})


def fetch(
    stack: Stack,
    job: Mapping[str, Any],
    folder: Path,
    pictures: Callable[[str], Mapping[str, Any]] | None = None,
) -> Sequence[Path]:
    """The job's files in this folder, those of its proof sheet, then its notices; a file that is the same already is kept.

    An earlier notice of this job is replaced by today's, and a file that did not come whole goes on from where it
    broke off. ``pictures`` returns the job of a picture by its id. Raises CommandError: nothing to fetch, another
    file of that name, one that is not what was stored.
    """
    names = (*PROOF_NOTICES, *NOTICES) if job.get("proof") else NOTICES
    files = {file["name"]: file for file in job["files"]}
    files |= _pictures(job, pictures) if pictures else {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            _refuse_anothers(folder / name, job["job_id"])
        paths = [_fetched(stack, file, folder / name) for name, file in files.items()]
        notices = [_noticed(stack, job, folder, name) for name in names]
    except (OSError, BotoCoreError, ClientError) as error:
        raise CommandError(f"The files could not be fetched: {error}") from error
    paths += [path for path in notices if path]
    if not paths:
        raise CommandError(f"{job['job_id']} is {job['status']} and has no files to fetch.")
    return paths


def _pictures(
    job: Mapping[str, Any], picture: Callable[[str], Mapping[str, Any]]
) -> dict[str, Mapping[str, Any]]:
    """The files of the proof sheet's pictures that there are, by their names in the job's folder."""
    found: dict[str, Mapping[str, Any]] = {}
    _, _, prefix = job["location"].removeprefix("s3://").partition("/")
    for job_id in (job.get("proof") or {}).get("pictures", ()):
        try:
            files = picture(job_id)["files"]
        except JobNotFoundError:
            continue  # it is erased, or still to be made
        for file in files:
            name = file["key"].removeprefix(prefix)
            if PICTURE.fullmatch(name):
                found[name] = file
    return found


def sheet_progress(client: StackClient, job: Mapping[str, Any]) -> SheetProgress:
    """Return how far a job's proof sheet is while it is not done; else nothing."""
    if not is_open(job):
        return SheetProgress()
    held: list[Mapping[str, Any]] = []

    def picture(job_id: str) -> Mapping[str, Any]:
        found = client.job(job_id)
        if found["status"] in (Status.HELD, Status.SUBMIT_UNKNOWN):
            held.append(found)
        return found

    made = sum(name.endswith(f"/{PICTURE_NAME}") for name in _pictures(job, picture))
    return SheetProgress(made, held)


def _fetched(stack: Stack, file: Mapping[str, Any], path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        if sha256_of(path) == file["sha256"]:
            return path
        raise _occupied(path)
    part = path.with_name(f".{path.name}.{file['sha256'][:16]}.part")
    ranges = Ranges(stack.client("s3"), file["bucket"], file["key"], file["size"], part)
    for resumed in (part.exists(), False):
        try:
            ranges.fetch()
            if sha256_of(part) == file["sha256"]:
                ranges.finish(path)
                return path
        except FileNotFoundError:
            # Another download of the same file may have been done first.
            if path.exists() and sha256_of(path) == file["sha256"]:
                return path
            raise
        ranges.drop()
        if not resumed:
            break  # what was left of an earlier try is not to blame
    where = f"s3://{file['bucket']}/{file['key']}"
    raise CommandError(f"{where} is not what was stored: its SHA-256 differs.")


def _noticed(stack: Stack, job: Mapping[str, Any], folder: Path, name: str) -> Path | None:
    """None where the job has no such notice."""
    bucket, _, prefix = job["location"].removeprefix("s3://").partition("/")
    path = folder / name
    try:
        got = stack.client("s3").get_object(Bucket=bucket, Key=prefix + name)
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, got["Body"].read)
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in MISSING:
            return None
        raise
    return path


def _write(path: Path, content: Callable[[], bytes]) -> None:
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(content())
        part.replace(path)
    finally:
        with suppress(FileNotFoundError):
            part.unlink()


def _refuse_anothers(path: Path, job_id: str) -> None:
    """Every notice of a job names it; a file that does not is the user's own, or another job's."""
    if path.exists() and not (path.is_file() and job_id.encode() in path.read_bytes()):
        raise _occupied(path)


def _occupied(path: Path) -> CommandError:
    return CommandError(
        f"{path} is there already, and is another file. Choose another folder (--to, for the command)."
    )

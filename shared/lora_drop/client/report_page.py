"""The report of a job's dataset and its proof sheet: which job's folder has it, its bytes, and its files on this machine."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from lora_drop.client.download import MISSING
from lora_drop.client.errors import CommandError, StackUnreachableError
from lora_drop.client.stack import Stack
from lora_drop.datasets.report import Report, Verdict
from lora_drop.datasets.reports import html_text, json_text
from lora_drop.jobs.ids import job_id_for
from lora_drop.jobs.job_files import REPORT_FILE, REPORT_PAGE
from lora_drop.jobs.proof import PROOF_FOLDER
from lora_drop.jobs.status import Status

# Without a check there is no report.
NEVER_READ = frozenset({"dataset_missing", "dataset_unreadable"})
PAGE_SUFFIXES = (".html", ".htm")
JSON_SUFFIX = ".json"
# What every version of report.json has had.
OF_A_REPORT = frozenset({"schema_version", "file", "verdict", "errors", "warnings", "images"})


def has_report(job: Mapping[str, Any]) -> bool:
    """Return whether the check of a job's dataset has ended, so that there is a report."""
    unread = any(problem["code"] in NEVER_READ for problem in job["problems"])
    return bool(job["parameters"]) or (job["status"] == Status.REJECTED and not unread)


def report_of(job: Mapping[str, Any]) -> tuple[str, str]:
    """Return the job whose folder has this job's report, and that folder.

    A retry has one of its own once it has its LoRA; before that, it is the first job's of its dataset.
    """
    if not job["retry_of"] or job["status"] == Status.SUCCEEDED:
        return job["job_id"], job["location"]
    dataset = job["dataset"]
    first = job_id_for(dataset["bucket"], dataset["key"], dataset["version_id"])
    return first, job["location"].removesuffix(f"{job['job_id']}/") + f"{first}/"


def report_content(stack: Stack, job: Mapping[str, Any], name: str) -> bytes:
    """Return ``report.html`` or ``report.json`` of a job, as it is now; raises OSError, BotoCoreError and ClientError."""
    bucket, _, prefix = report_of(job)[1].removeprefix("s3://").partition("/")
    return bytes(stack.client("s3").get_object(Bucket=bucket, Key=prefix + name)["Body"].read())


def proof_content(stack: Stack, job: Mapping[str, Any], name: str) -> bytes:
    """Return a file of a job's proof sheet, as it is now; raises OSError, BotoCoreError and ClientError."""
    bucket, _, prefix = job["location"].removeprefix("s3://").partition("/")
    key = f"{prefix}{PROOF_FOLDER}/{name}"
    return bytes(stack.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())


def if_there(job_id: str, read: Callable[[], bytes]) -> bytes | None:
    """Return a file of a job, as one of these two reads it; None where there is none. Raises StackUnreachableError."""
    try:
        return read()
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") in MISSING:
            return None
        raise _unread(job_id, error) from error
    except (OSError, BotoCoreError) as error:
        raise _unread(job_id, error) from error


def _unread(job_id: str, error: Exception) -> StackUnreachableError:
    return StackUnreachableError(
        f"A file of {job_id} cannot be read now: {error}. Try it again in a moment."
    )


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """The page for people, and the JSON for programs beside it."""

    page: Path
    data: Path

    def write(self, report: Report) -> None:
        """Write both; raises CommandError."""
        try:
            self.page.write_text(html_text(report), encoding="utf-8")
            self.data.write_text(json_text(report), encoding="utf-8")
        except OSError as unwritable:
            raise CommandError(f"The report cannot be written: {unwritable}.") from unwritable


def report_files(where: str) -> ReportFiles:
    """The files of a report that is wanted here: a folder, or the name of either file.

    Something that ends in a slash is a folder as well. A folder that is missing is made. Raises
    CommandError for one that cannot be, and for what lies there and is no earlier report.
    """
    files = _named(where)
    try:
        files.page.parent.mkdir(parents=True, exist_ok=True)
        for path, is_report in ((files.page, _is_page), (files.data, _is_data)):
            if path.exists() and not (path.is_file() and is_report(path.read_bytes())):
                raise CommandError(
                    f"{path} is there already, and is no report of lora-drop. Nothing was checked: "
                    "name another file or folder with --report."
                )
    except OSError as unusable:
        raise CommandError(
            f"No report can be written to {where}: {unusable}. Nothing was checked."
        ) from unusable
    return files


def _named(where: str) -> ReportFiles:
    path = Path(where)
    if where.endswith("/") or path.is_dir():
        return ReportFiles(path / REPORT_PAGE, path / REPORT_FILE)
    if path.suffix.lower() in PAGE_SUFFIXES:
        return ReportFiles(path, path.with_suffix(JSON_SUFFIX))
    if path.suffix.lower() == JSON_SUFFIX:
        return ReportFiles(path.with_suffix(PAGE_SUFFIXES[0]), path)
    return ReportFiles(Path(f"{where}{PAGE_SUFFIXES[0]}"), Path(f"{where}{JSON_SUFFIX}"))


def _is_data(content: bytes) -> bool:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.keys() >= OF_A_REPORT


def _is_page(content: bytes) -> bool:
    return content.startswith(_opening())


@cache
def _opening() -> bytes:
    """What each page begins with, up to the style sheet's hash, which an older one has of its own."""
    page = html_text(Report(file="", verdict=Verdict.REJECTED))
    return page.partition("style-src")[0].encode()

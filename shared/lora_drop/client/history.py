"""The jobs of one dataset name, newest first, each with what it has otherwise than the one before it."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import ValidationError

from lora_drop.client.differences import Document, JobChanges
from lora_drop.client.errors import CommandError, JobErasedError, JobUnknownError
from lora_drop.client.job import Job
from lora_drop.client.report_page import has_report
from lora_drop.client.stack_client import PAGE, StackClient
from lora_drop.datasets.parameters import PRESETS
from lora_drop.datasets.report import Report
from lora_drop.datasets.reports.markup import visible
from lora_drop.jobs.ids import JOB_ID, dataset_prefix, job_id_for, result_prefix
from lora_drop.jobs.job_files import REPORT_FILE

AT_ONCE = 8  # questions
NAMED = 5  # datasets in a message
REFUSED = frozenset({"AccessDenied", "403"})


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """A job of a dataset; ``changes`` against the job before it, None for the first."""

    job: Job
    changes: JobChanges | None


def dataset_history(
    client: StackClient, name: str, limit: int
) -> list[tuple[Document, JobChanges | None]]:
    """Return the jobs of a dataset and what each has changed, newest first, ``limit`` at the most.

    ``name`` is its key or its file's name, with or without .zip. A file's name alone is that of a dataset in another
    folder only where there is none at the top and in the folders of the presets. Raises CommandError where no job has
    it, and with the keys where several datasets have it.
    """
    jobs = _dataset_jobs(client, name)
    shown = jobs[:limit]
    # The one before the last that is shown is compared with and not shown.
    compared = jobs[: limit + 1]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        reports = list(pool.map(lambda job: report_of_job(client, job), compared))
    changes: list[JobChanges | None] = [
        JobChanges.between(before, after, (old, new))
        for (after, new), (before, old) in pairwise(zip(compared, reports, strict=True))
    ]
    return list(zip(shown, [*changes, None], strict=False))


def report_of_job(client: StackClient, job: Document) -> Report | None:
    """Return ``report.json`` of a job's check; None where there is none, or none that this version can read.

    A retry is not checked again: the report lies in the folder of the first job of its dataset version.
    """
    if not has_report(job):
        return None
    dataset, bucket = job["dataset"], client.stack.models_bucket
    first = job_id_for(dataset["bucket"], dataset["key"], dataset["version_id"])
    key = result_prefix(dataset["key"], first) + REPORT_FILE
    try:
        got = client.stack.client("s3").get_object(Bucket=bucket, Key=key)
        return Report.model_validate_json(got["Body"].read())
    except (OSError, BotoCoreError, ClientError, ValidationError):
        return None


def _dataset_jobs(client: StackClient, name: str) -> list[dict[str, Any]]:
    stem = name.strip("/")
    if not stem:
        raise CommandError("Name a dataset: its key, or its file's name. lora-drop jobs has them.")
    found = _ids(client, dataset_prefix(stem))
    jobs = (
        _asked_for(client, found) if found else client.jobs(dataset=stem, limit=10 * PAGE)["jobs"]
    )
    if not jobs:
        raise CommandError(f"There is no job of a dataset {name}. All jobs: lora-drop jobs")
    return sorted(
        _of_one_dataset(jobs, stem),
        key=lambda job: (job["created_at"], job["job_id"]),
        reverse=True,
    )


def _of_one_dataset(jobs: Sequence[dict[str, Any]], name: str) -> Sequence[dict[str, Any]]:
    """Return the jobs of the dataset whose key this is, else all of them, where they are of one key.

    A folder may have those of several keys: of ``ada.zip`` and ``ada.ZIP``. Raises CommandError.
    """
    keys = sorted({job["dataset"]["key"] for job in jobs})
    if name in keys:
        return [job for job in jobs if job["dataset"]["key"] == name]
    if len(keys) > 1:
        more = f" and {len(keys) - NAMED} more" if len(keys) > NAMED else ""
        raise CommandError(
            f"There are several datasets of this name: {visible(', '.join(keys[:NAMED]))}{more}. Name one of them."
        )
    return jobs


def _ids(client: StackClient, prefix: str) -> Sequence[str]:
    """Return the ids of the jobs that have a folder under the datasets that the name may mean.

    A name without a folder is also looked for in the folders of the presets. Nothing for a caller who may not list
    the bucket.
    """
    bare = prefix.count("/") == 1
    places = (prefix, *(f"{preset}/{prefix}" for preset in PRESETS)) if bare else (prefix,)
    return [job_id for place in places for job_id in _ids_in(client, place)]


def _ids_in(client: StackClient, prefix: str) -> Iterator[str]:
    """Yield the names of the folders of jobs, of which S3 gives 1,000 in a call and none of the files in them."""
    pages = client.stack.client("s3").get_paginator("list_objects_v2")
    try:
        for page in pages.paginate(Bucket=client.stack.models_bucket, Prefix=prefix, Delimiter="/"):
            for row in page.get("CommonPrefixes", []):
                folder = row["Prefix"].removeprefix(prefix).rstrip("/")
                if JOB_ID.fullmatch(folder):
                    yield folder
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") not in REFUSED:
            raise CommandError(
                f"The jobs of {prefix.rstrip('/')} cannot be listed: {error}"
            ) from error
    except BotoCoreError as error:
        raise CommandError(f"The jobs of {prefix.rstrip('/')} cannot be listed: {error}") from error


def _asked_for(client: StackClient, ids: Sequence[str]) -> list[dict[str, Any]]:
    """Return these jobs as they stand; one that is being erased is none any more."""

    def ask(job_id: str) -> list[dict[str, Any]]:
        with suppress(JobErasedError, JobUnknownError):
            return [client.job(job_id)]
        return []

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return [job for found in pool.map(ask, ids) for job in found]

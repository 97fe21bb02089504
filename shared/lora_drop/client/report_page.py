"""The report of a job's dataset and its proof sheet: which job's folder has it, and its bytes."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from lora_drop.client.errors import StackUnreachableError
from lora_drop.jobs.ids import job_id_for
from lora_drop.jobs.proof import PROOF_FOLDER
from lora_drop.jobs.status import Status

if TYPE_CHECKING:
    from lora_drop.client.stack import Stack

# Without a check there is no report.
NEVER_READ = frozenset({"dataset_missing", "dataset_unreadable"})


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


def report_content(stack: "Stack", job: Mapping[str, Any], name: str) -> bytes:
    """Return ``report.html`` or ``report.json`` of a job, as it is now; raises OSError, BotoCoreError and ClientError."""
    bucket, _, prefix = report_of(job)[1].removeprefix("s3://").partition("/")
    return bytes(stack.client("s3").get_object(Bucket=bucket, Key=prefix + name)["Body"].read())


def proof_content(stack: "Stack", job: Mapping[str, Any], name: str) -> bytes:
    """Return a file of a job's proof sheet, as it is now; raises OSError, BotoCoreError and ClientError."""
    bucket, _, prefix = job["location"].removeprefix("s3://").partition("/")
    key = f"{prefix}{PROOF_FOLDER}/{name}"
    return bytes(stack.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())


def if_there(job_id: str, read: Callable[[], bytes]) -> bytes | None:
    """Return a file of a job, as one of these two reads it; None where there is none. Raises StackUnreachableError."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415  # a local check needs no AWS

    from lora_drop.client.download import MISSING  # noqa: PLC0415

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

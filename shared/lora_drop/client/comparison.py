"""Two jobs beside each other: parameters, photos, trainer, cost, time, LoRA, likeness, and the pictures of both."""

import re
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from botocore.exceptions import BotoCoreError, ClientError
from pydantic import ValidationError

from lora_drop.client.differences import Document, JobChanges, JobSummary, lora_file
from lora_drop.client.errors import CommandError
from lora_drop.client.history import report_of_job
from lora_drop.client.report_page import if_there, proof_content
from lora_drop.client.stack_client import StackClient
from lora_drop.datasets.images.header import InvalidImageError
from lora_drop.datasets.reports.proof_sheet import ProofReport
from lora_drop.jobs.proof import PICTURE_NAME, PROOF_FILE, PROOF_FOLDER

PICTURE_SIDE = 768  # pixels, of a picture on the page
MAX_PICTURE = 32 * 1024**2  # bytes; one of fal's has a few hundred thousand
MAX_PICTURES = 20  # of a job
NUMBERED = re.compile(rf"{PROOF_FOLDER}/([1-9][0-9]{{0,2}})/{re.escape(PICTURE_NAME)}")


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two jobs with a LoRA; ``changes`` lead from ``a`` to ``b``.

    ``pictures`` has for each number of the proof sheets where the picture of either lies in the models bucket, None
    where it has none; ``captions`` what is said under both: the likeness and the prompt. ``simulated`` says of the pictures that no LoRA has made them, where a simulator is the stack's fal.
    """

    a: JobSummary
    b: JobSummary
    changes: JobChanges
    pictures: Mapping[int, tuple[str | None, str | None]]
    captions: Mapping[int, tuple[str, str]] = field(default_factory=dict)
    simulated: str = ""

    @classmethod
    def of(cls, client: StackClient, a: str, b: str) -> Self:
        """Compare two jobs; raises CommandError for the same job twice, and for one without a LoRA."""
        if a == b:
            raise CommandError(f"Both are the job {a}. Name two jobs: lora-drop jobs has them.")
        first, second = (_with_lora(client.job(job_id)) for job_id in (a, b))
        reports = report_of_job(client, first), report_of_job(client, second)
        mine, theirs = (dict(_pictures(client, job)) for job in (first, second))
        said, also = (_captions(client, job) for job in (first, second))
        numbers = sorted({*mine, *theirs})[:MAX_PICTURES]
        return cls(
            a=JobSummary.of(first),
            b=JobSummary.of(second),
            changes=JobChanges.between(first, second, reports),
            pictures={number: (mine.get(number), theirs.get(number)) for number in numbers},
            captions={number: (said.get(number, ""), also.get(number, "")) for number in numbers},
            simulated=client.stack.simulated if mine or theirs else "",
        )


def small_picture(client: StackClient, key: str) -> bytes | None:
    """Return a picture as a small JPEG; None where it is gone, or is no picture. Raises CommandError."""
    from lora_drop.adapters.previews import preview  # noqa: PLC0415  # Pillow takes long to load

    bucket = client.stack.models_bucket
    try:
        got = client.stack.client("s3").get_object(Bucket=bucket, Key=key)
        data = got["Body"].read(MAX_PICTURE + 1)
    except (BotoCoreError, ClientError) as error:
        if isinstance(error, ClientError) and error.response["Error"]["Code"] == "NoSuchKey":
            return None
        raise CommandError(f"A picture could not be fetched: {error}") from error
    with tempfile.TemporaryDirectory(prefix="lora-drop-") as folder:
        path = Path(folder) / PICTURE_NAME
        path.write_bytes(data)
        try:
            return preview(path, PICTURE_SIDE)
        except InvalidImageError:
            return None


def _with_lora(job: Document) -> Document:
    if lora_file(job) is None:
        raise CommandError(
            f"{job['job_id']} is {job['status']} and has no LoRA to compare. See why: lora-drop job {job['job_id']}"
        )
    return job


def _pictures(client: StackClient, job: Document) -> Iterator[tuple[int, str]]:
    """Yield the number and the key of each picture of a job's proof sheet; none where there is no sheet."""
    bucket, _, prefix = job["location"].removeprefix("s3://").partition("/")
    pages = client.stack.client("s3").get_paginator("list_objects_v2")
    try:
        for page in pages.paginate(Bucket=bucket, Prefix=f"{prefix}{PROOF_FOLDER}/"):
            for row in page.get("Contents", []):
                if found := NUMBERED.fullmatch(row["Key"].removeprefix(prefix)):
                    yield int(found[1]), row["Key"]
    except (BotoCoreError, ClientError) as error:
        raise CommandError(f"The pictures of {job['job_id']} cannot be listed: {error}") from error


def _captions(client: StackClient, job: Document) -> dict[int, str]:
    """Return the likeness and the prompt of each picture by its number; none without a sheet of this version."""
    if not job.get("proof"):
        return {}
    content = if_there(job["job_id"], lambda: proof_content(client.stack, job, PROOF_FILE))
    if content is None:
        return {}
    try:
        sheet = ProofReport.model_validate_json(content)
    except ValidationError:
        return {}
    return {each.number: _caption(each.likeness, each.prompt) for each in sheet.pictures}


def _caption(likeness: float | None, prompt: str) -> str:
    number = "" if likeness is None else f"Likeness {likeness:.2f}"
    return ". ".join(filter(None, (number, prompt)))

"""What the contract tests set up: jobs that are moved on, and uploads by a person."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from lora_drop.jobs.budget import Limits
from lora_drop.jobs.job import DatasetVersion, Job
from lora_drop.jobs.status import Status
from lora_drop.ports import CopyStore, DatasetListing, DatasetStore, Eraser, JobStore
from tests.support.aws import Aws
from tests.support.builders import NOW, learnt, make_job

NOVEMBER, DECEMBER = "2026-11", "2026-12"
LIMITS = Limits(max_in_flight=2, monthly_usd=10.0)
ODD_KEYS = [
    "portrait/a b+c%20d.zip",
    "\u5199\u771f/\U0001f600.zip",
    "quote'\"&<>.zip",
    "two\nlines.zip",
    "%0A.zip",
    "a" * 1000 + ".zip",
    "no suffix",
]
WIDE = Limits(max_in_flight=100, monthly_usd=1_000_000.0)


def waiting(jobs: JobStore, number: int, *, usd: float | None = 3.0, **changes: Any) -> Job:
    """Add a READY job; a higher number is a younger job."""
    job = make_job(
        Status.READY,
        job_id=f"job-{number:02}",
        estimated_cost_usd=usd,
        **{"created_at": NOW + timedelta(seconds=number), **changes},
    )
    assert jobs.add(job)
    return job


def moved(jobs: JobStore, job: Job, *steps: Status, limits: Limits = WIDE, **how: Any) -> Job:
    """Move the job through these steps, writing each of them."""
    for step in steps:
        known = {} if step is Status.READY else learnt(step)
        after = job.move(step, **{"now": NOW, **known, **how})
        jobs.replace(job, after, limits=limits if step is Status.SUBMITTING else None)
        job = after
    return job


def sent(jobs: JobStore, number: int, *, limits: Limits = WIDE, **changes: Any) -> Job:
    """Add a job whose submission has begun."""
    return moved(jobs, waiting(jobs, number, **changes), Status.SUBMITTING, limits=limits)


def money(jobs: JobStore, month: str = NOVEMBER) -> tuple[float, float, float]:
    """Return the reserved, spent and wasted dollars."""
    account = jobs.account(month)
    return (account.reserved_usd, account.spent_usd, account.wasted_usd)


def slots(jobs: JobStore) -> tuple[str, ...]:
    return jobs.account(NOVEMBER).in_flight


class Drops(Protocol):
    """What a person does to the bucket."""

    def put(
        self, key: str, data: bytes | None, metadata: Mapping[str, str] | None = None
    ) -> DatasetVersion:
        """Put an object, or delete it, and return its version."""


@dataclass
class S3Drops:
    """A person with S3 access."""

    aws: Aws
    bucket: str

    def put(
        self, key: str, data: bytes | None, metadata: Mapping[str, str] | None = None
    ) -> DatasetVersion:
        if data is None:
            gone = self.aws.s3.delete_object(Bucket=self.bucket, Key=key)
            return DatasetVersion(bucket=self.bucket, key=key, version_id=gone["VersionId"])
        put = self.aws.s3.put_object(
            Bucket=self.bucket, Key=key, Body=data, Metadata=dict(metadata or {})
        )
        return DatasetVersion(
            bucket=self.bucket,
            key=key,
            version_id=put["VersionId"],
            etag=put["ETag"].strip('"'),
            size=len(data),
        )


@dataclass
class Shelf:
    """The datasets bucket by its three ports, and the person who uploads to it."""

    store: DatasetStore
    listing: DatasetListing
    eraser: Eraser
    drops: Drops


@dataclass
class FetchedDatasets:
    """The datasets bucket: what the fetch worker writes into it, and what the submitter reads."""

    copies: CopyStore
    store: DatasetStore

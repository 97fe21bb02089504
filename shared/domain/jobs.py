"""A job: one dataset on its way to one LoRA, and the only moves it may make."""

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from shared.domain.artifacts import Artifact, StoredFile
from shared.domain.parameters import ParameterSource, TrainingParameters
from shared.domain.problems import Problem


class Status(StrEnum):
    """Where a job stands."""

    RECEIVED = "RECEIVED"
    REJECTED = "REJECTED"
    READY = "READY"
    HELD = "HELD"
    SUBMITTING = "SUBMITTING"
    SUBMIT_UNKNOWN = "SUBMIT_UNKNOWN"
    SUBMITTED = "SUBMITTED"
    TRAINING = "TRAINING"
    STORING = "STORING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"

    @property
    def terminal(self) -> bool:
        """Whether the job has ended; only a result that fal sends after all undoes that."""
        return self in ENDED

    @property
    def troubling(self) -> bool:
        """Whether a person has to act; each of these puts an ERROR.txt beside the job's files."""
        return self in TROUBLED


# The one table of moves. Each row: what may follow, and who says so.
TRANSITIONS: Mapping[Status, frozenset[Status]] = MappingProxyType(
    {
        # the dataset check
        Status.RECEIVED: frozenset({Status.READY, Status.REJECTED}),
        # the submitter, before it pays; a person or a budget may stop it here for free
        Status.READY: frozenset({Status.SUBMITTING, Status.HELD, Status.CANCELLED}),
        Status.HELD: frozenset({Status.READY, Status.CANCELLED}),
        # the one POST: accepted, not sent, refused for a cause a person lifts, refused, ambiguous
        Status.SUBMITTING: frozenset(
            {Status.SUBMITTED, Status.READY, Status.HELD, Status.FAILED, Status.SUBMIT_UNKNOWN}
        ),
        # evidence (a webhook with our token, fal's own request list), or a person
        Status.SUBMIT_UNKNOWN: frozenset({Status.SUBMITTED, Status.READY}),
        # facts from fal
        Status.SUBMITTED: frozenset(
            {Status.TRAINING, Status.STORING, Status.FAILED, Status.CANCELLED, Status.EXPIRED}
        ),
        Status.TRAINING: frozenset(
            {Status.STORING, Status.FAILED, Status.CANCELLED, Status.EXPIRED}
        ),
        # the store worker
        Status.STORING: frozenset({Status.SUCCEEDED, Status.FAILED, Status.EXPIRED}),
        Status.REJECTED: frozenset(),
        Status.SUCCEEDED: frozenset(),
        Status.FAILED: frozenset(),
        Status.CANCELLED: frozenset(),
        # given up too early: fal sent the result after all, and it was paid for
        Status.EXPIRED: frozenset({Status.STORING}),
    }
)

ENDED = frozenset(
    {Status.REJECTED, Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.EXPIRED}
)

TROUBLED = frozenset(
    {Status.REJECTED, Status.HELD, Status.SUBMIT_UNKNOWN, Status.FAILED, Status.EXPIRED}
)


MAX_STEM = 800  # bytes; a job id has 51 at the most, the name of a file 120


class IllegalMove(ValueError):
    """Raised when a move is not in the table: a bug, never an input."""


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class DatasetVersion(_Value):
    """One immutable version of one object in the datasets bucket; ``size`` in bytes."""

    bucket: str
    key: str
    version_id: str
    etag: str = ""
    size: int = 0

    @property
    def named_version(self) -> str:
        """The version as a request names it; empty for an object from before versioning."""
        return "" if self.version_id == "null" else self.version_id


class Step(_Value):
    """A status, since when, and the person who said so, where one did."""

    status: Status
    at: datetime
    by: str | None = None


class Job(_Value):
    """Everything that is known of one job. Public: stored, served and written as it stands here."""

    job_id: str
    status: Status
    version: int = 1
    dataset: DatasetVersion
    application: str
    created_at: datetime
    updated_at: datetime
    history: tuple[Step, ...]
    preset: str | None = None
    parameters: TrainingParameters | None = None
    parameter_sources: Mapping[str, ParameterSource] | None = None
    images: int | None = None
    estimated_cost_usd: float | None = None
    request_id: str | None = None
    artifacts: tuple[Artifact, ...] = ()
    files: tuple[StoredFile, ...] = ()
    problems: tuple[Problem, ...] = ()

    @classmethod
    def receive(cls, dataset: DatasetVersion, *, application: str, now: datetime) -> Self:
        """A new job for a dataset that has just arrived."""
        return cls(
            job_id=job_id_for(dataset.bucket, dataset.key, dataset.version_id),
            status=Status.RECEIVED,
            dataset=dataset,
            application=application,
            created_at=now,
            updated_at=now,
            history=(Step(status=Status.RECEIVED, at=now),),
        )

    def move(self, to: Status, *, now: datetime, by: str | None = None, **changes: Any) -> Self:
        """The job one step on, with what was learnt on the way; raises IllegalMove."""
        if to not in TRANSITIONS[self.status]:
            raise IllegalMove(f"{self.job_id}: {self.status} cannot become {to}")
        history = (*self.history, Step(status=to, at=now, by=by))
        if (self.status, to) == (Status.SUBMITTING, Status.READY):
            # Nothing has left, so nothing has happened; a long outage would fill the row with it.
            history = self.history[:-1]
        return self.model_copy(
            update={
                **changes,
                "status": to,
                "version": self.version + 1,
                "updated_at": now,
                "history": history,
            }
        )

    @property
    def terminal(self) -> bool:
        """Whether the job has ended."""
        return self.status.terminal

    @property
    def troubled(self) -> bool:
        """Whether a person is needed, or should know."""
        return self.status.troubling or (self.status is Status.STORING and bool(self.problems))

    @property
    def since(self) -> datetime:
        """Since when the job has been in its state."""
        return self.history[-1].at

    @property
    def prefix(self) -> str:
        """Where the job's files lie in the models bucket, with the closing slash."""
        return result_prefix(self.dataset.key, self.job_id)


def job_id_for(bucket: str, key: str, version_id: str) -> str:
    """The id of the job for this object version: the same drop is always the same job.

    A slug of the archive's name, then 10 hex digits of SHA-256 over bucket, key and version.
    """
    digest = hashlib.sha256(f"{bucket}\n{key}\n{version_id}".encode()).hexdigest()
    return f"{_slug(_without_zip(key.rsplit('/', 1)[-1]))}-{digest[:10]}"


def result_prefix(key: str, job_id: str) -> str:
    """``<dataset key without .zip>/<job_id>/``, the folder of a job's files.

    A key that leaves no room for the files' names is cut: S3 takes keys of 1,024 bytes.
    """
    stem = _without_zip(key).encode()[:MAX_STEM].decode(errors="ignore")
    return f"{stem}/{job_id}/"


def _without_zip(name: str) -> str:
    return name[:-4] if name.lower().endswith(".zip") else name


def _slug(name: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-")
    return slug or "dataset"

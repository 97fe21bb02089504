"""What the services need from the outside world, in their own words."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from shared.domain.archives import RangedReader
from shared.domain.artifacts import Artifact, StoredFile
from shared.domain.facts import Fact
from shared.domain.jobs import DatasetVersion, Job, Status


class Clock(Protocol):
    """The time, in UTC."""

    def __call__(self) -> datetime:
        """Now."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some jobs, newest first, and where to go on (None at the end)."""

    jobs: tuple[Job, ...]
    cursor: str | None


class JobStore(Protocol):
    """Where jobs are kept. Reads are strongly consistent unless they say otherwise."""

    def add(self, job: Job) -> bool:
        """Keep a new job; False if its id is taken, and then nothing is changed.

        Raises Conflict when two do so at the same moment and neither is kept yet.
        """

    def get(self, job_id: str) -> Job | None:
        """The job as it stands."""

    def replace(self, before: Job, after: Job) -> None:
        """Write ``after`` if the job is still ``before``; raises Conflict if it is not."""

    def unfinished(self) -> Iterable[Job]:
        """Every job that has not ended, oldest first."""

    def page(self, *, status: Status | None, limit: int, cursor: str | None) -> Page:
        """Jobs newest first, eventually consistent; raises BadQuery for a foreign cursor."""


@dataclass(frozen=True, slots=True)
class OpenDataset:
    """A dataset that is there: its exact version, its metadata, its bytes by ranges."""

    version: DatasetVersion
    metadata: Mapping[str, str]
    archive: RangedReader


class DatasetStore(Protocol):
    """Where datasets lie."""

    def open(self, dataset: DatasetVersion) -> OpenDataset:
        """The dataset; without a version id the newest. Raises RejectedDataset when it is gone."""

    def url(self, dataset: DatasetVersion) -> str:
        """An address anybody can download exactly this version from, for a few hours."""


class ResultStore(Protocol):
    """Where a job's files lie."""

    def write(self, key: str, text: str, content_type: str) -> StoredFile:
        """Put a small text file, over an earlier one."""

    def remove(self, key: str) -> None:
        """Take a file away; a missing one is fine."""

    def store(self, key: str, artifact: Artifact, chunks: Iterator[bytes]) -> StoredFile:
        """Stream a file in, never whole in memory, hashing what passes."""


class ArtifactSource(Protocol):
    """Where fal's result files come from."""

    def open(self, artifact: Artifact) -> AbstractContextManager[Iterator[bytes]]:
        """The file's bytes in order.

        Raises DownloadInterrupted, ResultGone when it is no more, and ForeignHost.
        """


@dataclass(frozen=True, slots=True)
class Submission:
    """fal's receipt for a request it has accepted."""

    request_id: str


class Trainer(Protocol):
    """fal, as far as a job needs it."""

    def submit(
        self, application: str, arguments: Mapping[str, Any], *, webhook_url: str
    ) -> Submission:
        """Pay: exactly one POST. Raises NotSubmitted, SubmissionRefused or SubmissionUnknown."""

    def ask(self, application: str, request_id: str) -> Fact:
        """What fal says of a request now; raises TrainerUnavailable."""


class RequestHistory(Protocol):
    """fal's own list of what was asked of it with our key."""

    def requests_for(
        self, application: str, dataset: DatasetVersion, *, since: datetime
    ) -> Sequence[str]:
        """The ids of the requests for this very dataset version; raises TrainerUnavailable."""


class Inbox(Protocol):
    """The queue that datasets come in by."""

    def announce(self, dataset: DatasetVersion) -> None:
        """Put a dataset into the inbox once more, as S3 does."""


class Handover(Protocol):
    """The queue in front of the store worker."""

    def hand_over(self, job_id: str) -> None:
        """Say that a result is ready to be copied."""


class SigningKeys(Protocol):
    """fal's public keys for webhooks."""

    def keys(self, *, now: datetime) -> Sequence[bytes]:
        """The keys at hand, fetched when there are none or they are old; SigningKeysUnavailable."""

    def newer_keys(self, *, now: datetime) -> Sequence[bytes]:
        """The keys fetched again for a signature no key made, at most once a minute; may be empty."""

"""What the services need from the outside world, in their own words."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from lora_drop.datasets.archives import RangedReader
from lora_drop.fal.status import FalStatus
from lora_drop.fal.trainers.trainer import Price
from lora_drop.fal.webhooks import RawDelivery
from lora_drop.jobs.artifacts import Artifact, StoredFile
from lora_drop.jobs.budget import Account, Limits
from lora_drop.jobs.erasures import Erasure
from lora_drop.jobs.events import StatusChange
from lora_drop.jobs.job import DatasetVersion, Job, Status
from lora_drop.results.copies import ExistingFile, Label, OpenArtifact, Part


class Clock(Protocol):
    """The time, in UTC."""

    def __call__(self) -> datetime:
        """Now."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some jobs, newest first, and where to go on (None at the end)."""

    jobs: tuple[Job, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Claim:
    """That a job is the one for its content from now on; ``previous`` is the job that was it."""

    previous: str | None


class JobStore(Protocol):
    """Where jobs are kept. Reads are strongly consistent unless they say otherwise.

    Whatever is written of a job takes and gives back its slot and its money in the same write.
    """

    def add(self, job: Job, *, claim: Claim | None = None, unchanged: Sequence[Job] = ()) -> bool:
        """Keep a new job; False if its id is taken, and then nothing is changed.

        Raises JobForgottenError when a job of this id was, and ConflictError when two do so at the same moment and
        neither is kept yet, when the content has another job than ``claim`` says, and when others
        are not ``still`` what they were read as.
        """

    def get(self, job_id: str) -> Job | None:
        """The job as it stands."""

    def forgotten(self, job_id: str) -> bool:
        """Whether the job of this id was forgotten, or is being erased."""

    def replace(
        self,
        before: Job,
        after: Job,
        *,
        limits: Limits | None = None,
        claim: Claim | None = None,
        unchanged: Sequence[Job] = (),
    ) -> None:
        """Write ``after`` if the job is still ``before``, and others are ``still`` what they were read as.

        Raises ConflictError if one of them is not.

        With limits: raises NoSlotError or OverBudgetError when what the move takes is not to be had; an
        approved job does not mind the budget. With a claim: Conflict when the content has another
        job than it says.
        """

    def next_waiting(self) -> Job | None:
        """The oldest of the jobs that are READY."""

    def owner(self, content_digest: str) -> str | None:
        """The id of the job that this content was last claimed by."""

    def account(self, month: str) -> Account:
        """A month's money, and who holds a slot now."""

    def missing(self, job_ids: Sequence[str]) -> Sequence[str]:
        """Which of these ids no job has, nor had one that was forgotten."""

    def unfinished(self) -> Iterable[Job]:
        """Every job that has not ended, or whose end is not closed; oldest first."""

    def outbox(self) -> Mapping[str, int]:
        """Whose last change of state is not told to others yet, and the version it came with.

        A change gets in here by the very write that makes it.
        """

    def mark_published(self, job_id: str, version: int) -> None:
        """The change of this version is told, and any before it; nothing if there was a later one.

        Raises EventsUnavailableError where that cannot be kept: it is told once more then.
        """

    def close(self, job: Job) -> None:
        """The end of this job is told, and nothing is left to do; nothing if it goes on by now."""

    def page(self, *, status: Status | None, limit: int, cursor: str | None) -> Page:
        """Jobs newest first, eventually consistent; raises BadQuery for a foreign cursor."""


class Erasures(Protocol):
    """Jobs that were forgotten, beside those that are kept."""

    def begin(self, job: Job, erasure: Erasure) -> None:
        """Put an erasure in the place of a job that has ended, in one write.

        From then on there is no such job, nor can there be one. Its content goes back to the job that
        it stood in for. Raises ConflictError when the job is not any more what was read.
        """

    def erasure(self, digest: str) -> Erasure | None:
        """The erasure of this digest, or the proof of it."""

    def keep(self, before: Erasure, after: Erasure) -> None:
        """Write how far it has come; raises ConflictError when somebody else has."""

    def erasing(self) -> Iterable[Erasure]:
        """Every erasure that is not done."""


class Bookmarks(Protocol):
    """Where the sweeps have got to, from one round to the next."""

    def bookmark(self, name: str) -> str | None:
        """The place that was kept last; None is the beginning."""

    def keep_bookmark(self, name: str, at: str | None) -> None:
        """Keep a place."""


@dataclass(frozen=True, slots=True)
class OpenDataset:
    """A dataset that is there: its exact version, its metadata, its bytes by ranges."""

    version: DatasetVersion
    metadata: Mapping[str, str]
    archive: RangedReader


class DatasetStore(Protocol):
    """Where datasets lie."""

    def open(self, dataset: DatasetVersion) -> OpenDataset:
        """The dataset; without a version id the newest. Raises DatasetRejectedError when it is gone.

        Raises DatasetUnreadableError when it may not be read.
        """

    def url(self, dataset: DatasetVersion) -> str:
        """An address anybody can download exactly this version from, for a few hours."""


@dataclass(frozen=True, slots=True)
class DatasetPage:
    """Some datasets as they lie in the bucket, each with when it came, and where to go on."""

    datasets: tuple[tuple[DatasetVersion, datetime], ...]
    after: str | None


class DatasetListing(Protocol):
    """The datasets bucket, walked through."""

    def list_page(self, after: str | None) -> DatasetPage:
        """At most 1,000 datasets, newest versions only, from this place on; None: from the start."""


class Prices(Protocol):
    """What fal asks for a training."""

    def price(self, application: str) -> Price | None:
        """Fal's own price of the moment; None when it cannot be had."""


class ResultStore(Protocol):
    """Where a job's files lie.

    What ``expires`` shows the photos of a dataset and is kept no longer than datasets are.
    """

    @property
    def bucket(self) -> str:
        """Its name."""

    def write(self, key: str, text: str, content_type: str, *, expires: bool = False) -> StoredFile:
        """Put a small text file, over an earlier one."""

    def write_pieces(
        self, key: str, pieces: Iterable[bytes], content_type: str, *, expires: bool = False
    ) -> StoredFile:
        """Put a large file, over an earlier one; nothing of it lies there until it is whole."""

    def remove(self, key: str) -> None:
        """Take a file away; a missing one is fine."""

    def has(self, stored: StoredFile) -> bool:
        """Whether a file still lies where it was stored, in its size."""

    def url(self, stored: StoredFile, seconds: int) -> str:
        """An address anybody can download the file from, for so long."""

    def reader(self, stored: StoredFile) -> RangedReader:
        """The file, by ranges, as it lies there now; raises DatasetUnreadableError when it does not."""

    def sweep(self, *, older_than: datetime, keep: Collection[str]) -> int:
        """End every unfinished copy from before then whose upload id is not to be kept; how many."""


class CopyStore(ResultStore, Protocol):
    """Where copies are put together as well: nothing that lies there is ever written over."""

    def find(self, key: str) -> ExistingFile | None:
        """What lies under a key."""

    def put(self, key: str, data: bytes, label: Label) -> None:
        """A small file at once; the very same bytes there already are as good.

        Raises KeyOccupiedError when other bytes lie there, UploadGoneError when two did so at one moment.
        """

    def begin(self, key: str, label: Label) -> str:
        """The id of a new unfinished copy; nothing lies under the key until it is complete."""

    def parts(self, key: str, upload_id: str) -> Mapping[int, Part]:
        """The parts that are there, each with a checksum; raises UploadGoneError."""

    def upload(self, key: str, upload_id: str, number: int, data: bytes) -> Part:
        """One part, over an earlier one of its number; raises UploadGoneError."""

    def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        """Make these parts a file, and see that it lies there; the very same there is as good.

        Raises KeyOccupiedError when other bytes lie there, UploadGoneError when it has to be begun anew.
        """

    def abort(self, key: str, upload_id: str) -> None:
        """End an unfinished copy and drop its parts; one that is no more is fine."""

    def reread(self, key: str) -> StoredFile:
        """A file as it lies there, read from its first byte to its last.

        Raises DownloadInterruptedError when that is not what the store's checksum says.
        """


class ArtifactSource(Protocol):
    """Where fal's result files come from."""

    def open(
        self, artifact: Artifact, *, until: float, whole: bool = False
    ) -> AbstractContextManager[OpenArtifact]:
        """The file, to be read until that moment of the monotonic clock; ``whole``: in one go.

        Raises DownloadInterruptedError, ResultGoneError when it is no more, and HostNotAllowedError.
        """


@dataclass(frozen=True, slots=True)
class Submission:
    """fal's receipt for a request it has accepted."""

    request_id: str


class FalClient(Protocol):
    """fal, as far as a job needs it."""

    def submit(
        self, application: str, arguments: Mapping[str, Any], *, webhook_url: str
    ) -> Submission:
        """Pay: exactly one POST. Raises NotSubmittedError, SubmissionRefusedError or SubmissionUnknownError."""

    def ask(self, application: str, request_id: str) -> FalStatus:
        """What fal says of a request now; raises FalUnavailableError."""

    def cancel(self, application: str, request_id: str) -> bool:
        """Ask fal to stop a request; False when it is over already. Raises FalUnavailableError."""


class RequestHistory(Protocol):
    """fal's own list of what was asked of it with our key."""

    def requests_for(self, job: Job, *, since: datetime) -> Sequence[str]:
        """The ids of the requests that sent this job's dataset; raises FalUnavailableError."""


class FileStorage(Protocol):
    """fal's own storage of files."""

    def upload(self, archive: RangedReader, name: str, seconds: int) -> str:
        """The address of a copy that fal drops after so many seconds.

        Raises what reading the archive raises, NotSubmittedError when fal cannot be reached, and
        SubmissionRefusedError when it does not take it.
        """


@dataclass(frozen=True, slots=True)
class Place:
    """One key of a bucket, or everything in a folder."""

    key: str
    folder: bool = False


@dataclass(frozen=True, slots=True)
class Erasable:
    """Something that can be deleted for good; ``version_id`` tells it from others under its key.

    ``came`` is since when it is there, in whole seconds on some stores; a ``marker`` is no data but that something was deleted.
    """

    key: str
    version_id: str
    came: datetime
    marker: bool = False


class Eraser(Protocol):
    """A bucket, as far as things in it are erased."""

    def versions(self, place: Place) -> Iterable[Sequence[Erasable]]:
        """Every version and delete marker there, in batches of 1,000 at most.

        Whoever erases on the way asks again until there is none.
        """

    def erase(self, versions: Sequence[Erasable]) -> None:
        """Delete a batch for good; what is gone already is fine. Raises NotErasableError."""

    def unfinished(self, place: Place) -> Iterable[Sequence[Erasable]]:
        """Every unfinished upload there, in batches of 1,000 at most."""

    def abort_all(self, uploads: Sequence[Erasable]) -> None:
        """End a batch of unfinished uploads; one that is no more is fine."""


@dataclass(frozen=True, slots=True)
class PayloadsErased:
    """What fal deleted of a request: so many output files; ``left`` is what it kept, in sentences."""

    files: int = 0
    left: tuple[str, ...] = ()


class Payloads(Protocol):
    """What fal stores of a request: what went in, what came out, and its files."""

    def erase(self, request_id: str) -> PayloadsErased:
        """Have it deleted, as far as the key allows; raises FalUnavailableError to be asked again."""


class Deliveries(Protocol):
    """What fal has delivered, beside the job's files."""

    def keep(self, job: Job, delivery: RawDelivery, *, sent_at: datetime) -> None:
        """Keep a delivery; the same one again changes nothing."""

    def kept(self, job: Job) -> Sequence[bytes]:
        """The bodies of a job's deliveries, the oldest first."""


class Events(Protocol):
    """Where others hear of a job's changes."""

    def emit(self, change: StatusChange) -> None:
        """Tell a change, at least once; gives up soon and raises EventsUnavailableError."""


class DeadLetters(Protocol):
    """Messages that were given up after several tries."""

    def redrive(self, limit: int) -> Mapping[str, int]:
        """Send so many at most back to where they came from; how many, by queue."""


class Inbox(Protocol):
    """The queue that datasets come in by."""

    def announce(self, dataset: DatasetVersion) -> None:
        """Put a dataset into the inbox once more, as S3 does."""


class Handover(Protocol):
    """The queue in front of the store worker."""

    def hand_over(self, job_id: str) -> None:
        """Say that a result is ready to be copied."""


class StatusCheckTrigger(Protocol):
    """Whoever holds fal's key, and may be told to ask fal about a job without being waited for."""

    def request_status_check(self, job_id: str) -> None:
        """Have fal asked now, instead of when the job is late."""


class SigningKeys(Protocol):
    """fal's public keys for webhooks."""

    def keys(self, *, now: datetime) -> Sequence[bytes]:
        """The keys at hand, fetched when there are none or they are old; SigningKeysUnavailableError."""

    def newer_keys(self, *, now: datetime) -> Sequence[bytes]:
        """The keys fetched again for a signature no key made, at most once a minute; may be empty."""

"""What services need of the buckets: datasets, results, copies, erasing."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from lora_drop.datasets.archives import RangedReader
from lora_drop.fal.webhooks import RawDelivery
from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.job import DatasetVersion, Job
from lora_drop.results.copies import ExistingFile, Label, Part


@dataclass(frozen=True, slots=True)
class OpenDataset:
    """A dataset that is there: its exact version, its metadata, its bytes by ranges."""

    version: DatasetVersion
    metadata: Mapping[str, str]
    archive: RangedReader


class DatasetStore(Protocol):
    """The datasets bucket."""

    def open(self, dataset: DatasetVersion) -> OpenDataset:
        """Return the dataset; without a version id the newest. Raises DatasetRejectedError when it is gone.

        Raises DatasetUnreadableError when it may not be read.
        """

    def url(self, dataset: DatasetVersion) -> str:
        """Return an address anybody can download exactly this version from, for a few hours."""


@dataclass(frozen=True, slots=True)
class UploadForm:
    """What a browser sends with a file: the address, and the fields that come before the file."""

    url: str
    fields: Mapping[str, str]


class UploadStore(Protocol):
    """The datasets bucket, as callers of the API bring datasets into it."""

    def form(
        self, key: str, metadata: Mapping[str, str], sizes: tuple[int, int], seconds: int
    ) -> UploadForm:
        """Return a signed form: one ZIP of a size in this range, under this key, with this metadata, in this time."""

    def find(self, key: str, version_id: str) -> OpenDataset:
        """Return what lies there; without a version id the newest.

        Raises DatasetRejectedError where there is nothing, and DatasetUnreadableError.
        """


@dataclass(frozen=True, slots=True)
class DatasetPage:
    """Some datasets as they lie in the bucket, each with when it came, and where to go on."""

    datasets: tuple[tuple[DatasetVersion, datetime], ...]
    after: str | None


class DatasetListing(Protocol):
    """The datasets bucket, listed page by page."""

    def list_page(self, after: str | None) -> DatasetPage:
        """Return at most 1,000 datasets, newest versions only, from this place on; None: from the start."""


class ResultStore(Protocol):
    """The models bucket.

    What ``expires`` shows the photos of a dataset and is kept no longer than datasets are.
    """

    @property
    def bucket(self) -> str:
        """Return its name."""

    def write(self, key: str, text: str, content_type: str, *, expires: bool = False) -> StoredFile:
        """Put a small text file, over an earlier one."""

    def write_pieces(
        self, key: str, pieces: Iterable[bytes], content_type: str, *, expires: bool = False
    ) -> StoredFile:
        """Put a large file, over an earlier one; nothing of it lies there until it is whole."""

    def remove(self, key: str) -> None:
        """Take a file away; a missing one is fine."""

    def has(self, stored: StoredFile) -> bool:
        """Return whether a file still lies where it was stored, in its size."""

    def url(self, stored: StoredFile, seconds: int) -> str:
        """Return an address anybody can download the file from, for so long."""

    def read(self, stored: StoredFile, most: int) -> bytes:
        """Return the file's first bytes, at most so many; raises DatasetUnreadableError when it does not lie there."""

    def reader(self, stored: StoredFile) -> RangedReader:
        """Return the file, by ranges, as it lies there now; raises DatasetUnreadableError when it does not."""

    def sweep(self, *, older_than: datetime, keep: Collection[str]) -> int:
        """End every unfinished copy from before then whose upload id is not to be kept; return how many."""


@dataclass(frozen=True, slots=True)
class StoredText:
    """A small text file of the models bucket as it was read; ``etag`` and ``version_id`` identify what was read."""

    text: str
    etag: str
    version_id: str


class SharedTexts(Protocol):
    """Small text files of the models bucket that several functions change: each writes over what it has read alone."""

    def read_text(self, key: str) -> StoredText | None:
        """Return the file; None where there is none."""

    def replace_text(self, key: str, before: StoredText | None, text: str) -> bool:
        """Write the file while it is still ``before`` (None: while there is none); return whether it was written."""


class CopyStore(ResultStore, Protocol):
    """Where copies are put together as well: nothing that lies there is ever written over."""

    def find(self, key: str) -> ExistingFile | None:
        """Return what lies under a key."""

    def put(self, key: str, data: bytes, label: Label) -> None:
        """Put a small file at once; the very same bytes there already are as good.

        Raises KeyOccupiedError when other bytes lie there, UploadGoneError when two did so at one moment.
        """

    def begin(self, key: str, label: Label) -> str:
        """Return the id of a new unfinished copy; nothing lies under the key until it is complete."""

    def parts(self, key: str, upload_id: str) -> Mapping[int, Part]:
        """Return the parts that are there, each with a checksum; raises UploadGoneError."""

    def upload(self, key: str, upload_id: str, number: int, data: bytes | bytearray) -> Part:
        """Upload one part, over an earlier one of its number; raises UploadGoneError.

        Several may be uploaded at once. Nothing of ``data`` is read any more when it returns.
        """

    def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        """Make these parts a file, and see that it lies there; the very same there is as good.

        Raises KeyOccupiedError when other bytes lie there, UploadGoneError when it has to be begun again.
        """

    def abort(self, key: str, upload_id: str) -> None:
        """End an unfinished copy and drop its parts; one that is no more is fine."""

    def reread(self, key: str) -> StoredFile:
        """Return a file as it lies there, read from its first byte to its last.

        Raises DownloadInterruptedError when that is not what the store's checksum says.
        """


@dataclass(frozen=True, slots=True)
class Place:
    """One key of a bucket, or everything in a folder."""

    key: str
    folder: bool = False


@dataclass(frozen=True, slots=True)
class Erasable:
    """Something that can be deleted for good; ``version_id`` distinguishes it from others under its key.

    ``came`` is since when it is there, in whole seconds on some stores; a ``marker`` is no data but that something was deleted.
    """

    key: str
    version_id: str
    came: datetime
    marker: bool = False


class Eraser(Protocol):
    """A bucket whose objects are erased for good."""

    def versions(self, place: Place) -> Iterable[Sequence[Erasable]]:
        """Return every version and delete marker there, in batches of 1,000 at most.

        A caller that erases in between asks again until there is none.
        """

    def erase(self, versions: Sequence[Erasable]) -> None:
        """Delete a batch for good; what is gone already is fine. Raises NotErasableError."""

    def unfinished(self, place: Place) -> Iterable[Sequence[Erasable]]:
        """Return every unfinished upload there, in batches of 1,000 at most."""

    def abort_all(self, uploads: Sequence[Erasable]) -> None:
        """End a batch of unfinished uploads; one that is no more is fine."""


class Deliveries(Protocol):
    """What fal has delivered, beside the job's files."""

    def keep(self, job: Job, delivery: RawDelivery, *, sent_at: datetime) -> None:
        """Keep a delivery; the same one again changes nothing."""

    def kept(self, job: Job) -> Sequence[bytes]:
        """Return the bodies of a job's deliveries, the oldest first."""

"""The URLs that fal downloads datasets from: a fresh one for every try, so that none expires in the queue."""

from dataclasses import dataclass
from datetime import timedelta

from lora_drop.datasets.archives import RangedReader
from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.delivery import (
    MAX_INLINE,
    DatasetDelivery,
    DeliveryMethod,
    data_uri,
    fingerprint,
)
from lora_drop.jobs.job import Job
from lora_drop.ports import Clock, DatasetStore, FileStorage, ResultStore


@dataclass(frozen=True, slots=True)
class DatasetUrl:
    """A dataset's address, and what the job keeps of it."""

    url: str
    delivery: DatasetDelivery


@dataclass(frozen=True, slots=True)
class DatasetUrls:
    """Makes dataset URLs, each valid for ``seconds``."""

    datasets: DatasetStore
    results: ResultStore
    storage: FileStorage
    clock: Clock
    way: DeliveryMethod
    seconds: int

    @property
    def uploads(self) -> bool:
        """Return whether an address costs an upload."""
        return self.way is DeliveryMethod.FAL

    def of(self, job: Job) -> DatasetUrl:
        """Return where fal is to get this job's dataset, or its clean copy, from.

        Raises what reading it and uploading it raise: DatasetRejectedError, DatasetUnreadableError,
        NotSubmittedError and SubmissionRefusedError. Nothing is paid by then.
        """
        expires_at = self.clock() + timedelta(seconds=self.seconds)
        if self.way is DeliveryMethod.DATA and (archive := self._archive(job)).size <= MAX_INLINE:
            url = data_uri(archive.read(0, archive.size))
            return DatasetUrl(
                url, DatasetDelivery(way=DeliveryMethod.DATA, sha256=fingerprint(url))
            )
        if self.way is DeliveryMethod.FAL:
            url = self.storage.upload(self._archive(job), f"{job.job_id}.zip", self.seconds)
            sent = DatasetDelivery(
                way=DeliveryMethod.FAL, sha256=fingerprint(url), expires_at=expires_at, url=url
            )
            return DatasetUrl(url, sent)
        url = self._presigned(job)
        sent = DatasetDelivery(
            way=DeliveryMethod.PRESIGNED, sha256=fingerprint(url), expires_at=expires_at
        )
        return DatasetUrl(url, sent)

    def of_checkpoint(self, weights: StoredFile) -> str:
        """Return where fal gets the LoRA from that a training goes on from."""
        return self.results.url(weights, self.seconds)

    def of_weights(self, weights: StoredFile) -> DatasetUrl:
        """Return where fal gets the LoRA from that a picture is made with."""
        url, expires_at = (
            self.of_checkpoint(weights),
            self.clock() + timedelta(seconds=self.seconds),
        )
        sent = DatasetDelivery(
            way=DeliveryMethod.PRESIGNED, sha256=fingerprint(url), expires_at=expires_at
        )
        return DatasetUrl(url, sent)

    def _archive(self, job: Job) -> RangedReader:
        return (
            self.results.reader(job.clean) if job.clean else self.datasets.open(job.dataset).archive
        )

    def _presigned(self, job: Job) -> str:
        return (
            self.results.url(job.clean, self.seconds)
            if job.clean
            else self.datasets.url(job.dataset)
        )

"""Datasets from addresses: each is fetched into the bucket, where S3's event makes it a dataset like any other.

The job is there before its file, so that whatever comes of the address is seen on it.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from time import monotonic, sleep

from lora_drop.jobs.artifacts import Artifact, Upload
from lora_drop.jobs.errors import (
    ConflictError,
    DatasetRejectedError,
    DownloadInterruptedError,
    DownloadTimeoutError,
    HostNotAllowedError,
    KeyOccupiedError,
    ResultGoneError,
    ResultUnusableError,
)
from lora_drop.jobs.job import Job
from lora_drop.jobs.job_problems import (
    URL_GONE,
    URL_NOT_ALLOWED,
    URL_TOO_LARGE,
    url_timeout,
    url_unreachable,
)
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from lora_drop.jobs.time_limits import FETCH_DEADLINE, FETCH_PATIENCE, STORE_LEASE
from lora_drop.ports import ArtifactSource, CopyStore, DatasetStore
from lora_drop.services.copy import PART, Copier
from lora_drop.services.copy_attempt import CopyRequest
from lora_drop.services.lease import JobLease, new_owner
from lora_drop.services.record import Record

ZIP = "application/zip"
# What no waiting helps against.
FINAL: Mapping[type[Exception], Problem] = {
    ResultGoneError: URL_GONE,
    ResultUnusableError: URL_TOO_LARGE,
    HostNotAllowedError: URL_NOT_ALLOWED,
}
PAUSES = (2.0, 10.0)  # seconds between the tries of one run


@dataclass(frozen=True, slots=True)
class Fetcher:
    """The worker that fetches what a job is to be trained on; ``copies`` and ``datasets`` are the datasets bucket.

    ``patience`` is how long one run reads. What has arrived by then, the next run goes on with, where the server
    gives ranges of one file (its strong ETag).
    """

    record: Record
    copies: CopyStore
    datasets: DatasetStore
    source: ArtifactSource
    lease: timedelta = STORE_LEASE
    patience: timedelta = FETCH_PATIENCE
    part: int = PART
    owner: Callable[[], str] = new_owner
    now: Callable[[], float] = monotonic
    pause: Callable[[float], None] = sleep

    def fetch(self, job_id: str) -> Job:
        """Return the job with its dataset in the bucket, REJECTED, or as it is until it is tried again.

        A second call changes nothing: while another worker fetches it is left to that worker, and what lies in
        the bucket is not fetched again. Raises JobNotFoundError and JobForgottenError.
        """
        job = self.record.known(job_id)
        if not job.fetching:
            return self._without_uploads(job)
        job_lease = JobLease.take(self.record, job, owner=self.owner(), length=self.lease)
        if job_lease is None:
            return job
        try:
            return self._settled(job_lease)
        except ConflictError:
            # It was cancelled meanwhile, or its file was there and the submitter has it.
            found = self.record.known(job_id)
            if not found.fetching:
                self._abort(found, job_lease.job.uploads)
            return found
        except Exception:
            with suppress(Exception):  # it runs out by itself, and this must not hide the cause
                job_lease.give_back()
            raise

    def _settled(self, job_lease: JobLease) -> Job:
        try:
            self._copied(job_lease)
            found = self.datasets.open(job_lease.job.dataset)
        except (ResultGoneError, ResultUnusableError, HostNotAllowedError) as why:
            return self._refused(job_lease, FINAL[type(why)])
        except DatasetRejectedError as gone:
            return self._refused(job_lease, *gone.problems)
        except (DownloadInterruptedError, KeyOccupiedError) as trouble:
            return self._not_arrived(job_lease, trouble)
        arrived = job_lease.job.arrived(found.version, now=self.record.clock())
        return self.record.write(job_lease.kept, arrived)

    def _not_arrived(self, job_lease: JobLease, trouble: Exception) -> Job:
        """Leave it to the reconciler's next round, or end the job where an hour is over."""
        problem = url_timeout if isinstance(trouble, DownloadTimeoutError) else url_unreachable
        if self.record.clock() - job_lease.job.created_at >= FETCH_DEADLINE:
            return self._refused(job_lease, problem(over=True))
        return job_lease.give_back(problem(over=False))

    def _copied(self, job_lease: JobLease) -> None:
        """Copy the file; trouble that may be over in a moment is tried again at once."""
        until = self.now() + self.patience.total_seconds()
        for pause in PAUSES:
            try:
                return self._copy(job_lease, until)
            except DownloadTimeoutError:
                raise
            except DownloadInterruptedError:
                self.pause(pause)
        return self._copy(job_lease, until)

    def _copy(self, job_lease: JobLease, until: float) -> None:
        job = job_lease.job
        if job.fetch is None or job.fetch.url is None:
            raise AssertionError("a job that is fetched has an address")
        folder, _, name = job.dataset.key.rpartition("/")
        request = CopyRequest(
            Artifact(name=name, url=job.fetch.url, content_type=ZIP),
            f"{folder}/",
            job_lease,
            until,
            checked=False,  # the submitter looks into it
            metadata=job.fetch.metadata,
            renamed=False,
        )
        Copier(self.copies, self.source, self.part, self.now).copy(request)

    def _refused(self, job_lease: JobLease, *problems: Problem) -> Job:
        self._abort(job_lease.job, job_lease.job.uploads)
        return job_lease.end(Status.REJECTED, problems=problems)

    def _without_uploads(self, job: Job) -> Job:
        """Return an ended job, what was unfinished of its file being ended."""
        if not job.uploads or not job.terminal or job.fetch is None:
            return job
        self._abort(job, job.uploads)
        changes = {"uploads": (), "version": job.version + 1}
        with suppress(ConflictError):
            return self.record.write(job, job.model_copy(update=changes))
        return job

    def _abort(self, job: Job, uploads: tuple[Upload, ...]) -> None:
        for upload in uploads:
            self.copies.abort(job.dataset.key, upload.upload_id)

"""The right to copy a job's files, for a while: two at once cannot both write down what they did."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Self
from uuid import uuid4

from lora_drop.jobs.artifacts import Artifact, StoredFile, Upload
from lora_drop.jobs.job import Job, Lease
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from lora_drop.services.record import Record


def new_owner() -> str:
    """Return a name that no other holder has."""
    return uuid4().hex


@dataclass(slots=True)
class JobLease:
    """A job under its holder's lease.

    The clock only decides who may begin. What keeps holders apart is that every write names the
    version it changes: a worker that lost the job gets ConflictError, however wrong the clocks are.
    ``job`` is ahead of what is kept by what is kept with the next write.
    """

    record: Record
    job: Job
    kept: Job
    length: timedelta

    @classmethod
    def take(cls, record: Record, job: Job, *, owner: str, length: timedelta) -> Self | None:
        """Take the lease; return None while another worker has it, raise ConflictError if it took it just now."""
        now = record.clock()
        if job.lease and job.lease.owner != owner and job.lease.until > now:
            return None
        fence = job.lease.fence + 1 if job.lease else 1
        job_lease = cls(record, job, job, length)
        job_lease._write(lease=Lease(owner=owner, fence=fence, until=now + length))
        return job_lease

    def renew(self) -> None:
        """Keep the lease for its whole length again once half of it is over; raises ConflictError."""
        now, lease = self.record.clock(), self.job.lease
        if lease and lease.until - now < self.length / 2:
            self._write(lease=lease.model_copy(update={"until": now + self.length}))

    def find(self, name: str) -> Upload | None:
        """Return the unfinished copy of this name."""
        return next((upload for upload in self.job.uploads if upload.name == name), None)

    def add(self, upload: Upload) -> None:
        """Keep an unfinished copy for good; raises ConflictError."""
        self._write(uploads=(*self.job.uploads, upload))

    def drop(self, upload: Upload) -> None:
        """Remove an unfinished copy."""
        rest = tuple(each for each in self.job.uploads if each.upload_id != upload.upload_id)
        self._change(uploads=rest)

    def file(self, name: str) -> StoredFile | None:
        """Return the file of this name that is stored already."""
        return next((file for file in self.job.files if file.name == name), None)

    def name(self, artifacts: tuple[Artifact, ...]) -> None:
        """Keep where the files can be had; raises ConflictError."""
        self._write(artifacts=artifacts)

    def store(self, stored: StoredFile) -> None:
        """Add a stored file."""
        others = tuple(file for file in self.job.files if file.name != stored.name)
        self._change(files=(*others, stored))

    def forget(self, problem: Problem) -> None:
        """Remove a problem that is over."""
        self._change(problems=tuple(each for each in self.job.problems if each != problem))

    def give_back(self, problem: Problem | None = None, *, rest: timedelta = timedelta(0)) -> Job:
        """Let the next one begin, after a ``rest``, and say what was in the way; raises ConflictError.

        The lease is kept, as one that is over by then: its fence must go on counting.
        """
        until = self.record.clock() + rest
        over = self.job.lease and self.job.lease.model_copy(update={"until": until})
        problems = self.job.problems if problem is None else (problem,)
        if problems == self.kept.problems:
            self._write(lease=over)
        else:
            self._change(lease=over, problems=problems, version=self.kept.version + 1)
            self.job = self.record.write(self.kept, self.job)
        return self.job

    def end(self, to: Status, **changes: Any) -> Job:
        """Return the job at its end, written and published; raises ConflictError."""
        return self.record.write(
            self.kept, self.job.move(to, now=self.record.clock(), uploads=(), **changes)
        )

    def _write(self, **changes: Any) -> None:
        after = self.job.model_copy(update={**changes, "version": self.kept.version + 1})
        self.record.jobs.replace(self.kept, after, quiet=True)
        self.job = self.kept = after

    def _change(self, **changes: Any) -> None:
        self.job = self.job.model_copy(update=changes)

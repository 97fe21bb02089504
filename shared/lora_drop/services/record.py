"""Every change of a job: one conditional write, then the files a person reads, then an event."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lora_drop.jobs.budget import Limits
from lora_drop.jobs.errors import EventsUnavailableError, JobForgottenError, JobNotFoundError
from lora_drop.jobs.events import ChangeNotice, StatusChange
from lora_drop.jobs.ids import MAX_JOB_ID
from lora_drop.jobs.job import Job
from lora_drop.jobs.job_files import ERROR_FILE, STATUS_FILE, error_text, status_text
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from lora_drop.jobs.time_limits import ALL_ENDED
from lora_drop.ports import Claim, Clock, Events, JobStore, ResultStore
from lora_drop.services.latest import LatestLoras

# No function that may have read the job before lives any more.
SETTLED_AFTER = ALL_ENDED


def refuse_endless(job_id: str) -> None:
    """Raise JobNotFoundError for what is longer than any id: the table does not take it as a key."""
    if len(job_id) > MAX_JOB_ID:
        raise JobNotFoundError(f"{job_id[:MAX_JOB_ID]}…")


def known(jobs: JobStore, job_id: str) -> Job:
    """Return the job of this id, as it stands; raises JobNotFoundError, and JobForgottenError."""
    refuse_endless(job_id)
    job = jobs.get(job_id)
    if job is None:
        raise (JobForgottenError if jobs.forgotten(job_id) else JobNotFoundError)(job_id)
    return job


@dataclass(frozen=True, slots=True)
class Record:
    """The jobs and what is published of them; events have the owner's reference only where the stack says so.

    ``latest`` is None in a function that has no right to the file; then it closes no job with a LoRA either.
    """

    jobs: JobStore
    results: ResultStore
    events: Events
    clock: Clock
    reference_in_events: bool = False
    latest: LatestLoras | None = None

    def open(self, job: Job, *, claim: Claim | None = None, unchanged: Sequence[Job] = ()) -> Job:
        """Return the job as it stands: this new one, or the one that an earlier event has opened.

        Raises JobForgottenError and ConflictError.
        """
        job, added = self.add(job, claim=claim, unchanged=unchanged)
        if added:
            self.publish(job, job)
        return job

    def add(
        self, job: Job, *, claim: Claim | None = None, unchanged: Sequence[Job] = ()
    ) -> tuple[Job, bool]:
        """Return the same, and whether it is this new job, which is then still to be published."""
        if self.jobs.add(job, claim=claim, unchanged=unchanged):
            return job, True
        return self.jobs.get(job.job_id) or job, False

    def known(self, job_id: str) -> Job:
        """Return the job of this id, as it stands; raises JobNotFoundError, and JobForgottenError."""
        return known(self.jobs, job_id)

    def move(self, job: Job, to: Status, *, states: Sequence[Job] = (), **changes: Any) -> Job:
        """Return the job one step on, written and published; raises ConflictError and writes nothing then."""
        return self.write(job, job.move(to, now=self.clock(), **changes), states=states)

    def intend(
        self, job: Job, to: Status, *, limits: Limits, unchanged: Sequence[Job], **changes: Any
    ) -> Job:
        """Return the job one step on, written but not published: nothing may stand before a paid call.

        Raises ConflictError, also where the jobs in ``unchanged`` are not what they were read as, and NoSlotError or
        OverBudgetError, and writes nothing then.
        """
        moved = job.move(to, now=self.clock(), **changes)
        self.jobs.replace(job, moved, limits=limits, unchanged=unchanged)
        return moved

    def write(
        self,
        before: Job,
        after: Job,
        *,
        claim: Claim | None = None,
        unchanged: Sequence[Job] = (),
        states: Sequence[Job] = (),
    ) -> Job:
        """Write several steps at once, publish the files, and an event where the state has changed.

        ``states``: as they were written before and not published yet. Raises ConflictError and writes nothing then.
        """
        if after.troubled:
            after = after.model_copy(update={"error_file": True})
        self.jobs.replace(before, after, claim=claim, unchanged=unchanged)
        new = () if after.status is before.status else (after,)
        self.publish(after, *states, *new)
        return after

    def set_problems(
        self, job: Job, *problems: Problem, states: Sequence[Job] = (), **changes: Any
    ) -> Job:
        """Return the job where it stands, with what is in its way, written and published."""
        return self.write(job, _with_problems(job, problems, changes), states=states)

    def publish(self, job: Job, *states: Job) -> None:
        """Write the files of a job as it was just written, then an event for each of these states of it.

        What is taken out of the outbox afterwards says whether anybody has written the job meanwhile: that writer's
        files may lie under ours, and are written again. An event that cannot be published now stays in the outbox.
        """
        if job.picture is not None:
            self.publish_files(job)
            return
        self._write_files(job)
        if self.latest is not None:
            self.latest.add(job)
        if self._told(job, states):
            return
        newest = self.jobs.get(job.job_id)
        if newest is not None and newest.version > job.version:
            self.publish_files(newest)

    def _told(self, job: Job, states: Sequence[Job]) -> bool:
        """Publish these states; return whether nothing else of the job was left to be published."""
        # Of an intent nothing is told: it is in the history of what came of it.
        told = [self._change(each) for each in states if each.status is not Status.SUBMITTING]
        changes = [each.version for each in states]
        try:
            if told:
                self.events.emit(*told)
            return self.jobs.mark_published(job.job_id, job.version, changes)
        except EventsUnavailableError:
            return False

    def _change(self, job: Job) -> StatusChange:
        return StatusChange.of(
            job, bucket=self.results.bucket, with_reference=self.reference_in_events
        )

    def publish_left(self, job: Job) -> bool:
        """Publish what its writers have left in the outbox of this job; return False where that has to be done later."""
        left = self.jobs.left(job.job_id)  # before the job, which then has all of these changes
        job = self.publish_files(job)
        told = self._left_of(job, left)
        try:
            if told:
                self.events.emit(*told)
            changes = None if left is None else [each.version for each in left]
            self.jobs.mark_published(job.job_id, job.version, changes)
        except EventsUnavailableError:
            return False
        return True

    def _left_of(self, job: Job, left: Sequence[ChangeNotice] | None) -> Sequence[StatusChange]:
        """Return the events of these changes; None: not known, the job's state is one of them.

        SUBMITTING is told of a job that hangs there, and none that the job has lost from its history.
        """
        if left is None:
            return [self._change(job)]
        bucket, reference = self.results.bucket, self.reference_in_events
        told = [
            each.change_of(job, bucket=bucket, with_reference=reference)
            for each in left
            if each.status is not Status.SUBMITTING or job.status is Status.SUBMITTING
        ]
        return [each for each in told if each is not None]

    def publish_files(self, job: Job) -> Job:
        """Write ``status.json``, ``ERROR.txt`` while a person is needed, and the LoRA into ``latest.json``; return the newest state.

        Safe to repeat. A writer that held an older state reads the job again and writes the newer
        state over its own.
        """
        while True:
            self._write_files(job)
            found = self.jobs.get(job.job_id)
            if found is None or found.version <= job.version:
                break
            job = found
        if found is not None and self.latest is not None:
            # Not that of a job that was forgotten meanwhile: a job that ends now would take its id from there.
            self.latest.add(job)
        return job

    def publish_again(self, job: Job) -> None:
        """Publish the files of a job that did not change, and close it when it has ended long ago."""
        self.close_when_settled(self.publish_files(job))

    def close_when_settled(self, job: Job) -> None:
        """Take an ended job off the list of open jobs once no function can still write its files.

        A function that stopped with an older state in memory may write it as long as it lives. A training whose
        proof sheet is not done stays on it: the reconciler goes on with the sheet.
        """
        written = self.latest is not None or job.weights is None
        if job.terminal and not job.proof_open and written and self.has_settled(job):
            self.jobs.close(job)

    def has_settled(self, job: Job) -> bool:
        """Return whether no function lives any more that may have read the job before its last write."""
        return self.clock() - job.updated_at >= SETTLED_AFTER

    def earlier(self, job: Job) -> tuple[str, ...]:
        """Return the jobs that had a LoRA of the same dataset name before, newest first, and none that was forgotten.

        The file may still name one whose erasing has not come to it; this job's row and files would name it for good.
        """
        before = self.latest.before(job) if self.latest else ()
        return tuple(each for each in before if not self.jobs.forgotten(each))

    def _write_files(self, job: Job) -> None:
        self.results.write(job.prefix + STATUS_FILE, status_text(job), "application/json")
        if job.troubled:
            self.results.write(job.prefix + ERROR_FILE, error_text(job), "text/plain")
        elif any(step.status.troubling for step in job.history) or (
            job.status is Status.SUCCEEDED and job.error_file is not False
        ):
            self.results.remove(job.prefix + ERROR_FILE)


def _with_problems(job: Job, problems: Sequence[Problem], changes: Mapping[str, Any]) -> Job:
    update = {**changes, "version": job.version + 1, "problems": tuple(problems)}
    return job.model_copy(update=update)

"""Jobs that wait longer than they should: ask fal itself, and send on what got stuck."""

from dataclasses import dataclass
from datetime import timedelta

from shared.domain.errors import Conflict, ForeignRequest, TrainerUnavailable
from shared.domain.jobs import Job, Status
from shared.ports import Handover, Inbox, Trainer
from shared.services.receive import Receiver
from shared.services.record import Record
from shared.services.submit import UNKNOWN

# The submitter is stopped by Lambda after 60 s; whoever is SUBMITTING longer than this is dead.
SUBMIT_DEADLINE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Tally:
    """What one round did: jobs looked at, late ones, and those that could not be helped now."""

    open: int
    late: int
    unanswered: int


@dataclass(frozen=True, slots=True)
class Reconciler:
    """The round that makes sure no job is ever stuck."""

    record: Record
    receiver: Receiver
    trainer: Trainer
    inbox: Inbox
    handover: Handover
    late_after: timedelta

    def reconcile(self) -> Tally:
        """One round over every open job; a job that cannot be helped now never stops the others."""
        now = self.record.clock()
        jobs = list(self.record.jobs.unfinished())
        late = [job for job in jobs if now - job.updated_at >= self.late_after]
        unanswered = sum(not self._helped(job) for job in late)
        return Tally(open=len(jobs), late=len(late), unanswered=unanswered)

    def _helped(self, job: Job) -> bool:
        try:
            self._help(job)
        except (Conflict, ForeignRequest, TrainerUnavailable):
            return False
        return True

    def _help(self, job: Job) -> None:
        match job.status:
            case Status.RECEIVED | Status.READY:
                self.inbox.announce(job.dataset)
            case Status.SUBMITTING:
                # Marked, not sent again: the POST may have been accepted.
                if self.record.clock() - job.updated_at >= SUBMIT_DEADLINE:
                    self.record.move(job, Status.SUBMIT_UNKNOWN, problems=(UNKNOWN,))
            case Status.SUBMITTED | Status.TRAINING if job.request_id:
                fact = self.trainer.ask(job.application, job.request_id)
                self.receiver.receive(job.job_id, fact)
            case Status.STORING:
                self.handover.hand_over(job.job_id)
            case _:
                self.record.publish(job)

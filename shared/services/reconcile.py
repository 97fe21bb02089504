"""Jobs that wait longer than they should: ask fal itself, and send on what got stuck."""

from dataclasses import dataclass
from datetime import timedelta

from shared.domain.errors import LoraDropError
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
        """One round over every open job; a job that cannot be helped now never stops the others.

        Raises ExceptionGroup, at the end of the round, of whatever nobody had thought of.
        """
        now = self.record.clock()
        jobs = list(self.record.jobs.unfinished())
        late = [job for job in jobs if now - job.updated_at >= self.late_after]
        unanswered = 0
        surprises: list[Exception] = []
        for job in late:
            try:
                self._help(job)
            except LoraDropError:
                unanswered += 1
            except Exception as surprise:  # noqa: BLE001  # raised when every other job was helped
                surprise.add_note(f"while looking after {job.job_id}")
                surprises.append(surprise)
        if surprises:
            raise ExceptionGroup("some jobs could not be looked after", surprises)
        return Tally(open=len(jobs), late=len(late), unanswered=unanswered)

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

"""Jobs that wait longer than they should: ask fal itself, and send on what got stuck."""

from dataclasses import dataclass
from datetime import timedelta

from shared.domain.errors import LoraDropError
from shared.domain.jobs import Job, Status
from shared.ports import Handover, Inbox, RequestHistory, Trainer
from shared.services.receive import Receiver
from shared.services.record import Record
from shared.services.submit import UNKNOWN

# The submitter is stopped by Lambda after 60 s; whoever is SUBMITTING longer than this is dead.
SUBMIT_DEADLINE = timedelta(minutes=5)
# How long evidence may take before a person has to look.
DOUBT_DEADLINE = timedelta(minutes=15)
# fal's clock and ours may differ.
SKEW = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Tally:
    """What one round did: jobs looked at, late ones, those that could not be helped now.

    ``doubtful`` counts submissions that nothing has settled for 15 minutes: a person has to look.
    """

    open: int
    late: int
    unanswered: int
    doubtful: int


@dataclass(frozen=True, slots=True)
class Reconciler:
    """The round that makes sure no job is ever stuck."""

    record: Record
    receiver: Receiver
    trainer: Trainer
    history: RequestHistory
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
        doubtful = sum(self._still_doubtful(job) for job in late)
        return Tally(open=len(jobs), late=len(late), unanswered=unanswered, doubtful=doubtful)

    def _help(self, job: Job) -> None:
        match job.status:
            case Status.RECEIVED | Status.READY:
                self.inbox.announce(job.dataset)
            case Status.SUBMITTING:
                # Marked, not sent again: the POST may have been accepted.
                if self.record.clock() - job.updated_at >= SUBMIT_DEADLINE:
                    self.record.move(job, Status.SUBMIT_UNKNOWN, problems=(UNKNOWN,))
            case Status.SUBMIT_UNKNOWN:
                self.record.publish(job)
                self._look_for_evidence(job)
            case Status.SUBMITTED | Status.TRAINING if job.request_id:
                self._ask(job, job.request_id)
            case Status.STORING:
                self.handover.hand_over(job.job_id)
            case _:
                self.record.publish(job)

    def _ask(self, job: Job, request_id: str) -> None:
        fact = self.trainer.ask(job.application, request_id)
        self.receiver.receive(job.job_id, fact)

    def _look_for_evidence(self, job: Job) -> None:
        """Adopt the one request of fal's list that is for this job's dataset version.

        None or several decide nothing: fal does not promise that a waiting request is listed.
        """
        intended = max(step.at for step in job.history if step.status is Status.SUBMITTING)
        found = self.history.requests_for(job.application, job.dataset, since=intended - SKEW)
        if len(found) == 1:
            self._ask(job, found[0])

    def _still_doubtful(self, late: Job) -> bool:
        job = self.record.jobs.get(late.job_id)
        now = self.record.clock()
        return (
            job is not None
            and job.status is Status.SUBMIT_UNKNOWN
            and now - job.since >= DOUBT_DEADLINE
        )

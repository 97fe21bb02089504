"""Jobs that wait longer than they should: ask fal itself, and send on what got stuck."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from time import monotonic

from lora_drop.fal.status import FalStatus, Gone, Running
from lora_drop.jobs.budget import MICRO, Limits, month_of
from lora_drop.jobs.ids import is_fetched
from lora_drop.jobs.job import Job
from lora_drop.jobs.job_problems import (
    BUDGET_EXHAUSTED,
    DENIED,
    FAL_BUSY,
    FAL_UNREACHABLE,
    UNKNOWN,
    url_unreachable,
    worth_a_probe,
)
from lora_drop.jobs.problems import codes_of
from lora_drop.jobs.status import Status
from lora_drop.jobs.time_limits import FETCH_GIVEN_UP, ROUND_PATIENCE, SUBMIT_DEADLINE
from lora_drop.jobs.training_times import LEAST_LIMIT
from lora_drop.ports import FalClient, Handover, Inbox
from lora_drop.services.evidence import Evidence
from lora_drop.services.fal_updates import FalUpdateHandler
from lora_drop.services.progress import ProgressRecord
from lora_drop.services.proof_sheets import ProofOrders
from lora_drop.services.record import SETTLED_AFTER, Record
from lora_drop.services.round_counts import Round, RoundCounts, RoundIncompleteError
from lora_drop.services.sweep import Outbox, Sweep
from lora_drop.services.waiting_queue import WaitingQueue

# How long evidence may take before a person has to look.
DOUBT_DEADLINE = timedelta(minutes=15)
# A waiting job whose files could not be written has had several rounds by then.
WAITS_AFTER = timedelta(minutes=15)
# fal trains for half an hour or so and gives a run up after an hour.
OVERDUE_AFTER = timedelta(hours=3)
# fal trains for an hour at most and repeats a webhook for two ("Webhooks").
SLOT_DEADLINE = timedelta(hours=4)
# A picture takes seconds; what fal had accepted of one is long made by then.
PICTURE_SLOT_DEADLINE = timedelta(minutes=30)
# A refusal costs nothing, so it is tried whether the account is in order again.
PROBE_AFTER = timedelta(hours=1)
PATIENCE = ROUND_PATIENCE.total_seconds()
# Who is helped first.
URGENCY = {
    status: place
    for place, status in enumerate(
        (
            *(Status.STORING, Status.TRAINING, Status.SUBMITTED, Status.SUBMIT_UNKNOWN),
            *(Status.SUBMITTING, Status.READY, Status.RECEIVED, Status.HELD),
        )
    )
}


@dataclass(frozen=True, slots=True)
class Reconciler:
    """The round that makes sure no job is ever stuck."""

    record: Record
    fal_updates: FalUpdateHandler
    fal: FalClient
    progress: ProgressRecord
    evidence: Evidence
    inbox: Inbox
    handover: Handover
    fetches: Handover
    waiting_queue: WaitingQueue
    proofs: ProofOrders
    sweep: Sweep
    limits: Limits
    late_after: timedelta
    patience: float = PATIENCE
    tick: Callable[[], float] = monotonic

    def reconcile(self) -> RoundCounts:
        """Return one round over every open job; a job that cannot be helped now never stops the others.

        What is at fal goes first: its result is not kept for ever. Raises RoundIncompleteError, at the end of
        the round, with every unexpected error.
        """
        until = self.tick() + self.patience
        now = self.record.clock()
        # Thousands may wait, and there is nothing to do for one that only waits: it is not even read.
        waiting = [each for each in self.record.jobs.waiting() if now - each.since >= WAITS_AFTER]
        jobs = list(self.record.jobs.unfinished(but=tuple(each.job_id for each in waiting)))
        late = [job for job in jobs if now - job.updated_at >= self.late_after]
        round_ = Round()
        if waiting or any(job.status is Status.READY for job in late):
            # One message wakes the line, however long it is; the oldest goes first.
            round_.attempt("the line", self.waiting_queue.wake_next)
        for job in sorted(late, key=lambda job: URGENCY.get(job.status, len(URGENCY))):
            if self.tick() > until:
                break  # the next round begins with the urgent ones again
            help_it = self._help_ended if job.terminal else self._help
            helped = round_.attempt(job.job_id, partial(help_it, job))
            # Once for each training: pictures are none, and one whose proof sheet is open comes again.
            ended = job.terminal and job.picture is None and not job.proof_open
            if helped and ended and now - job.updated_at >= SETTLED_AFTER:
                round_.ended[job.status] += 1
                round_.attempt("the training times", partial(self.progress.remember, job))
        round_.attempt("the datasets", lambda: round_.swept.add(self.sweep.datasets(now)))
        round_.attempt("the uploads", lambda: round_.swept.add(self.sweep.uploads(jobs, now)))
        round_.attempt("the events", partial(self._tell_others, round_))
        round_.attempt("the budget", partial(self._count_money, round_))
        counts = self._counts(jobs, late, round_, now).with_waiting(waiting, now)
        if round_.surprises:
            incomplete = RoundIncompleteError(
                "some of the round could not be done", round_.surprises
            )
            incomplete.counts = counts
            raise incomplete
        return counts

    def _counts(
        self, jobs: Sequence[Job], late: Sequence[Job], round_: Round, now: datetime
    ) -> RoundCounts:
        return RoundCounts(
            open=len(jobs),
            late=len(late),
            unanswered=round_.unanswered,
            doubtful=sum(self._still_doubtful(job) for job in late),
            # Not of the late ones alone: each vain try to reach fal is news of a job.
            overdue=sum(self._overdue(job, now, round_) for job in jobs),
            # Also of those that have just been tried once more, or an alarm would ring again each time.
            held=sum(job.status is Status.HELD for job in jobs),
            swept=round_.swept,
            untold=round_.untold,
            oldest_seconds=max((_age(job, now) for job in jobs), default=0),
            budget_percent=round_.budget_percent,
            at_fal=sum(job.at_fal for job in jobs),
            waiting=sum(job.status in (Status.RECEIVED, Status.READY) for job in jobs),
            ended=dict(round_.ended),
        )

    def _tell_others(self, round_: Round) -> None:
        round_.untold = Outbox(self.record, self.tick).publish_left()

    def _count_money(self, round_: Round) -> None:
        if most := self.limits.monthly_usd:
            account = self.record.jobs.account(month_of(self.record.clock()))
            round_.budget_percent = round(100 * account.committed_usd / most, 1)

    def request_status_check(self, job_id: str) -> Job:
        """Return the job after fal was asked about it out of turn; raises JobNotFoundError, FalUnavailableError, ConflictError.

        Only for what is at fal, and nothing that fal denies is final: that takes time as well.
        """
        job = self.record.known(job_id)
        if job.status in (Status.SUBMITTED, Status.TRAINING) and job.request_id:
            fact = self.fal.ask(job.application, job.request_id)
            return self._learnt(self.fal_updates.receive(job_id, fact, asked=True), fact)
        if job.status is Status.SUBMIT_UNKNOWN:
            self._look_for_evidence(job)
            return self.record.known(job_id)
        return job

    def _help(self, job: Job) -> None:
        if job.fetching:
            self._fetch_again(job)
            return
        match job.status:
            case Status.RECEIVED:
                self._check_again(job)
            case Status.HELD:
                self._release(job)
            case Status.SUBMITTING:
                # Marked, not sent again: the POST may have been accepted.
                if self.record.clock() - job.updated_at >= SUBMIT_DEADLINE:
                    self.record.move(job, Status.SUBMIT_UNKNOWN, problems=(UNKNOWN,))
            case Status.SUBMIT_UNKNOWN:
                self.record.publish_again(job)
                self._look_for_evidence(job)
            case Status.SUBMITTED | Status.TRAINING if job.request_id:
                self._ask(job, job.request_id)
            case Status.STORING:
                self.handover.hand_over(job.job_id)
            case Status.READY if self.record.clock() - job.updated_at >= WAITS_AFTER:
                pass  # its files are long right, and thousands may wait
            case _:
                self.record.publish_again(job)

    def _help_ended(self, job: Job) -> None:
        """End what is unfinished of a fetch, go on with a proof sheet, and close the job once it has settled."""
        if job.uploads and is_fetched(job.dataset.key):
            self._fetch_again(job)
            return
        self.proofs.go_on(job)
        self.record.publish_again(job)

    def _check_again(self, job: Job) -> None:
        """Announce a dataset whose check was ended, or which waits for another; one at work is left alone."""
        if job.problems or self.record.clock() - job.updated_at >= SUBMIT_DEADLINE:
            self.inbox.announce(job.dataset)

    def _fetch_again(self, job: Job) -> None:
        """Hand the job to the fetch worker, which also ends what is unfinished; end it where no worker did."""
        if job.fetching and self.record.clock() - job.created_at >= FETCH_GIVEN_UP:
            job = self.record.move(job, Status.REJECTED, problems=(url_unreachable(over=True),))
        elif not job.fetching:
            self.record.publish_again(job)
        self.fetches.hand_over(job.job_id)

    def _release(self, job: Job) -> None:
        """Put the job back into the waiting queue once what held it may be over; a person's decision is not replaced."""
        if self._affordable(job) or self._worth_a_probe(job):
            self.record.move(job, Status.READY, problems=(), held_for=codes_of(job.problems))
            self.waiting_queue.wake_next()
        elif self.record.clock() - job.updated_at < WAITS_AFTER:
            self.record.publish_again(job)

    def _affordable(self, job: Job) -> bool:
        if not any(problem.code == BUDGET_EXHAUSTED for problem in job.problems):
            return False
        most, cost = self.limits.monthly_usd, job.estimated_cost_usd or 0.0
        account = self.record.jobs.account(month_of(self.record.clock()))
        # In whole numbers, as it is booked: a float would hold what fits to the cent.
        return most is None or round((account.committed_usd + cost) * MICRO) <= round(most * MICRO)

    def _worth_a_probe(self, job: Job) -> bool:
        return worth_a_probe(job.problems) and self.record.clock() - job.updated_at >= PROBE_AFTER

    def _ask(self, job: Job, request_id: str) -> None:
        fact, doubted = self.fal.ask(job.application, request_id), DENIED in job.problems
        if isinstance(fact, Gone) and doubted:
            fact = self.evidence.stored_result(job, request_id, self.record.clock()) or fact
        learnt = self.fal_updates.receive(job.job_id, fact, asked=True, doubted=doubted, read=job)
        self._learnt(learnt, fact)

    def _learnt(self, job: Job, fact: FalStatus) -> Job:
        """Return the job with the progress that came with the same answer; its state is decided already."""
        if isinstance(fact, Running) and fact.log and job.request_id == fact.request_id:
            return self.progress.learn(job, fact.log)
        return job

    def _look_for_evidence(self, job: Job) -> None:
        """Adopt the one request of fal's list that is the job's, if there is one."""
        ours = self.evidence.requests_of(job)
        request_id = self.evidence.decide(job, ours)
        if request_id is not None:
            self._ask(job, request_id)
            return
        deadline = PICTURE_SLOT_DEADLINE if job.picture else SLOT_DEADLINE
        if not ours and job.at_fal and self.record.clock() - job.since >= deadline:
            self._release_slot(job)

    def _release_slot(self, job: Job) -> None:
        """Give the slot of a submission in doubt to the next job; its money stays reserved.

        Whatever fal had accepted has been trained by now and its webhook given up, and its list, which
        was read at every round, has shown nothing.
        """
        self.record.set_problems(job, *job.problems, slot_released=True)
        self.waiting_queue.wake_next()

    def _overdue(self, job: Job, now: datetime, round_: Round) -> bool:
        """Return whether it takes so long that a person should know: three hours, or what its kind ever took."""
        limits = [OVERDUE_AFTER]
        if now - job.since >= LEAST_LIMIT:
            own = lambda: limits.append(self.progress.time_limit(job) or OVERDUE_AFTER)  # noqa: E731
            round_.attempt("the training times", own)
        return _overdue(job, now, min(limits))

    def _still_doubtful(self, late: Job) -> bool:
        if late.status not in (Status.SUBMITTING, Status.SUBMIT_UNKNOWN):
            return False
        job = self.record.jobs.get(late.job_id)
        now = self.record.clock()
        return (
            job is not None
            and job.status is Status.SUBMIT_UNKNOWN
            and now - job.since >= DOUBT_DEADLINE
        )


def _overdue(job: Job, now: datetime, limit: timedelta) -> bool:
    """Return whether it takes so long that a person should know; to wait for a slot is no such thing."""
    begun = job.status in (Status.SUBMITTED, Status.TRAINING, Status.STORING)
    unreachable = job.status is Status.READY and not {FAL_BUSY, FAL_UNREACHABLE}.isdisjoint(
        job.problems
    )
    return (begun or unreachable) and now - job.since >= limit


def _age(job: Job, now: datetime) -> int:
    """Return the age in seconds; a job that has ended, or waits for a person or for money, does not grow older."""
    if job.terminal or job.status is Status.HELD:
        return 0
    return int((now - job.created_at).total_seconds())

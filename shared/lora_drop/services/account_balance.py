"""fal's balance as a limit: a job that the account cannot pay is held before it is sent.

fal takes a training's money when it has ended, so what the stack has reserved for trainings at fal is not free
any more. Both are compared in the write that takes the job's slot: two jobs never count on the same dollars.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from lora_drop.jobs.budget import Limits, month_of
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from lora_drop.messages import KEY_CALLER
from lora_drop.ports import Balances, JobStore

# One question for a burst of jobs; before a job is held, fal is asked once more.
KEPT = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class AccountLimit:
    """fal's balance at a moment; the month's account may have committed ``ceiling_usd`` until it is spent."""

    at: datetime
    balance_usd: float
    reserved_usd: float
    ceiling_usd: float

    def within(self, limits: Limits) -> Limits:
        """Return the stack's limits, with this one."""
        return replace(limits, monthly_usd=self.ceiling_usd) if self.binds(limits) else limits

    def binds(self, limits: Limits) -> bool:
        """Return whether the balance ends before the stack's own budget."""
        return limits.monthly_usd is None or self.ceiling_usd < limits.monthly_usd


@dataclass(slots=True)
class AccountBalance:
    """Looks at fal's balance, at most once a minute; ``balances`` None: the stack is not to."""

    balances: Balances | None
    jobs: JobStore
    _last: AccountLimit | None = field(default=None, init=False)

    def limit_for(self, job: Job, now: datetime, *, fresh: bool = False) -> AccountLimit | None:
        """Return what the balance leaves for this job; None where it is not known, or does not matter.

        It does not matter to a job whose price is unknown, nor to one that a person has put into the
        queue: fal decides then, and its refusal costs nothing.
        """
        if not job.estimated_cost_usd or job.approved or _by_a_person(job):
            return None
        last = self._last
        if fresh or last is None or not now - KEPT < last.at <= now or _month_turned(last, now):
            last = self._last = self._looked(now)
        return last

    def _looked(self, now: datetime) -> AccountLimit | None:
        balance = self.balances.usd() if self.balances else None
        if balance is None:
            return None
        # A training that was sent before the month turned is paid for from the same balance.
        last_month = month_of(now.replace(day=1) - timedelta(days=1))
        earlier, account = self.jobs.books(last_month, month_of(now))
        ceiling = account.spent_usd + balance - earlier.reserved_usd
        return AccountLimit(now, balance, account.reserved_usd + earlier.reserved_usd, ceiling)


def _by_a_person(job: Job) -> bool:
    ready = [step for step in job.history if step.status is Status.READY]
    by = ready[-1].by if ready else None
    return by is not None and not by.startswith(KEY_CALLER)  # a key lifts no limit


def _month_turned(last: AccountLimit, now: datetime) -> bool:
    return month_of(last.at) != month_of(now)

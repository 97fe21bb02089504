"""What one round of the reconciler did, and what went wrong in it."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from lora_drop.jobs.errors import LoraDropError
from lora_drop.jobs.status import Status
from lora_drop.ports import WaitingJob
from lora_drop.services.sweep import SweepResult


@dataclass(frozen=True, slots=True)
class RoundCounts:
    """What one round did: jobs looked at, late ones, those that could not be helped now.

    ``doubtful`` counts submissions that nothing has settled for 15 minutes, ``overdue`` trainings
    and copies of more than three hours and trainings that are slower than any before, ``held`` the jobs that wait for a person or for money: each
    of them calls a person. ``swept`` is what the sweeps have found, ``untold``
    the changes that could not be published, ``oldest_seconds`` the age of the oldest job that goes on
    by itself, ``budget_percent`` how much of the month's money is spent or reserved; 0 without one,
    ``at_fal`` and ``waiting`` how many jobs train and wait for their turn, ``ended`` what the jobs
    came to that were closed in this round: each counts once.
    """

    open: int
    late: int
    unanswered: int
    doubtful: int
    overdue: int = 0
    held: int = 0
    swept: SweepResult = field(default_factory=SweepResult)
    untold: int = 0
    oldest_seconds: int = 0
    budget_percent: float = 0.0
    at_fal: int = 0
    waiting: int = 0
    ended: Mapping[Status, int] = field(default_factory=dict)

    def with_waiting(self, waiting: Sequence[WaitingJob], now: datetime) -> "RoundCounts":
        """Return them with these jobs as well, for which there was nothing to do."""
        ages = (int((now - each.created_at).total_seconds()) for each in waiting)
        return replace(
            self,
            open=self.open + len(waiting),
            late=self.late + len(waiting),
            waiting=self.waiting + len(waiting),
            oldest_seconds=max(self.oldest_seconds, *ages, 0),
        )


class RoundIncompleteError(ExceptionGroup[Exception]):
    """Raised at the end of a round in which an unexpected error happened.

    ``counts`` is what the round did all the same, so that alarms still ring.
    """

    counts: RoundCounts


@dataclass(slots=True)
class Round:
    """What has gone wrong so far; it never stops the rest of the round."""

    unanswered: int = 0
    surprises: list[Exception] = field(default_factory=list)
    swept: SweepResult = field(default_factory=SweepResult)
    untold: int = 0
    budget_percent: float = 0.0
    ended: Counter[Status] = field(default_factory=Counter)

    def attempt(self, what: str, action: Callable[[], object]) -> bool:
        """Return whether it could be done."""
        try:
            action()
        except LoraDropError:
            self.unanswered += 1
        except Exception as surprise:  # noqa: BLE001  # raised when everything else was done
            surprise.add_note(f"while looking after {what}")
            self.surprises.append(surprise)
        else:
            return True
        return False

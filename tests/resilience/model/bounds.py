"""How far a check goes: which workers run, what may go wrong how often; and the bounds checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """The workers and the person that act on a job."""

    SUBMIT = "submit"
    WEBHOOK = "webhook"
    STORE = "store"
    RECONCILE = "reconcile"
    PERSON = "person"


class Fault(StrEnum):
    """What may go wrong; each fault uses one of the number left."""

    CRASH = "a worker dies between two effects"
    DOUBLED = "a message is delivered to two workers"
    LOST = "a message is given up"
    CONTENDED = "a conditional write loses, and no one has written"
    UNANSWERED = "the answer to the POST is lost, accepted or not"
    UNSENT = "the POST never leaves"
    REFUSED = "fal refuses the POST"
    FAILED = "the training fails: billed, unbilled, or the dataset was not fetched"
    BARE = "the webhook comes without the result"
    FORGOTTEN = "fal keeps the result no longer"
    DENIED = "fal says that it does not know a request which it has"
    UNLISTED = "fal's list lacks the newest request"
    ELSEWHERE = "fal's list has a second request for the dataset, made by hand"
    UNREACHABLE = "fal does not answer a question"
    INTERRUPTED = "a download breaks off"
    EARLY = "a deadline passes although the worker it is about still lives"
    STRAY = "a signed webhook about a stranger's request comes to our address"


# Lambda ends a worker minutes before another may think it dead.
LIKELY = frozenset(Fault) - {Fault.EARLY}


class Decision(StrEnum):
    """What a person may decide; each uses one of the number left."""

    NOT_SUBMITTED = "not submitted"
    ACCEPTED = "accepted"
    APPROVE = "approve"
    CANCEL = "cancel"
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class Bounds:
    """One configuration of a check."""

    name: str
    jobs: int = 1
    duplicates: bool = False  # whether the datasets have the same content
    slots: int = 1
    budget: float = 100.0  # US dollars a month
    faults: int = 0
    kinds: frozenset[Fault] = LIKELY
    rounds: int = 0  # of the reconciler
    decisions: int = 0  # of a person
    says: frozenset[Decision] = frozenset(Decision)
    submitters: int = 1
    webhook_workers: int = 1
    storers: int = 1
    most_states: int = 50_000_000

    @property
    def roles(self) -> tuple[Role, ...]:
        counts = {
            Role.SUBMIT: self.submitters,
            Role.WEBHOOK: self.webhook_workers,
            Role.STORE: self.storers,
        }
        return tuple(role for role in Role for _ in range(counts.get(role, 1)))


EVERY = frozenset(Fault)

# Some 100,000 states, for the test suite.
SMALL: Sequence[Bounds] = (
    Bounds("any two faults", faults=2),
    Bounds("any fault, two of each worker", faults=1, submitters=2, webhook_workers=2, storers=2),
    Bounds("any fault, and a round", faults=1, rounds=1),
    Bounds("any fault, and a person", faults=1, decisions=1),
    Bounds("any fault, or a deadline too early", faults=1, kinds=EVERY, rounds=1, storers=2),
    Bounds("two jobs, one slot", jobs=2),
    Bounds("two equal jobs", jobs=2, slots=2, duplicates=True, submitters=2),
    Bounds("two jobs, money for one", jobs=2, slots=2, budget=4.0),
)

# Some ten million states, in minutes.
FULL: Sequence[Bounds] = (
    *SMALL,
    Bounds("any three faults", faults=3),
    Bounds("any two faults, and a round", faults=2, rounds=1),
    Bounds("any two faults, and a person", faults=2, decisions=1),
    Bounds("any fault, a round, a person", faults=1, rounds=1, decisions=1),
    Bounds("any fault, a round, two of each", faults=1, rounds=1, submitters=2, webhook_workers=2),
    Bounds("any two, or a deadline too early", faults=2, kinds=EVERY, rounds=1, storers=2),
    Bounds("any fault, and a person decides twice", faults=1, decisions=2),
    Bounds("two jobs, one slot, two submitters", jobs=2, submitters=2),
    Bounds("two jobs, one slot, any fault", jobs=2, faults=1),
    Bounds("two equal jobs, any fault", jobs=2, slots=2, duplicates=True, faults=1, submitters=2),
    Bounds("two jobs, money for one, any fault", jobs=2, slots=2, budget=4.0, faults=1),
    Bounds("two jobs, money for one, a person", jobs=2, slots=2, budget=4.0, decisions=1),
)

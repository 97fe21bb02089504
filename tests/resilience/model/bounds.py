"""How far a check goes: who works, and what may go wrong how often."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """Who works on a job."""

    SUBMIT = "submit"
    WEBHOOK = "webhook"
    STORE = "store"
    RECONCILE = "reconcile"
    PERSON = "person"


class Fault(StrEnum):
    """What may go wrong; each time costs one of the faults that are left."""

    CRASH = "a worker dies between two effects"
    DOUBLED = "a message is delivered to two workers"
    LOST = "a message is given up"
    CONTENDED = "a conditional write loses against nobody in particular"
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


# Lambda ends a worker minutes before anybody else may think it dead.
LIKELY = frozenset(Fault) - {Fault.EARLY}


class Decision(StrEnum):
    """What a person may say; each time costs one of the decisions that are left."""

    NOT_SUBMITTED = "not submitted"
    ACCEPTED = "accepted"
    APPROVE = "approve"
    CANCEL = "cancel"
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class Bounds:
    """One configuration. What it leaves out is not checked by it."""

    name: str
    jobs: int = 1
    twins: bool = False  # whether the datasets have the same content
    slots: int = 1
    budget: float = 100.0  # US dollars a month
    faults: int = 0
    kinds: frozenset[Fault] = LIKELY
    rounds: int = 0  # of the reconciler
    decisions: int = 0  # of a person
    says: frozenset[Decision] = frozenset(Decision)
    submitters: int = 1
    receivers: int = 1
    keepers: int = 1
    most_states: int = 50_000_000

    @property
    def roles(self) -> tuple[Role, ...]:
        """Who there is; a place for every worker."""
        counts = {
            Role.SUBMIT: self.submitters,
            Role.WEBHOOK: self.receivers,
            Role.STORE: self.keepers,
        }
        return tuple(role for role in Role for _ in range(counts.get(role, 1)))

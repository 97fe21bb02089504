"""The states of a job and the only transitions between them."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Status(StrEnum):
    """Where a job stands."""

    RECEIVED = "RECEIVED"
    REJECTED = "REJECTED"
    READY = "READY"
    HELD = "HELD"
    SUBMITTING = "SUBMITTING"
    SUBMIT_UNKNOWN = "SUBMIT_UNKNOWN"
    SUBMITTED = "SUBMITTED"
    TRAINING = "TRAINING"
    STORING = "STORING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"

    @property
    def terminal(self) -> bool:
        """Return whether the job has ended; only a result that fal sends after all undoes that."""
        return self in ENDED

    @property
    def troubling(self) -> bool:
        """Return whether a person has to act; each of these puts an ERROR.txt beside the job's files."""
        return self in TROUBLED


# The one table of moves. Each row: what may follow, and who says so.
TRANSITIONS: Mapping[Status, frozenset[Status]] = MappingProxyType(
    {
        # the dataset check
        Status.RECEIVED: frozenset(
            # SUCCEEDED: the very same training was done before, and its files are there
            {Status.READY, Status.REJECTED, Status.CANCELLED, Status.SUCCEEDED}
        ),
        # the submitter, before it pays; a person or a budget may stop it here for free
        # STORING: the result of an earlier request comes after all
        Status.READY: frozenset({Status.SUBMITTING, Status.HELD, Status.CANCELLED, Status.STORING}),
        Status.HELD: frozenset({Status.READY, Status.CANCELLED, Status.STORING}),
        # the one POST: accepted, not sent, refused for a cause a person lifts, refused, ambiguous
        Status.SUBMITTING: frozenset(
            {Status.SUBMITTED, Status.READY, Status.HELD, Status.FAILED, Status.SUBMIT_UNKNOWN}
        ),
        # evidence (a webhook with our token, fal's own request list), or a person
        Status.SUBMIT_UNKNOWN: frozenset({Status.SUBMITTED, Status.READY}),
        # facts from fal; a dataset that fal could not fetch goes back: for free, or to a person
        Status.SUBMITTED: frozenset(
            {
                *(Status.TRAINING, Status.STORING, Status.FAILED, Status.CANCELLED),
                *(Status.EXPIRED, Status.READY, Status.HELD),
            }
        ),
        Status.TRAINING: frozenset(
            {
                *(Status.STORING, Status.FAILED, Status.CANCELLED),
                *(Status.EXPIRED, Status.READY, Status.HELD),
            }
        ),
        # the store worker
        Status.STORING: frozenset({Status.SUCCEEDED, Status.FAILED, Status.EXPIRED}),
        Status.REJECTED: frozenset(),
        Status.SUCCEEDED: frozenset(),
        # fal took back its word and sent the result after all: it was paid for
        Status.FAILED: frozenset({Status.STORING}),
        Status.CANCELLED: frozenset({Status.STORING}),
        Status.EXPIRED: frozenset({Status.STORING}),
    }
)

ENDED = frozenset(
    {Status.REJECTED, Status.SUCCEEDED, Status.FAILED, Status.CANCELLED, Status.EXPIRED}
)

# The training is at fal, or may be: it holds one of the stack's slots.
AT_FAL = frozenset({Status.SUBMITTING, Status.SUBMIT_UNKNOWN, Status.SUBMITTED, Status.TRAINING})

TROUBLED = frozenset(
    {Status.REJECTED, Status.HELD, Status.SUBMIT_UNKNOWN, Status.FAILED, Status.EXPIRED}
)


class IllegalTransitionError(ValueError):
    """Raised when a move is not in the table: a bug, never an input."""

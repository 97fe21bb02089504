"""What services need of queues and events."""

from collections.abc import Mapping
from typing import Protocol

from lora_drop.jobs.events import ProofSheetReady, StatusChange
from lora_drop.jobs.job import DatasetVersion


class Inbox(Protocol):
    """The queue that datasets come in by."""

    def announce(self, dataset: DatasetVersion) -> None:
        """Put a dataset into the inbox once more, as S3 does."""

    def backlog(self) -> int:
        """Return about how many messages wait to be taken."""

    def finish_proof(self, job_id: str) -> None:
        """Ask for the proof sheet of this training: one of its pictures has ended."""


class Handover(Protocol):
    """The queue in front of the store worker."""

    def hand_over(self, job_id: str) -> None:
        """Say that a result is ready to be copied."""


class DeadLetters(Protocol):
    """Messages that were given up after several tries."""

    def redrive(self, limit: int) -> Mapping[str, int]:
        """Send at most ``limit`` back to where they came from; return how many, by queue."""


class Events(Protocol):
    """The event bus that gets a job's changes, and when its proof sheet is ready."""

    def emit(self, *events: StatusChange | ProofSheetReady) -> None:
        """Publish events, each at least once; gives up soon and raises EventsUnavailableError."""


class StatusCheckTrigger(Protocol):
    """Asks the function that holds fal's key to check a job's status; the caller does not wait."""

    def request_status_check(self, job_id: str) -> None:
        """Have fal asked now, instead of when the job is late."""

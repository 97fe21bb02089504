"""What services need to notify the customer's own addresses."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

type SigningSecrets = Callable[[], Sequence[bytes]]
"""Gives the keys that notifications are signed with, the newest first."""


@dataclass(frozen=True, slots=True)
class ReceiverAnswer:
    """The status that a receiver answered with; ``retry_after`` in seconds, 0 where it says nothing."""

    status: int
    retry_after: int = 0


class Receiver(Protocol):
    """The customer's own addresses."""

    def post(
        self, url: str, headers: Mapping[str, str], body: bytes, *, until: float
    ) -> ReceiverAnswer:
        """Return the answer, by that moment of the monotonic clock; follows no redirect.

        Raises ReceiverUnavailableError, and HostNotAllowedError before anything is sent.
        """


class LaterMessages(Protocol):
    """The queue that notifications wait in, and its dead letters."""

    def give_up(self, body: str) -> None:
        """Put a message with this body among the dead letters."""

    def delay(self, receipt: str, seconds: int) -> None:
        """Have a message delivered again after so many seconds; without it the queue decides."""

"""How long a request is followed of which fal says nothing that can be used, and what is said meanwhile."""

import math
import time
from datetime import UTC, datetime

from lora_drop.client.direct_errors import SET_KEY
from lora_drop.client.direct_requests import (
    FinishedRequest,
    Queued,
    RequestStatus,
    Training,
    Unanswered,
)
from lora_drop.client.errors import CommandError, JobTimeoutError
from lora_drop.fal.hosts import REQUESTS_PAGE
from lora_drop.jobs.errors import (
    FalUnavailableError,
    KeyRefusedError,
    ResultGoneError,
    ResultUnreadableError,
)

KEY_PATIENCE = 60.0  # seconds; a locked account may be open again soon
UNKNOWN_PATIENCE = 300.0  # seconds; one 404 may be a fault of the moment
RESULT_PATIENCE = 3600.0  # seconds after fal has called it done


class Deadline:
    """The time that a caller waits for a request at most; None: without an end."""

    def __init__(self, request_id: str, timeout: float | None) -> None:
        self._request_id, self._timeout = request_id, timeout
        self._until = math.inf if timeout is None else time.monotonic() + timeout

    def pause(self, poll: float) -> float:
        """Return the seconds until the next look; raises JobTimeoutError when the time is over."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise JobTimeoutError(
                f"Request {self._request_id} is not done after {self._timeout:g} s. The training goes on at fal: "
                "wait for the request again, which pays nothing."
            )
        return min(poll, left)


class Patience:
    """Takes note of each look at one request; only an answer that it goes on makes it begin again."""

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id
        self._since: dict[type, tuple[float, datetime]] = {}

    def looked(self, found: RequestStatus | FalUnavailableError) -> RequestStatus:
        """Return the status, or an Unanswered that says since when.

        Raises CommandError for a refused key, ResultGoneError for a request that fal does not know and
        ResultUnreadableError for a result that cannot be read, each after a time.
        """
        if isinstance(found, Queued | Training):
            self._since.clear()
        if not isinstance(
            found, FinishedRequest | KeyRefusedError
        ):  # a result may still be refused
            self._since.pop(KeyRefusedError, None)
        if not isinstance(found, FalUnavailableError | Unanswered):
            return found
        began, at = self._since.setdefault(type(found), (time.monotonic(), datetime.now(UTC)))
        since = f"since {at.astimezone():%H:%M}"
        self._refuse_longer(found, time.monotonic() - began, since)
        return Unanswered(self._request_id, self._said(found, since))

    def _refuse_longer(
        self, found: Unanswered | FalUnavailableError, lasted: float, since: str
    ) -> None:
        """Raise what a caller hears of that has lasted for so many seconds, once that is too long."""
        match found:
            case KeyRefusedError() if lasted >= KEY_PATIENCE:
                raise CommandError(
                    f"{found}: it refuses this key. The training goes on at fal. {SET_KEY}. Then run the same again."
                ) from found
            case Unanswered() if lasted >= UNKNOWN_PATIENCE:
                raise ResultGoneError(found.message)
            case ResultUnreadableError() if lasted >= RESULT_PATIENCE:
                raise ResultUnreadableError(self._unreadable(found, since)) from found

    def _said(self, found: Unanswered | FalUnavailableError, since: str) -> str:
        """Return since when fal says nothing of the request, in local time, and what that means."""
        match found:
            case Unanswered():
                return f"fal does not know request {self._request_id} {since}, which may pass."
            case KeyRefusedError():
                return f"fal refuses this key {since}, the training goes on there. {SET_KEY}."
            case ResultUnreadableError():
                return f"The training is finished, its result cannot be read {since}: {found}."
            case _ if str(found).startswith("fal calls"):
                return f"{found} {since}, which says nothing of its end."
        return f"fal does not answer {since}, the training goes on there."

    def _unreadable(self, error: ResultUnreadableError, since: str) -> str:
        return (
            f"Request {self._request_id} is finished, and its result cannot be read {since}: {error}. Look at "
            f"{REQUESTS_PAGE}, or run the same again later, which pays nothing."
        )

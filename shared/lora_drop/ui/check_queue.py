"""What waits for its check: one dataset is checked at a time, beside everything that a person does."""

import threading
import time
from collections.abc import Callable

PAUSE = 0.3  # seconds without a change, so that several quick ones are one check


class CheckQueue:
    """Calls ``check`` with the id of each dataset that was put in, in a thread of its own.

    A dataset that is put in again before its check begins is checked once. ``check`` returns the seconds after
    which it has to be called again, None where it is done.
    """

    def __init__(self, check: Callable[[str], float | None]) -> None:
        self._check = check
        self._due: dict[str, float] = {}
        self._running: str | None = None
        self._changed = threading.Condition()
        self._closed = False
        threading.Thread(target=self._run, name="checks", daemon=True).start()

    def put(self, draft_id: str, pause: float = PAUSE) -> None:
        """Have a dataset checked after a pause; a pause that was begun before begins again."""
        with self._changed:
            self._due[draft_id] = time.monotonic() + pause
            self._changed.notify_all()

    def __contains__(self, draft_id: str) -> bool:
        """Whether a dataset waits for its check, or is being checked."""
        with self._changed:
            return draft_id in self._due or draft_id == self._running

    def close(self) -> None:
        """Begin no more checks; one that runs goes on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _run(self) -> None:
        while (draft_id := self._next()) is not None:
            again = self._check(draft_id)
            with self._changed:
                self._running = None
                if again is not None:
                    self._due.setdefault(draft_id, time.monotonic() + again)

    def _next(self) -> str | None:
        """Return the first dataset that is due, once there is one; None at the end."""
        with self._changed:
            while not self._closed:
                first = min(self._due, key=self._due.__getitem__, default=None)
                left = self._due[first] - time.monotonic() if first else None
                if first and left is not None and left <= 0:
                    del self._due[first]
                    self._running = first
                    return first
                self._changed.wait(left)
        return None

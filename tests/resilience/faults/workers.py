"""Workers that stand still in the middle of a call while others go on; only one ever runs."""

import threading
from collections.abc import Callable


class Strand:
    """A function on a thread of its own that runs only while its owner waits for it."""

    _idle: list["Strand"] = []  # noqa: RUF012  # threads are reused by all

    def __init__(self) -> None:
        self._go = threading.Semaphore(0)
        self._back = threading.Semaphore(0)
        self._work: Callable[[Strand], None] | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._live, daemon=True, name="strand")
        self._thread.start()

    @classmethod
    def begin(cls, work: Callable[["Strand"], None]) -> "Strand":
        """A strand that will do this when it is resumed; the work never raises."""
        strand = cls._idle.pop() if cls._idle else cls()
        strand._work = work
        return strand

    def resume(self, error: BaseException | None = None) -> bool:
        """Let it run until it pauses (True) or is done; with an error, that is raised in it first."""
        self._error = error
        self._go.release()
        self._back.acquire()
        if self._work is not None:
            return True
        self._idle.append(self)
        return False

    def pause(self) -> None:
        """Called by the work: stand still until resumed."""
        self._back.release()
        self._go.acquire()
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _live(self) -> None:
        while True:
            self._go.acquire()
            work = self._work
            assert work is not None
            work(self)
            self._work = None
            self._back.release()

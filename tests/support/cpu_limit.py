"""A limit of work: code that would never end fails its test instead of stopping the whole suite."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

SECONDS = 60.0  # of CPU, a multiple of what any input takes even on a slow machine


@contextmanager
def cpu_limit(seconds: float = SECONDS) -> Iterator[None]:
    """Raise TimeoutError in code that uses more CPU time than this; waiting costs nothing."""

    def expire(*_: object) -> None:
        raise TimeoutError(f"more than {seconds} seconds of CPU time")

    before = signal.signal(signal.SIGVTALRM, expire)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)

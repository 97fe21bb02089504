"""Threads that decode photos beside each other: the libraries that decode let other threads run meanwhile."""

import os
import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from types import TracebackType
from typing import Self, override

from lora_drop.adapters.memory_limit import share_the_limit, shares_the_limit

# Each thread reserves addresses for its memory, which count as if they were used (mallopt(3), M_ARENA_MAX).
MOST = 4


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


class DecodingThreads(ThreadPoolExecutor):
    """As many threads as there are cores, at most four, within one bound on their memory; no warnings while they live."""

    def __init__(self) -> None:
        super().__init__(min(cores(), MOST), "photo", initializer=share_the_limit)
        self._silence = ExitStack()

    @override
    def __enter__(self) -> Self:
        self._silence.enter_context(without_warnings())
        return self

    @override
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.shutdown(cancel_futures=True)  # what is not waited for is not begun
        self._silence.close()


@contextmanager
def without_warnings() -> Iterator[None]:
    """Ignore what libraries warn of while the block lasts. The filter is the process's, so the threads do not set it each."""
    if shares_the_limit():
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield

"""A bound on the memory that a block of code may take."""

import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

if sys.platform == "linux":
    import resource

STATM = Path("/proc/self/statm")  # its first number: pages of this process (proc(5))


class _Thread(threading.local):
    """Whether this thread's blocks share one bound with those of other threads."""

    shares = False


_THREAD = _Thread()


def shares_the_limit() -> bool:
    """Return whether this thread does."""
    return _THREAD.shares


def share_the_limit() -> None:
    """Let the blocks of this thread be beside those of other such threads, all of them within one bound.

    What runs out of memory there may have been short of what another one took: it is to be tried once more alone.
    """
    _THREAD.shares = True


class _Blocks:
    """Blocks that bound this process's memory: one of a thread alone, or those of threads that share the bound.

    Two threads that set the limit and put it back in turns would leave it where the first one had put it.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._alone, self._depth = 0, 0  # the thread that has it alone, and how often
        self._sharing = 0
        self._limit = ExitStack()

    @contextmanager
    def alone(self) -> Iterator[None]:
        me = threading.get_ident()
        with self._changed:
            self._changed.wait_for(lambda: self._alone == me if self._depth else self._sharing == 0)
            self._alone, self._depth = me, self._depth + 1
        try:
            yield
        finally:
            with self._changed:
                self._depth -= 1
                self._changed.notify_all()

    @contextmanager
    def shared(self, more: int) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: self._depth == 0)
            if self._sharing == 0:
                self._limit.enter_context(_limited(more))
            self._sharing += 1
        try:
            yield
        finally:
            with self._changed:
                self._sharing -= 1
                if self._sharing == 0:
                    self._limit.close()
                    self._changed.notify_all()


_BLOCKS = _Blocks()


@contextmanager
def at_most(more: int) -> Iterator[None]:
    """Let this process take no more than so many bytes beside what it has, while the block lasts.

    Code that asks for more gets MemoryError, or a library's own error. On Linux alone, as in the
    functions; elsewhere nothing is bounded. The limit is the process's: one thread at a time has the block, or
    all that share it have no more together, beside what there was when the first of them began.
    """
    if sys.platform != "linux":
        yield
    elif _THREAD.shares:
        with _BLOCKS.shared(more):
            yield
    else:
        with _BLOCKS.alone(), _limited(more):
            yield


@contextmanager
def not_limited() -> Iterator[None]:
    """Wait until no other thread bounds this process's memory, and keep it so; not in a thread that shares the bound."""
    if _THREAD.shares:
        yield
    else:
        with _BLOCKS.alone():
            yield


@contextmanager
def _limited(more: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    bound = int(STATM.read_text().split()[0]) * resource.getpagesize() + more
    bounds = [limit for limit in (soft, hard, bound) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(bounds), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))

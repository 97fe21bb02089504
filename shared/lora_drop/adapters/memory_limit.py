"""A bound on the memory that a block of code may take."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform == "linux":
    import resource

STATM = Path("/proc/self/statm")  # its first number: pages of this process (proc(5))
# Two threads that set the limit and put it back in turns would leave it where the first one had put it.
LIMITED = threading.RLock()


@contextmanager
def at_most(more: int) -> Iterator[None]:
    """Let this process take no more than so many bytes beside what it has, while the block lasts.

    Code that asks for more gets MemoryError, or a library's own error. On Linux alone, as in the
    functions; elsewhere nothing is bounded. The limit is the process's: one thread at a time has the block.
    """
    if sys.platform != "linux":
        yield
        return
    with LIMITED:
        yield from _limited(more)


def _limited(more: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    bound = int(STATM.read_text().split()[0]) * resource.getpagesize() + more
    bounds = [limit for limit in (soft, hard, bound) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(bounds), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))

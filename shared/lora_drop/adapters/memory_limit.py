"""A bound on the memory that code of others takes."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform == "linux":
    import resource

STATM = Path(
    "/proc/self/statm"
)  # its first number: pages of this process's address space (proc(5))


@contextmanager
def at_most(more: int) -> Iterator[None]:
    """Let this process take no more than so many bytes beside what it has, while the block lasts.

    What asks for more is told that there is none: MemoryError, or a library's own error. On Linux
    alone, as in the functions; elsewhere, on somebody's laptop, nothing is bounded.
    """
    if sys.platform != "linux":
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    bound = int(STATM.read_text().split()[0]) * resource.getpagesize() + more
    bounds = [limit for limit in (soft, hard, bound) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(resource.RLIMIT_AS, (min(bounds), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))

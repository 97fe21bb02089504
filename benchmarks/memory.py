"""How much memory a process has, and had at its peak; Linux only."""

import os
import re
from pathlib import Path


def at_rest() -> int:
    """Return the memory that this process has now, in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def peak(pid: int | str = "self") -> int:
    """Return the most memory that a process has had since its program began, in bytes; 0 once it has ended.

    ``ru_maxrss`` would have that of the process that started it as well (getrusage(2): it is kept across execve).
    """
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0

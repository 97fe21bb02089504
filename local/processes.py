"""Programs that run in the background, known by process id and start time, so that only ours end."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

GRACE = 10.0  # seconds between asking a program to end and ending it
POLL = 0.05
TAIL = 2000  # characters of a log that an error shows
# What this very process has started: it has to be waited for when it ends.
CHILDREN: dict[int, subprocess.Popen[bytes]] = {}


class NotStarted(RuntimeError):
    """Raised when a program ends, or does not answer, before it is ready; holds its log's end."""


@dataclass(frozen=True, slots=True)
class Background:
    """A running program, and what tells it from a later one with the same id."""

    pid: int
    born: str

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return _born(self.pid) == self.born

    def end(self) -> None:
        """End it and all it started; nothing happens if it has ended."""
        for how in (signal.SIGTERM, signal.SIGKILL):
            if not self.alive:
                return
            os.killpg(self.pid, how)
            _wait_for(lambda: not self.alive, GRACE)
            if child := CHILDREN.pop(self.pid, None):
                child.wait()


def start(
    name: str,
    line: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str],
    ready: Callable[[], bool],
    timeout: float,
) -> Background:
    """Start a program in a process group of its own and wait until ``ready``; raises NotStarted."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603  # the caller's own program
            line,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(env),
            start_new_session=True,
        )
    CHILDREN[process.pid] = process
    background = Background(process.pid, _born(process.pid))
    try:
        _wait_for(lambda: process.poll() is not None or ready(), timeout)
    except BaseException:  # an impatient person's Ctrl-C leaves nothing running either
        background.end()
        raise
    if process.poll() is not None:
        raise NotStarted(f"{name} ended with {process.returncode}:\n{_tail(log)}")
    if not ready():
        background.end()
        raise NotStarted(f"{name} was not ready after {timeout:.0f} s:\n{_tail(log)}")
    return background


def free_port(host: str = "127.0.0.1") -> int:
    """A port of this address that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def listens(host: str, port: int) -> bool:
    """Whether somebody answers there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def _wait_for(condition: Callable[[], bool], timeout: float) -> None:
    end = time.monotonic() + timeout
    while not condition() and time.monotonic() < end:
        time.sleep(POLL)


def _born(pid: int) -> str:
    """When this process started, by the system's clock; empty when it runs no more."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return _born_by_ps(pid)
    state, *fields = stat.rpartition(")")[2].split()
    return "" if state == "Z" else fields[18]


def _born_by_ps(pid: int) -> str:
    """The same where there is no /proc, as on macOS."""
    if Path("/proc/self/stat").exists():
        return ""
    told = subprocess.run(  # noqa: S603  # a fixed program
        ["/bin/ps", "-o", "stat=,lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    state, _, born = told.stdout.strip().partition(" ")
    return "" if state.startswith("Z") else born.strip()


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-TAIL:].strip()

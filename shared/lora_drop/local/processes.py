"""Programs that run in the background, known by process id and start time, so that only ours end."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

GRACE = 10.0  # seconds between asking a program to end and ending it
POLL = 0.05
PROC = Path("/proc")
TAIL = 2000  # characters of a log that an error shows
# What this very process has started: it has to be waited for when it ends.
CHILDREN: dict[int, subprocess.Popen[bytes]] = {}


class NotStartedError(RuntimeError):
    """Raised when a program ends, or does not answer, before it is ready; holds its log's end."""


@dataclass(frozen=True, slots=True)
class Background:
    """A running program, and what tells it from a later one with the same id."""

    pid: int
    born: str

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.born != "" and _born(self.pid) == self.born

    def end(self) -> None:
        """End it and all it started; nothing happens if it has ended."""
        if not self.alive:
            return
        for how in (signal.SIGTERM, signal.SIGKILL):
            if _group_runs(self.pid):
                os.killpg(self.pid, how)
            _wait_for(lambda: not _group_runs(self.pid), GRACE)
        if child := CHILDREN.pop(self.pid, None):
            child.wait()


type Started = Callable[[Background], None]
"""Is called with a program as soon as it runs, long before it is ready."""


def start(
    name: str,
    line: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str],
    ready: Callable[[], bool],
    timeout: float,
    started: Started | None = None,
) -> Background:
    """Start a program in a process group of its own and wait until ``ready``; raises NotStartedError."""
    background, process = _spawn(line, log, env)
    with _ended_if_interrupted(background):
        if started is not None:
            started(background)
        _wait_for(lambda: process.poll() is not None or ready(), timeout)
    if process.poll() is not None:
        raise NotStartedError(f"{name} ended with {process.returncode}:\n{_tail(log)}")
    if not ready():
        background.end()
        raise NotStartedError(f"{name} was not ready after {timeout:.0f} s:\n{_tail(log)}")
    return background


def run(
    line: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str],
    cwd: Path,
    started: Started | None = None,
) -> int:
    """The exit code of a program in a process group of its own, which ends when we are interrupted."""
    background, process = _spawn(line, log, env, cwd)
    with _ended_if_interrupted(background):
        if started is not None:
            started(background)
        code = process.wait()
    del CHILDREN[background.pid]
    return code


def free_port(host: str = "127.0.0.1") -> int:
    """A port of this address that is free now."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port


def listens(host: str, port: int) -> bool:
    """Whether a server answers there."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((host, port)) == 0


def _spawn(
    line: Sequence[str], log: Path, env: Mapping[str, str], cwd: Path | None = None
) -> tuple[Background, subprocess.Popen[bytes]]:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(  # noqa: S603  # the caller's own program
            line,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(env),
            start_new_session=True,
        )
    CHILDREN[process.pid] = process
    return Background(process.pid, _born(process.pid)), process


@contextmanager
def _ended_if_interrupted(program: Background) -> Iterator[None]:
    """End the program where Ctrl-C interrupts the block."""
    try:
        yield
    except BaseException:
        program.end()
        raise


def _wait_for(condition: Callable[[], bool], timeout: float) -> None:
    end = time.monotonic() + timeout
    while not condition() and time.monotonic() < end:
        time.sleep(POLL)


def _born(pid: int) -> str:
    """When this process started, by the system's clock; empty when it runs no more."""
    if not PROC.exists():
        state, _, born = _ps("stat=,lstart=", "-p", str(pid)).strip().partition(" ")
        return "" if state.startswith("Z") else born.strip()
    fields = _fields(PROC / str(pid))
    return fields[19] if fields and fields[0] != "Z" else ""


def _group_runs(group: int) -> bool:
    """Whether a process of this group still runs."""
    if not PROC.exists():
        rows = (row.split() for row in _ps("pgid=,stat=", "-A").splitlines())
        return any(int(row[0]) == group and not row[1].startswith("Z") for row in rows)
    found = (_fields(process) for process in PROC.glob("[0-9]*"))
    return any(fields and int(fields[2]) == group and fields[0] != "Z" for fields in found)


def _fields(process: Path) -> list[str]:
    """State, parent, group, … of a process as proc(5) lists them; empty when it is gone."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _ps(columns: str, *which: str) -> str:
    """The same where there is no /proc, as on macOS."""
    return subprocess.run(  # noqa: S603  # a fixed program
        ["/bin/ps", "-o", columns, *which], capture_output=True, text=True, check=False
    ).stdout


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-TAIL:].strip()

"""Kills workers in the middle of their work, as a host that goes away does."""

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

PROC = Path("/proc")
READ = frozenset({"0", "63"})  # the system call's number: x86_64, arm64
STDIN = "0x0"
LOOK = 0.03  # seconds between two looks for somebody at work


def workers(group: int, function: str) -> Iterator[int]:
    """The emulator's processes that run this function; its group is the one it was started with."""
    for process in PROC.glob("[0-9]*"):
        try:
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            if int(fields[2]) != group or fields[0] == "Z":
                continue
            environment = (process / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # it has just ended
        if f"AWS_LAMBDA_FUNCTION_NAME={function}".encode() in environment:
            yield int(process.name)


def at_work(pid: int) -> bool:
    """Whether the worker does anything but wait for its next event, on its standard input."""
    try:
        number, *arguments = (PROC / str(pid) / "syscall").read_text().split()
    except OSError:
        return False
    return not (number in READ and arguments[:1] == [STDIN])


def speaks_to(pid: int, port: int) -> bool:
    """Whether the process has a connection to that port."""
    wanted = f":{port:04X}"
    rows = (line.split() for line in (PROC / "net" / "tcp").read_text().splitlines()[1:])
    theirs = {f"socket:[{row[9]}]" for row in rows if row[2].endswith(wanted)}
    try:
        return any(str(each.readlink()) in theirs for each in (PROC / str(pid) / "fd").iterdir())
    except OSError:
        return False


@dataclass
class Killer:
    """A thread that kills until it is told to stop, or has killed enough.

    Whoever speaks to ``port`` is at the work that is to be interrupted.
    """

    group: int
    function: str
    port: int
    most: int
    seed: int
    pause: tuple[float, float]  # seconds between two kills
    into: tuple[float, float] = (0.0, 0.2)  # seconds that a worker is let work before
    killed: list[int] = field(default_factory=list)
    _warm: set[int] = field(default_factory=set)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        source = random.Random(self.seed)  # noqa: S311  # moments, no secrets
        while len(self.killed) < self.most and not self._over.wait(source.uniform(*self.pause)):
            victim = self._victim(source)
            if victim is None:
                return
            os.kill(victim, signal.SIGKILL)
            self.killed.append(victim)

    def _victim(self, source: random.Random) -> int | None:
        """Somebody who has worked for a random while, and does still; a cold start is no work."""
        while not self._over.is_set():
            working = {pid: at_work(pid) for pid in workers(self.group, self.function)}
            self._warm |= {pid for pid, busy in working.items() if not busy}
            busy = [pid for pid in working if working[pid] and pid in self._warm]
            if busy := [pid for pid in busy if speaks_to(pid, self.port)]:
                victim = source.choice(busy)
                time.sleep(source.uniform(*self.into))
                if at_work(victim):
                    return victim
            time.sleep(LOOK)
        return None

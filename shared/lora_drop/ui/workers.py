"""A small pool of processes that decode pictures: a decoder may die, hang, or take much memory.

Small pictures come first: a check begins when none waits, and takes one process at the most.
"""

import subprocess
import sys
import threading
from collections.abc import Callable
from multiprocessing import Pipe
from pathlib import Path
from typing import cast

from lora_drop.jobs.errors import LoraDropError
from lora_drop.ui.draft_check import CheckProblem, CheckResult, CheckTask, Looking
from lora_drop.ui.worker_tasks import Answer, NoPreview, PreviewTask, Task

COUNT = 2
# A process that says nothing for so long hangs. A check says nothing while it packs 2 GiB; a photo takes seconds.
PREVIEW_SECONDS, CHECK_SECONDS = 60.0, 600.0
END_SECONDS = 2.0

type Heard = Callable[[Looking], None]


class WorkerDiedError(LoraDropError):
    """Raised when the process that did a task ended in the middle of it, or was ended because it hung."""


class WorkersEndedError(WorkerDiedError):
    """Raised for what was being done, or waited, when the processes were ended with the server."""


class NoPreviewError(LoraDropError):
    """Raised when a photo cannot be shown; says why."""


class _Worker:
    """One process, and the pipe to it."""

    def __init__(self) -> None:
        self._pipe, theirs = Pipe()
        number = theirs.fileno()
        line = [sys.executable, "-m", "lora_drop.ui.worker_main", str(number)]
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603  # our own program
                line, pass_fds=(number,), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
            )
        self.has_checked = False

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def do(self, task: Task, heard: Heard, patience: float) -> Answer:
        """Return the answer to a task; raises WorkerDiedError."""
        try:
            self._pipe.send(task)
            while self._pipe.poll(patience):
                said = self._pipe.recv()
                if not isinstance(said, Looking):
                    return cast("Answer", said)
                heard(said)
        except (EOFError, OSError) as error:
            raise WorkerDiedError("the program that decodes it ended unexpectedly") from error
        raise WorkerDiedError(f"it took longer than {patience:.0f} seconds")

    def end(self) -> None:
        """End the process, in the middle of a task as well."""
        self.process.terminate()
        try:
            self.process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._pipe.close()


class Workers:
    """Processes for previews and checks, started at once; every method may be called in any thread."""

    def __init__(self, count: int = COUNT) -> None:
        self._free = [_Worker() for _ in range(count)]
        self._busy: set[_Worker] = set()
        self._turn = threading.Condition()
        self._waiting = 0  # previews
        self._checking = self._closed = False

    @property
    def processes(self) -> tuple[int, ...]:
        """The ids of the processes that run now."""
        with self._turn:
            return tuple(each.process.pid for each in (*self._busy, *self._free))

    @property
    def busy(self) -> tuple[int, ...]:
        """The ids of those that do something."""
        with self._turn:
            return tuple(each.process.pid for each in self._busy)

    def preview(self, path: Path, side: int) -> bytes:
        """Return a photo as a JPEG of at most ``side`` pixels a side; raises NoPreviewError and WorkerDiedError."""
        found = self._do(PreviewTask(path, side), _unheard, PREVIEW_SECONDS)
        if isinstance(found, bytes):
            return found
        raise NoPreviewError(f"The photo {found.why if isinstance(found, NoPreview) else ''}")

    def check(self, task: CheckTask, heard: Heard) -> CheckResult | CheckProblem:
        """Return what a check finds; ``heard`` is called before each photo, and ends the check where it raises.

        Raises WorkerDiedError.
        """
        return cast("CheckResult | CheckProblem", self._do(task, heard, CHECK_SECONDS))

    def close(self) -> None:
        """End all processes; what is being done, or waits, raises WorkersEndedError."""
        with self._turn:
            self._closed = True
            self._turn.notify_all()
            workers = (*self._free, *self._busy)
            self._free.clear()
        for worker in workers:
            worker.end()

    def _do(self, task: Task, heard: Heard, patience: float) -> Answer:
        worker = self._taken(check=isinstance(task, CheckTask))
        sound = False
        try:
            answer = worker.do(task, heard, patience)
            sound = True
        except WorkerDiedError as died:
            if self._closed:
                raise WorkersEndedError("the page was closed") from died
            raise
        finally:
            self._give_back(worker, check=isinstance(task, CheckTask), sound=sound)
        return answer

    def _taken(self, *, check: bool) -> _Worker:
        """Return a process that lives, once it is this task's turn."""
        with self._turn:
            self._waiting += not check
            try:
                self._turn.wait_for(lambda: self._closed or self._may(check=check))
            finally:
                self._waiting -= not check
            if self._closed:
                raise WorkersEndedError("the page was closed")
            # Once it has checked, a process holds the models for faces: one is enough.
            worker = min(self._free, key=lambda each: each.has_checked != check)
            self._free.remove(worker)
            if not worker.alive:
                worker.end()
                worker = _Worker()
            worker.has_checked |= check
            self._busy.add(worker)
            self._checking |= check
            self._turn.notify_all()
            return worker

    def _may(self, *, check: bool) -> bool:
        return bool(self._free) and not (check and (self._checking or self._waiting))

    def _give_back(self, worker: _Worker, *, check: bool, sound: bool) -> None:
        """Let others have the process, or another one in its place."""
        if not sound:
            worker.end()
        with self._turn:
            self._busy.discard(worker)
            if not self._closed:
                self._free.append(worker if sound else _Worker())
            self._checking &= not check
            self._turn.notify_all()


def _unheard(_: Looking) -> None:
    """Say nothing: a preview has no steps."""

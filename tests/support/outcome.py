"""Faults on purpose: the process dies, or a call fails, right before or after one effect."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.job import DatasetVersion, Job
from lora_drop.results.copies import Label, Part
from tests.support.memory import MemoryQueue
from tests.support.memory_files import MemoryResults
from tests.support.memory_jobs import MemoryJobs
from tests.support.world import World


class Killed(BaseException):
    """The process ends here; ``except Exception`` does not catch it."""


class ThrottledError(Exception):
    """AWS refuses a call, or has done it and its answer is lost."""


@dataclass
class Outcome:
    """Let every effect on the outside world happen, but fail at the one with the number ``at``."""

    at: int = 0
    after: bool = False
    fault: Callable[[], BaseException] = Killed
    effects: list[str] = field(default_factory=list)

    def act[R](self, name: str, effect: Callable[[], R]) -> R:
        self.effects.append(name)
        now = len(self.effects) == self.at
        if now and not self.after:
            raise self.fault()
        result = effect()
        if now:
            raise self.fault()
        return result


@dataclass
class FailingJobs(MemoryJobs):
    """A JobStore whose writes are effects."""

    outcome: Outcome = field(default_factory=Outcome)

    def add(self, job: Job, **more: Any) -> bool:
        return self.outcome.act("add", lambda: MemoryJobs.add(self, job, **more))

    def replace(self, before: Job, after: Job, **more: Any) -> None:
        self.outcome.act(
            f"replace {after.status}", lambda: MemoryJobs.replace(self, before, after, **more)
        )


@dataclass
class FailingResults(MemoryResults):
    """A ResultStore whose writes are effects."""

    outcome: Outcome = field(default_factory=Outcome)

    def write(self, key: str, text: str, content_type: str, **more: Any) -> StoredFile:
        return self._act(
            "write", key, lambda: MemoryResults.write(self, key, text, content_type, **more)
        )

    def remove(self, key: str) -> None:
        self.outcome.act("remove", lambda: MemoryResults.remove(self, key))

    def put(self, key: str, data: bytes, label: Label) -> None:
        self._act("put", key, lambda: MemoryResults.put(self, key, data, label))

    def begin(self, key: str, label: Label) -> str:
        return self._act("begin", key, lambda: MemoryResults.begin(self, key, label))

    def upload(self, key: str, upload_id: str, number: int, data: bytes) -> Part:
        return self._act(
            f"upload {number} of",
            key,
            lambda: MemoryResults.upload(self, key, upload_id, number, data),
        )

    def complete(self, key: str, upload_id: str, parts: Sequence[Part]) -> None:
        self._act("complete", key, lambda: MemoryResults.complete(self, key, upload_id, parts))

    def abort(self, key: str, upload_id: str) -> None:
        self._act("abort", key, lambda: MemoryResults.abort(self, key, upload_id))

    def _act[R](self, call: str, key: str, effect: Callable[[], R]) -> R:
        return self.outcome.act(f"{call} {key.rsplit('/', 1)[-1]}", effect)


@dataclass
class FailingQueue(MemoryQueue):
    """An Inbox and a Handover whose messages are effects."""

    outcome: Outcome = field(default_factory=Outcome)

    def announce(self, dataset: DatasetVersion) -> None:
        self.outcome.act("announce", lambda: MemoryQueue.announce(self, dataset))

    def hand_over(self, job_id: str) -> None:
        self.outcome.act("hand over", lambda: MemoryQueue.hand_over(self, job_id))


@dataclass
class FailingWorld(World):
    """A world whose every effect passes through one outcome."""

    outcome: Outcome = field(default_factory=Outcome)

    def __post_init__(self) -> None:
        self.jobs = FailingJobs(outcome=self.outcome)
        self.results = FailingResults(outcome=self.outcome)
        self.queue = FailingQueue(outcome=self.outcome)

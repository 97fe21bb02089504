"""Accidents on purpose: the process dies, or a call fails, right before or after one effect."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.job import DatasetVersion, Job
from lora_drop.ports import Submission
from lora_drop.results.copies import Label, Part
from tests.support.memory import MemoryFal, MemoryQueue
from tests.support.memory_files import MemoryResults
from tests.support.memory_jobs import MemoryJobs
from tests.support.world import World


class Killed(BaseException):
    """The process ends here: no ``except Exception`` hears of it."""


class Throttled(Exception):
    """AWS refuses a call, or has done it and its answer is lost."""


@dataclass
class Outcome:
    """Lets every effect on the outside world happen, but for the one that is ``at`` hand."""

    at: int = 0
    after: bool = False
    accident: Callable[[], BaseException] = Killed
    effects: list[str] = field(default_factory=list)

    def act[R](self, name: str, effect: Callable[[], R]) -> R:
        self.effects.append(name)
        now = len(self.effects) == self.at
        if now and not self.after:
            raise self.accident()
        result = effect()
        if now:
            raise self.accident()
        return result


@dataclass
class MortalJobs(MemoryJobs):
    """A JobStore whose writes are effects."""

    fate: Outcome = field(default_factory=Outcome)

    def add(self, job: Job, **more: Any) -> bool:
        return self.fate.act("add", lambda: MemoryJobs.add(self, job, **more))

    def replace(self, before: Job, after: Job, **more: Any) -> None:
        self.fate.act(
            f"replace {after.status}", lambda: MemoryJobs.replace(self, before, after, **more)
        )


@dataclass
class MortalResults(MemoryResults):
    """A ResultStore whose writes are effects."""

    fate: Outcome = field(default_factory=Outcome)

    def write(self, key: str, text: str, content_type: str, **more: Any) -> StoredFile:
        return self._act(
            "write", key, lambda: MemoryResults.write(self, key, text, content_type, **more)
        )

    def remove(self, key: str) -> None:
        self.fate.act("remove", lambda: MemoryResults.remove(self, key))

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
        return self.fate.act(f"{call} {key.rsplit('/', 1)[-1]}", effect)


@dataclass
class MortalTrainer(MemoryFal):
    """A Trainer whose submission is an effect; ``accepted`` is what fal has really taken."""

    fate: Outcome = field(default_factory=Outcome)
    accepted: list[str] = field(default_factory=list)

    def submit(
        self, application: str, arguments: Mapping[str, Any], *, webhook_url: str
    ) -> Submission:
        def accept() -> Submission:
            self.accepted.append(webhook_url)
            return MemoryFal.submit(self, application, arguments, webhook_url=webhook_url)

        return self.fate.act("submit", accept)


@dataclass
class MortalQueue(MemoryQueue):
    """An Inbox and a Handover whose messages are effects."""

    fate: Outcome = field(default_factory=Outcome)

    def announce(self, dataset: DatasetVersion) -> None:
        self.fate.act("announce", lambda: MemoryQueue.announce(self, dataset))

    def hand_over(self, job_id: str) -> None:
        self.fate.act("hand over", lambda: MemoryQueue.hand_over(self, job_id))


@dataclass
class MortalWorld(World):
    """A world whose every effect is in the hands of one fate."""

    fate: Outcome = field(default_factory=Outcome)
    trainer: MortalTrainer = field(default_factory=MortalTrainer)

    def __post_init__(self) -> None:
        self.jobs = MortalJobs(fate=self.fate)
        self.results = MortalResults(fate=self.fate)
        self.queue = MortalQueue(fate=self.fate)
        self.trainer = MortalTrainer(fate=self.fate)

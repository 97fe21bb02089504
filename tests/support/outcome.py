"""Faults on purpose: the process dies, or a call fails, right before or after one effect."""

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from tests.support.memory import MemoryDatasetCopies, MemoryQueue
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
    counting: Lock = field(default_factory=Lock)  # parts go up beside each other

    def act[R](self, name: str, effect: Callable[[], R]) -> R:
        with self.counting:
            self.effects.append(name)
            now = len(self.effects) == self.at
        if now and not self.after:
            raise self.fault()
        result = effect()
        if now:
            raise self.fault()
        return result


def effect(method: Callable[..., Any], says: Callable[..., str]) -> Callable[..., Any]:
    """This method of a fake as an effect; ``says`` names it by its arguments."""

    def acted(self: Any, *given: Any, **more: Any) -> Any:
        outcome: Outcome = self.outcome
        return outcome.act(says(*given), lambda: method(self, *given, **more))

    return acted


def of_file(call: str) -> Callable[..., str]:
    return lambda key, *_: f"{call} {key.rsplit('/', 1)[-1]}"


@dataclass
class FailingJobs(MemoryJobs):
    """A JobStore whose writes are effects."""

    outcome: Outcome = field(default_factory=Outcome)
    add = effect(MemoryJobs.add, lambda _: "add")
    replace = effect(MemoryJobs.replace, lambda _, after: f"replace {after.status}")


class FailingCopies(MemoryResults):
    """A CopyStore whose writes are effects."""

    put = effect(MemoryResults.put, of_file("put"))
    begin = effect(MemoryResults.begin, of_file("begin"))
    upload = effect(
        MemoryResults.upload, lambda key, _, number, __: of_file(f"upload {number} of")(key)
    )
    complete = effect(MemoryResults.complete, of_file("complete"))
    abort = effect(MemoryResults.abort, of_file("abort"))


@dataclass
class FailingResults(FailingCopies):
    """A ResultStore whose writes are effects."""

    outcome: Outcome = field(default_factory=Outcome)
    write = effect(MemoryResults.write, of_file("write"))
    remove = effect(MemoryResults.remove, lambda _: "remove")
    replace_text = effect(MemoryResults.replace_text, lambda key, _, __: of_file("replace")(key))


@dataclass
class FailingDatasetCopies(FailingCopies, MemoryDatasetCopies):
    """The same, whose copies are datasets."""

    outcome: Outcome = field(default_factory=Outcome)


@dataclass
class FailingQueue(MemoryQueue):
    """An Inbox and a Handover whose messages are effects."""

    outcome: Outcome = field(default_factory=Outcome)
    announce = effect(MemoryQueue.announce, lambda _: "announce")
    hand_over = effect(MemoryQueue.hand_over, lambda _: "hand over")


@dataclass
class FailingWorld(World):
    """A world whose every effect passes through one outcome."""

    outcome: Outcome = field(default_factory=Outcome)

    def __post_init__(self) -> None:
        self.jobs = FailingJobs(outcome=self.outcome)
        self.results = FailingResults(outcome=self.outcome)
        self.queue = FailingQueue(outcome=self.outcome)
        self.fetches = FailingQueue(outcome=self.outcome)
        self.copies = FailingDatasetCopies(
            datasets=self.datasets, bucket="datasets", outcome=self.outcome
        )

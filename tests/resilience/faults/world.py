"""The services over the doubles, standing where a function expects its bootstrap."""

from dataclasses import dataclass, field, replace
from itertools import count
from types import SimpleNamespace

from lora_drop.services.store import ResultStorer
from tests.resilience.faults.sqs import Undertaker
from tests.support.builders import NOW
from tests.support.world import World

PART = 64  # bytes: so that a file of some 150 is copied in parts as well
OWNERS = (f"worker-{number}" for number in count(1))


@dataclass
class StackWorld(World):
    """A World that can stand where a function expects its bootstrap."""

    dead_letters: Undertaker = field(default_factory=lambda: Undertaker(()))

    @property
    def result_storer(self) -> ResultStorer:
        return replace(
            super().result_storer, part=PART, now=self.seconds, owner=lambda: next(OWNERS)
        )

    def seconds(self) -> float:
        """The monotonic clock."""
        return (self.clock.now - NOW).total_seconds() + 1

    @property
    def settings(self) -> SimpleNamespace:
        return SimpleNamespace(limits=self.limits)

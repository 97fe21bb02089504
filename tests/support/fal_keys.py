"""The fal key in a test's hand."""

from collections.abc import Callable
from dataclasses import dataclass, field

from lora_drop.jobs.errors import FalUnavailableError


@dataclass
class FixedKey:
    """A key that never changes; ``then`` is what it is once fal has refused it."""

    key: str = "key-id:key-secret"
    then: str | None = None
    refused: list[str] = field(default_factory=list)

    def __call__(self) -> str:
        return self.key

    def newer(self, refused: str) -> str | None:
        self.refused.append(refused)
        if self.then is None or self.then == refused:
            return None
        self.key = self.then
        return self.then


@dataclass
class NoKey:
    """A secret without a value."""

    newer: Callable[[str], None] = lambda _: None

    def __call__(self) -> str:
        raise FalUnavailableError("the secret fal-key has no value yet")

"""The choices that make one schedule: drawn from a seed, written down, and made again from there."""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

# What was decided other than nothing: by name, the how-manieth choice of that name, and the choice.
type Made = dict[str, dict[int, int]]


class Source(Protocol):
    """A source of choices."""

    def choose(self, name: str, number: int, options: int, likely: float) -> int:
        """One of so many options; 0 is nothing out of the ordinary, the rest ``likely`` together."""


class RandomSource:
    """Choices by chance, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311  # to be repeated, not to be secret

    def choose(self, name: str, number: int, options: int, likely: float) -> int:  # noqa: ARG002  # a Source's shape
        if self._random.random() >= likely:
            return 0
        return self._random.randrange(1, options)


class ScriptedSource:
    """Choices that were made before; what is not in the script is nothing out of the ordinary.

    Each name has a count of its own, so that a change of the code moves as few choices as can be.
    """

    def __init__(self, made: Mapping[str, Mapping[int, int]]) -> None:
        self._made = made

    def choose(self, name: str, number: int, options: int, likely: float) -> int:  # noqa: ARG002  # a Source's shape
        """Return the choice of the script, at most the last option."""
        return min(self._made.get(name, {}).get(number, 0), options - 1)


class Decisions:
    """Every choice of one schedule, asked for by name."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._asked: Counter[str] = Counter()
        self.made: Made = {}

    def below(self, name: str, options: int, *, likely: float | None = None) -> int:
        """Return a number below ``options``, other than 0 with the probability ``likely``."""
        number = self._asked[name]
        self._asked[name] += 1
        likely = 1 - 1 / options if likely is None else likely
        chosen = self._source.choose(name, number, options, likely) if options > 1 else 0
        if chosen:
            self.made.setdefault(name, {})[number] = chosen
        return chosen

    def happens(self, name: str, likely: float) -> bool:
        """Whether this happens; with a likelihood of 0 it is not even asked."""
        return likely > 0 and self.below(name, 2, likely=likely) == 1

    def pick[T](self, name: str, options: Sequence[T], *, likely: float | None = None) -> T:
        """Return one of these, the first being the ordinary one."""
        return options[self.below(name, len(options), likely=likely)]


def as_list(made: Made) -> list[tuple[str, int, int]]:
    """The choices as a list for a file: name, how-manieth, choice."""
    return [(name, number, choice) for name in made for number, choice in made[name].items()]


def made_of(said: Sequence[Sequence[str | int]]) -> Made:
    made: Made = {}
    for name, number, choice in said:
        made.setdefault(str(name), {})[int(number)] = int(choice)
    return made


def shrunk(made: Made, still: Callable[[Made], bool], *, most: int = 2000) -> Made:
    """Return as few of these decisions as do ``still`` the same, after so many tries at the most."""
    choices, tries, before = as_list(made), 0, 0
    while len(choices) != before:
        before, size = len(choices), max(len(choices) // 2, 1)
        while size:
            at = 0
            while at < len(choices) and tries < most:
                fewer = choices[:at] + choices[at + size :]
                tries += 1
                if still(made_of(fewer)):
                    choices = fewer
                else:
                    at += size
            size //= 2
    return made_of(choices)

"""What one code means."""

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What comes of it when a code is found."""

    REFUSES = "refuses"  # nothing is paid until somebody has done something about it
    WARNS = "warns"  # it trains, and could train better
    CHANGES = "changes"  # it was changed in what fal gets; nobody has to do anything


@dataclass(frozen=True, slots=True)
class Meaning:
    """One code: ``means`` and ``do`` are whole sentences, and hold for every case of it.

    A problem's own message names the file and the numbers; these stand above several of them.
    """

    kind: Kind
    means: str
    do: str


def refuses(means: str, do: str) -> Meaning:
    """A code that a dataset is refused with."""
    return Meaning(Kind.REFUSES, means, do)


def warns(means: str, do: str) -> Meaning:
    """A code that a dataset is trained with, and somebody is told."""
    return Meaning(Kind.WARNS, means, do)


def changes(means: str, do: str = "Nothing has to be done.") -> Meaning:
    """A code of what was changed in the copy that fal gets."""
    return Meaning(Kind.CHANGES, means, do)

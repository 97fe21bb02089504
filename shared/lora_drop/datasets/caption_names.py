"""Which photo a caption is meant for whose name is written a bit otherwise."""

import re
from collections import defaultdict
from collections.abc import Collection
from difflib import SequenceMatcher

LIKE = 0.8  # of difflib's ratio
COMPARED = 50  # photos: each costs a comparison


class PhotoNames:
    """The photos without a caption, by what their names have in common with one that is written a bit otherwise.

    Numbers have to be the same, however many zeros they begin with: photo_01 is not photo_02.
    """

    def __init__(self, photos: Collection[str]) -> None:
        self._photos: dict[tuple[int, ...], list[str]] = defaultdict(list)
        for photo in photos:
            self._photos[_numbers(photo)].append(photo)

    def meant_by(self, caption: str) -> str | None:
        """Return the one photo that may be meant; None where it is none, or more than one."""
        photos = self._photos.get(_numbers(caption), [])
        letters = _letters(caption)
        found = [photo for photo in photos if _letters(photo) == letters]
        if not found and len(photos) <= COMPARED:
            found = [each for each in photos if _likeness(_letters(each), letters) >= LIKE]
        return found[0] if len(found) == 1 else None


def stem_in(name: str) -> str:
    """Return a file's name without its folder and its ending."""
    return name.rpartition("/")[2].rpartition(".")[0]


def _numbers(name: str) -> tuple[int, ...]:
    # Not all of a long one: int() takes time with the square of its digits.
    return tuple(int(each[-18:]) for each in re.findall(r"[0-9]+", stem_in(name)))


def _letters(name: str) -> str:
    return re.sub(r"[\W\d_]+", "", stem_in(name)).casefold()


def _likeness(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other, autojunk=False).ratio()

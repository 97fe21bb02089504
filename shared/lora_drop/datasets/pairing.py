"""Which caption is which photo's, also where only a person can see it."""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from lora_drop.fal.trainers.demands import stem

type Key = Callable[[str], str]


def paired(captions: Iterable[str], photos: Sequence[str]) -> Mapping[str, str]:
    """The caption of each photo that has one, by their names in the archive.

    A caption has its photo's name but for the ending, as trainers have it (``anna.txt``); several
    photos of that name share it. Of what is left, one is taken that was named after the whole file
    (``anna.jpg.txt``), one whose name differs in case or in how its letters are composed, and one
    that lies in another folder; each only where nothing else could be meant.
    """
    # Where a photo has two, the trainers' own ending is the one that counts.
    left = sorted(captions, key=lambda name: not name.endswith(".txt"))
    own: dict[str, str] = {}
    for name in left:
        own.setdefault(stem(name), name)
    found = {photo: own[stem(photo)] for photo in photos if stem(photo) in own}
    ways: tuple[tuple[Key, Key], ...] = ((stem, str), (_folded, _folded), (_alone, _alone))
    for of_caption, of_photo in ways:
        taken = {*found.values(), *(name for name in left if own[stem(name)] in found.values())}
        free = [name for name in left if name not in taken]
        bare = [photo for photo in photos if photo not in found]
        found |= _only(free, bare, of_caption, of_photo)
    return found


def _only(
    captions: Sequence[str], photos: Sequence[str], of_caption: Key, of_photo: Key
) -> dict[str, str]:
    """Pairs where exactly one caption and one photo are called the same."""
    said = Counter(map(of_caption, captions))
    meant = Counter(map(of_photo, photos))
    own = {of_caption(name): name for name in captions}
    keyed = ((photo, of_photo(photo)) for photo in photos)
    return {photo: own[key] for photo, key in keyed if said[key] == meant[key] == 1}


def _folded(name: str) -> str:
    """The same for names that Windows or macOS take for the same (Unicode, 3.13, D145)."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", stem(name)).casefold())


def _alone(name: str) -> str:
    """The same, without folders."""
    return _folded(name).replace("\\", "/").rsplit("/", 1)[-1]

"""Captions: what is written under a photo, in any encoding that an editor writes, and which photo's it is."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from lora_drop.datasets.caption_names import PhotoNames, stem_in
from lora_drop.datasets.caption_text import Caption, shown
from lora_drop.datasets.code_pages import label_of
from lora_drop.fal.trainers.demands import first_names, stem
from lora_drop.jobs.problems import Problem

TRIGGER = "[trigger]"  # fal: replaced by the trigger phrase
# Folders of masks, as OneTrainer and kohya's tools have them.
MASKS = re.compile(r"(^|[/\\])(masks?|masklabels?)[/\\]")
MEANT = re.compile(re.escape(TRIGGER), re.IGNORECASE)
type Key = Callable[[str], str]


def as_trained(text: str, *, trigger_phrase: str | None, replaced: bool) -> str:
    """Return the text as it has to lie before a trainer, with its word for the person where there is one.

    ``replaced``: the trainer puts the trigger phrase in place of ``[trigger]`` itself, written just so;
    with any other trainer it is done here, or the brackets would be trained.
    """
    if replaced:
        return MEANT.sub(TRIGGER, text)
    return MEANT.sub(lambda _: trigger_phrase, text) if trigger_phrase else text


def caption_warnings(
    captions: Mapping[str, Caption],
    pairs: Mapping[str, str],
    photos: Collection[str],
    *,
    trigger_phrase: str | None,
) -> tuple[Problem, ...]:
    """Return what could be better about the captions.

    ``pairs`` has the caption of each photo that has one, ``photos`` are the names of those that are
    used. Without a ``trigger_phrase`` (empty: none; None: not known yet) ``[trigger]`` stands for
    nothing.
    """
    owned = set(pairs.values())
    found: list[Problem] = []
    uncaptioned = PhotoNames([photo for photo in photos if photo not in pairs])
    for name, caption in captions.items():
        if name not in owned:
            found += [] if caption.origin else [_orphan(name, uncaptioned.meant_by(name))]
        elif not caption.text.strip():
            found += [] if caption.problem else [_empty(name)]
        elif caption.guessed or caption.stray:
            found.append(_guess(name, caption))
    with_text = {name for name, caption in captions.items() if caption.text.strip()}
    bare = [name for name in photos if pairs.get(name) not in with_text]
    if photos and len(bare) == len(photos):
        found.append(_none_at_all())
    elif bare:
        found.append(_some_missing(bare))
    wanting = [name for name in owned & with_text if MEANT.search(captions[name].text)]
    if wanting and trigger_phrase == "":
        found.append(_no_trigger(min(wanting)))
    return tuple(found)


def _orphan(name: str, meant: str | None) -> Problem:
    what = "A caption has its photo's name: anna.jpg, anna.txt."
    if meant:
        what = f"Did you mean the one of {meant}? Then call it {stem_in(meant)}.txt."
    return Problem(
        code="caption_orphan",
        message=f"{name} belongs to no photo and is not used. {what}",
        member=name,
    )


def _guess(name: str, caption: Caption) -> Problem:
    read = (
        "has bytes that are no UTF-8; without them it says"
        if caption.stray
        else f"does not say its encoding and was read as {label_of(caption.guessed)}:"
    )
    return Problem(
        code="caption_encoding_guessed",
        message=f"{name} {read} {shown(caption.text)}. If that is not what you wrote, save it as UTF-8.",
        member=name,
    )


def _empty(name: str) -> Problem:
    return Problem(
        code="caption_empty",
        message=f"{name} is empty. Describe the photo in it, or take it out.",
        member=name,
    )


def _none_at_all() -> Problem:
    return Problem(
        code="dataset_no_captions",
        message="No photo has a caption, so the trigger phrase alone stands for all of them. A text "
        "file beside each (anna.jpg, anna.txt) that says what is to be seen, like “a photo of "
        "[trigger] in a garden”, teaches what belongs to the person and what does not.",
    )


def _some_missing(bare: Sequence[str]) -> Problem:
    photos = "1 photo has" if len(bare) == 1 else f"{len(bare)} photos have"
    return Problem(
        code="caption_absent",
        message=f"{photos} no caption ({first_names(bare)}), while others have. Captions teach "
        "best when every photo has one.",
    )


def _no_trigger(name: str) -> Problem:
    return Problem(
        code="caption_trigger_unset",
        message=f"{name} says {TRIGGER}, and there is no trigger phrase to put in its place. Give "
        "trigger_phrase, or write the word itself.",
        member=name,
    )


def paired(captions: Iterable[str], photos: Sequence[str]) -> Mapping[str, str]:
    """Return the caption of each photo that has one, by their names in the archive.

    A caption has its photo's name but for the ending, as trainers have it (``anna.txt``); several
    photos of that name share it. Of what is left, one is taken that was named after the whole file
    (``anna.jpg.txt``), one whose name differs in case or in how its letters are composed, and one
    that lies in another folder, with as long an end of its path as another photo does not have
    (captions/garden/ada.txt); each only where nothing else could be meant. A photo in a folder of masks
    is none.
    """
    photos = [photo for photo in photos if not MASKS.search(photo.lower())] or photos
    # Where a photo has two, the trainers' own ending is the one that counts.
    left = sorted(captions, key=lambda name: not name.endswith(".txt"))
    own: dict[str, str] = {}
    for name in left:
        own.setdefault(stem(name), name)
    found = {photo: own[stem(photo)] for photo in photos if stem(photo) in own}
    parts = {name: _folded(name).replace("\\", "/").split("/") for name in {*left, *photos}}
    deepest = max((len(each) - 1 for each in parts.values()), default=0)
    ways: Iterable[tuple[Key, Key]] = (
        (stem, str),
        (_folded, _folded),
        *((tail, tail) for tail in (_tail(parts, number) for number in range(deepest, 0, -1))),
    )
    for of_caption, of_photo in ways:
        taken = {*found.values()}
        free = [name for name in left if name not in taken and own[stem(name)] not in taken]
        bare = [photo for photo in photos if photo not in found]
        if not free or not bare:
            break
        found |= _only(free, bare, of_caption, of_photo)
    return found


def _only(
    captions: Sequence[str], photos: Sequence[str], of_caption: Key, of_photo: Key
) -> dict[str, str]:
    """Return pairs where exactly one caption and one photo have the same name."""
    named = Counter(map(of_caption, captions))
    meant = Counter(map(of_photo, photos))
    own = {of_caption(name): name for name in captions}
    keyed = ((photo, of_photo(photo)) for photo in photos)
    return {photo: own[key] for photo, key in keyed if named[key] == meant[key] == 1}


def _folded(name: str) -> str:
    """Return the same for names that Windows or macOS take for the same (Unicode, 3.13, D145)."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", stem(name)).casefold())


def _tail(parts: Mapping[str, Sequence[str]], number: int) -> Key:
    """Return what gives the same for two names that differ only in the folders before their last ``number`` parts."""
    return lambda name: "/".join(parts[name][-number:])

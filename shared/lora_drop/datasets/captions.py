"""Captions: what is written under a photo, in any encoding that an editor writes, and which photo's it is."""

import codecs
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from lora_drop.fal.trainers.demands import first_names, stem
from lora_drop.jobs.problems import Problem

MAX_CAPTION = 16 * 1024  # bytes; trainers read some hundred words of it
TRIGGER = "[trigger]"  # fal: replaced by the trigger phrase
MEANT = re.compile(re.escape(TRIGGER), re.IGNORECASE)
# The byte order marks of UTF-8, UTF-16 and UTF-32; the longer ones first, for they begin alike.
MARKS: Sequence[tuple[bytes, str]] = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
SOFT_BREAK = "\v"  # a line break within a paragraph, as PowerPoint and Word write it
type Key = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Caption:
    """A caption's text; ``rewritten`` when it was in another encoding than plain UTF-8."""

    text: str
    rewritten: bool = False


def caption_of(data: bytes) -> Caption | None:
    """Return the text in these bytes: UTF-8, anything with a byte order mark, or Windows-1252.

    None for what is no text: it has control characters, or bytes that no encoding explains.
    """
    encodings = [name for mark, name in MARKS if data.startswith(mark)][:1] or ["utf-8", "cp1252"]
    for number, encoding in enumerate(encodings):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if any(letter < " " and letter not in "\t\n\r\f\v" for letter in text):
            return None
        rewritten = number > 0 or encoding != "utf-8" or SOFT_BREAK in text
        return Caption(text.replace(SOFT_BREAK, "\n"), rewritten)
    return None


def caption_problem(name: str, size: int, caption: Caption | None) -> Problem | None:
    """Return why a caption cannot be used; None for a good one."""
    if size > MAX_CAPTION:
        return Problem(
            code="caption_too_long",
            message=f"{name} has {size:,} bytes, and a caption has {MAX_CAPTION:,} at the most. "
            "Describe the photo in a sentence or two.",
            member=name,
        )
    if caption is None:
        return Problem(
            code="caption_unreadable",
            message=f"{name} is not a text. Write the caption again in a text editor and save it as "
            "UTF-8, or take the file out.",
            member=name,
        )
    return None


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
    for name, caption in captions.items():
        if name not in owned:
            found.append(_orphan(name))
        elif not caption.text.strip():
            found.append(_empty(name))
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


def _orphan(name: str) -> Problem:
    return Problem(
        code="caption_orphan",
        message=f"{name} belongs to no photo and is not used. A caption has its photo's name: "
        "anna.jpg, anna.txt.",
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
    (``anna.jpg.txt``), one whose name differs in case or in how its letters are composed, one in a
    tree of the same folders (``captions/indoor/anna.txt`` of ``images/indoor/anna.jpg``), and one that
    lies in another folder; each only where nothing else could be meant.
    """
    # Where a photo has two, the trainers' own ending is the one that counts.
    left = sorted(captions, key=lambda name: not name.endswith(".txt"))
    own: dict[str, str] = {}
    for name in left:
        own.setdefault(stem(name), name)
    found = {photo: own[stem(photo)] for photo in photos if stem(photo) in own}
    ways: tuple[tuple[Key, Key], ...] = (
        (stem, str),
        (_folded, _folded),
        (_below, _below),
        (_alone, _alone),
    )
    for of_caption, of_photo in ways:
        taken = {*found.values(), *(name for name in left if own[stem(name)] in found.values())}
        free = [name for name in left if name not in taken]
        bare = [photo for photo in photos if photo not in found]
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


def _below(name: str) -> str:
    """Return the same for two names that differ only in their topmost folder."""
    return _folded(name).replace("\\", "/").split("/", 1)[-1]


def _alone(name: str) -> str:
    """Return the same for two names that differ only in their folders."""
    return _folded(name).replace("\\", "/").rsplit("/", 1)[-1]

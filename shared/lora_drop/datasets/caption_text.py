"""What is written in a caption, in any encoding that an editor writes; where it is a guess, that is said.

A mark (BOM) and valid UTF-8 are certain (Unicode, 23.8; RFC 3629). What is left are code pages that nothing
names: they are guessed over all captions of a dataset together (``code_pages``).
"""

import codecs
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from lora_drop.datasets.code_pages import guess
from lora_drop.jobs.problems import Problem, shortened

MAX_CAPTION = 16 * 1024  # bytes; trainers read some hundred words of it
SHOWN = 80  # characters of a caption in a sentence
# The byte order marks of UTF-8, UTF-16 and UTF-32; the longer ones first, for they begin alike.
MARKS: Sequence[tuple[bytes, str]] = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Breaks within a paragraph, as PowerPoint, Word and macOS write them (Unicode, 5.8): line breaks here.
SOFT_BREAK = re.compile("[\x0b\x0c\x85\u2028\u2029]")
DOS_END = "\x1a"  # what DOS editors put behind a text
STRAY_OF = 4  # one stray byte to so many letters of UTF-8
WORD, SIGN = re.compile(r"\w+"), re.compile(r"[^\w\s]")


@dataclass(frozen=True, slots=True)
class Caption:
    """A caption's text; ``rewritten`` when the file has other bytes than the text in plain UTF-8.

    ``guessed`` says how a text was read that may be another one, ``stray`` whether bytes were left out that
    are no UTF-8. ``problem`` is why there is no text. ``origin`` names the file or folder that it comes from,
    where it has no file of its own; ``embedded`` the kind of a photo's own metadata.
    """

    text: str
    rewritten: bool = False
    soft_breaks: bool = False
    guessed: str = ""
    stray: bool = False
    problem: Problem | None = None
    origin: str = ""
    embedded: str = ""


def certain_text(data: bytes) -> str | None:
    """Return the text where its encoding is certain: a mark, UTF-8, or UTF-16 by its noughts; None elsewhere."""
    marked = [name for mark, name in MARKS if data.startswith(mark)][:1]
    for encoding in marked or ["utf-8", *_utf_16(data)]:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    return None


def _utf_16(data: bytes) -> Iterator[str]:
    """Yield the kind of UTF-16 without a mark that the noughts of its ASCII letters show."""
    if b"\0" in data and len(data) % 2 == 0:
        yield "utf-16-le" if data[1::2].count(0) > data[::2].count(0) else "utf-16-be"


def read_captions(files: Mapping[str, bytes], apart: Collection[str] = ()) -> dict[str, Caption]:
    """Return the captions in these files; the code page of all but those ``apart`` is guessed together."""
    sure = {name: certain_text(data) for name, data in files.items()}
    known = _known(text for text in sure.values() if text is not None)
    open_ = {name: data for name, data in files.items() if sure[name] is None}
    together = guess([data for name, data in open_.items() if _is_open(data) and name not in apart])
    found: dict[str, Caption] = {}
    for name, data in files.items():
        text = sure[name]
        if text is not None:
            caption = Caption(text, rewritten=text.encode(errors="replace") != data)
        else:
            caption = _guessed(data, together.encoding if together else None, known)
        found[name] = _plain(name, caption)
    return found


def _is_open(data: bytes) -> bool:
    """Return whether only a guess can tell what is written."""
    return _mostly_utf_8(data) is None and not _is_binary(data.decode("latin-1"))


def _mostly_utf_8(data: bytes) -> str | None:
    """Return a text of UTF-8 without the few bytes in it that are none; None where it is no UTF-8.

    A code page does not look like UTF-8 by chance: each letter of it would have to be followed by the right
    ones (RFC 3629, 1).
    """
    text = data.decode("utf-8", errors="ignore")
    stray = data.decode("utf-8", errors="replace").count("\ufffd") - text.count("\ufffd")
    letters = sum(letter > "\x7f" for letter in text)
    return text if letters and stray <= max(1, letters // STRAY_OF) else None


def _guessed(data: bytes, encoding: str | None, known: Collection[str]) -> Caption:
    if (text := _mostly_utf_8(data)) is not None:
        return Caption(text, rewritten=True, stray=True)
    page = guess([data])
    for name in (encoding, page.encoding if page else None):
        try:
            text = data.decode(name) if name else None
        except UnicodeDecodeError:
            continue
        if text is not None:
            # Words that other captions have for certain are no guess.
            doubt = "" if _known([text]) <= {*known} else name
            return Caption(text, rewritten=True, guessed=doubt or "")
    return Caption("\0")


def _plain(name: str, caption: Caption) -> Caption:
    """Return the caption with ordinary line breaks; with a problem where it is no text."""
    text = SOFT_BREAK.sub("\n", caption.text.removesuffix(DOS_END))
    if _is_binary(text):
        return Caption("", problem=unreadable(name))
    changed = text != caption.text
    return replace(caption, text=text, rewritten=caption.rewritten or changed, soft_breaks=changed)


def _is_binary(text: str) -> bool:
    return any(letter < " " and letter not in "\t\n\r\v\f\x1a" for letter in text)


def _known(texts: Iterable[str]) -> set[str]:
    """Return the words and signs beyond ASCII."""
    return {
        found
        for text in texts
        for pattern in (WORD, SIGN)
        for found in pattern.findall(text)
        if not found.isascii()
    }


def unreadable(name: str) -> Problem:
    """Return the problem that a caption is no text."""
    return Problem(
        code="caption_unreadable",
        message=f"{name} is not a text. Write the caption again in a text editor and save it as "
        "UTF-8, or take the file out.",
        member=name,
    )


def too_long(name: str, size: int) -> Problem:
    """Return the problem that a caption is longer than one may be."""
    return Problem(
        code="caption_too_long",
        message=f"{name} has {size:,} bytes, and a caption has {MAX_CAPTION:,} at the most. "
        "Describe the photo in a sentence or two.",
        member=name,
    )


def shown(text: str) -> str:
    """Return a caption for a sentence: in one line, and short."""
    return f"“{shortened(' '.join(text.split()), SHOWN)}”"

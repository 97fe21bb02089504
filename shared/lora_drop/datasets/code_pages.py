"""Which code page text without a mark was saved in: a guess over everything that was saved together.

A code page is believed by the language that its letters make: all of them are of one alphabet, the frequent
ones are frequent, no capital follows a small letter, and no Cyrillic letter stands within a Latin word.
Every guess says how far the next different reading is behind it.
"""

import math
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from lora_drop.datasets.languages import LANGUAGES, WIDE

MOST = 32 * 1024  # bytes that are looked at; a code page shows itself in far fewer
# Natural logarithms of how likely a character is.
FOREIGN = math.log(1e-5)  # a letter or a sign that the language does not write
SIGN = math.log(0.02)  # quotation marks, dashes and the like, which every language writes
CAPITAL = math.log(0.2)
AFTER_SMALL, AMID_LATIN = math.log(1e-4), math.log(1e-4)
SIGNS = frozenset("“”‘’‚„«»‹›–—…·•°№€£©®™¿¡§½¼×\u00a0、。，！？：；（）「」『』・～ー《》！")  # noqa: RUF001  # signs of many scripts
DASHES = frozenset("\u2019\u2013\u2014")  # what may stand within a word
# How likely a character of two bytes is by its kind; its place in the code page tells how common it is.
COMMON, RARE, KANA, HALF_KANA = math.log(1 / 1500), math.log(1e-6), math.log(1 / 90), math.log(1e-4)
HANGUL = math.log(1 / 400)
# Lead bytes of the common characters: GB 2312 level 1, Big5 level 1, JIS level 1, hangul of KS X 1001.
COMMON_LEADS: Mapping[str, tuple[int, int]] = {
    "gb18030": (0xB0, 0xD7),
    "cp950": (0xA4, 0xC6),
    "cp932": (0x88, 0x97),
    "euc_jp": (0xB0, 0xCF),
    "cp949": (0xB0, 0xC8),
}
SURE = 6.0  # the next reading is e⁶ times less likely
NAMES = {"gb18030": "GB 18030", "cp950": "Big5", "cp932": "Shift-JIS", "euc_jp": "EUC-JP"}


@dataclass(frozen=True, slots=True)
class CodePage:
    """A guess: Python's name of the code page, the language that it makes, and whether all others are far off."""

    encoding: str
    language: str
    sure: bool

    @property
    def label(self) -> str:
        """What a person calls it: “Windows-1251 (Russian)”."""
        return f"{label_of(self.encoding)} ({self.language})"


def label_of(encoding: str) -> str:
    """Return what people call a code page."""
    if encoding.startswith("cp125"):
        return f"Windows-{encoding[2:]}"
    plain = encoding.replace("iso8859_", "ISO 8859-").replace("koi8_", "KOI8-")
    return NAMES.get(encoding) or plain.replace("cp", "code page ")


def guess(samples: Sequence[bytes], *, console: bool = False) -> CodePage | None:
    """Return the code page that explains all samples best; None where none of them decodes them.

    ``console``: it is one that Windows uses for names in ZIPs, not one that an editor saves text in.
    """
    lines = list(dict.fromkeys(line for sample in samples for line in sample.splitlines()))
    together = b"\n".join(line for line in lines if not line.isascii())[:MOST]
    if not together:
        return None
    found = sorted(_readings(together, console=console), key=lambda each: -each[0])
    if not found:
        return None
    best, encoding, language, text = found[0]
    others = (score for score, _, _, other in found[1:] if other != text)
    return CodePage(encoding, language, sure=best - next(others, -math.inf) > SURE)


def _readings(data: bytes, *, console: bool) -> Iterator[tuple[float, str, str, str]]:
    """Yield how likely each reading is, its code page, its language and its text."""
    texts: dict[str, str | None] = {}
    for language, (letters, windows, oem) in LANGUAGES.items():
        for place, encoding in enumerate(oem if console else windows):
            text = texts.setdefault(encoding, _decoded(data, encoding))
            if text is not None:
                # Of two code pages the usual one, where they say the same.
                yield _likelihood(text, letters) - place / 4, encoding, language, text
    for encoding, language in WIDE.items():
        text = _decoded(data, encoding)
        if text is not None:
            yield _wide_likelihood(text, encoding), encoding, language, text


def _decoded(data: bytes, encoding: str) -> str | None:
    """Return the text; None where a byte has no meaning, but for one cut off where the sample ends."""
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if len(data) < MOST or error.start < len(data) - 2:
            return None
        text = data[: error.start].decode(encoding)
    controls = any("\x7f" <= letter < "\xa0" for letter in text)
    return None if controls else text


@cache
def _chances(letters: str) -> Mapping[str, float]:
    """Return the logarithm of each letter's share, by its rank (Zipf's law)."""
    total = sum(1 / rank for rank in range(2, len(letters) + 2))
    return {letter: math.log(1 / rank / total) for rank, letter in enumerate(letters, 2)}


def _likelihood(text: str, letters: str) -> float:
    """Return how likely the letters beyond ASCII are in a language that writes ``letters``."""
    chances, total, latin = _chances(letters), 0.0, not _is_foreign(letters[0])
    before = " "
    for letter, after in zip(text, f"{text[1:]} ", strict=True):
        if letter > "\x7f":
            small = letter.lower()
            total += chances.get(small, SIGN if letter in SIGNS else FOREIGN)
            if small != letter:
                total += AFTER_SMALL if before.islower() else CAPITAL
            if not latin and (_is_latin(before) or _is_latin(after)) and letter.isalpha():
                total += AMID_LATIN
            if unicodedata.combining(letter) and not before.isalpha():
                total += FOREIGN  # a mark stands over a letter
            if letter in SIGNS and before.isalpha() and after.isalpha() and letter not in DASHES:
                total += AFTER_SMALL
        before = letter
    return total


def _wide_likelihood(text: str, encoding: str) -> float:
    """Return how likely the characters are in a code page of two bytes a character."""
    low, high = COMMON_LEADS[encoding]
    japanese = encoding in ("cp932", "euc_jp")
    total = 0.0
    for letter, number in Counter(each for each in text if each > "\x7f").items():
        raw = letter.encode(encoding)
        if letter in SIGNS:
            chance = SIGN
        elif "\uff61" <= letter <= "\uff9f":
            chance = HALF_KANA
        elif "\u3041" <= letter <= "\u30fa":
            chance = KANA if japanese else RARE
        elif len(raw) == 2 and low <= raw[0] <= high:  # noqa: PLR2004  # two bytes a character
            chance = HANGUL if encoding == "cp949" else COMMON
        else:
            chance = RARE
        total += number * chance
    return total


def _is_latin(letter: str) -> bool:
    return letter.isascii() and letter.isalpha()


def _is_foreign(letter: str) -> bool:
    """Return whether the letter is of another script than Latin."""
    return not unicodedata.name(letter, "LATIN").startswith("LATIN")

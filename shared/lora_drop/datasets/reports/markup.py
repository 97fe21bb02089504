"""HTML in which nothing is markup by accident: every plain text that is put into it is escaped."""

import html
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

# HTML Living Standard, 13.1.2: elements that have no content and no end tag.
VOID = frozenset({"br", "img", "input", "meta"})
# What steers a terminal or ends a line, and what turns the reading direction of all that follows
# (Unicode UAX 9): a file called “anna\u202egpj.exe” would be shown as “annaexe.jpg”.
CONTROLS = frozenset({"Cc", "Cs", "Zl", "Zp"})
BIDI_CONTROLS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})


@dataclass(frozen=True, slots=True)
class Html:
    """Text that is HTML already."""

    text: str


type Child = Html | str | None
"""Plain text is escaped; None is nothing."""

NOTHING = Html("")


def visible(text: str) -> str:
    """The text with every character that would mislead its reader spelled out, like [U+202E]."""
    if text.isprintable():  # none of these characters is
        return text
    return "".join(f"[U+{ord(each):04X}]" if _misleads(each) else each for each in text)


def tag(name: str, /, *children: Child, **attributes: str | bool) -> Html:
    """An element with these children; ``class_`` is ``class``, ``aria_label`` is ``aria-label``.

    An attribute that is True has no value, and one that is False is not there. Raises ValueError for
    children of an element that has none.
    """
    written = "".join(_attributes(attributes))
    if name in VOID:
        if children:
            raise ValueError(f"{name} has no content")
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{joined(children).text}</{name}>")


def joined(children: Iterable[Child]) -> Html:
    """All of them, one after the other."""
    return Html("".join(_inside(child) for child in children))


def _inside(child: Child) -> str:
    if child is None:
        return ""
    return child.text if isinstance(child, Html) else html.escape(visible(child))


def _attributes(attributes: Mapping[str, str | bool]) -> Iterator[str]:
    for name, value in attributes.items():
        written = name.rstrip("_").replace("_", "-")
        if isinstance(value, str):
            yield f' {written}="{html.escape(visible(value))}"'
        elif value:
            yield f" {written}"


def _misleads(letter: str) -> bool:
    return (
        unicodedata.category(letter) in CONTROLS
        or unicodedata.bidirectional(letter) in BIDI_CONTROLS
    )

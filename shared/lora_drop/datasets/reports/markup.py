"""HTML in which nothing is markup by accident, and the words of a report: numbers, sizes and names.

Every plain text that is put into the HTML is escaped.
"""

import html
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from lora_drop.datasets.archives import is_misleading
from lora_drop.datasets.parameter_layers import TRAINING_JSON
from lora_drop.datasets.report import ImageOutcome, Value
from lora_drop.fal.trainers.fields import plain
from lora_drop.fal.trainers.parameters import ParameterSource
from lora_drop.jobs.problems import MAX_NAME, shortened

# HTML Living Standard, 13.1.2: elements that have no content and no end tag.
VOID = frozenset({"br", "img", "input", "meta"})
type Anchors = Mapping[str, str]
NO_ANCHORS: Anchors = MappingProxyType({})
# Before a capital letter: within a sentence there may be a number, or a name like v1.2.
SENTENCE_END = re.compile(r"(?<=[.?]) (?=[A-Z])")
KB = 1000  # as phones, cameras and macOS count
UNITS = ("KB", "MB", "GB")
OUTCOME_WORDS = {
    ImageOutcome.KEPT: "Kept",
    ImageOutcome.MENDED: "Mended",
    ImageOutcome.DROPPED: "Left out",
    ImageOutcome.REFUSED: "Refused",
}
SOURCES = {
    ParameterSource.DEFAULT: "default",
    ParameterSource.PRESET: "preset",
    ParameterSource.TRAINING_JSON: TRAINING_JSON,
    ParameterSource.METADATA: "metadata of the upload",
    ParameterSource.GENERATED: "made up for this job",
}


@dataclass(frozen=True, slots=True)
class Html:
    """Text that is HTML already."""

    text: str


type Child = Html | str | None
"""Plain text is escaped; None is nothing."""

NOTHING = Html("")


def visible(text: str) -> str:
    """Return the text with every character that would mislead its reader spelled out, like [U+202E]."""
    if text.isprintable():  # none of these characters is
        return text
    return "".join(f"[U+{ord(each):04X}]" if is_misleading(each) else each for each in text)


def tag(name: str, /, *children: Child, **attributes: str | bool) -> Html:
    """Return an element with these children; ``class_`` is ``class``, ``aria_label`` is ``aria-label``.

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
    """Return all children, one after the other."""
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


def counted(number: int, noun: str) -> str:
    """Return a number and its noun: “1 photo”, “24 photos”, “no photos”."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun}s" if number else f"no {noun}s"


def size_of(size: int) -> str:
    """Return a size in bytes, in the largest unit that leaves a number before the point: “2.4 MB”."""
    if size < KB:
        return f"{size} bytes"
    power = 1
    while power < len(UNITS) and round(size / KB**power, 1) >= KB:
        power += 1
    return f"{size / KB**power:,.1f} {UNITS[power - 1]}"


def dollars(usd: float | None) -> str:
    """Return what a training costs; “not known” without a price."""
    return "not known" if usd is None else f"${usd:,.2f}"


def shown(value: Value) -> str:
    """Return a parameter's value, as a person writes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return plain(value)
    return f"{value:,}" if isinstance(value, int) else value or "(empty)"


def named(member: str, anchors: Anchors = NO_ANCHORS) -> Html:
    """Return a file's name: as long as it may be, apart from the reading direction around it, and a link.

    ``anchors``: the id of each photo's place on the page.
    """
    name = tag("bdi", shortened(member, MAX_NAME), class_="name")
    return tag("a", name, href=f"#{anchors[member]}") if member in anchors else name


def sentence(message: str, member: str | None, anchors: Anchors = NO_ANCHORS) -> Html:
    """Return a message in which the file's name stands out; it follows where the message is without it."""
    if not member:
        return joined((message,))
    before, found, after = message.partition(member)
    name = named(member, anchors)
    return joined((before, name, after) if found else (message, " (", name, ")"))


def first_sentence(message: str, member: str | None) -> tuple[str, str]:
    """Return what is wrong, and what else the message says, which is what to do."""
    # A file may be called “Dr. Who.jpg”: no sentence ends within its name.
    start = message.find(member) + len(member) if member and member in message else 0
    end = SENTENCE_END.search(message, start)
    return (message[: end.start()], message[end.end() :]) if end else (message, "")


def remark(message: str, member: str) -> str:
    """Return a message beside the file's name: “anna.jpg is very dark.” is “Is very dark.” there."""
    for name in (member, shortened(member, MAX_NAME)):
        rest = message.removeprefix(f"{name} ")
        if rest != message:
            return rest[:1].upper() + rest[1:]
    return message

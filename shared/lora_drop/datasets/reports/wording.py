"""Numbers, sizes and names in the words of a report."""

import re
from collections.abc import Mapping
from types import MappingProxyType

from lora_drop.datasets.report import ImageOutcome, Value
from lora_drop.datasets.reports.markup import Html, joined, tag
from lora_drop.fal.trainers.fields import plain
from lora_drop.fal.trainers.parameters import ParameterSource
from lora_drop.jobs.problems import MAX_NAME, shortened

type Anchors = Mapping[str, str]

NO_ANCHORS: Anchors = MappingProxyType({})
# Before a capital letter: within a sentence there may be a number, or a name like v1.2.
SENTENCE_END = re.compile(r"(?<=[.?]) (?=[A-Z])")
KB = 1000  # as phones, cameras and macOS count
UNITS = ("KB", "MB", "GB")
FATES = {
    ImageOutcome.KEPT: "Kept",
    ImageOutcome.MENDED: "Mended",
    ImageOutcome.DROPPED: "Left out",
    ImageOutcome.REFUSED: "Refused",
}
SOURCES = {
    ParameterSource.DEFAULT: "default",
    ParameterSource.PRESET: "preset",
    ParameterSource.TRAINING_JSON: "training.json",
    ParameterSource.METADATA: "metadata of the upload",
    ParameterSource.GENERATED: "made up for this job",
}


def counted(number: int, noun: str) -> str:
    """“1 photo”, “24 photos”, “no photos”."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun}s" if number else f"no {noun}s"


def size_of(size: int) -> str:
    """Bytes, in the largest unit that leaves a number before the point: “2.4 MB”."""
    if size < KB:
        return f"{size} bytes"
    power = 1
    while power < len(UNITS) and round(size / KB**power, 1) >= KB:
        power += 1
    return f"{size / KB**power:,.1f} {UNITS[power - 1]}"


def dollars(usd: float | None) -> str:
    """What a training costs; “not known” where nobody knows."""
    return "not known" if usd is None else f"${usd:,.2f}"


def shown(value: Value) -> str:
    """A parameter's value, as a person writes it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return plain(value)
    return f"{value:,}" if isinstance(value, int) else value or "(empty)"


def named(member: str, anchors: Anchors = NO_ANCHORS) -> Html:
    """A file's name: as long as it may be, apart from the reading direction around it, and a link.

    ``anchors``: the id of each photo's place on the page.
    """
    name = tag("bdi", shortened(member, MAX_NAME), class_="name")
    return tag("a", name, href=f"#{anchors[member]}") if member in anchors else name


def sentence(message: str, member: str | None, anchors: Anchors = NO_ANCHORS) -> Html:
    """A message in which the file's name stands out; it follows where the message is without it."""
    if not member:
        return joined((message,))
    before, found, after = message.partition(member)
    name = named(member, anchors)
    return joined((before, name, after) if found else (message, " (", name, ")"))


def first_sentence(message: str, member: str | None) -> tuple[str, str]:
    """What is wrong, and what else the message says, which is what to do."""
    # A file may be called “Dr. Who.jpg”: no sentence ends within its name.
    start = message.find(member) + len(member) if member and member in message else 0
    end = SENTENCE_END.search(message, start)
    return (message[: end.start()], message[end.end() :]) if end else (message, "")


def remark(message: str, member: str) -> str:
    """A message beside the file's name: “anna.jpg is very dark.” is “Is very dark.” there."""
    for name in (member, shortened(member, MAX_NAME)):
        rest = message.removeprefix(f"{name} ")
        if rest != message:
            return rest[:1].upper() + rest[1:]
    return message

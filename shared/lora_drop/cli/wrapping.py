"""Sentences on a terminal: wrapped at spaces, and never inside a command, an address or a path."""

import re
from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

NARROWEST = 20  # characters of a line
# A command: its program, its subcommand, and then what looks like an option, a value or a place.
COMMAND = re.compile(
    r"(?:[A-Z][A-Z_]*=\S+ )*\b(?:lora-drop|aws|sam|pip|uv|export)(?: [a-z][\w-]*(?<![,.;:)]))?"
    r"(?: (?:--?[\w-]+(?: (?:'[^']*'|[^\s-]\S*))?|\[[^\]]*\]|'[^']*'|[A-Z]{2,}[A-Z_]*\b\S*"
    r"|[\w-]+-[0-9a-f]{10}\b|dev\b|prod\b|(?:set|unset|get) (?:stack|profile|region)(?: [a-z0-9-]+)?"
    r"|set\b|login\b|install\b|[^\s(]*[/=]\S*|\S+\.zip\b|[\w.-]+(?= --?\w))\S*)*"
)
KEPT = "\N{NO-BREAK SPACE}"


def wrapped(text: Text, width: int) -> Iterator[Text]:
    """Yield the lines of a text; one that holds a long command or address may be wider."""
    for line in text.split("\n", allow_blank=True):
        start = 0
        for end in _ends(COMMAND.sub(lambda found: found[0].replace(" ", KEPT), line.plain), width):
            part = line[start:end]
            part.rstrip()
            yield part
            start = end


def _ends(line: str, width: int) -> Iterator[int]:
    """Yield where each line ends; KEPT is no place to end at."""
    used = at = 0
    for word in re.finditer(r" *[^ ]+ ?| +$", line):
        if used and used + len(word[0].rstrip(" ")) > width:
            yield at
            used = 0
        used += len(word[0])
        at = word.end()
    yield len(line)


def write_beside(console: Console, text: Text, before: str, later: str = "") -> None:
    """Write a text beside what stands before its first line; wrapped on a terminal, whole in a file or a pipe.

    ``later`` stands before the other lines, where that is more than spaces.
    """
    room = max(console.width - len(before), NARROWEST) if console.is_terminal else len(text)
    for number, line in enumerate(wrapped(text, max(room, 1))):
        start = (later or " " * len(before)) if number else before
        console.print(Text.assemble(start, line), soft_wrap=True)

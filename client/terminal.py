"""What all commands have in common: their options, their errors, their output."""

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console

from client.display import Display
from client.errors import CommandFailed

WIDE = 200  # characters

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
StackName = Annotated[
    str | None,
    typer.Option(
        "--stack",
        envvar="LORA_DROP_STACK",
        help="A CloudFormation stack, or “local”; else the one on this machine, if it is up.",
    ),
]


@contextmanager
def told() -> Iterator[Display]:
    """A display on standard error; a failure is told there in a sentence, and the command exits 1."""
    display = Display(Console(stderr=True))
    try:
        yield display
    except CommandFailed as failure:
        display.say(str(failure))
        raise typer.Exit(1) from failure


def output() -> Display:
    """A display on standard output; a file or a pipe is as wide as a row needs."""
    return Display(Console() if sys.stdout.isatty() else Console(width=WIDE))


def write(value: Mapping[str, Any]) -> None:
    """One JSON object on standard output, on one line."""
    write_line(json.dumps(value))


def write_line(line: str) -> None:
    """One line on standard output."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()

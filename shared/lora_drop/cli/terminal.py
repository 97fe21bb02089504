"""What all commands have in common: their options, their errors, their output."""

import json
import signal
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console

from lora_drop.cli.display import Display
from lora_drop.client.errors import CommandError

WIDE = 200  # characters
INTERRUPTED = 128 + signal.SIGINT
ENDS = (signal.SIGTERM, signal.SIGHUP)

Json = Annotated[
    bool, typer.Option("--json", help="Print JSON instead of text, one object per line.")
]
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
    """A display on standard error; a failure is told there in a sentence, and the command exits 1.

    Interrupted, it says so and exits 130, as a shell does.
    """
    display = Display(Console(stderr=True))
    try:
        yield display
    except CommandError as failure:
        display.say_whole(str(failure))
        raise typer.Exit(1) from failure
    except KeyboardInterrupt as interrupt:
        display.say("Interrupted.")
        raise typer.Exit(INTERRUPTED) from interrupt


@contextmanager
def ended_in_order() -> Iterator[None]:
    """A request to end, or a terminal that is closed, is a Ctrl-C: what was started is ended first.

    What the caller has ignored (nohup) stays ignored.
    """
    heard = [each for each in ENDS if signal.getsignal(each) is not signal.SIG_IGN]

    def interrupt(_number: int, _frame: object) -> None:
        for each in heard:  # asking twice does not end it sooner, it leaves things behind
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {each: signal.signal(each, interrupt) for each in heard}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


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

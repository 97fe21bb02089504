"""The commands that explain: a code, and this command itself to an AI assistant."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from lora_drop.cli.terminal import Json, output, reporting, write
from lora_drop.client.errors import CommandError

if TYPE_CHECKING:
    from rich.console import Console

    from lora_drop.cli.explanations import Explanation

LABELS = {"means": "means", "why": "why", "do": "do"}
WIDEST = 8  # columns before the text


def codes(incomplete: str) -> list[str]:
    """The codes that begin so, for a shell at the Tab key."""
    from lora_drop.cli.explanations import explanations

    return [code for code in explanations() if code.startswith(incomplete)]


def explain(
    code: Annotated[
        str | None,
        typer.Argument(
            help="As a report, a job or fal has it; without one, all are listed.",
            autocompletion=codes,
        ),
    ] = None,
    *,
    json_output: Json = False,
) -> None:
    """Explain a code of a report, of a job or of fal, or an exit code: what it means, why, what to do."""
    from lora_drop.cli.explanations import explained, explanations, suggestions

    with reporting(json_output=json_output):
        found = explained(code) if code is not None else None
        if code is not None and found is None:
            raise CommandError(_unknown(code, suggestions(code)))
    if json_output:
        for each in [found] if found else explanations().values():
            write(asdict(each))
    elif found:
        _show(output().console, found)
    else:
        _show_all(output().console, list(explanations().values()))


def _unknown(code: str, close: list[str]) -> str:
    meant = f" Did you mean {' or '.join(close)}?" if close else ""
    return f"There is no code {code}.{meant} All of them: lora-drop explain"


def _show(console: Console, found: Explanation) -> None:
    from rich.text import Text

    from lora_drop.cli.wrapping import write_beside

    console.print(Text.assemble((found.code, "bold"), "  ", (found.about, "dim")), soft_wrap=False)
    for name, label in LABELS.items():
        write_beside(console, Text(getattr(found, name)), f"  {label:<{WIDEST - 2}}")


def _show_all(console: Console, found: list[Explanation]) -> None:
    """Every code with what it means, beside it or below it where the terminal is narrow."""
    from rich.text import Text

    from lora_drop.cli.wrapping import write_beside

    width = max(len(each.code) for each in found) + 4
    beside = console.width >= 2 * width
    about = ""
    for each in found:
        if each.about != about:
            about = each.about
            console.print(Text(f"\n{about}" if each is not found[0] else about, "bold"))
        if beside:
            write_beside(console, Text(each.means), f"  {each.code:<{width - 2}}")
        else:
            console.print(Text(f"  {each.code}"), soft_wrap=True)
            write_beside(console, Text(each.means, "dim"), "    ")


def skill() -> None:
    """Print SKILL.md, with which an AI assistant can use this command: how to check before paying, what never to do."""
    from importlib.resources import files

    sys.stdout.write(files("lora_drop.cli").joinpath("SKILL.md").read_text("utf-8"))

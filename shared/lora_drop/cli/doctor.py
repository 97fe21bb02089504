"""The command that says what is missing, here and in the stack, and what to do about it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from lora_drop.cli.terminal import Json, StackName, output, reporting, write
from lora_drop.client.errors import CommandError

if TYPE_CHECKING:
    from rich.console import Console

    from lora_drop.client.doctor import Finding

SIGNS = {
    "ok": ("ok", "green"),
    "note": ("-", "dim"),
    "warning": ("!", "bold yellow"),
    "error": ("x", "bold red"),
}
NAMED = 16  # columns of a name


def doctor(*, stack: StackName = None, json_output: Json = False) -> None:
    """Say what is missing on this machine and in the stack, each with what to do; exits 1 on an error.

    Only reads: it pays nothing, changes nothing and shows no key. With FAL_KEY and no stack, what AWS lacks is no error:
    train --direct needs only a key that fal knows.
    """
    with reporting(json_output=json_output) as display, display.console.status("looking"):
        found = list(_findings(stack))
    if json_output:
        for each in found:
            write(asdict(each))
    else:
        _show(output().console, found)
    raise typer.Exit(any(each.outcome == "error" for each in found))


def _findings(asked: str | None) -> Iterator[Finding]:
    from dataclasses import replace

    from lora_drop.client.config_file import default_of
    from lora_drop.client.doctor import Outcome, direct_mode, machine
    from lora_drop.client.stack_doctor import stack_findings

    yield from machine()
    yield from direct_mode()
    name = asked or os.environ.get("LORA_DROP_STACK")
    try:
        name = name or default_of("stack")
    except CommandError:
        return  # said above, and a stack that was not meant is not looked at
    found = list(stack_findings(name))
    alone = not name and bool(os.environ.get("FAL_KEY", "").strip())
    there = any(each.name == "stack" and each.outcome is not Outcome.ERROR for each in found)
    for each in found:
        if alone and not there and each.outcome is Outcome.ERROR:
            yield replace(
                each, outcome=Outcome.NOTE, says=f"{each.says} train --direct needs none."
            )
        else:
            yield each


def _show(console: Console, found: Iterable[Finding]) -> None:
    from rich.text import Text

    from lora_drop.cli.wrapping import write_beside
    from lora_drop.datasets.reports.markup import counted, visible

    area, beside = "", console.width >= 4 * NAMED
    counts: Counter[str] = Counter()
    for each in found:
        counts[each.outcome] += 1
        if each.area != area:
            console.print(Text(f"\n{each.area}" if area else each.area, "bold"))
            area = each.area
        sign, colour = SIGNS[each.outcome]
        label = f"  {sign:<4}{each.name:<{NAMED}}" if beside else f"  {sign:<4}"
        says = visible(each.says if beside else f"{each.name}: {each.says}")
        write_beside(console, Text(says, colour if each.outcome != "ok" else ""), label)
        if each.fix:
            write_beside(console, Text(each.fix, "cyan"), " " * 6)
    errors, warnings = counts["error"], counts["warning"]
    said = (
        f"{counted(errors, 'error')}, {counted(warnings, 'warning')}."
        if errors or warnings
        else "Nothing is missing."
    )
    console.print(Text(f"\n{said[:1].upper()}{said[1:]}", "bold"))

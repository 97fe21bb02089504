"""The clean copy that ``check --fix`` writes: whether it may, and what a person reads about it."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from lora_drop.cli.command_line import command
from lora_drop.client.clean_copy import CleanCopy
from lora_drop.datasets.problem_codes import MEANINGS
from lora_drop.datasets.report import Report, ReportedChange, Verdict
from lora_drop.datasets.reports.markup import counted, visible
from lora_drop.fal.trainers.parameters import ParameterSource

if TYPE_CHECKING:
    from lora_drop.cli.display import Display


def clean_copy(target: Path, dataset: Path, *, yes: bool) -> CleanCopy:
    """The copy that is wanted there; raises CommandError where it could not lie there.

    Whether an earlier one may be replaced is asked on a terminal; elsewhere only ``yes`` says so.
    """

    def agreed(question: str) -> bool:
        return yes or (sys.stdin.isatty() and typer.confirm(question, err=True))

    copy = CleanCopy(target, agreed)
    copy.refuse_unusable(dataset)
    return copy


def copy_row(clean: CleanCopy, report: Report) -> Mapping[str, Any]:
    """What --json says of the copy: where it is, or None where none was needed or made."""
    return {"clean_copy": str(clean.target) if report.mended else None}


def say_copy(
    display: Display,
    dataset: Path,
    clean: CleanCopy,
    report: Report,
    options: Mapping[str, object],
) -> None:
    """Say what was written and each change in it, or why there is no copy."""
    if report.verdict is Verdict.REJECTED:
        display.say(
            "No copy was written: what is wrong here is nothing that can be mended without you."
        )
        return
    if not report.mended:
        display.say(
            f"Nothing has to be mended, so no copy was written: fal gets {dataset} as it is."
        )
        return
    for line in changes_said(report.changes):
        display.say(line)
    display.say(
        f"The clean copy of {counted(report.images, 'photo')} is {clean.target}; your own files stay as they are. "
        f"Look at it, then: {command('train', str(clean.target), options)}"
    )
    if any(each.source is ParameterSource.TRAINING_JSON for each in report.parameters):
        display.say(
            "fal gets no training.json, so the copy has none: give what it says as options, like --steps."
        )


def changes_said(changes: Iterable[ReportedChange]) -> Iterator[str]:
    """Each change once, with every file that it was made to."""
    found: dict[tuple[str, str], list[str]] = {}
    for change in changes:
        said = change.message.removeprefix(change.member).strip()
        found.setdefault((change.code, said), []).append(change.member)
    for (code, said), members in found.items():
        yield visible(_line(code, said, [each for each in members if each]))


def _line(code: str, said: str, members: Sequence[str]) -> str:
    if not members:
        return f"{said} ({code})"
    if len(members) == 1:
        return f"{members[0]} {said} ({code})"
    means = MEANINGS[code].means.removesuffix(".") if code in MEANINGS else said
    return f"{len(members):,} files: each {said or means} ({', '.join(members)}) ({code})"

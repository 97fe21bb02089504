"""A check's report on a terminal: the worst first, each sentence once, then what comes of it and what is next."""

from collections.abc import Iterator, Mapping

from rich.console import Console
from rich.text import Text

from lora_drop.cli.command_line import command
from lora_drop.cli.reports import (
    SHOWN,
    changes_by_kind,
    found_instead,
    is_same,
    listed,
    names_of,
    of_all,
    trigger_of,
)
from lora_drop.cli.wrapping import write_beside
from lora_drop.datasets.report import Report, Verdict
from lora_drop.datasets.reports.face_words import face_words
from lora_drop.datasets.reports.markup import (
    counted,
    dollars,
    first_sentence,
    shown,
    size_of,
    visible,
)
from lora_drop.datasets.reports.sections import Group, by_importance, groups_of

COLOURS: Mapping[str, str] = {"error": "bold red", "warning": "bold yellow"}
VERDICTS: Mapping[Verdict, str] = {Verdict.ACCEPTED: "bold green", Verdict.REJECTED: "bold red"}
# What holds for a set as a whole, and is less than anything that was found in it.
GENERAL = frozenset({"dataset_few_images", "dataset_several_sizes", "dataset_no_captions"})
NAMED = 8  # columns of the names before what a training would be


def show(console: Console, name: str, report: Report, options: Mapping[str, object]) -> None:
    """Write the report on the dataset of this name; a training needs the same ``options``."""
    console.print(Text(visible(name), "bold"), soft_wrap=True)
    for kind, problems in (("error", report.errors), ("warning", report.warnings)):
        if problems:
            console.print()
            console.print(Text(counted(len(problems), kind), COLOURS[kind]))
        groups = by_importance(groups_of(problems))
        for group in sorted(groups, key=lambda each: each.code in GENERAL):
            for line, indent in _lines(group, SHOWN[kind]):
                write_beside(console, line, " " * indent)
    console.print()
    photos = counted(report.images, "photo")
    said = f"{photos} of {size_of(report.size)}" if report.images else photos
    if report.verdict is Verdict.REJECTED:
        said = f"{counted(len(report.errors), 'error')} to mend; the dataset has {said}"
    verdict = Text.assemble((report.verdict.value, VERDICTS[report.verdict]), f": {said}")
    write_beside(console, verdict.append(found_instead(report)), "")
    for title, text in _outcome(report):
        write_beside(console, Text(text), f"  {title:<{NAMED}}")
    write_beside(console, Text(_next(name, report, options)), f"  {'next':<{NAMED}}")


def _lines(group: Group, most: int) -> Iterator[tuple[Text, int]]:
    """What one code says, each line with how far it is set in; what is the same for all its files once."""
    if names_of(group) is None:
        for each in group.cases:
            yield from _sentence(each.message, each.member)
    else:
        first, do = first_sentence(of_all(group), None)
        yield Text(visible(f"{len(group.cases):,} files: {first}")), 2
        yield Text(visible(listed(group, most, "--report shows all")), "cyan"), 4
        if not is_same(group):
            yield Text(visible(f"for example: {group.cases[0].message}")), 4
        if do:
            yield Text(visible(do), "dim"), 4
    yield Text(group.code, "dim italic"), 4


def _sentence(message: str, member: str | None) -> Iterator[tuple[Text, int]]:
    first, do = first_sentence(message, member)
    yield Text(visible(first)), 2
    if do:
        yield Text(visible(do), "dim"), 4


def _outcome(report: Report) -> Iterator[tuple[str, str]]:
    if report.verdict is Verdict.REJECTED:
        return
    steps = next((each.value for each in report.parameters if each.name == "steps"), None)
    if report.estimated_cost_usd is not None:
        count = f" for {shown(steps)} steps" if steps is not None else ""
        preset = f", preset {report.preset}" if report.preset else ""
        yield "price", f"about {dollars(report.estimated_cost_usd)}{count}{preset}"
    if faces := face_words(report):
        yield "faces", faces
    if trigger := trigger_of(report):
        yield "trigger", trigger.removeprefix("trigger phrase ")
    if report.mended:
        yield "copy", "a mended copy is trained on; your files stay as they are"
        yield from (("", each) for each in changes_by_kind(report.changes))


def _next(name: str, report: Report, options: Mapping[str, object]) -> str:
    if report.verdict is Verdict.REJECTED:
        return f"mend the errors, then: {command('check', name, options)}"
    return command("train", name, options)

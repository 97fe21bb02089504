"""The command that checks a dataset here, as the stack would, before anything is uploaded."""

import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from lora_drop.adapters.local_files import open_range
from lora_drop.cli.display import Display
from lora_drop.cli.options import (
    Checkpoint,
    CreateMasks,
    LearningRate,
    Multiresolution,
    Others,
    Preset,
    Steps,
    SubjectCrop,
    TrainerName,
    Trigger,
    parameters_of,
)
from lora_drop.cli.report_files import report_files
from lora_drop.cli.report_output import findings, left_out, summary
from lora_drop.cli.terminal import Json, told, write, write_line
from lora_drop.client.archive import archive_of
from lora_drop.client.errors import CommandError
from lora_drop.client.parameters import NO_JOB_YET, metadata_of, of_options
from lora_drop.datasets.parameters import ResolvedParameters
from lora_drop.datasets.report import Report, Verdict
from lora_drop.datasets.reports.markup import counted, visible
from lora_drop.fal.trainers.table import DEFAULT
from lora_drop.fal.trainers.trainer import Price
from lora_drop.jobs.errors import DatasetRejectedError, DatasetUnreadableError
from lora_drop.jobs.problems import Problem
from lora_drop.services.check import Checker, DatasetInput

NAMES_SHOWN = 3

type Say = Callable[[str], None]


def _silent(_: str) -> None:
    """Nobody is told."""


class NoPrices:
    """Prices for whoever asks nobody: the table's own stand."""

    def price(self, application: str) -> Price | None:  # noqa: ARG002  # of no trainer
        """None: it cannot be had."""
        return None


def check(  # noqa: PLR0913  # one parameter is one option
    paths: Annotated[list[Path], typer.Argument(help="ZIPs, or folders of photos and captions.")],
    *,
    trainer: TrainerName = None,
    preset: Preset = None,
    trigger_phrase: Trigger = None,
    steps: Steps = None,
    learning_rate: LearningRate = None,
    multiresolution_training: Multiresolution = None,
    subject_crop: SubjectCrop = None,
    create_masks: CreateMasks = None,
    resume_from_checkpoint: Checkpoint = None,
    parameter: Others = None,
    key: Annotated[
        str | None, typer.Option(help="Key it would be dropped under; else the file's name.")
    ] = None,
    report: Annotated[
        str | None,
        typer.Option(
            metavar="<path>",
            help="Write report.html and report.json into this folder/, or under this name.",
        ),
    ] = None,
    json_output: Json = False,
) -> None:
    """Check datasets as the stack would, without a stack or a network; exits 1 if any is rejected.

    Says what would be refused, what could be better, and what a training with the same options
    would cost.
    """
    given = {
        "trainer": trainer,
        "preset": preset,
        "trigger_phrase": trigger_phrase,
        "steps": steps,
        "learning_rate": learning_rate,
        "multiresolution_training": multiresolution_training,
        "subject_crop": subject_crop,
        "create_masks": create_masks,
        "resume_from_checkpoint": resume_from_checkpoint,
    }
    found = []
    with told() as display:
        if report and len(paths) > 1:
            raise CommandError("--report takes one dataset at a time.")
        metadata = metadata_of(parameters_of(given, parameter))
        files = report_files(report) if report else None
        for path in paths:
            checked = check_dataset(path, metadata=metadata, key=key, say=display.say_whole)
            found.append(checked)
            if json_output:
                write(_row(path, checked))
            else:
                _tell(path, checked)
            if files:
                files.write(checked)
                display.say_whole(f"The report is in {files.page} and {files.data}.")
    raise typer.Exit(any(each.verdict is Verdict.REJECTED for each in found))


def check_dataset(
    path: Path,
    *,
    metadata: Mapping[str, str] | None = None,
    key: str | None = None,
    application: str = DEFAULT.application,
    say: Say = _silent,
) -> Report:
    """The report on a ZIP, or on a folder as one; raises CommandError when it cannot be read.

    ``metadata`` and ``key`` are those that it would be dropped with, ``application`` the stack's
    trainer. ``say`` is told of links that are not followed. An earlier job that the training is to go
    on from is not looked for: only the stack knows it.
    """
    # Pillow takes longer to load than any other command to run.
    from lora_drop.adapters.pillow import PillowPictures  # noqa: PLC0415

    checker = Checker(PillowPictures(), NoPrices(), _any_checkpoint)
    name = path.name or path.resolve().name
    try:
        with archive_of(path) as archive, open_range(archive.path) as file:
            if archive.links:
                say(_not_followed(path, archive.links))
            drop = DatasetInput(
                archive=file,
                file=name,
                key=key or archive.key,
                metadata=metadata or {},
                trigger_seed=NO_JOB_YET,
                application=application,
            )
            return _of_options(checker.check(drop).report)
    except DatasetRejectedError as rejected:
        return Report(file=name, verdict=Verdict.REJECTED, errors=tuple(rejected.problems))
    except (OSError, DatasetUnreadableError) as unreadable:
        raise CommandError(f"{path} cannot be read: {unreadable}.") from unreadable


def accepted_here(
    path: Path,
    display: Display,
    *,
    parameters: Mapping[str, object],
    key: str | None,
    application: str,
) -> Collection[str]:
    """Check a dataset before it is uploaded; the files of a folder that are of no use to a training.

    Tells what comes of it, and how many warnings there are. Raises CommandError with every error of
    a dataset that the stack would refuse.
    """
    metadata = metadata_of(parameters)
    with display.console.status(f"checking {path}"):
        report = check_dataset(
            path, metadata=metadata, key=key, application=application, say=display.say_whole
        )
    again = f"lora-drop check {shlex.quote(str(path))}"
    if report.verdict is Verdict.REJECTED:
        errors = report.model_copy(update={"warnings": ()})
        lines = findings(errors, all_of_them=f"{again} --report FILE shows all")
        refused = f"{path}: {summary(report)}. Nothing was uploaded."
        raise CommandError("\n".join((*lines, refused)))
    display.say_whole(f"{path}: {summary(report)}")
    warnings = [each for each in report.warnings if not each.code.startswith("parameter_")]
    if warnings:
        display.say_whole(f"{counted(len(warnings), 'warning')}; to read them: {again}")
    unused = left_out(report) if path.is_dir() else ()
    if unused:
        names = ", ".join(unused[:NAMES_SHOWN]) + (", …" if len(unused) > NAMES_SHOWN else "")
        display.say_whole(f"not uploaded, being neither photos nor captions: {visible(names)}")
    return unused


def _of_options(report: Report) -> Report:
    errors = tuple(of_options(each) for each in report.errors)
    return report.model_copy(update={"errors": errors})


def _not_followed(path: Path, links: Sequence[str]) -> str:
    names = ", ".join(links[:NAMES_SHOWN]) + (", …" if len(links) > NAMES_SHOWN else "")
    return (
        f"{path}: {counted(len(links), 'link')} out of the folder not followed ({visible(names)}). "
        "Copy the files themselves into it."
    )


def _any_checkpoint(_: ResolvedParameters) -> None:
    """Whether it is there, the stack says."""


def _row(path: Path, report: Report) -> Mapping[str, Any]:
    return {
        "file": str(path),
        "verdict": report.verdict,
        "errors": [_finding(each) for each in report.errors],
        "warnings": [_finding(each) for each in report.warnings],
        "images": report.images,
        "bytes_read": report.bytes_read,
        "requests": report.requests,
        "seconds": report.seconds,
    }


def _finding(problem: Problem) -> Mapping[str, Any]:
    return {"code": problem.code, "member": problem.member, "message": problem.message}


def _tell(path: Path, report: Report) -> None:
    for line in (*findings(report, all_of_them="--report shows all"), summary(report)):
        write_line(f"{path}: {line}")

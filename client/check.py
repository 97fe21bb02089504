"""The command that checks a dataset here, as the stack would, before anything is uploaded."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from client.archive import archive_of
from client.errors import CommandFailed
from client.parameters import NO_JOB_YET
from client.report_files import report_files
from client.terminal import Json, told, write, write_line
from shared.adapters.local_files import open_range
from shared.domain.costs import Price
from shared.domain.errors import DatasetUnreadable, RejectedDataset
from shared.domain.parameters import ResolvedParameters
from shared.domain.problems import Problem
from shared.domain.report import Report, Verdict
from shared.domain.trainers.table import DEFAULT
from shared.services.check import Checker, Drop


class NoPrices:
    """Prices for whoever asks nobody: the table's own stand."""

    def price(self, application: str) -> Price | None:  # noqa: ARG002  # of no trainer
        """None: it cannot be had."""
        return None


def check(
    paths: Annotated[list[Path], typer.Argument(help="ZIPs, or folders of photos and captions.")],
    *,
    trainer: Annotated[
        str | None, typer.Option(help=f"As for train; else {DEFAULT.short_name}.")
    ] = None,
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

    Says what would be refused, what could be better, and what a training would cost.
    """
    found = []
    with told() as display:
        if report and len(paths) > 1:
            raise CommandFailed("--report takes one dataset at a time.")
        files = report_files(report) if report else None
        for path in paths:
            found.append(checked := check_dataset(path, trainer=trainer, key=key))
            if json_output:
                write(_row(path, checked))
            else:
                _tell(path, checked)
            if files:
                files.write(checked)
                display.say_whole(f"The report is in {files.page} and {files.data}.")
    raise typer.Exit(any(each.verdict is Verdict.REJECTED for each in found))


def check_dataset(path: Path, *, trainer: str | None = None, key: str | None = None) -> Report:
    """The report on a ZIP, or on a folder as one; raises CommandFailed when it cannot be read.

    An earlier job that the training is to go on from is not looked for: only the stack knows it.
    """
    # Pillow takes longer to load than any other command to run.
    from shared.adapters.pictures import PillowPictures  # noqa: PLC0415

    checker = Checker(PillowPictures(), NoPrices(), _any_checkpoint)
    name = path.name or path.resolve().name
    try:
        with archive_of(path) as archive, open_range(archive.path) as file:
            drop = Drop(
                archive=file,
                file=name,
                key=key or archive.key,
                metadata={"trainer": trainer} if trainer else {},
                trigger_seed=NO_JOB_YET,
                application=DEFAULT.application,
            )
            return checker.check(drop).report
    except RejectedDataset as rejected:
        return Report(file=name, verdict=Verdict.REJECTED, errors=tuple(rejected.problems))
    except (OSError, DatasetUnreadable) as unreadable:
        raise CommandFailed(f"{path} cannot be read: {unreadable}.") from unreadable


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
    for kind, problems in (("error", report.errors), ("warning", report.warnings)):
        for problem in problems:
            write_line(f"{path}: {kind}: {problem.message} ({problem.code})")
    images = "1 image" if report.images == 1 else f"{report.images} images"
    words = [f"{path}: {report.verdict}", images]
    if report.verdict is Verdict.ACCEPTED and report.estimated_cost_usd is not None:
        words.append(f"about ${report.estimated_cost_usd:.2f}")
    if report.verdict is Verdict.ACCEPTED and report.mended:
        words.append(f"a mended copy is trained on ({len(report.changes)} changes)")
    write_line(", ".join(words))

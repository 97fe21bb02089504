"""The command that checks a dataset here, as the stack would, before anything is uploaded."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lora_drop.cli.terminal import (
    Checkpoint,
    CreateMasks,
    Json,
    LearningRate,
    Multiresolution,
    NoFaces,
    Others,
    Preset,
    Steps,
    SubjectCrop,
    TrainerName,
    Trigger,
    output,
    parameters_of,
    reporting,
    write,
    write_line,
)
from lora_drop.client.errors import CommandError

if TYPE_CHECKING:
    from lora_drop.cli.display import Display
    from lora_drop.client.face_check import FaceCheck
    from lora_drop.datasets.report import Report
    from lora_drop.jobs.problems import Problem


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
    fix: Annotated[
        Path | None,
        typer.Option(
            metavar="<path>",
            help="Write the clean copy that fal would get: into this folder, or as this .zip.",
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="With --fix: replace an earlier copy without asking.")
    ] = False,
    no_faces: NoFaces = False,
    json_output: Json = False,
) -> None:
    """Check datasets as the stack would, without a stack or a network; exits 1 if any is rejected.

    Says what would be refused, what could be better, and what a training with the same options
    would cost.
    """
    from lora_drop.cli.fix import clean_copy, copy_row, say_copy
    from lora_drop.client.check import check_dataset
    from lora_drop.client.face_check import FaceCheck
    from lora_drop.client.parameters import metadata_of
    from lora_drop.client.report_files import report_files

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
    with reporting(json_output=json_output) as display:
        if (report or fix) and len(paths) > 1:
            raise CommandError("--report and --fix take one dataset at a time.")
        clean = clean_copy(fix, paths[0], yes=yes) if fix else None
        parameters = parameters_of(given, parameter)
        metadata = metadata_of(parameters)
        options = (
            parameters | ({"key": key} if key else {}) | ({"faces": False} if no_faces else {})
        )
        faces = FaceCheck(wanted=not no_faces)
        files = report_files(report) if report else None
        for path in paths:
            checked = check_dataset(
                path,
                metadata=metadata,
                key=key,
                say=display.say,
                copy=clean.write if clean else None,
                faces=faces,
            )
            found.append(checked)
            if json_output:
                write({**_row(path, checked), **(copy_row(clean, checked) if clean else {})})
            else:
                _print(path, checked, options)
            if clean:
                say_copy(display, path, clean, checked, options)
            if files:
                files.write(checked)
                display.say(f"The report is in {files.page} and {files.data}.")
        say_if_missed(found, faces, display)
    raise typer.Exit(any(each.verdict == "rejected" for each in found))


def accepted_here(
    path: Path,
    display: Display,
    *,
    parameters: Mapping[str, object],
    key: str | None,
    application: str,
    faces: FaceCheck,
    proof_sheet: bool,
) -> Collection[str]:
    """Check a dataset before it is uploaded; the files of a folder that are of no use to a training.

    Says what comes of it, and how many warnings there are. ``proof_sheet``: the stack makes one where the order says
    nothing of it. Raises CommandError with every error of
    a dataset that the stack would refuse.
    """
    from lora_drop.cli.command_line import command
    from lora_drop.cli.reports import findings, summary, urgent_lines
    from lora_drop.client.check import NAMES_SHOWN, check_dataset
    from lora_drop.client.parameters import metadata_of
    from lora_drop.datasets.owner_metadata import OURS, PROOF
    from lora_drop.datasets.report import Verdict
    from lora_drop.datasets.reports.markup import counted, visible

    metadata = metadata_of(parameters)
    options = {name: parameters[name] for name in parameters if name not in OURS}
    with display.console.status(f"checking {path}"):
        report = check_dataset(
            path, metadata=metadata, key=key, application=application, say=display.say, faces=faces
        )
    say_if_missed([report], faces, display)
    options |= {"faces": False} if not faces.wanted else {}
    again = command("check", str(path), {**options, **({"key": key} if key else {})})
    if report.verdict is Verdict.REJECTED:
        errors = report.model_copy(update={"warnings": ()})
        lines = findings(errors, all_of_them=f"{again} --report FILE shows all")
        refused = f"{path}: {summary(report)}. Nothing was uploaded."
        raise CommandError("\n".join((*lines, refused)))
    for line in urgent_lines(report.warnings, all_of_them=f"{again} shows all"):
        display.say(line)
    ordered = metadata.get(PROOF, "").strip().lower()
    proof = ordered == "true" or (proof_sheet and not ordered)
    display.say(f"{path}: {summary(report, proof=proof)}")
    warnings = [each for each in report.warnings if not each.code.startswith("parameter_")]
    if warnings:
        display.say(f"{counted(len(warnings), 'warning')}; to read them: {again}")
    unused = report.unused if path.is_dir() else ()
    if unused:
        names = ", ".join(unused[:NAMES_SHOWN]) + (", …" if len(unused) > NAMES_SHOWN else "")
        display.say(f"not uploaded, being neither photos nor captions: {visible(names)}")
    return unused


def say_if_missed(reports: Iterable[Report], faces: FaceCheck, display: Display) -> None:
    """Say once that faces were not looked for in these datasets, where only the extra is missing for it."""
    from lora_drop.client.face_check import EXTRA_MISSING, missed

    if any(missed(report, faces) for report in reports):
        display.say(EXTRA_MISSING)


def _row(path: Path, report: Report) -> Mapping[str, Any]:
    return {
        "file": str(path),
        "verdict": report.verdict,
        "errors": [_finding(each) for each in report.errors],
        "warnings": [_finding(each) for each in report.warnings],
        "images": report.images,
        "mended": report.mended,
        "changes": [each.model_dump() for each in report.changes],
        "trainer": report.trainer,
        "preset": report.preset,
        "parameters": {each.name: each.value for each in report.parameters},
        "estimated_cost_usd": report.estimated_cost_usd,
        "bytes_read": report.bytes_read,
        "requests": report.requests,
        "seconds": report.seconds,
        "faces_checked": report.faces_checked,
    }


def _finding(problem: Problem) -> Mapping[str, Any]:
    return {"code": problem.code, "member": problem.member, "message": problem.message}


def _print(path: Path, report: Report, options: Mapping[str, object]) -> None:
    """For a person at a terminal, or a line each for a file, a pipe and a program."""
    from lora_drop.cli.reports import findings, summary

    if sys.stdout.isatty():
        from lora_drop.cli.check_display import show

        console = output().console
        show(console, str(path), report, options)
        console.print()
        return
    for line in (*findings(report, all_of_them="--report shows all"), summary(report)):
        write_line(f"{path}: {line}")

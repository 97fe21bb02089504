"""`lora-drop train PATH --direct`: a training with a fal key alone; nothing of AWS is needed or asked for."""

from __future__ import annotations

import math
import shlex
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from lora_drop.cli.direct_jobs import PAGE
from lora_drop.cli.direct_words import pay_again, refusal, say_checked, say_trained_before
from lora_drop.cli.terminal import write, write_line
from lora_drop.client.direct_errors import sentence
from lora_drop.client.direct_folders import (
    SHORT,
    about_order,
    describe,
    folder_beside,
    is_hosted,
    named,
)
from lora_drop.client.errors import CommandError
from lora_drop.client.result_files import LORA, refuse_folder, saved_record

if TYPE_CHECKING:
    from lora_drop.cli.display import Display
    from lora_drop.client.direct_result import DirectResult
    from lora_drop.client.direct_training import PreparedTraining
    from lora_drop.client.portrait_trainer import PortraitTrainer
    from lora_drop.datasets.report import Report

LEAVE = "Ctrl-C ends the view; the training goes on at fal."
GOES_ON = (
    "The training goes on at fal. The same command run again, or lora-drop watch {}, shows it, fetches its files, "
    "and pays nothing."
)
NOTHING = "Nothing was sent, and nothing was paid."
UPLOADING = "Interrupted while uploading: nothing was sent, nothing is paid."
SENDING = (
    "Interrupted while the training was sent: it may be paid. Run the same command again: it looks for it at fal "
    "first, and pays nothing for what is there."
)


@dataclass(frozen=True, slots=True)
class Choices:
    """What a person has chosen besides the training's own parameters."""

    folder: Path | None
    reference: str | None
    yes: bool = False
    again: bool = False
    wait: bool = True
    timeout: float | None = None
    faces: bool = True


def train_direct(
    dataset: str,
    display: Display,
    parameters: Mapping[str, Any],
    choices: Choices,
    *,
    json_output: bool,
) -> None:
    """Check, show the price, ask, pay once, follow, and fetch the files into a folder; raises CommandError."""
    document, line = _trained(dataset, display, parameters, choices)
    if json_output:
        write(document)
    else:
        write_line(line)


def _trained(
    dataset: str, display: Display, parameters: Mapping[str, Any], choices: Choices
) -> tuple[Mapping[str, Any], str]:
    """What has become of it, for programs and in a line; raises CommandError."""
    from lora_drop.cli.check import say_if_missed
    from lora_drop.client.direct_choice import application_of
    from lora_drop.client.face_check import FaceCheck
    from lora_drop.client.portrait_trainer import PortraitTrainer
    from lora_drop.client.report_files import report_files
    from lora_drop.jobs.errors import DatasetRejectedError, LoraDropError

    given = dict(parameters)
    said = parameters if choices.faces else {**parameters, "faces": False}
    trainer = PortraitTrainer(application=application_of(given.pop("trainer", None)))
    try:
        with ExitStack() as block:
            if is_hosted(dataset):
                display.say_whole(f"fetching {named(dataset)}, to check it here")
            with display.console.status(f"checking {named(dataset)}"):
                training = block.enter_context(
                    trainer.prepared(dataset, faces=choices.faces, **given)
                )
            say_if_missed([training.dataset.report], FaceCheck(wanted=choices.faces), display)
            say_checked(training.dataset.report, dataset, said, display)
            request_id = _sent(trainer, training, display, choices)
        known = trainer.submissions.request(request_id)
        about = about_order(known, training, dataset, choices.reference)
        folder = choices.folder or (known and known.folder) or folder_beside(dataset, request_id)
        describe(trainer.submissions, request_id, known, about, folder)
        folder = _from_here(folder)
        if not choices.wait:
            display.say(_goes_on(request_id, choices))
            return {"request_id": request_id, "status": "SUBMITTED"}, request_id
        record = saved_record(folder, request_id)
        if record is None:
            result = followed(trainer, request_id, display, about, choices)
            record = fetched(result, folder, about, training.dataset.report, display)
        elif not (folder / PAGE).is_file():  # `watch` has fetched the files, which has no report
            report_files(f"{folder}/").write(training.dataset.report)
    except DatasetRejectedError as error:
        raise CommandError(refusal(error, dataset, said)) from error
    except LoraDropError as error:
        raise CommandError(sentence(error, pay_again(dataset, said))) from error
    return finished(record, folder, display)


def finished(
    record: Mapping[str, Any], folder: Path, display: Display
) -> tuple[Mapping[str, Any], str]:
    """What has become of a training whose files are here, for programs and in a line."""
    display.say_whole(f"  to use it       lora-drop usage {shlex.quote(str(folder))}")
    weights = next(file for file in record["files"] if file["name"] == LORA)
    line = f"SUCCEEDED {record['request_id']} {folder / LORA} sha256:{weights['sha256']}"
    return {"status": "SUCCEEDED", **record, "folder": str(folder)}, line


def _from_here(folder: Path) -> Path:
    """The folder as a person reads it."""
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder


def _sent(
    trainer: PortraitTrainer,
    training: PreparedTraining,
    display: Display,
    choices: Choices,
) -> str:
    """Ask on a terminal whether its price is paid, and send it once; what was sent before is followed."""
    ordered = trainer.ordered(training, again=choices.again)
    if choices.wait and not ordered and choices.folder:
        refuse_folder(choices.folder, None)
    if ordered and training.earlier:
        sent = f"{training.earlier.intended_at:%Y-%m-%d %H:%M} UTC"
        display.say(f"This training was sent at {sent} already: nothing is paid now.")
        display.say_whole(f"request {ordered}")
        return ordered
    say_trained_before(training, trainer, display)
    _agreed(training.dataset.report, display, yes=choices.yes)
    try:
        with display.console.status("uploading and submitting, once"):
            request_id = trainer.send(training, again=choices.again)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_interrupted(trainer, training)) from None
    display.say_whole(f"request {request_id}")
    return request_id


def _interrupted(trainer: PortraitTrainer, training: PreparedTraining) -> str:
    """What an interruption means: the intent to send it is written down after the upload, before the POST."""
    found = trainer.submissions.find(training.fingerprint, training.former)
    before = found == training.earlier and (found is None or found.request_id)
    return UPLOADING if before else SENDING


def _agreed(report: Report, display: Display, *, yes: bool) -> None:
    """Return when the price is agreed to; raises CommandError where it is not."""
    from lora_drop.datasets.reports.markup import dollars

    usd = report.estimated_cost_usd
    price = f"about {dollars(usd)}" if usd is not None else "a price that is not known here"
    if yes:
        return
    if not _can_ask():
        raise CommandError(
            f"This training costs {price}, and there is no terminal to ask at. Nothing was sent. To pay it: --yes"
        )
    try:
        agreed = typer.confirm(f"Pay fal {price} for this training?", err=True)
    except typer.Abort:  # Ctrl-C, or the input has ended
        display.say("")  # below the question
        raise KeyboardInterrupt(NOTHING) from None
    if not agreed:
        raise CommandError(NOTHING)


def _can_ask() -> bool:
    return sys.stdin.isatty()


def followed(
    trainer: PortraitTrainer,
    request_id: str,
    display: Display,
    about: Mapping[str, Any],
    choices: Choices,
) -> DirectResult:
    """The result of a request, shown as it goes on."""
    from lora_drop.cli.follow import follow_request
    from lora_drop.client.direct_following import RequestReader

    steps = about.get("steps")
    reader = RequestReader(trainer, request_id, steps if isinstance(steps, int) else None)
    try:
        follow_request(display, reader, about, leave=LEAVE, sleep=_sleep(request_id, choices))
    except KeyboardInterrupt:
        display.say(_goes_on(request_id, choices))
        raise
    if reader.result is None:
        raise CommandError(f"Request {request_id} has no result.")
    return reader.result


def _sleep(request_id: str, choices: Choices) -> Callable[[float], None]:
    """How to wait between two looks; raises JobTimeoutError when the time of --timeout is over."""
    from lora_drop.client.errors import JobTimeoutError

    until = math.inf if choices.timeout is None else time.monotonic() + choices.timeout

    def sleep(seconds: float) -> None:
        time.sleep(max(0.0, min(seconds, until - time.monotonic())))
        if time.monotonic() >= until:
            over = f"It is not done after {choices.timeout:.0f} s."
            raise JobTimeoutError(f"{over} {_goes_on(request_id, choices)}")

    return sleep


def _goes_on(request_id: str, choices: Choices) -> str:
    """What becomes of a training that is not followed any more; with --force, an ended one is paid again."""
    said = GOES_ON.format(request_id)
    return said.replace("run again", "run again without --force") if choices.again else said


def fetched(
    result: DirectResult,
    folder: Path,
    about: Mapping[str, Any],
    report: Report | None,
    display: Display,
) -> dict[str, Any]:
    """The files in the folder, with the dataset's report; what is written of them."""
    from lora_drop.client.direct_result import save_result
    from lora_drop.client.report_files import report_files

    with display.transfer(f"download {result.request_id[SHORT:]}") as sending:
        files = save_result(result, folder, about=about, on_bytes=sending)
    if report:
        report_files(f"{folder}/").write(report)
    for file in files:
        display.say_whole(f"  {folder / file.name}  {file.size:,} bytes")
    if phrase := about.get("trigger_phrase"):
        display.say(f"  trigger phrase  {phrase}")
    if report:
        display.say_whole(f"  report          {folder / PAGE}")
    return {"request_id": result.request_id, **about, "files": [asdict(each) for each in files]}

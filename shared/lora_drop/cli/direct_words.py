"""What the direct mode says of a dataset that is checked, and of an error, in the words of the command line."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from lora_drop.cli.command_line import command
from lora_drop.client.direct_errors import PAY_AGAIN
from lora_drop.client.direct_folders import is_address, named

if TYPE_CHECKING:
    from lora_drop.cli.display import Display
    from lora_drop.client.direct_training import PreparedTraining
    from lora_drop.client.portrait_trainer import PortraitTrainer
    from lora_drop.datasets.report import Report


def say_checked(
    report: Report, dataset: str, parameters: Mapping[str, Any], display: Display
) -> None:
    """What a training costs, and how to read what the check warns of; of a dataset that is not here, the warnings."""
    from lora_drop.cli.reports import findings, summary, urgent_lines
    from lora_drop.datasets.reports.markup import counted

    again = command("check", dataset, parameters)
    if not is_address(dataset):
        for line in urgent_lines(report.warnings, all_of_them=f"{again} shows all"):
            display.say(line)
    display.say(f"{named(dataset)}: {summary(report)}")
    if report.warnings and is_address(dataset):
        for line in findings(
            report, all_of_them="lora-drop check shows all, of a file or a folder"
        ):
            display.say(line)
    elif report.warnings:
        display.say(f"{counted(len(report.warnings), 'warning')}; to read them: {again}")


def pay_again(dataset: str, given: Mapping[str, Any]) -> str:
    """The command that pays for another training, with what was given to the one before."""
    return f"{command('train', named(dataset), given, direct=True)} --force"


def ordered_again(about: Mapping[str, Any]) -> str:
    """The same from what this machine knows of the order; PATH where it knows none."""
    from lora_drop.fal.trainers.table import DEFAULT, TRAINERS

    name = str((about.get("dataset") or {}).get("name") or "")
    trainer = TRAINERS.get(application := str(about.get("application") or ""))
    if not name or trainer is None:
        return PAY_AGAIN
    usual = {field.name: field.default for field in trainer.fields}
    sent = about.get("parameters") or {}
    given = {each: value for each, value in sent.items() if value != usual.get(each)}
    if application != DEFAULT.application:
        given["trainer"] = application.rpartition("/")[2]
    return pay_again(name, given)


def say_trained_before(
    training: PreparedTraining, trainer: PortraitTrainer, display: Display
) -> None:
    """Say when the same photos were trained with other parameters, and with which; where it is known here."""
    photos = training.dataset.sha256
    for sent in trainer.submissions.sent():
        if (sent.about.get("dataset") or {}).get("sha256") != photos:
            continue
        now, before = training.about()["parameters"], sent.about.get("parameters") or {}
        other = [each for each in {**now, **before} if now.get(each) != before.get(each)]
        words = ", ".join(
            f"{each.replace('_', ' ')} {before.get(each, 'not given')}" for each in other
        )
        if words:
            at, today = sent.sent_at.astimezone(), datetime.now().astimezone().date()
            when = f"{at:%H:%M}" if at.date() == today else f"{at:%Y-%m-%d %H:%M}"
            display.say(f"These photos were trained at {when} with other parameters: {words}")
            return


def refusal(error: Any, dataset: str, parameters: Mapping[str, Any]) -> str:
    """Every error of the check, and what to do."""
    from lora_drop.cli.reports import findings
    from lora_drop.client.direct_errors import KnownDatasetError
    from lora_drop.datasets.report import Report, Verdict

    if isinstance(error, KnownDatasetError) and error.request_id:
        return str(error)
    report = Report(file="", verdict=Verdict.REJECTED, errors=tuple(error.problems))
    again = f"{command('check', named(dataset), parameters)} --report FILE shows all"
    lines = findings(report, all_of_them=again)
    rejected = (
        f"{named(dataset)}: rejected. Nothing was sent. Correct it, then run the command again."
    )
    return "\n".join((*lines, rejected))

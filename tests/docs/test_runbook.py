"""docs/runbook.md: every alarm of the template, none that is no more, and commands that exist."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from client.cli import application
from tests.template import template

RUNBOOK = (Path(__file__).parents[2] / "docs" / "runbook.md").read_text()
# One section may be about several alarms that say the same.
SECTIONS = {
    name: text
    for names, text in re.findall(
        r"^## (\w+Alarm.*?)\n(.*?)(?=^## |\Z)", RUNBOOK, re.MULTILINE | re.DOTALL
    )
    for name in names.split(", ")
}
ALARMS: dict[str, dict[str, Any]] = {
    name: resource["Properties"]
    for name, resource in template()["Resources"].items()
    if resource["Type"] == "AWS::CloudWatch::Alarm"
}
DATA_IS_MISSING = {"RoundsMissingAlarm"}


def typed(text: str) -> Iterator[str]:
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        yield from (line.removeprefix("$ ") for line in block.splitlines())


def test_every_alarm_has_its_section_and_no_section_is_of_an_alarm_that_is_no_more() -> None:
    assert sorted(SECTIONS) == sorted(ALARMS)


@pytest.mark.parametrize("name", sorted(ALARMS))
def test_a_section_quotes_its_alarm_and_says_how_soon_and_what_to_type(name: str) -> None:
    quoted = " ".join(re.findall(r"^> (.*)$", SECTIONS[name], re.MULTILINE))

    assert quoted == ALARMS[name]["AlarmDescription"]
    assert "**How soon:**" in SECTIONS[name]
    assert list(typed(SECTIONS[name]))


@pytest.mark.parametrize("name", sorted(ALARMS))
def test_an_alarm_says_what_to_type_and_writes_to_whoever_wants_it(name: str) -> None:
    alarm = ALARMS[name]
    says = alarm["AlarmDescription"]

    assert re.search(r"lora-drop \w+|sam logs|aws \w+", says)
    assert alarm["AlarmActions"] == {
        "Fn::If": ["AlarmsAreMailed", [{"Ref": "AlarmTopic"}], {"Ref": "AWS::NoValue"}]
    }
    # Where nothing happens nothing is counted; only the rounds always happen.
    missing = "breaching" if name in DATA_IS_MISSING else "notBreaching"
    assert alarm["TreatMissingData"] == missing


@pytest.mark.parametrize(
    "line", sorted({line for line in typed(RUNBOOK) if line.startswith("lora-drop ")})
)
def test_a_line_of_the_runbook_can_be_typed(line: str) -> None:
    _, name, *words = shlex.split(line)
    command: Any = typer.main.get_command(application())

    command.commands[name].make_context(name, words)


def test_the_functions_in_the_runbook_are_the_templates() -> None:
    named = set(re.findall(r"--name (\w+)", RUNBOOK))

    assert named
    assert named <= set(template()["Resources"])

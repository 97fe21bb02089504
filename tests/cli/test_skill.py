"""What an AI assistant is given: every command line in it is one, and it is in the wheel."""

import re
import shlex
from importlib.resources import files

import pytest
import typer

from lora_drop.cli import main
from tests.support.client_fixtures import invoke

TEXT = files("lora_drop.cli").joinpath("SKILL.md").read_text()
LINES = re.findall(r"^\$ lora-drop (.+)$", TEXT, re.MULTILINE) + re.findall(
    r"`lora-drop ([a-z][^`]*)`", TEXT
)


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize("line", sorted(set(LINES)))
def test_command_lines_parse(line: str) -> None:
    """Every command line that SKILL.md gives to an AI assistant is one that the command takes."""
    name, *words = shlex.split(line)
    assert name in main.COMMANDS
    if words or name in ("jobs", "doctor", "config", "init"):
        command = main.command_of(name)
        context = command.make_context(name, words)
        assert context.args == []


def test_words_of_commands_are_commands() -> None:
    assert len(LINES) > 20
    options = set(re.findall(r"`(--[a-z-]+)`", TEXT))
    known = {
        each
        for name in main.COMMANDS
        for option in main.command_of(name).params
        for each in option.opts
    }
    assert options - known == set()
    assert isinstance(main.application(), typer.Typer)


def test_it_is_printed() -> None:
    assert invoke("skill").stdout == TEXT
    assert TEXT.startswith("---\nname: lora-drop\ndescription: ")

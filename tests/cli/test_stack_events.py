"""`lora-drop event` asks for what an event needs, in a sentence."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from lora_drop.cli.main import application
from lora_drop.local.events import ABOUT_JOBS, ABOUT_OBJECTS, EVENTS
from lora_drop.local.stack import HOME


@pytest.fixture(autouse=True)
def _no_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME, str(tmp_path))


def told(*words: str) -> str:
    result = CliRunner().invoke(application(), ["event", *words])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    return result.stderr


@pytest.mark.parametrize("name", sorted(ABOUT_JOBS))
def test_an_event_about_a_job_names_the_option_that_is_missing(name: str) -> None:
    assert "--job" in told(name, "--key", "ada.zip")


@pytest.mark.parametrize("name", sorted(ABOUT_OBJECTS))
def test_an_event_about_an_object_names_the_option_that_is_missing(name: str) -> None:
    assert "--key" in told(name, "--job", "ada-1")


def test_every_other_event_needs_a_stack_only() -> None:
    others = {file.stem for file in EVENTS.glob("*.json")} - ABOUT_JOBS - ABOUT_OBJECTS

    assert others == {"schedule", "jobs_list"}
    assert {name: "lora-drop up" in told(name) for name in others} == dict.fromkeys(others, True)


def test_a_wrong_name_is_told_the_right_ones() -> None:
    assert "webhook_ok" in told("webhook")


def test_a_stack_that_cannot_be_read_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "stack.json").write_text("{")

    assert "lora-drop down" in told("schedule")

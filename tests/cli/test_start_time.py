"""The command starts at once: what is heavy is imported by the command that needs it."""

import inspect
import subprocess
import sys
from typing import get_args

import pytest

from lora_drop.cli import download, jobs, main, terminal
from lora_drop.datasets.parameters import PRESETS
from lora_drop.fal.trainers.table import DEFAULT
from lora_drop.jobs.job_files import ERROR_FILE, JOB_FILE, REPORT_FILE, REPORT_PAGE, STATUS_FILE
from lora_drop.jobs.status import Status

HEAVY = {"PIL", "aiohttp", "boto3", "botocore", "httpx", "pydantic", "rich.console", "yaml"}
LOADED = "import sys; print(*sys.modules, file=sys.stderr)"
RUN = f"import atexit; atexit.register(lambda: exec({LOADED!r})); from lora_drop.cli.main import main; main()"


def loaded_by(code: str, *words: str) -> set[str]:
    """The modules that a program has imported when it ends."""
    done = subprocess.run(  # noqa: S603  # our own words
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True
    )
    return set(done.stderr.split())


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], *([name, "--help"] for name in main.COMMANDS)]
)
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    """The help of every command is there at once: it imports no client of AWS and no models."""
    loaded = loaded_by(RUN, *words)
    assert "typer" in loaded
    assert not loaded & HEAVY


def test_the_package_imports_nothing() -> None:
    code = f"import sys; before = set(sys.modules); import lora_drop; {LOADED.replace('*sys.modules', '*set(sys.modules) - before')}"
    assert loaded_by(code) == {"lora_drop"}


def test_public_names_are_there() -> None:
    code = (
        "import lora_drop, sys; [getattr(lora_drop, name) for name in lora_drop.__all__]; " + LOADED
    )
    assert "lora_drop.client.lora_drop" in loaded_by(code)


@pytest.mark.parametrize("name", main.COMMANDS)
def test_listed_help_is_the_docstrings(name: str) -> None:
    function = main.command_of(name).callback
    assert (inspect.getdoc(function) or "").split("\n\n")[0] == main.COMMANDS[name][1]


def test_copied_names_are_those_of_the_tables() -> None:
    assert get_args(jobs.StatusName) == tuple(Status)
    assert tuple(PRESETS) == terminal.PRESETS
    assert DEFAULT.short_name == terminal.DEFAULT_TRAINER
    assert (REPORT_PAGE, REPORT_FILE, ERROR_FILE, STATUS_FILE, JOB_FILE) == download.NOTICES

"""Every pin fits what pyproject.toml asks for, has its hashes, and is the same everywhere."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

FUNCTIONS = ("submit", "webhook", "store", "reconcile", "jobs", "forget")


def pins_of(file: Path) -> dict[str, str]:
    """Name to version."""
    text = file.read_text()
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", text, re.MULTILINE)
    return {canonicalize_name(name): version for name, version in found}


def group(project: dict[str, Any], name: str) -> Iterator[Requirement]:
    """A dependency group, with those that it includes (PEP 735)."""
    for entry in project["dependency-groups"][name]:
        if isinstance(entry, str):
            yield Requirement(entry)
        else:
            yield from group(project, entry["include-group"])


@pytest.fixture
def project(root: Path) -> dict[str, Any]:
    return tomllib.loads((root / "pyproject.toml").read_text())


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_ships_pins_of_what_its_group_asks_for(
    root: Path, project: dict[str, Any], name: str
) -> None:
    pins = pins_of(root / "functions" / name / "requirements.txt")

    for wanted in group(project, name):
        assert pins[canonicalize_name(wanted.name)] in wanted.specifier
    assert "boto3" not in pins


def test_the_development_pins_are_those_that_ship(root: Path, project: dict[str, Any]) -> None:
    development = pins_of(root / "requirements-dev.txt")

    for wanted in [
        *group(project, "dev"),
        *(Requirement(each) for each in project["project"]["dependencies"]),
    ]:
        assert development[canonicalize_name(wanted.name)] in wanted.specifier
    for name in FUNCTIONS:
        pins = pins_of(root / "functions" / name / "requirements.txt")
        assert pins.items() <= development.items()


@pytest.mark.parametrize(
    "file", ["requirements-dev.txt", *(f"functions/{name}/requirements.txt" for name in FUNCTIONS)]
)
def test_every_pin_has_hashes_and_names_no_host(root: Path, file: str) -> None:
    text = (root / file).read_text()

    entries = re.split(r"\n(?=\S)", text.strip())
    assert all("--hash=sha256:" in entry for entry in entries if not entry.startswith("#"))
    assert "://" not in text

"""What runs at GitHub: pinned, with no more rights than it needs, and with secrets in one place."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parents[2] / ".github" / "workflows"
FILES = sorted(FOLDER.glob("*"))
PINNED = re.compile(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
READ = {"contents": "read"}
RIGHTS = {
    ("test.yml", "test"): READ,
    ("deploy.yml", "test"): READ,
    ("deploy.yml", "deploy"): {**READ, "id-token": "write"},
}
each = pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)


def workflow(file: Path) -> dict[str, Any]:
    loaded: dict[Any, Any] = yaml.safe_load(file.read_text())
    return {**loaded, "on": loaded[True]}  # YAML 1.1 takes the word for a truth


def steps(file: Path) -> Iterator[dict[str, Any]]:
    for job in workflow(file)["jobs"].values():
        yield from job.get("steps", [])


def test_no_workflow_goes_unwatched() -> None:
    assert [file.name for file in FILES] == ["deploy.yml", "test.yml"]


@each
def test_a_job_has_the_rights_it_needs_and_the_workflow_none(file: Path) -> None:
    found = workflow(file)

    assert found["permissions"] == {}
    for name, job in found["jobs"].items():
        assert job["permissions"] == RIGHTS[file.name, name]


@each
def test_what_is_used_is_pinned_to_a_commit_or_ours(file: Path) -> None:
    used = re.findall(r"uses: (.*)", file.read_text())

    assert used
    assert [each for each in used if not PINNED.fullmatch(each) and not each.startswith("./")] == []


@each
def test_a_checkout_leaves_no_token_behind(file: Path) -> None:
    for step in steps(file):
        if step.get("uses", "").startswith("actions/checkout"):
            assert step["with"]["persist-credentials"] is False


@each
def test_nobody_writes_into_a_script_and_no_script_prints_its_environment(file: Path) -> None:
    for step in steps(file):
        assert "${{" not in step.get("run", "")
        assert not re.search(r"\b(printenv|env|set -x|echo)\b", step.get("run", ""))


def test_a_stranger_s_change_gets_neither_secrets_nor_a_role() -> None:
    test, deploy = workflow(FOLDER / "test.yml"), workflow(FOLDER / "deploy.yml")

    assert set(test["on"]) == {"push", "pull_request", "workflow_call"}
    assert set(deploy["on"]) == {"workflow_dispatch"}
    assert "secrets." not in (FOLDER / "test.yml").read_text()


def test_the_one_secret_is_in_the_one_step_that_needs_it() -> None:
    with_secret = [step for step in steps(FOLDER / "deploy.yml") if "secrets." in str(step)]

    [step] = with_secret
    assert step["env"]["FAL_KEY"] == "${{ secrets.FAL_KEY }}"
    assert "FAL_KEY" not in step["run"]
    assert (FOLDER / "deploy.yml").read_text().count("secrets.") == 1


def test_aws_is_reached_by_a_role_of_the_environment_alone() -> None:
    deploy = workflow(FOLDER / "deploy.yml")["jobs"]["deploy"]
    [role] = [
        step for step in deploy["steps"] if "configure-aws-credentials" in str(step.get("uses"))
    ]

    assert deploy["environment"] == "${{ inputs.environment }}"
    assert deploy["needs"] == "test"
    assert role["with"]["role-to-assume"] == "${{ vars.AWS_ROLE_ARN }}"
    assert "aws-access-key-id" not in role["with"]


@each
def test_no_job_runs_for_hours(file: Path) -> None:
    for job in workflow(file)["jobs"].values():
        assert "uses" in job or job["timeout-minutes"] <= 90

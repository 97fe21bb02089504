"""What runs at GitHub and before the tests: pinned, with no more rights than it needs, and explained."""

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


def test_all_workflows_are_known() -> None:
    assert [file.name for file in FILES] == ["deploy.yml", "test.yml"]


@each
def test_job_has_only_its_rights(file: Path) -> None:
    found = workflow(file)
    assert found["permissions"] == {}
    for name, job in found["jobs"].items():
        assert job["permissions"] == RIGHTS[file.name, name]


@each
def test_actions_are_pinned_to_commits(file: Path) -> None:
    used = re.findall(r"uses: (.*)", file.read_text())
    assert used
    assert [each for each in used if not PINNED.fullmatch(each) and not each.startswith("./")] == []


@each
def test_checkout_leaves_no_token(file: Path) -> None:
    for step in steps(file):
        if step.get("uses", "").startswith("actions/checkout"):
            assert step["with"]["persist-credentials"] is False


@each
def test_scripts_neither_interpolate_nor_print(file: Path) -> None:
    for step in steps(file):
        assert "${{" not in step.get("run", "")
        assert not re.search(r"\b(printenv|env|set -x|echo)\b", step.get("run", ""))


@pytest.mark.promise("nothing leaks")
def test_pull_request_gets_no_secrets() -> None:
    """A pull request runs the tests without secrets and without a role."""
    test, deploy = workflow(FOLDER / "test.yml"), workflow(FOLDER / "deploy.yml")
    assert set(test["on"]) == {"push", "pull_request", "workflow_call"}
    assert set(deploy["on"]) == {"workflow_dispatch"}
    assert "secrets." not in (FOLDER / "test.yml").read_text()


def test_one_step_gets_the_secret() -> None:
    with_secret = [step for step in steps(FOLDER / "deploy.yml") if "secrets." in str(step)]
    [step] = with_secret
    assert step["env"]["FAL_KEY"] == "${{ secrets.FAL_KEY }}"
    assert "FAL_KEY" not in step["run"]
    assert (FOLDER / "deploy.yml").read_text().count("secrets.") == 1


def test_deployment_uses_a_role() -> None:
    deploy = workflow(FOLDER / "deploy.yml")["jobs"]["deploy"]
    [role] = [
        step for step in deploy["steps"] if "configure-aws-credentials" in str(step.get("uses"))
    ]

    assert deploy["environment"] == "${{ inputs.environment }}"
    assert deploy["needs"] == "test"
    assert role["with"]["role-to-assume"] == "${{ vars.AWS_ROLE_ARN }}"
    assert "aws-access-key-id" not in role["with"]


@each
def test_jobs_have_a_timeout(file: Path) -> None:
    for job in workflow(file)["jobs"].values():
        assert "uses" in job or job["timeout-minutes"] <= 90


def test_skipped_checks_are_explained(root: Path) -> None:
    lines = (root / ".checkov.yaml").read_text().splitlines()
    skipped = yaml.safe_load("\n".join(lines))["skip-check"]

    assert len(skipped) == len(set(skipped)) > 0
    for check in skipped:
        [place] = [
            number for number, line in enumerate(lines) if line.strip().startswith(f"- {check}")
        ]
        assert "#" in lines[place] or lines[place - 1].strip().startswith("#"), check


@pytest.mark.parametrize("tool", ["sam validate --lint", "cfn-lint", "checkov"])
def test_make_checks_the_template(root: Path, tool: str) -> None:
    makefile = (root / "Makefile").read_text()
    check = re.search(r"^check: venv\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert check
    assert tool in check[1]
    assert "test: check" in makefile

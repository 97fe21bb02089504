"""What ships: ``sam build``, each handler imported from its artifact alone, pins that fit pyproject.toml, and what
runs at GitHub and before the tests: pinned, with no more rights than it needs, and explained.
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lora_drop.local.stack import SAMPLE

FUNCTIONS = ("Submit", "Webhook", "Store", "Reconcile", "Jobs", "Forget", "Notify", "Fetch")
PACKAGES = tuple(name.lower() for name in FUNCTIONS)
# Isolated from site-packages and the working tree: the artifact alone, and boto3 out of it.
IMPORT = "import sys; sys.path[:0] = sys.argv[1:]; import functions.{name}.handler as h; h.handler; import boto3; [boto3.client(each, region_name='us-east-1') for each in {services}]"
# The first photo of a dataset, by the artifact alone: whether the models are there, its faces, and one face with itself.
LOOK = """
import io, sys, zipfile
sys.path[:0] = [sys.argv[1]]
from PIL import Image
from lora_drop.adapters.faces import OnnxFaces, faces_available
with zipfile.ZipFile(sys.argv[2]) as archive:
    photo = Image.open(io.BytesIO(archive.read("astronaut-01.jpg"))).convert("RGB")
faces = OnnxFaces()
seen = faces.seen(photo, photo.size)
[[cosine]] = faces.similarities([seen.main.crop])
print(faces_available(), len(seen.faces), round(cosine, 3))
"""
# A tenth more than it is on x86; on ARM it is 178 MB. https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MOST_BYTES = {"Submit": 220_000_000}
SERVICES = ("dynamodb", "events", "lambda", "s3", "secretsmanager", "sqs")
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


@pytest.fixture
def artifacts(built: Path) -> Path:
    return built / "build"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_handler_runs_from_its_artifact(artifacts: Path, name: str) -> None:
    code = IMPORT.format(name=name.lower(), services=SERVICES)

    done = subprocess.run(  # noqa: S603  # our own words
        [sys.executable, "-I", "-S", "-c", code, str(artifacts / f"{name}Function")],
        capture_output=True,
        text=True,
        check=False,
        env={"POWERTOOLS_SERVICE_NAME": "x", "POWERTOOLS_METRICS_NAMESPACE": "x"},
    )

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", FUNCTIONS)
def test_artifact_holds_only_its_function(artifacts: Path, name: str) -> None:
    artifact = artifacts / f"{name}Function"

    functions = {folder.name for folder in (artifact / "functions").iterdir() if folder.is_dir()}
    assert functions - {"__pycache__"} == {name.lower()}
    for stranger in ("tests", "shared", "moto", "pytest", "typer", "rich", "platformdirs"):
        assert not (artifact / stranger).exists()
    for stranger in ("cli", "client", "dev", "local", "simulator", "ui"):
        assert not (artifact / "lora_drop" / stranger).exists()
    assert (artifact / "fal_client").exists() == (name in ("Submit", "Store", "Reconcile", "Jobs"))
    assert (artifact / "nacl").exists() == (name == "Webhook")
    for images in ("PIL", "numpy", "pillow_heif", "simplejpeg", "onnxruntime", "lora_drop/models"):
        assert (artifact / images).exists() == (name == "Submit")


def test_submit_finds_faces_by_itself(artifacts: Path) -> None:
    done = subprocess.run(  # noqa: S603  # our own words
        [sys.executable, "-I", "-S", "-c", LOOK, str(artifacts / "SubmitFunction"), str(SAMPLE)],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["True", "1", "1.0"]


@pytest.mark.promise("it can be operated")
def test_artifact_is_small_enough(artifacts: Path) -> None:
    """A function's files stay well below the 250 MB that Lambda unpacks."""
    for name in FUNCTIONS:
        files = (file for file in (artifacts / f"{name}Function").rglob("*") if file.is_file())
        assert sum(file.stat().st_size for file in files) < MOST_BYTES.get(name, 60_000_000), name


@pytest.mark.parametrize("name", FUNCTIONS)
def test_bytecode_ships(artifacts: Path, name: str) -> None:
    package = artifacts / f"{name}Function" / "lora_drop"
    sources = {file.stem for file in package.glob("*.py")}
    compiled = {file.name.partition(".")[0] for file in package.glob("__pycache__/*.pyc")}
    assert compiled == sources


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


@pytest.mark.parametrize("name", PACKAGES)
def test_function_pins_fit_its_group(root: Path, project: dict[str, Any], name: str) -> None:
    pins = pins_of(root / "functions" / name / "requirements.txt")
    for wanted in group(project, name):
        assert pins[canonicalize_name(wanted.name)] in wanted.specifier


def test_development_pins_are_shipped_pins(root: Path, project: dict[str, Any]) -> None:
    development = pins_of(root / "requirements-dev.txt")

    for wanted in [
        *group(project, "dev"),
        *(Requirement(each) for each in project["project"]["dependencies"]),
    ]:
        assert development[canonicalize_name(wanted.name)] in wanted.specifier
    for name in PACKAGES:
        pins = pins_of(root / "functions" / name / "requirements.txt")
        assert pins.items() <= development.items()


@pytest.mark.parametrize(
    "file", ["requirements-dev.txt", *(f"functions/{name}/requirements.txt" for name in PACKAGES)]
)
def test_pins_have_hashes(root: Path, file: str) -> None:
    text = (root / file).read_text()
    entries = re.split(r"\n(?=\S)", text.strip())
    assert all("--hash=sha256:" in entry for entry in entries if not entry.startswith("#"))
    assert "://" not in text


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
    commands = re.search(
        r"^\$\(TEMPLATE\): template.yaml (?:.*\\\n)*.*\n((?:\t.*\n)+)", makefile, re.MULTILINE
    )
    assert commands
    assert tool in commands[1]
    assert "check: venv $(TEMPLATE)\n" in makefile
    assert "test: check" in makefile

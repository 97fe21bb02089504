"""What ships: ``sam build``, each handler imported from its artifact alone, and pins that fit pyproject.toml."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from lora_drop.local import deployment
from lora_drop.local.fal_server import FalServer

FUNCTIONS = ("Submit", "Webhook", "Store", "Reconcile", "Jobs", "Forget")
PACKAGES = tuple(name.lower() for name in FUNCTIONS)
# Isolated from site-packages and the working tree: the artifact, and what Lambda's runtime brings.
IMPORT = "import sys; sys.path[:0] = sys.argv[1:]; import functions.{name}.handler as h; h.handler"
RUNTIME = ("boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six.py", "urllib3")


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    fal = FalServer(
        url="https://fal.example",
        key="none",
        user_id="",
        artifact_hosts="fal.example",
        jwks_url="https://fal.example/jwks.json",
        api_url="https://fal.example/v1",
        rest_url="https://fal.example",
        cdn_url="https://fal.example",
        ca_file=None,
        simulated=False,
    )
    return deployment.build(tmp_path_factory.mktemp("artifacts"), fal).parent


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the packages of Lambda's runtime and no others."""
    folder = tmp_path_factory.mktemp("runtime")
    site_packages = Path(boto3.__file__).parents[1]
    for name in RUNTIME:
        (folder / name).symlink_to(site_packages / name)
    return folder


@pytest.mark.parametrize("name", FUNCTIONS)
def test_handler_runs_from_its_artifact(artifacts: Path, runtime: Path, name: str) -> None:
    code = IMPORT.format(name=name.lower())

    done = subprocess.run(  # noqa: S603  # our own words
        [sys.executable, "-I", "-S", "-c", code, str(artifacts / f"{name}Function"), str(runtime)],
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
    for stranger in ("tests", "shared", "boto3", "botocore", "moto", "pytest"):
        assert not (artifact / stranger).exists()
    for stranger in ("cli", "client", "dev", "local", "simulator"):
        assert not (artifact / "lora_drop" / stranger).exists()
    assert (artifact / "fal_client").exists() == (name in ("Submit", "Store", "Reconcile", "Jobs"))
    assert (artifact / "nacl").exists() == (name == "Webhook")


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
    assert "boto3" not in pins


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

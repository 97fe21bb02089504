"""What ships: ``sam build``, then each handler imported from its artifact alone."""

import subprocess
import sys
from pathlib import Path

import boto3
import pytest

from lora_drop.local import deployment
from lora_drop.local.fal_server import FalServer

FUNCTIONS = ("Submit", "Webhook", "Store", "Reconcile", "Jobs", "Forget")
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
def test_a_handler_can_be_imported_from_its_artifact_alone(
    artifacts: Path, runtime: Path, name: str
) -> None:
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
def test_an_artifact_holds_its_function_and_nothing_of_the_workshop(
    artifacts: Path, name: str
) -> None:
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
def test_bytecode_ships_so_that_a_cold_start_compiles_nothing(artifacts: Path, name: str) -> None:
    package = artifacts / f"{name}Function" / "lora_drop"

    sources = {file.stem for file in package.glob("*.py")}
    compiled = {file.name.partition(".")[0] for file in package.glob("__pycache__/*.pyc")}
    assert compiled == sources

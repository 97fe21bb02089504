"""The real template on the emulator: ``sam build``, ``sam deploy``, the fal key into its secret."""

import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import boto3

from local.emulator import CREDENTIALS, REGION
from local.fal_server import FalServer
from local.tools import ROOT, command, environment

STACK = "lora-drop"
API_ID = "10cadec0"  # the emulator gives an API the id that this tag asks for
API_TAG = "ms-custom-id"
STAGE = "live"
CODE_BUCKET = "lora-drop-code"
CA_IN_FUNCTION = "private-ca.pem"
MACHINES: Mapping[str, tuple[str, str]] = {  # uname: Lambda's architecture, uv's platform
    "x86_64": ("x86_64", "x86_64-manylinux_2_28"),
    "aarch64": ("arm64", "aarch64-manylinux_2_28"),
    "arm64": ("arm64", "aarch64-apple-darwin"),  # workers are processes of this machine
}
TAIL = 4000  # characters of a log that an error shows


class SamFailed(RuntimeError):
    """Raised when SAM cannot build or deploy; holds the end of what it said."""


def api_url(emulator_url: str) -> str:
    """Where the stack's API is on the emulator, without a final slash."""
    return f"{emulator_url}/_aws/execute-api/{API_ID}/{STAGE}"


def parameters(fal: FalServer, emulator_url: str) -> dict[str, str]:
    """The template's parameters for a stack on this machine."""
    return {
        "Architecture": _machine()[0],
        "AwsEndpointUrl": emulator_url,
        "WebhookBaseUrl": api_url(emulator_url),
        "FalRunHost": fal.host_port,
        "FalQueueRunHost": fal.host_port,
        "FalJwksUrl": fal.jwks_url,
        "FalApiUrl": fal.api_url,
        "FalUserId": fal.user_id,
        "ArtifactHosts": fal.artifact_hosts,
        "CaBundle": CA_IN_FUNCTION if fal.ca_file else "",
        "ReconcileSchedule": "rate(1 minute)",
        "LateAfterSeconds": "20",
        "LogLevel": "DEBUG",
    }


def build(state: Path, fal: FalServer) -> Path:
    """The built template, with each function's artifact beside it; raises SamFailed."""
    target = state / "build"
    ca_file = str(fal.ca_file) if fal.ca_file else ""
    line = ["build", "--build-dir", str(target), "--cache-dir", str(state / "cache")]
    _sam(line, state / "sam-build.log", PLATFORM=_machine()[1], CA_FILE=ca_file)
    return target / "template.yaml"


def deploy(state: Path, template: Path, values: Mapping[str, str], emulator_url: str) -> None:
    """Deploy the built template, or bring a deployed one up to date; raises SamFailed."""
    client(emulator_url, "s3").create_bucket(Bucket=CODE_BUCKET)
    line = ["deploy", "--template-file", str(template), "--stack-name", STACK]
    line += ["--no-resolve-s3", "--s3-bucket", CODE_BUCKET, "--region", REGION]
    line += ["--no-confirm-changeset", "--no-fail-on-empty-changeset", "--no-progressbar"]
    line += ["--tags", f"{API_TAG}={API_ID}", "--parameter-overrides"]
    # In quotes of its own, for SAM ends a value at its first space.
    line += [f'{name}="{value}"' for name, value in values.items() if value]
    _sam(line, state / "sam-deploy.log", AWS_ENDPOINT_URL=emulator_url)


def outputs(emulator_url: str) -> dict[str, str]:
    """The deployed stack's outputs."""
    stacks = client(emulator_url, "cloudformation").describe_stacks(StackName=STACK)["Stacks"]
    return {row["OutputKey"]: row["OutputValue"] for row in stacks[0].get("Outputs", [])}


def write_environments(file: Path, emulator_url: str, found: Mapping[str, str]) -> None:
    """What the deployed functions have in their environment, for ``sam local --env-vars``."""
    functions = client(emulator_url, "lambda")
    environments = {
        name.removesuffix("Name"): functions.get_function_configuration(FunctionName=value)[
            "Environment"
        ]["Variables"]
        for name, value in found.items()
        if name.endswith("FunctionName")
    }
    file.write_text(json.dumps(environments, indent=2))


def put_fal_key(emulator_url: str, secret: str, key: str) -> None:
    """What a person does by hand after the first deployment."""
    client(emulator_url, "secretsmanager").put_secret_value(SecretId=secret, SecretString=key)


def client(emulator_url: str, service: str):  # type: ignore[no-untyped-def]  # boto3's own, by name
    """A boto3 client of the emulator."""
    return boto3.client(
        service,  # type: ignore[call-overload]  # a name, not a literal
        endpoint_url=emulator_url,
        region_name=REGION,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )


def _sam(line: Sequence[str], log: Path, **env: str) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        done = subprocess.run(  # noqa: S603  # our own words
            command("sam", *line),
            cwd=ROOT,
            env=environment(**CREDENTIALS, AWS_DEFAULT_REGION=REGION, **env),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        said = log.read_text(errors="replace")[-TAIL:].strip()
        raise SamFailed(f"sam {line[0]} failed; all of it is in {log}\n\n{said}")


def _machine() -> tuple[str, str]:
    name = platform.machine()
    if name not in MACHINES:
        raise SamFailed(f"Lambda has no {name} processors, and functions are built for this one")
    return MACHINES[name]

"""The real template on the emulator: ``sam build``, CloudFormation, the fal key into its secret."""

import json
import platform
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from lora_drop.local.code_upload import CODE_BUCKET, upload
from lora_drop.local.emulator import CREDENTIALS, REGION, own_environment
from lora_drop.local.fal_server import FalServer
from lora_drop.local.overlay import API_TAG, CA_IN_FUNCTION
from lora_drop.local.processes import Started, run
from lora_drop.local.tools import command, project_folder, sources_digest

STACK = "lora-drop"
API_ID = "10cadec0"
STAGE = "live"
CAPABILITIES = ("CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND")
NOTHING_NEW = "No updates are to be performed"
WAIT = {"Delay": 0.2, "MaxAttempts": 600}
# Code never leaves this machine: no checksum of half a gigabyte, and no signature over it.
UNSIGNED = Config(
    request_checksum_calculation="when_required", s3={"payload_signing_enabled": False}
)
MACHINES: Mapping[str, tuple[str, str]] = {  # uname: Lambda's architecture, uv's platform
    "x86_64": ("x86_64", "x86_64-manylinux_2_28"),
    "aarch64": ("arm64", "aarch64-manylinux_2_28"),
    "arm64": ("arm64", "aarch64-apple-darwin"),  # workers are processes of this machine
}
DIGEST = ".sources"  # in the folder of what is built
TAIL = 4000  # characters of a log that an error shows


class SamError(RuntimeError):
    """Raised when the stack cannot be built or deployed; holds the end of what was said."""


def api_url(emulator_url: str, api_id: str = API_ID) -> str:
    """Where the stack's API is on the emulator, without a final slash."""
    return f"{emulator_url}/_aws/execute-api/{api_id}/{STAGE}"


def parameters(fal: FalServer, emulator_url: str) -> dict[str, str]:
    """The template's parameters for a stack on this machine; its other differences are in overlay.py."""
    return {
        "Architecture": machine()[0],
        "WebhookBaseUrl": api_url(emulator_url),
        "FalUserId": fal.user_id,
        "ReconcileSchedule": "rate(1 minute)",
        "LateAfterSeconds": "20",
        "LogLevel": "DEBUG",
        # The simulator's dollars cost nothing.
        **({"MonthlyBudgetUsd": "1000000"} if fal.simulated else {}),
    }


def build(state: Path, fal: FalServer, *, started: Started | None = None) -> Path:
    """The built template, with each function's artifact beside it; raises SamError.

    What was built from the same sources is not built once more.
    """
    target = state / "build"
    if not is_built(state):
        digest = sources_digest()  # as they are before it begins: they may change meanwhile
        line = ["build", "--build-dir", str(target), "--cache-dir", str(state / "cache")]
        _sam(line, state / "sam-build.log", started, PLATFORM=machine()[1])
        shutil.copyfile(target / "template.yaml", plain_template(state))
        (target / DIGEST).write_text(digest)
    # Another simulator has another one, with the same code.
    for artifact in target.glob("*Function"):
        (artifact / CA_IN_FUNCTION).unlink(missing_ok=True)
        if fal.ca_file:
            shutil.copyfile(fal.ca_file, artifact / CA_IN_FUNCTION)
    return target / "template.yaml"


def plain_template(state: Path) -> Path:
    """The built template as SAM wrote it; what is deployed has the emulator's variables."""
    return state / "build" / "plain.yaml"


def is_built(state: Path) -> bool:
    """Whether what is built there is made from today's sources."""
    return digest_of_build(state) == sources_digest()


def digest_of_build(state: Path) -> str:
    """The digest of the sources that it was built from; empty where it is not built."""
    try:
        return (state / "build" / DIGEST).read_text()
    except FileNotFoundError:
        return ""


def deploy(template: Path, values: Mapping[str, str], emulator_url: str) -> None:
    """Deploy the built template, or bring a deployed one up to date; raises SamError.

    The emulator translates a SAM template itself, so CloudFormation is asked directly: no change set, no SAM.
    """
    try:
        key = upload(template, client(emulator_url, "s3", UNSIGNED))
        cloudformation = client(emulator_url, "cloudformation")
        request = {
            "StackName": STACK,
            "TemplateURL": f"{emulator_url}/{CODE_BUCKET}/{key}",
            "Capabilities": CAPABILITIES,
            "Tags": [{"Key": API_TAG, "Value": API_ID}],
            "Parameters": _parameter_rows(values),
        }
        try:
            cloudformation.create_stack(**request)
            done = "stack_create_complete"
        except cloudformation.exceptions.AlreadyExistsException:
            cloudformation.update_stack(**request)
            done = "stack_update_complete"
        _wait(cloudformation, done)
    except (BotoCoreError, ClientError) as error:
        if NOTHING_NEW not in str(error):
            raise SamError(f"The template could not be deployed: {error}") from error


def update(values: Mapping[str, str], emulator_url: str) -> None:
    """Give the deployed stack these parameters, and nothing else; raises SamError."""
    cloudformation = client(emulator_url, "cloudformation")
    try:
        cloudformation.update_stack(
            StackName=STACK,
            UsePreviousTemplate=True,
            Capabilities=CAPABILITIES,
            Parameters=_parameter_rows(values),
        )
        _wait(cloudformation, "stack_update_complete")
    except (BotoCoreError, ClientError) as error:
        raise SamError(f"The parameters could not be changed: {error}") from error


def _parameter_rows(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"ParameterKey": name, "ParameterValue": value} for name, value in values.items()]


def _wait(cloudformation: Any, done: str) -> None:
    """Wait for the stack; raises SamError with the reason of each resource that has failed."""
    try:
        cloudformation.get_waiter(done).wait(StackName=STACK, WaiterConfig=WAIT)
    except WaiterError as error:
        events = cloudformation.describe_stack_events(StackName=STACK)["StackEvents"]
        reasons = [
            f"{each['LogicalResourceId']}: {each.get('ResourceStatusReason', 'no reason is given')}"
            for each in reversed(events)
            if each["ResourceStatus"].endswith("FAILED")
        ]
        raise SamError("\n".join([f"The stack failed: {error}", *reasons])) from error


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


def client(emulator_url: str, service: str, config: Config | None = None):  # type: ignore[no-untyped-def]  # boto3's own, by name
    """A boto3 client of the emulator, whatever profile the caller has chosen."""
    no_profile = botocore.session.Session({"profile": (None, [], None, None)})
    return boto3.Session(botocore_session=no_profile).client(
        service,  # type: ignore[call-overload]  # a name, not a literal
        endpoint_url=emulator_url,
        region_name=REGION,
        config=config,
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    )


def sam_local_line(state: Path, environments: Path) -> str:
    """What runs submit in a container on a stack that is up there; it takes an event on its input."""
    credentials = [f"{name}={value}" for name, value in CREDENTIALS.items()]
    line = ["python", "-m", "lora_drop.local.tools", "sam", "local", "invoke", "SubmitFunction"]
    line += ["--event", "-", "--region", REGION]
    line += ["--template", str(state / "build" / "template.yaml")]
    line += ["--env-vars", str(environments)]
    line += ["--parameter-overrides", f"Architecture={machine()[0]}"]
    return shlex.join([*credentials, *line])


def _sam(line: Sequence[str], log: Path, started: Started | None, **env: str) -> None:
    code = run(
        command("sam", *line),
        log=log,
        env=own_environment(**env),
        cwd=project_folder(),
        started=started,
    )
    if code:
        said = log.read_text(errors="replace")[-TAIL:].strip()
        raise SamError(f"sam {line[0]} failed; all of it is in {log}\n\n{said}")


def machine() -> tuple[str, str]:
    """Lambda's name for this machine's processor, and uv's for what runs on it; raises SamError."""
    name = platform.machine()
    if name not in MACHINES:
        raise SamError(f"Lambda has no {name} processors, and functions are built for this one")
    return MACHINES[name]

"""Which stack a command speaks to, found by its outputs: in AWS, or on this machine."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ProxyConnectionError,
)

from lora_drop.client.config_file import aws_session, default_of
from lora_drop.client.errors import StackUnreachableError
from lora_drop.client.face_check import FaceCheck
from lora_drop.client.foreign_answers import ASKED_AS
from lora_drop.fal.trainers import table as trainers
from lora_drop.local.simulator_words import simulated_words
from lora_drop.local.tools import none_is_up

DEFAULT = "lora-drop"
LOCAL = "local"
MAKING = Lock()
TRAINER = trainers.DEFAULT.application  # of a stack that does not say
WARN, REFUSE = "warn", "refuse"  # the values of MisspelledPresetFolder
# No connection came about, so nothing was sent (botocore.httpsession); others may have lost the answer alone.
NEVER_CONNECTED = (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError)
API_IN_AWS = re.compile(r"https://(?P<id>\w+)\.execute-api\.[^/]+/(?P<stage>\w+)")


@dataclass(frozen=True, slots=True)
class Stack:
    """A deployed stack and how to reach it; ``endpoint_url`` None is AWS.

    ``application`` is the trainer of datasets that name none, ``misspelled_folder`` what becomes of one in a
    folder that is nearly called like a preset: warn or refuse. ``faces`` is what its check does about faces.
    ``simulated`` says of the pictures that no LoRA has made them, where a simulator is its fal.
    ``proof_sheet``: it makes a proof sheet where an order says nothing of it; None for one of an earlier version, which
    makes none.
    """

    name: str
    session: boto3.Session
    endpoint_url: str | None
    api_url: str
    datasets_bucket: str
    models_bucket: str
    application: str = TRAINER
    misspelled_folder: str = WARN
    faces: FaceCheck = field(default_factory=FaceCheck)
    simulated: str = ""
    proof_sheet: bool | None = None

    def client(self, service: str, *, attempts: int | None = None) -> Any:
        """A boto3 client for this stack's account and place; ``attempts`` of a call, else as many as boto3 makes."""
        config = Config(retries={"total_max_attempts": attempts}) if attempts else None
        # A session makes no two clients at once (boto3's guide, "Multithreading and multiprocessing").
        with MAKING:
            return self.session.client(service, endpoint_url=self.endpoint_url, config=config)  # type: ignore[call-overload]  # a name, not a literal

    def unreachable(self, what: str, error: Exception) -> StackUnreachableError:
        """The error of ``what`` could not be done, because no connection to the stack came about."""
        return StackUnreachableError(f"{what}: {error}. {_way_there(error, self.endpoint_url)}")


def find_stack(name: str | None, *, profile: str | None = None, region: str | None = None) -> Stack:
    """The stack of this name; raises StackUnreachableError.

    Without a name it is ``LORA_DROP_STACK``, else what ``lora-drop config`` has, else the stack on this
    machine if one is up (also called ``local``), else the CloudFormation stack ``lora-drop``. ``profile`` and
    ``region`` are AWS's, and the stack is a deployed one where either is given.
    """
    name = name or os.environ.get("LORA_DROP_STACK") or default_of("stack")
    with local_failures():
        here = name == LOCAL or (name is None and not (profile or region))
        access = local_stack().access() if here else None
    if access is not None:
        return _local(access)
    if name == LOCAL:
        raise StackUnreachableError(none_is_up())
    return _deployed(name, profile=profile, region=region)


def local_stack() -> Any:
    """The stack on this machine, up or not."""
    from lora_drop.local.stack import LocalStack  # noqa: PLC0415  # few commands need it

    return LocalStack.here()


@contextmanager
def local_failures() -> Iterator[None]:
    """Raise the local stack's failures as StackUnreachableError."""
    try:
        yield
    except RuntimeError as failure:
        raise StackUnreachableError(str(failure)) from failure


def _local(access: Mapping[str, Any]) -> Stack:
    # A profile that the caller has chosen is for AWS.
    no_profile = botocore.session.Session({"profile": (None, [], None, None)})
    session = boto3.Session(
        botocore_session=no_profile,
        aws_access_key_id=access["access_key"],
        aws_secret_access_key=access["secret_key"],
        region_name=access["region"],
    )
    outputs = access["outputs"]
    return Stack(
        name=LOCAL,
        session=session,
        endpoint_url=access["endpoint_url"],
        simulated=simulated_words(
            # Neither is known of a stack that an earlier version started.
            simulated=access.get("fal_simulated", False),
            pictures=access.get("fal_pictures"),
        ),
        api_url=access["api_url"],
        datasets_bucket=outputs["DatasetsBucketName"],
        models_bucket=outputs["ModelsBucketName"],
        application=outputs.get("FalApplication", TRAINER),
        misspelled_folder=outputs.get("MisspelledPresetFolder", WARN),
        faces=FaceCheck.of_outputs(outputs),
        proof_sheet=_proof_sheet(outputs),
    )


def _deployed(
    asked_for: str | None, *, profile: str | None = None, region: str | None = None
) -> Stack:
    name = asked_for or DEFAULT
    try:
        session = aws_session(profile, region)
    except BotoCoreError as error:
        raise StackUnreachableError(
            f"AWS cannot be reached as you: {error}. See AWS_PROFILE."
        ) from error
    if not session.region_name:
        raise StackUnreachableError(_no_region(asked_for))
    try:
        stacks = session.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    except (BotoCoreError, ClientError) as error:
        raise StackUnreachableError(_unreadable(name, str(session.region_name), error)) from error
    outputs = {row["OutputKey"]: row["OutputValue"] for row in stacks[0].get("Outputs", [])}
    try:
        return Stack(
            name=name,
            session=session,
            endpoint_url=None,
            api_url=_api_url(outputs["ApiUrl"]),
            datasets_bucket=outputs["DatasetsBucketName"],
            models_bucket=outputs["ModelsBucketName"],
            application=outputs.get("FalApplication", TRAINER),
            misspelled_folder=outputs.get("MisspelledPresetFolder", WARN),
            faces=FaceCheck.of_outputs(outputs),
            proof_sheet=_proof_sheet(outputs),
        )
    except KeyError as missing:
        raise StackUnreachableError(
            f"{name} is not a lora-drop stack: it has no output {missing}"
        ) from None


def _proof_sheet(outputs: Mapping[str, str]) -> bool | None:
    value = outputs.get("ProofSheet")
    return None if value is None else value == "true"


def _unreadable(name: str, region: str, error: Exception) -> str:
    """Why the stack cannot be read, and the command that helps against that."""
    answered = error.response["Error"] if isinstance(error, ClientError) else {}
    if "does not exist" in answered.get("Message", ""):
        return (
            f"There is no stack {name} in {region}. Deploy it: lora-drop deploy dev, which makes lora-drop-dev; "
            f"name one that is there: --stack lora-drop-dev, or LORA_DROP_STACK, and AWS_REGION. {none_is_up()}"
        )
    said = f"The stack {name} cannot be read in {region}: {error}"
    if isinstance(error, NEVER_CONNECTED):
        return f"{said}. {_way_there(error, None)}"
    return f"{said}. {ASKED_AS}"


def _way_there(error: Exception, endpoint_url: str | None) -> str:
    """What to do where no connection comes about."""
    host = urlsplit(endpoint_url).hostname if endpoint_url else ".amazonaws.com"
    if isinstance(error, ProxyConnectionError):
        return f"Go round the proxy: export NO_PROXY={host}"
    if endpoint_url:
        return "If the stack on this machine is down, start one: lora-drop up"
    return "See that the region is right, and that this machine is online."


def _no_region(asked_for: str | None) -> str:
    if asked_for is None:
        return (
            f"{none_is_up()} No AWS region is set to look for a deployed one: set AWS_REGION and AWS_PROFILE, "
            "or for good: lora-drop config set region eu-central-1"
        )
    return (
        f"No AWS region is set to look for the stack {asked_for} in: set AWS_REGION and AWS_PROFILE. "
        "The one on this machine is --stack local."
    )


def _api_url(output: str) -> str:
    """Where the API is: an emulator's output has AWS's address, and it serves the API under its own."""
    emulator, api = os.environ.get("AWS_ENDPOINT_URL"), API_IN_AWS.fullmatch(output)
    if not emulator or api is None:
        return output
    return f"{emulator.rstrip('/')}/_aws/execute-api/{api['id']}/{api['stage']}"

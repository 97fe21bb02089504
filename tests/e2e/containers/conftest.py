"""A stack that containers can reach, and ``sam local`` to run the functions in them."""

import json
import os
import platform
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any

import pytest

from lora_drop.local.deployment import client
from lora_drop.local.emulator import CREDENTIALS, REGION
from lora_drop.local.events import fresh_event
from lora_drop.local.stack import LocalStack
from lora_drop.local.state_file import RunningStack
from lora_drop.local.tools import ROOT, command, environment
from lora_drop.simulator.running import ControlClient
from tests.e2e.conftest import access_to, run_command

REQUIRED = "LORA_DROP_CONTAINERS"
ARCHITECTURE = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
IMAGE = f"public.ecr.aws/lambda/python:3.13-{ARCHITECTURE}"
PATIENCE = 120  # seconds for one invocation


def docker(*words: str) -> str | None:
    """What docker prints; None where there is none, or no engine behind it."""
    try:
        done = subprocess.run(  # noqa: S603  # fixed words
            ["docker", *words],  # noqa: S607  # wherever it is installed
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return None
    return done.stdout if done.returncode == 0 else None


def bridge_address() -> str:
    """The host's own address on Docker's default bridge, where containers find it."""
    [network] = json.loads(docker("network", "inspect", "bridge") or "[]")
    [config] = network["IPAM"]["Config"]
    return str(config.get("Gateway") or next(ip_network(config["Subnet"]).hosts()))


@dataclass(frozen=True, slots=True)
class Containers:
    """A stack whose functions run only when they are invoked, in containers."""

    local: LocalStack
    stack: RunningStack
    simulator: ControlClient
    used: set[str] = field(default_factory=set)
    """The names of the events that were made for it."""

    def event(self, name: str, *, job_id: str = "", key: str = "") -> Any:
        """An event of ``events/``, made to fit."""
        self.used.add(name)
        return fresh_event(self.local, name, job_id=job_id, key=key)

    def sam_local(self, kind: str, *words: str) -> list[str]:
        """The command line of ``sam local invoke`` or ``start-api`` on this stack."""
        template = str(self.local.state / "build" / "template.yaml")
        return command(
            *("sam", "local", kind, *words),
            *("--template", template, "--env-vars", str(self.local.sam_environments)),
            *("--parameter-overrides", f"Architecture={ARCHITECTURE}"),
            *("--skip-pull-image", "--region", REGION),
        )

    def environment(self) -> dict[str, str]:
        """What SAM runs with; it hands the credentials on to the containers."""
        return environment(**CREDENTIALS, AWS_DEFAULT_REGION=REGION)

    def invoke(self, function: str, name: str, *, job_id: str = "", key: str = "") -> Any:
        """What a function in a container answers to an event of ``events/``."""
        event = self.event(name, job_id=job_id, key=key)
        done = subprocess.run(  # noqa: S603  # our own words
            self.sam_local("invoke", function, "--event", "-"),
            input=json.dumps(event),
            env=self.environment(),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def client(self, service: str) -> Any:
        """A boto3 client of the emulator."""
        return client(self.stack.emulator_url, service)

    def drop(self, key: str) -> None:
        """The sample dataset, in the bucket, to be trained again; no event is sent."""
        self.client("s3").put_object(
            Bucket=self.stack.outputs["DatasetsBucketName"],
            Key=key,
            Body=self.local.sample.read_bytes(),
            Metadata={"force": "true"},
        )

    def job(self, key: str) -> dict[str, Any]:
        """The job of this dataset, from ``status.json`` beside its files."""
        s3, bucket = self.client("s3"), self.stack.outputs["ModelsBucketName"]
        listed = s3.list_objects_v2(Bucket=bucket, Prefix=key.removesuffix(".zip") + "/")
        [name] = [row["Key"] for row in listed["Contents"] if row["Key"].endswith("/status.json")]
        job: dict[str, Any] = json.load(s3.get_object(Bucket=bucket, Key=name)["Body"])
        return job

    def quiet(self) -> None:
        """Take the deployed functions off their queues and schedule: containers do the work."""
        functions, rules = self.client("lambda"), self.client("events")
        for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
            functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)
        for rule in rules.list_rules()["Rules"]:
            rules.disable_rule(Name=rule["Name"])


@pytest.fixture(scope="session")
def containers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    if docker("image", "inspect", IMAGE) is None:
        reason = f"needs a Docker engine that has {IMAGE} (docker pull {IMAGE})"
        if os.environ.get(REQUIRED):
            pytest.fail(reason)
        pytest.skip(reason)
    local = LocalStack(tmp_path_factory.mktemp("containers"))
    address = bridge_address()
    run_command(local.state, "up", "--host", address, "--training-seconds", "0.5")
    stack = local.running()
    assert stack is not None
    try:
        with ControlClient(access_to(stack.fal)) as simulator:
            made = Containers(local, stack, simulator)
            made.quiet()
            simulator.inject("webhook_lost", times=None)
            yield made
    finally:
        run_command(local.state, "down")

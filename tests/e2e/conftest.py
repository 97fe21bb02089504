"""One deployed stack for every test here: the real template on the emulator, through the command."""

import gc
import json
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from lora_drop.local.fal_server import FalServer
from lora_drop.local.stack import HOME, LocalStack
from lora_drop.simulator.config import Access
from lora_drop.simulator.running import ControlClient

PATIENCE = 600  # seconds for one command, on a loaded machine


@dataclass(frozen=True, slots=True)
class Deployed:
    """A stack that is up, and the command that speaks to it."""

    local: LocalStack
    access: dict[str, Any]
    simulator: ControlClient

    def run(self, *words: str, code: int = 0) -> str:
        """What `lora-drop` prints on standard output."""
        return run_command(self.local.state, *words, code=code)

    def train(self, path: Path, *words: str, code: int = 0, force: bool = True) -> dict[str, Any]:
        """The job that `lora-drop train --json` ends with; the same content is trained once more."""
        force_retrain = ["--force"] if force else []
        output = self.run(
            "train", str(path), "--json", "--timeout", "180", *force_retrain, *words, code=code
        )
        job: dict[str, Any] = json.loads(output)
        return job

    def listed(self, *words: str) -> list[dict[str, Any]]:
        """The jobs that `lora-drop jobs --json` prints, one a line."""
        return [json.loads(line) for line in self.run("jobs", "--json", *words).splitlines()]

    def client(self, service: str) -> Any:
        """A boto3 client of the emulator."""
        return boto3.client(  # type: ignore[call-overload]  # a name, not a literal
            service, endpoint_url=self.access["endpoint_url"], region_name=self.access["region"]
        )

    def files_of(self, job: dict[str, Any]) -> dict[str, bytes]:
        """Every file of a job in the models bucket, by name."""
        s3, bucket = self.client("s3"), self.access["outputs"]["ModelsBucketName"]
        prefix = job["location"].removeprefix(f"s3://{bucket}/")
        listed = s3.list_objects_v2(Bucket=bucket, Prefix=prefix)["Contents"]
        return {
            row["Key"].removeprefix(prefix): s3.get_object(Bucket=bucket, Key=row["Key"])[
                "Body"
            ].read()
            for row in listed
        }

    def posts_of(self, job: dict[str, Any]) -> list[dict[str, Any]]:
        """The simulator's rows for POSTs that name this job."""
        rows = self.simulator.ledger()["submissions"]
        return [row for row in rows if f"/{job['job_id']}/" in (row["webhook_url"] or "")]


def access_to(fal: FalServer) -> Access:
    """The simulator of a stack, for its control API."""
    assert fal.ca_file is not None
    host, _, port = fal.host_port.rpartition(":")
    return Access(
        url=fal.url,
        host=host,
        port=int(port),
        host_port=fal.host_port,
        ca_file=fal.ca_file,
        user_id=fal.user_id,
        key=fal.key,
    )


def run_command(home: Path, *words: str, code: int = 0) -> str:
    """What `lora-drop` prints on standard output, run as a person does on this state folder."""
    done = _run(home, words)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout


def run_command_both(home: Path, *words: str, code: int = 0) -> str:
    """What a person sees: standard error, then the result on standard output."""
    done = _run(home, words)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stderr + done.stdout


def _run(home: Path, words: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603  # the project's own command
        [sys.executable, "-m", "lora_drop", *words],
        env={**os.environ, HOME: str(home), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def pytest_sessionfinish() -> None:
    close_connections()


def close_connections() -> None:
    """Let go of connections that boto3 and schemathesis leave open, before pytest takes them for an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


@pytest.fixture(scope="session")
def deployed(built: Path) -> Iterator[Deployed]:
    local = LocalStack(built)
    access = json.loads(run_command(local.state, "up", "--json", "--training-seconds", "0.5"))
    running = local.running()
    assert running is not None
    try:
        with ControlClient(access_to(running.fal)) as simulator:
            yield Deployed(local, access, simulator)
    finally:
        run_command(local.state, "down")


@pytest.fixture
def stack(deployed: Deployed) -> Iterator[Deployed]:
    """The stack, without the faults of an earlier test."""
    deployed.simulator.clear()
    yield deployed
    deployed.simulator.clear()

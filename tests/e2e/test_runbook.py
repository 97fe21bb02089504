"""The runbook's own lines, rehearsed on the stack of `lora-drop up` under its name."""

import os
import shlex
import subprocess
import time

import pytest

from lora_drop.local.deployment import STACK
from lora_drop.local.tools import command, environment
from tests.e2e.conftest import PATIENCE, Deployed

pytestmark = pytest.mark.stack

SETTLED = 10  # seconds; a dataset is at fal after one


@pytest.fixture
def exported(stack: Deployed, monkeypatch: pytest.MonkeyPatch) -> Deployed:
    """The stack, with what `lora-drop up` says is to be exported."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", stack.access["endpoint_url"])
    monkeypatch.setenv("AWS_REGION", stack.access["region"])
    return stack


def logged(line: str) -> str:
    """What a line of `sam logs` prints."""
    done = subprocess.run(  # noqa: S603  # the runbook's own words
        command(*shlex.split(line)),
        env=environment(**os.environ),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    return done.stdout


def posts(stack: Deployed, slug: str) -> int:
    """How often fal was paid for jobs that are called so."""
    rows = stack.simulator.ledger()["submissions"]
    return sum(f"/{slug}" in (row["webhook_url"] or "") for row in rows)


def test_logs_of_a_job_are_found(exported: Deployed) -> None:
    job_id = exported.train(exported.local.sample, "--stack", STACK)["job_id"]

    output = logged(
        f"sam logs --stack-name {STACK} --filter '\"{job_id}\"' --start-time '1day ago'"
    )
    of_another = logged(
        f"sam logs --stack-name {STACK} --filter '\"no-{job_id}\"' --start-time '1day ago'"
    )

    assert job_id in [job["job_id"] for job in exported.listed("--stack", STACK)]
    assert job_id in output
    assert job_id not in of_another


@pytest.mark.promise("it can be operated")
def test_switched_off_inbox_pays_nothing(exported: Deployed) -> None:
    """Nothing is paid while the inbox is switched off, and the dataset is trained after it is switched on."""
    functions = exported.client("lambda")
    [mapping] = functions.list_event_source_mappings(
        FunctionName=exported.access["outputs"]["SubmitFunctionName"]
    )["EventSourceMappings"]
    functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)

    try:
        exported.run(
            "train", str(exported.local.sample), "--key", "off.zip", "--force", "--no-wait"
        )
        time.sleep(SETTLED)
        meanwhile = posts(exported, "off-")
    finally:
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=True)

    until = time.monotonic() + PATIENCE
    while not posts(exported, "off-") and time.monotonic() < until:
        time.sleep(1)
    assert (meanwhile, posts(exported, "off-")) == (0, 1)

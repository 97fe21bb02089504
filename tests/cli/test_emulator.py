"""The AWS emulator on this machine: an empty account, which nothing of the caller's own shell reaches."""

import io
import json
import shlex
import signal
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path

import pytest
from botocore.exceptions import EndpointConnectionError

from lora_drop.local.deployment import client
from lora_drop.local.emulator import own_environment, running_emulator
from tests.simulator.fal_calls import until

ROOT = Path(__file__).parents[2]
CODE = "import os\ndef handler(event, context):\n    return dict(os.environ)\n"


SHELL = {
    "FAL_KEY": "a-real-key",
    "FAL_USER_ID": "a-real-user",
    "FAL_QUEUE_RUN_HOST": "queue.fal.run",
    "SSL_CERT_DIR": "/nowhere",
    "LORA_DROP_STACK": "prod",
    "ARTIFACT_HOSTS": "fal.media",
    "AWS_PROFILE": "prod",
    "AWS_SESSION_TOKEN": "a-real-token",
    "AWS_ROLE_ARN": "a-real-role",
}


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shell of a person who works with the real fal and AWS."""
    for name, value in SHELL.items():
        monkeypatch.setenv(name, value)


@pytest.mark.promise("nothing leaks")
@pytest.mark.usefixtures("shell")
def test_function_sees_no_foreign_secrets() -> None:
    """Nothing of the caller's fal and AWS settings reaches a function."""
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("shown.py", CODE)
    with running_emulator() as url:
        functions = client(url, "lambda")
        functions.create_function(
            FunctionName="shown",
            Runtime="python3.13",
            Handler="shown.handler",
            Role="arn:aws:iam::000000000000:role/r",
            Code={"ZipFile": code.getvalue()},
        )
        state = partial(functions.get_function_configuration, FunctionName="shown")
        until(lambda: state()["State"] == "Active")
        found = json.loads(functions.invoke(FunctionName="shown")["Payload"].read())

    assert found["AWS_LAMBDA_FUNCTION_NAME"] == "shown"
    assert {name: found[name] for name in SHELL if found.get(name) == SHELL[name]} == {}
    assert "SSL_CERT_FILE" not in found


@pytest.mark.usefixtures("shell")
def test_sam_runs_without_the_profile() -> None:
    env = own_environment(CA_FILE="ca.pem")
    assert env["AWS_ACCESS_KEY_ID"] == "test"
    assert env["CA_FILE"] == "ca.pem"
    assert {"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ROLE_ARN", "FAL_KEY"} & set(env) == set()


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_emulator_serves_an_empty_account(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "lora_drop.local.emulator"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as serving:
        try:
            assert serving.stdout is not None
            said = next(line for line in serving.stdout if line.strip().startswith("export "))
            exported = dict(word.split("=", 1) for word in shlex.split(said)[1:])
            account = client(exported["AWS_ENDPOINT_URL"], "s3")
            buckets = account.list_buckets()["Buckets"]
        finally:
            serving.send_signal(number)

    assert buckets == []
    assert exported.keys() > {"AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}
    assert serving.returncode == 0
    with pytest.raises(EndpointConnectionError):
        account.list_buckets()

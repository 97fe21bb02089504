"""What a function finds in its environment is its own."""

import io
import json
import time
import zipfile

import pytest

from lora_drop.local.deployment import client
from lora_drop.local.emulator import own_environment, running_emulator

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


@pytest.fixture(autouse=True)
def _shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shell of somebody who works with fal and AWS in earnest."""
    for name, value in SHELL.items():
        monkeypatch.setenv(name, value)


def environment_of_a_function() -> dict[str, str]:
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.writestr("told.py", CODE)
    with running_emulator() as url:
        functions = client(url, "lambda")
        functions.create_function(
            FunctionName="told",
            Runtime="python3.13",
            Handler="told.handler",
            Role="arn:aws:iam::000000000000:role/r",
            Code={"ZipFile": code.getvalue()},
        )
        end = time.monotonic() + 30
        while time.monotonic() < end:
            state = functions.get_function_configuration(FunctionName="told")["State"]
            if state == "Active":
                break
            time.sleep(0.1)
        answer = functions.invoke(FunctionName="told")["Payload"].read()
    found: dict[str, str] = json.loads(answer)
    return found


def test_nothing_of_the_callers_fal_and_aws_reaches_a_function() -> None:
    found = environment_of_a_function()

    assert found["AWS_LAMBDA_FUNCTION_NAME"] == "told"
    assert {name: found[name] for name in SHELL if found.get(name) == SHELL[name]} == {}
    assert "SSL_CERT_FILE" not in found


def test_sam_runs_without_the_callers_profile() -> None:
    env = own_environment(CA_FILE="ca.pem")

    assert env["AWS_ACCESS_KEY_ID"] == "test"
    assert env["CA_FILE"] == "ca.pem"
    assert {"AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ROLE_ARN", "FAL_KEY"} & set(env) == set()

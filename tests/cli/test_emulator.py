"""``python -m lora_drop.local.emulator``: an empty account for whoever wants to deploy without one."""

import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from botocore.exceptions import EndpointConnectionError

from lora_drop.local.deployment import client

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_empty_account_is_served_until_somebody_ends_it(number: signal.Signals) -> None:
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

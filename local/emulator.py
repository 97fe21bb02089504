"""The AWS emulator: ministack, in a process of its own."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from local.processes import Background, free_port, listens, start
from local.tools import command, environment

REGION = "us-east-1"
ACCOUNT = "000000000000"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
START_TIMEOUT = 120.0  # seconds; the first start fetches the emulator
# ministack gives Lambda workers its own environment: nothing of the caller's AWS may reach them.
FOREIGN = ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")


@dataclass(frozen=True, slots=True)
class Emulator:
    """A running emulator and where it is."""

    process: Background
    url: str


def start_emulator(state: Path, host: str = "127.0.0.1") -> Emulator:
    """An emulator on a free port of this address; raises NotStarted. Its files lie in ``state``."""
    port = free_port(host)
    url = f"http://{host}:{port}"
    temporary = state / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    env = environment(
        **CREDENTIALS,
        AWS_DEFAULT_REGION=REGION,
        AWS_ENDPOINT_URL=url,
        BIND_HOST=host,
        GATEWAY_PORT=str(port),
        MINISTACK_HOST=host,
        LAMBDA_EXECUTOR="local",
        STATE_DIR=str(state / "state"),
        S3_DATA_DIR=str(state / "s3"),
        TMPDIR=str(temporary),
        POWERTOOLS_TRACE_DISABLED="1",  # there is no X-Ray daemon to send to
    )
    for name in FOREIGN:
        env.pop(name, None)
    process = start(
        "the AWS emulator",
        command("ministack"),
        log=state / "emulator.log",
        env=env,
        ready=lambda: listens(host, port),
        timeout=START_TIMEOUT,
    )
    return Emulator(process, url)


@contextmanager
def running_emulator() -> Iterator[str]:
    """The URL of an emulator that runs until the block ends."""
    with tempfile.TemporaryDirectory(prefix="emulator-") as temporary:
        emulator = start_emulator(Path(temporary))
        try:
            yield emulator.url
        finally:
            emulator.process.end()

"""The AWS emulator: ministack, in a process of its own.

``python -m lora_drop.local.emulator`` serves an empty account until it is interrupted.
"""

import argparse
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lora_drop.local.processes import Background, Started, free_port, listens, start
from lora_drop.local.tools import command, environment

REGION = "us-east-1"
ACCOUNT = "000000000000"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
START_TIMEOUT = 120.0  # seconds; the first start fetches the emulator
# ministack gives Lambda workers its own environment: nothing of the caller's that a function, or an
# AWS client in it, would take for its own settings may get there.
FOREIGN = ("AWS_", "FAL_", "LORA_DROP_", "ARTIFACT_HOSTS")
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


@dataclass(frozen=True, slots=True)
class Emulator:
    """A running emulator and where it is."""

    process: Background
    url: str


def own_environment(**more: str) -> dict[str, str]:
    """What a tool runs with that is to see this emulator, and nothing of the caller's AWS and fal."""
    kept = {name: value for name, value in environment().items() if not name.startswith(FOREIGN)}
    return {**kept, **CREDENTIALS, "AWS_DEFAULT_REGION": REGION, **more}


def start_emulator(
    state: Path, host: str = "127.0.0.1", *, started: Started | None = None
) -> Emulator:
    """An emulator on a free port of this address; raises NotStartedError. Its files lie in ``state``."""
    port = free_port(host)
    url = f"http://{host}:{port}"
    temporary = state / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    env = own_environment(
        AWS_ENDPOINT_URL=url,
        BIND_HOST=host,
        GATEWAY_PORT=str(port),
        MINISTACK_HOST=host,
        LAMBDA_EXECUTOR="local",
        STATE_DIR=str(state / "state"),
        S3_DATA_DIR=str(state / "s3"),
        TMPDIR=str(temporary),
    )
    *uv, python, program = command("ministack")
    # uv may need these to fetch the emulator; a function must not have them.
    without = [word for name in CERTIFICATES for word in ("-u", name)]
    process = start(
        "the AWS emulator",
        [*uv, "env", *without, python, program],
        log=state / "emulator.log",
        env=env,
        ready=lambda: listens(host, port),
        timeout=START_TIMEOUT,
        started=started,
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


def main() -> None:
    """An empty account until Ctrl-C or SIGTERM; says what to export for it."""
    argparse.ArgumentParser(
        prog="python -m lora_drop.local.emulator", description=main.__doc__
    ).parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with running_emulator() as url:
            regions = {"AWS_REGION": REGION, "AWS_DEFAULT_REGION": REGION}
            own = {"AWS_ENDPOINT_URL": url, **regions, **CREDENTIALS}
            words = " ".join(f"{name}={value}" for name, value in own.items())
            sys.stdout.write(
                f"An empty account, until Ctrl-C. In another terminal:\n  export {words}\n"
            )
            sys.stdout.flush()
            signal.pause()
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    main()

"""A real S3 server on this machine: SeaweedFS, in memory of the disk alone, over HTTP without TLS."""

import json
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from benchmarks.peers import environment, program

HOST = "127.0.0.1"
KEYS = {"identities": [{
    "name": "test", "actions": ["Admin"],
    "credentials": [{"accessKey": "test", "secretKey": "test"}],
}]}  # fmt: skip
PORTS = (
    *("s3.port", "s3.port.grpc", "master.port", "master.port.grpc"),
    *("volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc"),
)
OFF = {"webdav": "false", "admin.ui": "false", "master.telemetry": "false", "s3.port.iceberg": 0}
PATIENCE = 60  # seconds


@contextmanager
def s3_server() -> Iterator[str]:
    """Yield the endpoint of an empty S3, whose key and secret are those of ``peers.environment``."""
    with tempfile.TemporaryDirectory(prefix="s3-") as temporary:
        ports = free_ports(len(PORTS))
        with weed(Path(temporary), dict(zip(PORTS, ports, strict=True))):
            endpoint = f"http://{HOST}:{ports[0]}"
            _wait(endpoint)
            yield endpoint


@contextmanager
def weed(folder: Path, options: Mapping[str, object]) -> Iterator[int]:
    """Yield the id of a SeaweedFS that keeps its data in this folder; ``options`` have its ports, and more."""
    keys, data = folder / "s3.json", folder / "s3"
    keys.write_text(json.dumps(KEYS))
    data.mkdir()
    given = {"dir": data, "ip": HOST, "ip.bind": HOST, "s3.config": keys, **OFF, **options}
    command = [program("weed"), "mini", *(f"-{name}={value}" for name, value in given.items())]
    with running(command, folder / "weed.log") as process:
        yield process
    shutil.rmtree(data, ignore_errors=True)


@contextmanager
def running(command: Sequence[str], log: Path) -> Iterator[int]:
    """Yield the id of a server that writes to this file, and end it."""
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=output, env=environment()) as process,  # noqa: S603
    ):
        try:
            yield process.pid
        finally:
            process.terminate()


def free_ports(count: int) -> list[int]:
    """Return ports that nothing listens at; below the ephemeral ones, for a connection may take such a one."""
    found: list[int] = []
    for port in range(21000, 29000):
        with socket.socket() as each:
            try:
                each.bind((HOST, port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise RuntimeError("no free ports")


def _wait(endpoint: str) -> None:
    """Wait until it answers; raises TimeoutError."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            urlopen(endpoint, timeout=5).close()  # noqa: S310  # our own
        except HTTPError:
            return  # it asks who we are
        except (URLError, OSError):
            time.sleep(0.2)
        else:
            return
    raise TimeoutError(endpoint)

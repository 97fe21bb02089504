"""A real S3 server on this machine: SeaweedFS, in memory of the disk alone, over HTTP without TLS."""

import json
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
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
        folder = Path(temporary)
        keys, ports = folder / "s3.json", _free_ports(len(PORTS))
        keys.write_text(json.dumps(KEYS))
        data = folder / "data"
        data.mkdir()
        options = {
            "dir": data,
            "ip": HOST,
            "ip.bind": HOST,
            "s3.config": keys,
            **OFF,
            **dict(zip(PORTS, ports, strict=True)),
        }
        command = [program("weed"), "mini", *(f"-{key}={value}" for key, value in options.items())]
        with (
            (folder / "weed.log").open("wb") as log,
            subprocess.Popen(command, stdout=log, stderr=log, env=environment()) as process,  # noqa: S603
        ):
            try:
                endpoint = f"http://{HOST}:{ports[0]}"
                _wait(endpoint)
                yield endpoint
            finally:
                process.terminate()


def _free_ports(count: int) -> list[int]:
    with ExitStack() as opened:
        sockets = [opened.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return [each.getsockname()[1] for each in sockets]


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

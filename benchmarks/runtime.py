"""A function's container: Lambda's image of Python and SAM's interface emulator, with the memory of the function and a share of a CPU, in slices of 20 ms.

Lambda gives a function one CPU for 1,769 MB (https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html), and may give
it more while it starts.
"""

import http.client
import json
import platform
import re
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from lora_drop.dev.prices import MB_A_CPU
from lora_drop.local.tools import PYTHON, ROOT, TOOLS, environment, uv

SLICE = 20_000  # microseconds
ARCHITECTURE = "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"
IMAGE = f"public.ecr.aws/lambda/python:3.13-{ARCHITECTURE}"
TASK, LAYER, EMULATOR = "/var/task", "/opt/python", "/usr/local/bin/aws-lambda-rie"
INVOCATIONS = "/2015-03-31/functions/function/invocations"
INIT = re.compile(r"INIT REPORT\(durationMs: ([\d.]+)\)")
PATIENCE = 120.0  # seconds for an answer
# Of no account; what Lambda sets in any function.
VARIABLES = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "POWERTOOLS_SERVICE_NAME": "lora-drop",
    "POWERTOOLS_METRICS_NAMESPACE": "LoraDrop",
}


@dataclass(frozen=True, slots=True)
class Started:
    """What a function's first answer took, in seconds from when the emulator waits for an event; ``init`` is the part before the event."""

    seconds: float
    init: float
    answer: Any


def what_is_missing() -> str:
    """Return why no container can be started here; empty where one can."""
    try:
        _docker("image", "inspect", IMAGE)
    except (OSError, subprocess.CalledProcessError):
        return f"no Docker engine that has {IMAGE} (docker pull {IMAGE})"
    return ""


def built(function: str, folder: Path) -> Path:
    """Return the artifact of a function (``Submit``), built for this machine in this folder."""
    folder.mkdir()
    subprocess.run(  # noqa: S603  # our own words
        [  # wherever make is installed
            *("make", "--silent", "--file", "functions/Makefile", f"build-{function}Function"),
            *(f"ARTIFACTS_DIR={folder}", f"PLATFORM={platform.machine()}-manylinux_2_28"),
        ],
        cwd=ROOT,
        env=environment(),
        check=True,
    )
    return folder


def bridge_address() -> str:
    """Return this machine's own address on Docker's default bridge, where containers find it."""
    [network] = json.loads(_docker("network", "inspect", "bridge"))
    [config] = network["IPAM"]["Config"]
    return str(config.get("Gateway") or next(ip_network(config["Subnet"]).hosts()))


def first_answer(
    artifact: Path,
    handler: str,
    event: Mapping[str, Any],
    *,
    memory: int,
    variables: Mapping[str, str],
    beside: Path | None = None,
    cpus: float | None = None,
) -> Started:
    """Start a container of a function with so many MB, and return what its first answer took; ``beside`` is on its path as a layer is.

    It has so many CPUs, and its memory's share of one without.
    """
    cpus = cpus or memory / MB_A_CPU
    with _container(artifact, handler, memory, cpus, variables, beside) as (name, port):
        _ready(port)
        began = time.perf_counter()
        answer = json.loads(_request(port, "POST", INVOCATIONS, json.dumps(event)))
        seconds = time.perf_counter() - began
        [init] = INIT.findall(_docker("logs", name))
        return Started(seconds, float(init) / 1000, answer)


@contextmanager
def _container(
    artifact: Path,
    handler: str,
    memory: int,
    cpus: float,
    variables: Mapping[str, str],
    beside: Path | None,
) -> Iterator[tuple[str, int]]:
    mounts = {artifact: TASK, _emulator(): EMULATOR, **({beside: LAYER} if beside else {})}
    name = _docker(
        *("run", "--detach", "--publish", "127.0.0.1:0:8080", "--entrypoint", EMULATOR),
        *("--cpu-period", str(SLICE), "--cpu-quota", str(round(SLICE * cpus))),
        *("--memory", f"{memory}m"),
        *(word for of, to in mounts.items() for word in ("--volume", f"{of.absolute()}:{to}:ro")),
        *(f"--env={key}={value}" for key, value in {**VARIABLES, **variables}.items()),
        *(IMAGE, "/lambda-entrypoint.sh", handler),
    ).strip()
    try:
        yield name, int(_docker("port", name, "8080").split()[0].rpartition(":")[2])
    finally:
        _docker("rm", "--force", name)


def _ready(port: int) -> None:
    """Wait until the emulator answers; it starts the function with the first event."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            _request(port, "GET", "/")
        except (OSError, http.client.HTTPException):
            time.sleep(0.01)
        else:
            return
    raise TimeoutError("the runtime interface emulator did not start")


def _request(port: int, method: str, path: str, body: str | None = None) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request(method, path, body)
        return connection.getresponse().read()
    finally:
        connection.close()


def _emulator() -> Path:
    """Return the runtime interface emulator that SAM brings."""
    find = "import samcli.local.rapid as rapid; print(rapid.__path__[0])"
    words = [uv(), "tool", "run", "--quiet", "--python", PYTHON, *TOOLS["sam"][:2]]
    folder = subprocess.run(  # noqa: S603  # our own words
        [*words, "python", "-c", find], capture_output=True, text=True, check=True
    ).stdout.strip()
    return Path(folder) / f"aws-lambda-rie-{ARCHITECTURE}"


def _docker(*words: str) -> str:
    done = subprocess.run(  # noqa: S603  # our own words
        ["docker", *words],  # noqa: S607  # wherever it is installed
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout + (done.stderr if words[0] == "logs" else "")

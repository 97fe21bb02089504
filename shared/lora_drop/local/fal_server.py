"""Where fal is for a stack on this machine: our simulator, or any server that speaks its protocol."""

import json
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict

from lora_drop.local.processes import Background, Started, free_port, start
from lora_drop.simulator.config import SimulatorConfig

START_TIMEOUT = 30.0  # seconds


class FalServer(BaseModel):
    """How a stack reaches its fal; ``ca_file`` None where the system's certificates do.

    ``pictures`` is the folder of photos that a simulator answers with, None where it draws.
    """

    model_config = ConfigDict(frozen=True)

    url: str
    key: str
    user_id: str
    artifact_hosts: str
    jwks_url: str
    api_url: str
    rest_url: str
    cdn_url: str
    ca_file: Path | None
    simulated: bool
    pictures: Path | None = None

    @property
    def host_port(self) -> str:
        """As fal_client wants its hosts."""
        return urlsplit(self.url).netloc


def fal_at(url: str, ca_file: Path | None) -> FalServer:
    """Another server under one address; what differs there is said by fal's own variables.

    ``FAL_KEY``, ``FAL_USER_ID``, ``FAL_JWKS_URL``, ``FAL_API_URL``, ``FAL_REST_URL``, ``FAL_CDN_URL`` and
    ``ARTIFACT_HOSTS`` are read where they are set. Raises ValueError for an address that is none, or a file that is not there.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.netloc or parts.path.strip("/"):
        raise ValueError(f"{url} is not an address like https://fal.example:8443")
    if ca_file is not None and not ca_file.is_file():
        raise ValueError(f"{ca_file} is not a file")
    base = f"https://{parts.netloc}"
    return FalServer(
        url=base,
        key=os.environ.get("FAL_KEY") or SimulatorConfig().key,
        user_id=os.environ.get("FAL_USER_ID", ""),
        artifact_hosts=os.environ.get("ARTIFACT_HOSTS") or parts.netloc,
        jwks_url=os.environ.get("FAL_JWKS_URL") or f"{base}/.well-known/jwks.json",
        api_url=os.environ.get("FAL_API_URL") or f"{base}/v1",
        rest_url=os.environ.get("FAL_REST_URL") or base,
        cdn_url=os.environ.get("FAL_CDN_URL") or base,
        ca_file=ca_file and ca_file.absolute(),
        simulated=False,
    )


def start_simulator(
    state: Path,
    host: str,
    training_seconds: float,
    pictures: Path | None = None,
    *,
    started: Started | None = None,
) -> tuple[Background, FalServer]:
    """The fal simulator in a process of its own; its keys and files lie in ``state``.

    ``pictures``: a folder of photos that it answers with.
    """
    port = free_port(host)
    log = state / "fal-sim.log"
    line = [sys.executable, "-m", "lora_drop", "fal-sim", "--json"]
    line += ["--host", host, "--port", str(port), "--state", str(state / "fal")]
    line += ["--training-seconds", str(training_seconds)]
    line += ["--pictures", str(pictures)] if pictures else []
    process = start(
        "the fal simulator",
        line,
        log=log,
        env=dict(os.environ),
        ready=lambda: _ready_line(log) is not None,
        timeout=START_TIMEOUT,
        started=started,
    )
    ready = json.loads(_ready_line(log) or "")
    return process, FalServer(
        url=ready["url"],
        key=ready["key"],
        user_id=ready["user_id"],
        artifact_hosts=urlsplit(ready["url"]).netloc,
        jwks_url=f"{ready['url']}/.well-known/jwks.json",
        api_url=f"{ready['url']}/v1",
        rest_url=ready["url"],
        cdn_url=ready["url"],
        ca_file=Path(ready["ca_file"]),
        simulated=True,
        pictures=pictures,
    )


def _ready_line(log: Path) -> str | None:
    """The line that the simulator prints once it serves."""
    lines = log.read_text().splitlines(keepends=True)
    return next((line for line in lines if line.startswith("{") and line.endswith("\n")), None)

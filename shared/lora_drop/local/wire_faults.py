"""A proxy in front of the emulator that fails as AWS does: microburst, in a process of its own.

The stack's functions get its address as their AWS endpoint (``AWS_ENDPOINT_URL``); calls to the
emulator itself are spared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx

from lora_drop.local.emulator import own_environment
from lora_drop.local.processes import Background, Started, free_port, listens, start
from lora_drop.local.tools import command

START_TIMEOUT = 120.0  # seconds; the first start fetches the proxy
CONTROL = "/_microburst"


@dataclass(frozen=True, slots=True)
class WireFault:
    """A kind of fault: a rule of microburst's (its README, "Rules"), and what it is called."""

    name: str
    rule: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class WireFaults:
    """A running proxy."""

    process: Background
    url: str

    @classmethod
    def start(
        cls, upstream: str, log: Path, *, port: int | None = None, started: Started | None = None
    ) -> Self:
        """A proxy that passes everything on until faults are injected; raises NotStartedError."""
        host = "127.0.0.1"
        port = port or free_port(host)
        process = start(
            "the fault proxy",
            command(
                "microburst",
                *("--upstream", upstream, "--host", host, "--port", str(port), "--no-resign"),
            ),
            log=log,
            env=own_environment(),
            ready=lambda: listens(host, port),
            timeout=START_TIMEOUT,
            started=started,
        )
        return cls(process, f"http://{host}:{port}")

    def inject(self, faults: Sequence[WireFault]) -> None:
        """Have these strike from now on, and no others; the first that fits a call is the one."""
        self._ask("POST", "rules", [dict(fault.rule) for fault in faults])

    def injected(self) -> list[int]:
        """How often each has struck, in the order they were given."""
        return [int(rule["fired_count"]) for rule in self._ask("GET", "rules")]

    def requests(self) -> int:
        """How many calls have come through."""
        return int(self._ask("GET", "health")["requests_seen"])

    def _ask(self, method: str, what: str, body: object = None) -> Any:
        with httpx.Client(trust_env=False) as client:
            answer = client.request(method, f"{self.url}{CONTROL}/{what}", json=body)
        return answer.raise_for_status().json()

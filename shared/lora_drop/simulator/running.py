"""A simulator for tests: on a thread of its own, with a client for its control API."""

import asyncio
import ssl
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from lora_drop.simulator.config import Access, SimulatorConfig
from lora_drop.simulator.simulator import Simulator

START_TIMEOUT = 30.0  # seconds
ANSWER_TIMEOUT = 30.0  # a delivery that is asked for takes as long as its receiver does


class ControlClient:
    """A simulator's control API; httpx.HTTPError when it does not answer."""

    def __init__(self, access: Access) -> None:
        self.access = access
        self.base_url = access.url
        self.host_port = access.host_port
        self.ca_file = access.ca_file
        self.user_id = access.user_id
        self.key = access.key
        context = ssl.create_default_context(cafile=access.ca_file)
        self._client = httpx.Client(
            base_url=access.url, verify=context, trust_env=False, timeout=ANSWER_TIMEOUT
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.close()

    def ledger(self) -> dict[str, Any]:
        """Submissions, datasets, loras, served, webhooks, billed, max_in_progress."""
        return self._ask("GET", "/_sim/ledger")

    def requests(self) -> list[dict[str, Any]]:
        """Every accepted request with its status, in order."""
        listed: list[dict[str, Any]] = self._ask("GET", "/_sim/requests")["requests"]
        return listed

    def faults(self) -> list[dict[str, Any]]:
        """Every fault that was injected, with its remaining and injected counts."""
        listed: list[dict[str, Any]] = self._ask("GET", "/_sim/faults")["faults"]
        return listed

    def inject(self, fault: str, *, times: int | None = 1, **params: Any) -> dict[str, Any]:
        """Have a fault strike, with ``every=5`` at every fifth occasion; httpx.HTTPStatusError, with the reason, when there is none such."""
        return self._ask("POST", "/_sim/faults", {"fault": fault, "times": times, **params})

    def clear(self) -> None:
        """Forget every fault."""
        self._ask("DELETE", "/_sim/faults")

    def redeliver(self, request_id: str) -> dict[str, Any]:
        """Send a request's webhook once more, now; the attempt's row in the ledger."""
        return self._ask("POST", f"/_sim/requests/{request_id}/redeliver")

    def _ask(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        response = self._client.request(method, path, json=body)
        if response.is_error:
            raise httpx.HTTPStatusError(
                f"{response.status_code}: {response.text}",
                request=response.request,
                response=response,
            )
        answer: dict[str, Any] = response.json()
        return answer


@contextmanager
def running_simulator(config: SimulatorConfig | None = None) -> Iterator[ControlClient]:
    """A simulator that serves until the block ends."""
    config = config or SimulatorConfig()
    with tempfile.TemporaryDirectory(prefix="fal-simulator-") as temporary:
        state = config.state or Path(temporary)
        state.mkdir(parents=True, exist_ok=True)
        loop = asyncio.new_event_loop()
        stopping = asyncio.Event()
        started: Future[Access] = Future()
        thread = threading.Thread(
            target=_run, args=(loop, Simulator(config, state), started, stopping), daemon=True
        )
        thread.start()
        try:
            with ControlClient(started.result(START_TIMEOUT)) as client:
                yield client
        finally:
            if not (started.done() and started.exception()):  # else it has ended by itself
                loop.call_soon_threadsafe(stopping.set)
            thread.join()


def _run(
    loop: asyncio.AbstractEventLoop,
    simulator: Simulator,
    started: Future[Access],
    stopping: asyncio.Event,
) -> None:
    async def serve() -> None:
        started.set_result(await simulator.start())
        await stopping.wait()
        await simulator.stop()

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        try:
            runner.run(serve())
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

"""A simulator for each test, and ways to talk to it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import fal_client
import httpx
import pytest

from lora_drop.simulator.config import SimulatorConfig
from lora_drop.simulator.running import ControlClient, running_simulator
from tests.simulator.fal_calls import Calls
from tests.simulator.receiver import Receiver, receiving

type Simulate = Callable[..., ControlClient]
type CallTo = Callable[[ControlClient], Calls]
type PointFalClient = Callable[[ControlClient], fal_client.SyncClient]
QUICK: dict[str, Any] = {"training_seconds": 0.02, "lora_rank": 1, "webhook_backoff": 0.05}


@pytest.fixture
def simulate() -> Iterator[Simulate]:
    """Starts simulators, each with some settings of its own, that end with the test."""
    with ExitStack() as stack:

        def start(**settings: Any) -> ControlClient:
            config = SimulatorConfig(**{**QUICK, **settings})
            return stack.enter_context(running_simulator(config))

        yield start


@pytest.fixture
def sim(simulate: Simulate) -> ControlClient:
    """A simulator with quick trainings."""
    return simulate()


@pytest.fixture
def call() -> Iterator[CallTo]:
    """Calls to any simulator."""
    with ExitStack() as stack:
        yield lambda sim: stack.enter_context(Calls(sim))


@pytest.fixture
def calls(sim: ControlClient, call: CallTo) -> Calls:
    """Calls to the simulator."""
    return call(sim)


@pytest.fixture(scope="module")
def standing() -> Iterator[Calls]:
    """Calls to a simulator that stands for a whole module: for tests that ask nothing of its past."""
    with running_simulator(SimulatorConfig(**QUICK)) as sim, Calls(sim) as calls:
        yield calls


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Somebody who takes webhooks and has files."""
    with receiving() as listening:
        yield listening


@pytest.fixture
def point_fal_client(monkeypatch: pytest.MonkeyPatch) -> Iterator[PointFalClient]:
    """Points fal_client, as it is, to a simulator."""
    opened: list[httpx.Client] = []
    start = httpx.Client.__init__

    def remember(client: httpx.Client, *args: Any, **options: Any) -> None:
        start(client, *args, **options)
        opened.append(client)

    def point(sim: ControlClient) -> fal_client.SyncClient:
        # The first two are read from FAL_RUN_HOST and FAL_QUEUE_RUN_HOST at import.
        monkeypatch.setattr(fal_client.client, "RUN_URL_FORMAT", f"{sim.base_url}/")
        monkeypatch.setattr(fal_client.client, "QUEUE_URL_FORMAT", f"{sim.base_url}/")
        monkeypatch.setattr(fal_client.client, "REST_URL", sim.base_url)
        monkeypatch.setattr(fal_client.client, "CDN_URL", sim.base_url)
        monkeypatch.setenv("SSL_CERT_FILE", str(sim.ca_file))
        monkeypatch.setenv("FAL_KEY", sim.key)
        # fal_client closes none of its clients.
        monkeypatch.setattr(httpx.Client, "__init__", remember)
        return fal_client.SyncClient()

    yield point
    for client in opened:
        client.close()


@pytest.fixture
def fal(sim: ControlClient, point_fal_client: PointFalClient) -> fal_client.SyncClient:
    """fal_client's blocking client, at the simulator."""
    return point_fal_client(sim)

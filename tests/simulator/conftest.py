"""A simulator for each test or module, ways to talk to it, and control over its time."""

import asyncio
import io
import ssl
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import fal_client
import httpx
import pytest

from lora_drop.adapters.signing_keys import JwksKeys
from lora_drop.client.portrait_trainer import PortraitTrainer
from lora_drop.simulator.config import SimulatorConfig
from lora_drop.simulator.lora import WrittenFile, write_lora
from lora_drop.simulator.running import ControlClient, running_simulator
from tests.simulator.fal_calls import Calls, Receiver, receiving
from tests.simulator.pipeline import world_at
from tests.support.client_fixtures import interruptible
from tests.support.photos import encoded, picture
from tests.support.world import World

__all__ = ["interruptible"]

type Simulate = Callable[..., Calls]
type Connect = Callable[[Calls], PortraitTrainer]
type PointFalClient = Callable[[ControlClient], fal_client.SyncClient]
type FakeSleeps = Callable[..., FakeSleep]
QUICK: dict[str, Any] = {
    "training_seconds": 0.02,
    "picture_seconds": 0.02,
    "lora_rank": 1,
    "webhook_backoff": 0.05,
}


@cache
def lora_of(rank: int) -> tuple[bytes, str]:
    """A LoRA of this rank and its SHA-256, made once."""
    with tempfile.TemporaryDirectory() as folder:
        written = write_lora(Path(folder) / "lora", rank=rank, seed="a", metadata={"format": "pt"})
        return written.path.read_bytes(), written.sha256


@pytest.fixture(scope="session", autouse=True)
def _same_lora() -> Iterator[None]:
    """Give all trainings the same weights: to make others each time takes most of a training."""

    def copied(path: Path, *, rank: int, **_: object) -> WrittenFile:
        data, sha256 = lora_of(rank)
        path.write_bytes(data)
        return WrittenFile(path, len(data), sha256)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lora_drop.simulator.trainer.write_lora", copied)
        yield


@cache
def dataset(*, kind: str = "JPEG", images: int = 12, seed: int = 0, side: int = 256) -> bytes:
    """A ZIP of photos that can be trained on as they are."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(images):
            image = picture(side, side, seed=100 * seed + number)
            name = zipfile.ZipInfo(f"{number}.{kind.lower()}", (1980, 1, 1, 0, 0, 0))
            archive.writestr(name, encoded(image, kind))
    return buffer.getvalue()


@pytest.fixture
def simulate() -> Iterator[Simulate]:
    """Start simulators, each with some settings of its own, that end with the test."""
    with ExitStack() as simulators, ExitStack() as clients:  # all clients are closed first

        def start(**settings: Any) -> Calls:
            config = SimulatorConfig(**{**QUICK, **settings})
            sim = simulators.enter_context(running_simulator(config))
            return clients.enter_context(Calls(sim))

        yield start


@pytest.fixture
def calls(simulate: Simulate) -> Calls:
    """Calls to a new simulator with quick trainings."""
    return simulate()


@pytest.fixture(scope="module")
def standing() -> Iterator[Calls]:
    """Calls to a simulator that serves a whole module, for tests that ask nothing of its past."""
    with running_simulator(SimulatorConfig(**QUICK)) as sim, Calls(sim) as calls:
        yield calls


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A server that takes webhooks and has files."""
    with receiving() as listening:
        yield listening


@dataclass
class FakeSleep:
    """The sleeps of one module of the simulator: recorded, and over at once.

    From the sleep with the number ``held_from`` on they are over only when ``go_on`` is set.
    """

    held_from: float
    seconds: list[float] = field(default_factory=list)
    go_on: threading.Event = field(default_factory=threading.Event)

    async def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)
        held = len(self.seconds) > self.held_from
        await asyncio.sleep(0)
        while held and not self.go_on.is_set():  # noqa: ASYNC110 -- the event is another thread's
            await asyncio.sleep(0.002)


@pytest.fixture
def fake_sleep(monkeypatch: pytest.MonkeyPatch) -> FakeSleeps:
    """Replace the sleeps of one module of the simulator, so that no test waits for a time."""

    def replace(module: str, *, held_from: float = float("inf")) -> FakeSleep:
        fake = FakeSleep(held_from)
        names = SimpleNamespace(**{**vars(asyncio), "sleep": fake.sleep})
        monkeypatch.setattr(f"lora_drop.simulator.{module}.asyncio", names)
        return fake

    return replace


@dataclass
class Clock:
    """The simulator's clock: it shows the time and what a test has added."""

    added: timedelta = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.added

    def add(self, seconds: float) -> None:
        self.added += timedelta(seconds=seconds)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock by which the simulator keeps results and files."""
    clock = Clock()
    for module in ("requests", "files", "storage"):
        monkeypatch.setattr(f"lora_drop.simulator.{module}.now", clock.now)
    return clock


@pytest.fixture
def point_fal_client(monkeypatch: pytest.MonkeyPatch) -> Iterator[PointFalClient]:
    """Point fal_client, as it is, to a simulator."""
    opened: list[httpx.Client] = []
    start = httpx.Client.__init__

    def remember(client: httpx.Client, *args: Any, **options: Any) -> None:
        start(client, *args, **options)
        opened.append(client)

    def point(sim: ControlClient) -> fal_client.SyncClient:
        # The first two are read from FAL_RUN_HOST and FAL_QUEUE_RUN_HOST at import.
        for name in ("RUN_URL_FORMAT", "QUEUE_URL_FORMAT"):
            monkeypatch.setattr(fal_client.client, name, f"{sim.base_url}/")
        for name in ("REST_URL", "CDN_URL"):
            monkeypatch.setattr(fal_client.client, name, sim.base_url)
        monkeypatch.setenv("SSL_CERT_FILE", str(sim.ca_file))
        monkeypatch.setenv("FAL_KEY", sim.key)
        monkeypatch.setenv("FAL_QUEUE_RUN_HOST", sim.base_url.removeprefix("https://"))
        # fal_client closes none of its clients.
        monkeypatch.setattr(httpx.Client, "__init__", remember)
        return fal_client.SyncClient()

    yield point
    for client in opened:
        client.close()


@pytest.fixture
def fal(calls: Calls, point_fal_client: PointFalClient) -> fal_client.SyncClient:
    """fal_client's blocking client, at the simulator."""
    return point_fal_client(calls.sim)


@pytest.fixture
def connect(
    point_fal_client: PointFalClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Connect:
    """Connect a trainer without a stack to a simulator, with a state file of the test's own."""

    def made(calls: Calls) -> PortraitTrainer:
        point_fal_client(calls.sim)
        for name, url in (("FAL_REST_URL", ""), ("FAL_CDN_URL", ""), ("FAL_API_URL", "/v1")):
            monkeypatch.setenv(name, calls.sim.base_url + url)
        return PortraitTrainer(state=tmp_path / "submissions.sqlite", poll=0.01)

    return made


@pytest.fixture
def trainer(calls: Calls, connect: Connect) -> PortraitTrainer:
    """Such a trainer at a new simulator."""
    return connect(calls)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A dataset's ZIP on this machine."""
    path = tmp_path / "ada.zip"
    path.write_bytes(dataset())
    return path


@pytest.fixture
def world(calls: Calls, receiver: Receiver, point_fal_client: PointFalClient) -> World:
    """Our services at a simulator whose webhooks the receiver takes."""
    sim = calls.sim
    point_fal_client(sim)
    trust = ssl.create_default_context(cafile=sim.ca_file)
    url = f"{sim.base_url}/.well-known/jwks.json"
    keys: Any = JwksKeys(url, httpx.HTTPTransport(verify=trust))
    world = world_at(calls, f"{receiver.url}/hook", keys=keys, fal_user_id=sim.user_id)
    world.clock.now = datetime.now(UTC)
    return world

"""A dataset is uploaded to fal's storage by fal_client, or nothing is paid and somebody says why."""

import hashlib
import time
from collections.abc import Callable
from typing import Any

import fal_client
import httpx
import pytest

from lora_drop.adapters.fal_history import FalHistory
from lora_drop.adapters.fal_storage import PATIENCE, FalStorage
from lora_drop.jobs.delivery import DeliveryMethod
from lora_drop.jobs.errors import NotSubmittedError, SubmissionRefusedError
from lora_drop.jobs.status import Status
from lora_drop.simulator.running import ControlClient
from tests.simulator.conftest import PointFalClient
from tests.simulator.fal_calls import Calls, until
from tests.simulator.pipeline import to_its_end, world_at
from tests.simulator.receiver import Receiver
from tests.support.builders import make_archive
from tests.support.fal_keys import FixedKey
from tests.support.memory_files import MemoryRange

ARCHIVE = make_archive()
NAME = "ada-0123456789.zip"


class Wire(httpx.HTTPTransport):
    """The real wire to the CDN; ``faults`` are what it does in place of the next answers."""

    def __init__(self, faults: list[httpx.Response | Exception]) -> None:
        super().__init__()
        self.faults = faults
        self.requests: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if not self.faults:
            return super().handle_request(request)
        fault = self.faults.pop(0)
        if isinstance(fault, Exception):
            raise fault
        return fault


type Store = Callable[..., FalStorage]


@pytest.fixture
def storage(
    sim: ControlClient, point_fal_client: PointFalClient, monkeypatch: pytest.MonkeyPatch
) -> Store:
    """fal's storage as the stack uses it, at the simulator."""
    point_fal_client(sim)
    monkeypatch.setattr(time, "sleep", lambda _: None)  # between fal_client's own tries

    def made(*, key: str = sim.key, **more: Any) -> FalStorage:
        return FalStorage(FixedKey(key), f"{sim.base_url}/", sim.base_url, **more)

    return made


@pytest.mark.parametrize("threshold", [100 * 1024**2, 1000])
def test_a_dataset_arrives_as_it_was_in_one_piece_or_in_parts(
    storage: Store, calls: Calls, monkeypatch: pytest.MonkeyPatch, threshold: int
) -> None:
    monkeypatch.setattr(fal_client.client, "MULTIPART_THRESHOLD", threshold)
    monkeypatch.setattr(fal_client.client, "MULTIPART_CHUNK_SIZE", 1000)

    url = storage().upload(MemoryRange(ARCHIVE), NAME, 3600)

    assert calls.http.get(url).content == ARCHIVE
    assert url.endswith(NAME)


@pytest.mark.parametrize("threshold", [100 * 1024**2, 1000])
def test_what_was_uploaded_is_gone_after_its_time(
    storage: Store, calls: Calls, monkeypatch: pytest.MonkeyPatch, threshold: int
) -> None:
    monkeypatch.setattr(fal_client.client, "MULTIPART_THRESHOLD", threshold)

    url = storage().upload(MemoryRange(ARCHIVE), NAME, 2)

    assert calls.http.get(url).status_code == 200
    until(lambda: calls.http.get(url).status_code == 404)


def test_a_wrong_key_holds_the_job_for_a_person(storage: Store) -> None:
    with pytest.raises(SubmissionRefusedError) as refused:
        storage(key="wrong").upload(MemoryRange(ARCHIVE), NAME, 3600)

    assert (refused.value.problem.code, refused.value.held) == ("fal_key_refused", True)


@pytest.mark.parametrize("key", ["", "two\nlines"])
def test_without_a_key_nothing_is_sent(storage: Store, key: str) -> None:
    with pytest.raises(NotSubmittedError):
        storage(key=key).upload(MemoryRange(ARCHIVE), NAME, 3600)


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_a_dataset_that_fal_does_not_take_is_held(storage: Store, status: int) -> None:
    wire = Wire([httpx.Response(status, json={"detail": "no"})])

    with pytest.raises(SubmissionRefusedError) as refused:
        storage(wire=lambda: wire).upload(MemoryRange(ARCHIVE), NAME, 3600)

    assert refused.value.problem.code == "fal_storage_refused"
    assert "DatasetDelivery" in refused.value.problem.message


FAULTS: dict[str, httpx.Response | Exception] = {
    "no connection": httpx.ConnectError("refused"),
    "silence": httpx.ReadTimeout("late"),
    "a redirect that is none": httpx.Response(302, headers={"Location": "data:,x"}),
    "500": httpx.Response(500, text="oops"),
    "503 of the door": httpx.Response(503, text="<html>nginx</html>"),
    "429": httpx.Response(429, json={"detail": "slow down"}),
    "no JSON": httpx.Response(200, text="<html>"),
    "no address": httpx.Response(200, json={}),
    "an address that is none": httpx.Response(200, json={"access_url": 7}),
    "an address without TLS": httpx.Response(200, json={"access_url": "http://a.example/b"}),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_storage_in_trouble_is_tried_again_later(storage: Store, name: str) -> None:
    wire = Wire([FAULTS[name]] * 20)

    with pytest.raises(NotSubmittedError):
        storage(wire=lambda: wire).upload(MemoryRange(ARCHIVE), NAME, 3600)

    assert wire.requests


def test_nobody_waits_longer_for_an_upload_than_its_function_lives(storage: Store) -> None:
    moments = iter([0.0, 10.0, *([PATIENCE + 1.0] * 9)])
    wire = Wire([httpx.ReadTimeout("late")] * 20)
    slow = storage(wire=lambda: wire, tick=lambda: next(moments))

    with pytest.raises(NotSubmittedError):
        slow.upload(MemoryRange(ARCHIVE), NAME, 3600)

    assert len(wire.requests) == 1


@pytest.mark.parametrize("way", DeliveryMethod)
def test_a_dataset_trains_whatever_way_it_goes(
    sim: ControlClient, calls: Calls, receiver: Receiver, storage: Store, way: DeliveryMethod
) -> None:
    world = world_at(sim, calls, f"{receiver.url}/hook", storage=storage(), way=way)

    done = to_its_end(world, world.submit(world.drop(data=ARCHIVE)))

    assert done.status is Status.SUCCEEDED
    assert done.delivery
    assert done.delivery.way is way
    [row] = sim.ledger()["datasets"]
    assert (row["sha256"], row["error"]) == (hashlib.sha256(ARCHIVE).hexdigest(), None)


@pytest.mark.parametrize("way", [DeliveryMethod.FAL, DeliveryMethod.DATA])
def test_fals_own_list_knows_a_request_by_the_address_it_was_sent(
    sim: ControlClient, calls: Calls, receiver: Receiver, storage: Store, way: DeliveryMethod
) -> None:
    history = FalHistory(FixedKey(sim.key), f"{sim.base_url}/v1")
    world = world_at(sim, calls, f"{receiver.url}/hook", storage=storage(), way=way)
    job = world.submit(world.drop(data=ARCHIVE))
    other = world.submit(world.drop("other.zip", images=15))
    done = to_its_end(world, job)

    found = history.requests_for(done, since=done.created_at)

    assert found == (job.request_id,)
    assert other.request_id not in found

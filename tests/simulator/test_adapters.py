"""Our adapters of fal, as the stack has them, against the simulator, whatever goes wrong."""

import hashlib
import ssl
import time
from collections.abc import Callable
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import fal_client
import httpx
import pytest

from lora_drop.adapters.checked_network import CheckedNetwork
from lora_drop.adapters.download import CdnFiles
from lora_drop.adapters.fal import FalQueueClient
from lora_drop.adapters.fal_balance import FalBalance
from lora_drop.adapters.fal_history import FalHistory
from lora_drop.adapters.fal_models import FalModels
from lora_drop.adapters.fal_payloads import FORBIDS, FalPayloads
from lora_drop.adapters.fal_prices import FalPrices
from lora_drop.adapters.fal_storage import PATIENCE, FalStorage
from lora_drop.fal.drift import PublishedTrainer, differences
from lora_drop.fal.status import Failed, Gone, Running
from lora_drop.fal.trainers.table import TRAINERS, price_of
from lora_drop.fal.trainers.trainer import Trainer
from lora_drop.jobs.artifacts import Artifact, StoredFile, artifacts_in
from lora_drop.jobs.delivery import DeliveryMethod
from lora_drop.jobs.errors import NotSubmittedError, SubmissionRefusedError
from lora_drop.jobs.status import Status
from lora_drop.ports import PayloadsErased
from lora_drop.services.copy import Copier
from lora_drop.services.copy_attempt import CopyRequest
from tests.simulator.conftest import Clock, PointFalClient, Simulate
from tests.simulator.fal_calls import DATASET, Calls, Receiver, until
from tests.simulator.pipeline import to_its_end, world_at
from tests.support.builders import APPLICATION, NOW, REQUEST_ID, make_archive, make_job
from tests.support.copying import MemoryNotes
from tests.support.memory_files import MemoryRange, MemoryResults
from tests.support.wire import WEBHOOK_URL, FixedKey, Said, Wire

ARCHIVE = make_archive()
NAME = "ada-0123456789.zip"
PART = 1024**2
type Store = Callable[..., FalStorage]
URL = "https://datasets.s3.amazonaws.com/portrait/ada.zip?versionId=v1&X-Amz-Signature=5167"


@pytest.fixture
def storage(
    calls: Calls, point_fal_client: PointFalClient, monkeypatch: pytest.MonkeyPatch
) -> Store:
    """fal's storage as the stack uses it, at the simulator."""
    sim = calls.sim
    point_fal_client(sim)
    monkeypatch.setattr(time, "sleep", lambda _: None)  # between fal_client's own attempts

    def made(*, key: str = sim.key, **more: Any) -> FalStorage:
        return FalStorage(FixedKey(key), f"{sim.base_url}/", sim.base_url, **more)

    return made


def upload(storage: FalStorage, seconds: int = 3600) -> str:
    return storage.upload(MemoryRange(ARCHIVE), NAME, seconds)


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("threshold", [100 * 1024**2, 1000], ids=["whole", "parts"])
def test_uploaded_dataset_expires(
    storage: Store, calls: Calls, clock: Clock, monkeypatch: pytest.MonkeyPatch, threshold: int
) -> None:
    """A dataset that was uploaded to fal is gone after the time that was asked for."""
    monkeypatch.setattr(fal_client.client, "MULTIPART_THRESHOLD", threshold)
    monkeypatch.setattr(fal_client.client, "MULTIPART_CHUNK_SIZE", 1000)
    url = upload(storage(), 2000)
    assert (calls.http.get(url).content, url.endswith(NAME)) == (ARCHIVE, True)
    clock.add(2001)
    assert calls.http.get(url).status_code == 404


@pytest.mark.promise("it can be operated")
def test_wrong_key_holds_the_job(storage: Store) -> None:
    """A job is held for a person when fal refuses the key."""
    with pytest.raises(SubmissionRefusedError) as refused:
        upload(storage(key="wrong"))
    assert (refused.value.problem.code, refused.value.held) == ("fal_key_refused", True)


@pytest.mark.parametrize("key", ["", "two\nlines"])
def test_without_key_nothing_is_sent(storage: Store, key: str) -> None:
    with pytest.raises(NotSubmittedError):
        upload(storage(key=key))


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_dataset_that_fal_refuses(storage: Store, status: int) -> None:
    wire = Wire(httpx.Response(status, json={"detail": "no"}))
    with pytest.raises(SubmissionRefusedError) as refused:
        upload(storage(wire=wire))
    assert refused.value.problem.code == "fal_storage_refused"
    assert "DatasetDelivery" in refused.value.problem.message


FAULTS: dict[str, Said] = {
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


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize("name", FAULTS)
def test_storage_fault_is_retried_later(storage: Store, name: str) -> None:
    """A job whose dataset fal's storage could not take for a while is submitted later."""
    wire = Wire(FAULTS[name])
    with pytest.raises(NotSubmittedError):
        upload(storage(wire=wire))
    assert wire.requests


def test_upload_ends_before_its_function(storage: Store) -> None:
    moments = iter([0.0, 10.0, *([PATIENCE + 1.0] * 9)])
    wire = Wire(httpx.ReadTimeout("late"))
    with pytest.raises(NotSubmittedError):
        upload(storage(wire=wire, tick=lambda: next(moments)))
    assert len(wire.requests) == 1


@pytest.mark.parametrize("way", DeliveryMethod)
def test_dataset_trains_by_each_method(
    calls: Calls, receiver: Receiver, storage: Store, way: DeliveryMethod
) -> None:
    """fal's own list of requests knows the request by the address that was sent, where it is kept."""
    history = FalHistory(FixedKey(calls.sim.key), f"{calls.sim.base_url}/v1")
    world = world_at(calls, f"{receiver.url}/hook", storage=storage(), way=way)
    job = world.submit(world.drop(data=ARCHIVE))
    other = world.submit(world.drop("other.zip", images=15))
    done = to_its_end(world, job)

    assert done.status is Status.SUCCEEDED
    assert done.delivery
    assert done.delivery.way is way
    [row] = [row for row in calls.rows("datasets") if row["request_id"] == job.request_id]
    assert (row["sha256"], row["error"]) == (hashlib.sha256(ARCHIVE).hexdigest(), None)
    if way in (DeliveryMethod.FAL, DeliveryMethod.DATA):
        found = history.requests_for(done, since=done.created_at)
        assert found == (job.request_id,)
        assert other.request_id not in found


@pytest.fixture
def lora(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> Artifact:
    """The weights of one training."""
    monkeypatch.setenv("SSL_CERT_FILE", str(calls.sim.ca_file))
    [lora] = [each for each in artifacts_in(calls.trained()) if each.name == "lora.safetensors"]
    assert (lora.size or 0) > 4 * PART
    return lora


def copied(calls: Calls, lora: Artifact) -> StoredFile:
    hosts, network = [urlsplit(calls.sim.base_url).netloc], CheckedNetwork(private=True)
    copier = Copier(MemoryResults(), CdnFiles(hosts, network=network, first=PART // 4), PART)
    return copier.copy(CopyRequest(lora, "ada/", MemoryNotes(), until=monotonic() + 600))


def test_copy_fetches_each_byte_once(calls: Calls, lora: Artifact) -> None:
    assert copied(calls, lora).size == lora.size
    served = [row for row in calls.rows("served") if row["url"] == lora.url]
    assert all(row["range"] for row in served)
    assert sum(row["bytes"] for row in served) == lora.size


@pytest.mark.promise("never lose a result")
def test_cut_download_goes_on(calls: Calls, lora: Artifact) -> None:
    """A LoRA whose download is cut several times is copied whole."""
    calls.inject("download_cut", bytes=100_000, times=3)
    assert copied(calls, lora).size == lora.size


@pytest.fixture
def busy(simulate: Simulate) -> Calls:
    """A simulator with one slot whose trainings outlast the test."""
    return simulate(training_seconds=600.0, max_in_progress=1)


@pytest.fixture
def trainer(busy: Calls, point_fal_client: PointFalClient) -> FalQueueClient:
    point_fal_client(busy.sim)
    trust = ssl.create_default_context(cafile=busy.sim.ca_file)
    return FalQueueClient(FixedKey(busy.sim.key), wire=lambda: httpx.HTTPTransport(verify=trust))


def submitted(trainer: FalQueueClient) -> str:
    arguments = {"images_data_url": DATASET}
    return trainer.submit(APPLICATION, arguments, webhook_url=WEBHOOK_URL).request_id


def is_running(trainer: FalQueueClient, request_id: str) -> bool:
    return trainer.ask(APPLICATION, request_id) == Running(request_id, started=True)


@pytest.mark.promise("it can be operated")
def test_waiting_and_running_are_cancelled(trainer: FalQueueClient) -> None:
    """A training that waits or runs at fal is cancelled."""
    running, waiting = submitted(trainer), submitted(trainer)
    until(lambda: is_running(trainer, running))

    def failure(request_id: str) -> Failed | None:
        state = trainer.ask(APPLICATION, request_id)
        return state if isinstance(state, Failed) else None

    for request_id in (waiting, running):
        assert trainer.cancel(APPLICATION, request_id) is True
        state = until(lambda request_id=request_id: failure(request_id))  # type: ignore[misc]  # bound at once
        assert state
        assert state.problem.code == "fal_client_cancelled"
        assert state.ran == (request_id == running)
        assert trainer.cancel(APPLICATION, request_id) is False


def test_ignored_cancellation_stays_running(busy: Calls, trainer: FalQueueClient) -> None:
    """A training that goes on in spite of a cancellation is reported as running."""
    busy.inject("cancel_ignored")
    request_id = submitted(trainer)
    until(lambda: is_running(trainer, request_id))
    assert trainer.cancel(APPLICATION, request_id) is True
    assert is_running(trainer, request_id)


def test_unknown_request_is_over(trainer: FalQueueClient) -> None:
    assert trainer.cancel(APPLICATION, REQUEST_ID) is False
    assert trainer.ask(APPLICATION, REQUEST_ID) == Gone(REQUEST_ID)


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize(
    ("scope", "result", "then"),
    [("ADMIN", PayloadsErased(files=2), 404), ("API", PayloadsErased(left=(FORBIDS,)), 200)],
)
def test_deletion_is_as_the_key_allows(
    simulate: Simulate, scope: str, result: PayloadsErased, then: int
) -> None:
    """What fal stores of a training is deleted as far as the key allows."""
    calls = simulate(key_scope=scope)
    trust = ssl.create_default_context(cafile=calls.sim.ca_file)
    transport = httpx.HTTPTransport(verify=trust)
    payloads = FalPayloads(FixedKey(calls.sim.key), f"{calls.sim.base_url}/v1", transport)
    urls = [each["url"] for each in calls.trained().values() if isinstance(each, dict)]
    [request] = calls.sim.requests()
    assert payloads.erase(request["request_id"]) == result
    assert [calls.http.get(url).status_code for url in urls] == [then] * 2


def test_list_of_requests_is_read(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(calls.sim.ca_file))
    ours, _ = (calls.submitted({"images_data_url": url}) for url in (URL, URL.replace("v1", "v2")))
    history = FalHistory(FixedKey(calls.sim.key), f"{calls.sim.base_url}/v1")
    assert history.requests_for(make_job(Status.SUBMIT_UNKNOWN), since=NOW) == (ours,)


def test_prices_are_read(standing: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(standing.sim.ca_file))

    def price(key: str, application: str = APPLICATION) -> Any:
        return FalPrices(FixedKey(key), f"{standing.sim.base_url}/v1").price(application)

    assert price(standing.sim.key) == price_of(APPLICATION)
    assert price(standing.sim.key, "fal-ai/nothing") is None
    assert price("wrong") is None


@pytest.mark.parametrize(("scope", "left"), [("ADMIN", 7.5), ("API", None)])
def test_balance_is_read_as_the_key_allows(
    simulate: Simulate, monkeypatch: pytest.MonkeyPatch, scope: str, left: float | None
) -> None:
    calls = simulate(balance_usd=7.5, key_scope=scope)
    monkeypatch.setenv("SSL_CERT_FILE", str(calls.sim.ca_file))
    balance = FalBalance(FixedKey(calls.sim.key), f"{calls.sim.base_url}/v1")
    assert balance.usd() == left


@pytest.mark.parametrize("trainer", TRAINERS.values(), ids=lambda each: each.short_name)
def test_published_trainer_is_our_row(
    standing: Calls, monkeypatch: pytest.MonkeyPatch, trainer: Trainer
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(standing.sim.ca_file))
    key, url = FixedKey(standing.sim.key), f"{standing.sim.base_url}/v1"
    published = FalModels(key, url).published(trainer.application)
    assert published
    assert published.openapi
    price = FalPrices(key, url).price(trainer.application)
    assert differences(trainer, published, price) == ()
    assert FalModels(key, url).published("fal-ai/nothing") == PublishedTrainer(listed=False)

"""Our adapters of fal, as the stack has them, against the simulator."""

import ssl
from typing import Any

import httpx
import pytest

from lora_drop.adapters.fal import FalQueueClient
from lora_drop.adapters.fal_history import FalHistory
from lora_drop.adapters.fal_payloads import FORBIDS, FalPayloads
from lora_drop.adapters.fal_prices import FalPrices
from lora_drop.fal.status import Failed, Gone, Running
from lora_drop.fal.trainers.table import price_of
from lora_drop.jobs.status import Status
from lora_drop.ports import PayloadsErased
from tests.simulator.conftest import PointFalClient, Simulate
from tests.simulator.fal_calls import DATASET, Calls, until
from tests.support.builders import APPLICATION, NOW, REQUEST_ID, make_job
from tests.support.wire import WEBHOOK_URL, FixedKey

URL = "https://datasets.s3.amazonaws.com/portrait/ada.zip?versionId=v1&X-Amz-Signature=5167"


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

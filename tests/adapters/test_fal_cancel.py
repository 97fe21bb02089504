"""Asking fal to stop a request: once, and nothing is made of it but what fal says afterwards."""

import ssl
import time
from collections.abc import Callable, Iterator

import fal_client
import httpx
import pytest

from lora_drop.adapters.fal import FalQueueClient
from lora_drop.fal.status import Failed, FalStatus, Finished, Gone, Running
from lora_drop.jobs.errors import FalUnavailableError
from lora_drop.simulator.config import SimulatorConfig
from lora_drop.simulator.running import ControlClient, running_simulator
from tests.simulator.fal_calls import DATASET
from tests.support.builders import APPLICATION, REQUEST_ID
from tests.support.fal_keys import FixedKey
from tests.support.wire import WEBHOOK_URL, Wire, of_fal, of_nginx

CANCEL = f"https://queue.fal.run/{APPLICATION}/requests/{REQUEST_ID}/cancel"


def cancel(wire: Callable[[], httpx.BaseTransport], key: str = "key") -> bool:
    return FalQueueClient(FixedKey(key), wire=wire).cancel(APPLICATION, REQUEST_ID)


@pytest.mark.parametrize("code", [200, 202])
@pytest.mark.parametrize(
    "body", [b'{"status": "CANCELLATION_REQUESTED"}', b"", b"OK"], ids=["fal's", "none", "text"]
)
def test_fal_takes_note_of_it(code: int, body: bytes) -> None:
    assert cancel(Wire(httpx.Response(code, content=body))) is True


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(400, json={"status": "ALREADY_COMPLETED"}),
        httpx.Response(404, json={"status": "NOT_FOUND"}),
    ],
    ids=["over", "unknown"],
)
def test_what_is_over_cannot_be_stopped(answer: httpx.Response) -> None:
    assert cancel(Wire(answer)) is False


@pytest.mark.parametrize(
    "answer",
    [
        *(of_fal(code) for code in (400, 401, 403, 404, 408, 409, 422, 429, 500, 503)),
        *(of_nginx(code) for code in (404, 502, 503, 504)),
        httpx.Response(307, headers={"Location": "https://evil.example/"}),
        httpx.Response(400, json=["ALREADY_COMPLETED"]),
        httpx.Response(500, json={"status": "IN_PROGRESS"}),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.RemoteProtocolError("gone"),
    ],
    ids=range(20),
)
def test_anything_else_says_nothing_and_is_not_tried_again(
    answer: httpx.Response | Exception,
) -> None:
    wire = Wire(answer)

    with pytest.raises(FalUnavailableError):
        cancel(wire)

    assert len(wire.requests) == 1


def test_it_is_one_put_with_our_key_to_the_requests_own_address() -> None:
    wire = Wire(httpx.Response(202, json={"status": "CANCELLATION_REQUESTED"}))

    cancel(wire)

    [request] = wire.requests
    assert (request.method, str(request.url)) == ("PUT", CANCEL)
    assert request.headers["Authorization"] == "Key key"
    assert request.extensions["timeout"]["read"] == 15.0


@pytest.mark.parametrize("key", ["", "a\nb", "gr\u00fcn"])
def test_without_a_key_that_can_be_sent_nothing_is(key: str) -> None:
    wire = Wire(httpx.Response(202))

    with pytest.raises(FalUnavailableError):
        cancel(wire, key)

    assert wire.requests == []


def test_why_it_failed_tells_no_secret() -> None:
    with pytest.raises(FalUnavailableError) as raised:
        cancel(Wire(of_fal(401)), "key-id:key-secret")

    assert "key-secret" not in str(raised.value)


@pytest.fixture
def sim() -> Iterator[ControlClient]:
    """A fal with one slot whose trainings take a while."""
    config = SimulatorConfig(training_seconds=20.0, lora_rank=1, max_in_progress=1)
    with running_simulator(config) as running:
        yield running


@pytest.fixture
def trainer(sim: ControlClient, monkeypatch: pytest.MonkeyPatch) -> FalQueueClient:
    # Read from FAL_QUEUE_RUN_HOST at import.
    monkeypatch.setattr(fal_client.client, "QUEUE_URL_FORMAT", f"{sim.base_url}/")
    trust = ssl.create_default_context(cafile=sim.ca_file)
    return FalQueueClient(FixedKey(sim.key), wire=lambda: httpx.HTTPTransport(verify=trust))


def submitted(trainer: FalQueueClient) -> str:
    arguments = {"images_data_url": DATASET}
    return trainer.submit(APPLICATION, arguments, webhook_url=WEBHOOK_URL).request_id


def until(
    trainer: FalQueueClient, request_id: str, wanted: Callable[[FalStatus], bool]
) -> FalStatus:
    """What fal says of a request, once it is what we wait for."""
    end = time.monotonic() + 10
    while not wanted(fact := trainer.ask(APPLICATION, request_id)):
        assert time.monotonic() < end, fact
        time.sleep(0.02)
    return fact


def test_a_training_that_waits_or_runs_at_fal_is_stopped(trainer: FalQueueClient) -> None:
    running, waiting = submitted(trainer), submitted(trainer)
    until(trainer, running, lambda fact: fact == Running(running, started=True))

    for request_id in (waiting, running):
        assert trainer.cancel(APPLICATION, request_id) is True
        fact = until(trainer, request_id, lambda fact: isinstance(fact, Failed))

        assert isinstance(fact, Failed)
        assert fact.problem.code == "fal_client_cancelled"
        assert trainer.cancel(APPLICATION, request_id) is False


def test_a_training_that_goes_on_all_the_same_is_told_as_running(
    sim: ControlClient, trainer: FalQueueClient
) -> None:
    sim.inject("cancel_ignored")
    request_id = submitted(trainer)
    until(trainer, request_id, lambda fact: fact == Running(request_id, started=True))

    assert trainer.cancel(APPLICATION, request_id) is True

    assert trainer.ask(APPLICATION, request_id) == Running(request_id, started=True)


def test_a_request_that_fal_does_not_know_is_over(trainer: FalQueueClient) -> None:
    unknown = REQUEST_ID

    assert trainer.cancel(APPLICATION, unknown) is False
    assert trainer.ask(APPLICATION, unknown) == Gone(unknown)
    assert not isinstance(trainer.ask(APPLICATION, unknown), Finished)

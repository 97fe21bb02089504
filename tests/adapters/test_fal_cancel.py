"""Cancelling a request at fal, and deleting what fal stored of it."""

import ssl
import time
from collections.abc import Callable, Iterator

import fal_client
import httpx
import pytest

from lora_drop.adapters.fal import FalQueueClient
from lora_drop.adapters.fal_key import Key
from lora_drop.adapters.fal_payloads import FORBIDS, FalPayloads
from lora_drop.fal.status import Failed, FalStatus, Finished, Gone, Running
from lora_drop.jobs.errors import FalUnavailableError
from lora_drop.ports import PayloadsErased
from lora_drop.simulator.config import SimulatorConfig
from lora_drop.simulator.running import ControlClient, running_simulator
from tests.simulator.fal_calls import DATASET, Calls
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
def test_cancellation_is_requested(code: int, body: bytes) -> None:
    assert cancel(Wire(httpx.Response(code, content=body))) is True


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(400, json={"status": "ALREADY_COMPLETED"}),
        httpx.Response(404, json={"status": "NOT_FOUND"}),
    ],
    ids=["over", "unknown"],
)
def test_ended_request_is_not_cancelled(answer: httpx.Response) -> None:
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
def test_unclear_cancellation_is_not_repeated(answer: httpx.Response | Exception) -> None:
    wire = Wire(answer)
    with pytest.raises(FalUnavailableError):
        cancel(wire)
    assert len(wire.requests) == 1


def test_cancellation_is_one_put() -> None:
    wire = Wire(httpx.Response(202, json={"status": "CANCELLATION_REQUESTED"}))
    cancel(wire)
    [request] = wire.requests
    assert (request.method, str(request.url)) == ("PUT", CANCEL)
    assert request.headers["Authorization"] == "Key key"
    assert request.extensions["timeout"]["read"] == 8.0


@pytest.mark.promise("nothing leaks")
def test_cancellation_error_hides_the_key() -> None:
    """The error of a cancellation does not contain the key."""
    with pytest.raises(FalUnavailableError) as raised:
        cancel(Wire(of_fal(401)), "key-id:key-secret")
    assert "key-secret" not in str(raised.value)


@pytest.fixture
def sim() -> Iterator[ControlClient]:
    """A simulator with one slot whose trainings outlast the test."""
    config = SimulatorConfig(training_seconds=600.0, lora_rank=1, max_in_progress=1)
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
    """Return what fal says of a request once it is the state that is waited for."""
    end = time.monotonic() + 120
    while not wanted(state := trainer.ask(APPLICATION, request_id)):
        assert time.monotonic() < end, state
        time.sleep(0.02)
    return state


@pytest.mark.promise("it can be operated")
def test_simulator_cancels_waiting_and_running(trainer: FalQueueClient) -> None:
    """A training that waits or runs at fal is cancelled."""
    running, waiting = submitted(trainer), submitted(trainer)
    until(trainer, running, lambda state: state == Running(running, started=True))
    for request_id in (waiting, running):
        assert trainer.cancel(APPLICATION, request_id) is True
        state = until(trainer, request_id, lambda state: isinstance(state, Failed))
        assert isinstance(state, Failed)
        assert state.problem.code == "fal_client_cancelled"
        assert trainer.cancel(APPLICATION, request_id) is False


def test_ignored_cancellation_stays_running(sim: ControlClient, trainer: FalQueueClient) -> None:
    """A training that goes on in spite of a cancellation is reported as running."""
    sim.inject("cancel_ignored")
    request_id = submitted(trainer)
    until(trainer, request_id, lambda state: state == Running(request_id, started=True))
    assert trainer.cancel(APPLICATION, request_id) is True
    assert trainer.ask(APPLICATION, request_id) == Running(request_id, started=True)


def test_unknown_request_is_over(trainer: FalQueueClient) -> None:
    unknown = REQUEST_ID
    assert trainer.cancel(APPLICATION, unknown) is False
    assert trainer.ask(APPLICATION, unknown) == Gone(unknown)
    assert not isinstance(trainer.ask(APPLICATION, unknown), Finished)


API = "https://api.fal.ai/v1"
LINK = "https://v3.fal.media/files/a/lora.safetensors"
SUCCESS = {"cdn_delete_results": [{"link": LINK, "exception": None}] * 2}


class PlatformApi:
    """The platform API: one answer to deletions, another to everything else."""

    def __init__(self, deletion: httpx.Response | Exception, other: int = 200) -> None:
        self.asked: list[httpx.Request] = []
        self._deletion = deletion
        self._other = httpx.Response(other, json={"items": []})

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        said = self._deletion if request.method == "DELETE" else self._other
        if isinstance(said, Exception):
            raise said
        return said


def erased(fal: PlatformApi, request_id: str = "r-1", key: Key | None = None) -> PayloadsErased:
    payloads = FalPayloads(key or FixedKey(" key\n"), f"{API}/", httpx.MockTransport(fal))
    return payloads.erase(request_id)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (httpx.Response(200, json=SUCCESS), PayloadsErased(files=2)),
        (httpx.Response(404, json={"error": {}}), PayloadsErased()),
        (httpx.Response(403), PayloadsErased(left=(FORBIDS,))),
    ],
    ids=["deleted", "unknown", "forbidden"],
)
def test_deleted_files_are_counted(answer: httpx.Response, outcome: PayloadsErased) -> None:
    fal = PlatformApi(answer)
    assert erased(fal) == outcome
    [request] = fal.asked
    assert (request.method, str(request.url)) == ("DELETE", f"{API}/models/requests/r-1/payloads")
    assert request.headers["Authorization"] == "Key key"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (httpx.Response(204), "did not say"),
        (httpx.Response(200, json=[]), "did not say"),
        (httpx.Response(200, content=b"\xff"), "did not say"),
        *((httpx.Response(status), str(status)) for status in (400, 405, 410, 422)),
    ],
    ids=range(7),
)
def test_unclear_deletion_is_reported(answer: httpx.Response, said: str) -> None:
    """An answer that names no deleted files is reported as data that is left at fal."""
    result = erased(PlatformApi(answer))
    assert result.files == 0
    assert said in result.left[0]


def test_request_id_is_one_path_segment() -> None:
    fal = PlatformApi(httpx.Response(404))
    erased(fal, "../../keys?x=1#")
    assert fal.asked[0].url.raw_path == b"/v1/models/requests/..%2F..%2Fkeys%3Fx%3D1%23/payloads"


@pytest.mark.promise("nothing leaks")
def test_undeleted_file_is_reported_without_url() -> None:
    """A file that fal could not delete is reported without its URL."""
    rows = [{"link": LINK, "exception": None}, {"link": LINK, "exception": "boom"}, "odd"]
    fal = PlatformApi(httpx.Response(200, json={"cdn_delete_results": rows}))
    result = erased(fal)
    assert (result.files, len(result.left)) == (1, 1)
    assert "2 of the training's output files" in result.left[0]
    assert "fal.media" not in result.left[0]


def test_unauthorized_deletion_is_reported() -> None:
    """A key that may do anything but delete is reported as lacking the right."""
    fal = PlatformApi(httpx.Response(401), other=200)
    assert erased(fal) == PayloadsErased(left=(FORBIDS,))
    assert [request.method for request in fal.asked] == ["DELETE", "GET"]


def test_unknown_key_is_retried_later() -> None:
    with pytest.raises(FalUnavailableError, match="401"):
        erased(PlatformApi(httpx.Response(401), other=401))


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("slow"),
        httpx.Response(307, headers={"Location": "data:,x"}),
        *(httpx.Response(status) for status in (302, 408, 409, 425, 429, 500, 503)),
    ],
    ids=str,
)
def test_transient_deletion_error_is_retried(failure: httpx.Response | Exception) -> None:
    with pytest.raises(FalUnavailableError):
        erased(PlatformApi(failure))


def test_missing_certificates_are_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    with pytest.raises(FalUnavailableError):
        FalPayloads(FixedKey(), API).erase("r-1")


@pytest.fixture(params=["ADMIN", "API"])
def scoped_sim(request: pytest.FixtureRequest) -> Iterator[ControlClient]:
    """A simulator whose key has this scope."""
    settings = {"training_seconds": 0.02, "lora_rank": 1, "key_scope": request.param}
    with running_simulator(SimulatorConfig(**settings)) as running:
        yield running


@pytest.mark.promise("nothing leaks")
def test_simulator_deletes_as_key_allows(scoped_sim: ControlClient) -> None:
    """What fal stores of a training is deleted as far as the key allows."""
    trust = ssl.create_default_context(cafile=scoped_sim.ca_file)
    payloads = FalPayloads(
        FixedKey(scoped_sim.key), f"{scoped_sim.base_url}/v1", httpx.HTTPTransport(verify=trust)
    )
    with Calls(scoped_sim) as calls:
        urls = [each["url"] for each in calls.trained().values() if isinstance(each, dict)]
        [request] = scoped_sim.requests()
        result = payloads.erase(request["request_id"])
        lying = [calls.http.get(url).status_code for url in urls]
    admin = not result.left
    assert result == (PayloadsErased(files=2) if admin else PayloadsErased(left=(FORBIDS,)))
    assert lying == [404 if admin else 200] * 2

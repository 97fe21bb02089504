"""Every call of fal_client, as it is, against the simulator."""

import fal_client
import pytest
from fal_client.client import FalClientHTTPError
from httpx_sse import EventSource

from lora_drop.simulator.running import ControlClient
from tests.simulator.conftest import PointFalClient, Simulate
from tests.simulator.fal_calls import DATASET, Calls, until
from tests.support.builders import APPLICATION

ARGUMENTS = {"images_data_url": DATASET, "trigger_phrase": "TOK", "steps": 1000}


def test_subscribing_tells_the_progress_and_returns_the_files(
    simulate: Simulate, point_fal_client: PointFalClient
) -> None:
    fal = point_fal_client(simulate(training_seconds=0.5))
    seen: list[str] = []

    def on_queue_update(update: fal_client.Status) -> None:
        if isinstance(update, fal_client.InProgress):
            seen.extend(log["message"] for log in update.logs or [])

    result = fal.subscribe(APPLICATION, ARGUMENTS, with_logs=True, on_queue_update=on_queue_update)

    assert "Loading model weights..." in seen
    assert any(line.startswith("Training: ") and "/1000 steps" in line for line in seen)
    assert list(result) == ["diffusers_lora_file", "config_file"]
    assert {name: type(value) for name, value in result["diffusers_lora_file"].items()} == {
        "url": str,
        "content_type": str,
        "file_name": str,
        "file_size": int,
    }
    assert result["diffusers_lora_file"]["content_type"] == "application/octet-stream"
    assert result["config_file"]["content_type"] == "application/json"


def test_a_submission_returns_at_once_with_an_id(
    sim: ControlClient, fal: fal_client.SyncClient
) -> None:
    sim.inject("training_stuck")

    handle = fal.submit(APPLICATION, ARGUMENTS, webhook_url="https://hook.example/a?b=c d&e=%2F")

    [request] = sim.requests()
    assert request["request_id"] == handle.request_id
    assert request["arguments"] == ARGUMENTS
    assert request["webhook_url"] == "https://hook.example/a?b=c d&e=%2F"


def test_the_logs_of_a_status_grow(sim: ControlClient, fal: fal_client.SyncClient) -> None:
    sim.inject("training_slow", seconds=1.0)
    handle = fal.submit(APPLICATION, ARGUMENTS)

    def messages() -> list[str]:
        status = handle.status(with_logs=True)
        logs = getattr(status, "logs", None) or []
        return [log["message"] for log in logs]

    early = until(messages)
    late = until(lambda: found if len(found := messages()) > len(early) else None)

    assert late is not None
    assert late[: len(early)] == early
    assert {*handle.status(with_logs=True).__dict__["logs"][0]} == {
        "message",
        "timestamp",
        "level",
        "source",
    }


def test_logs_come_only_when_they_are_asked_for(
    sim: ControlClient, fal: fal_client.SyncClient
) -> None:
    sim.inject("training_stuck")
    handle = fal.submit(APPLICATION, ARGUMENTS)

    assert until(lambda: isinstance(handle.status(), fal_client.InProgress))
    assert handle.status() == fal_client.InProgress(logs=None)


def test_the_id_alone_is_enough_to_ask(fal: fal_client.SyncClient) -> None:
    request_id = fal.submit(APPLICATION, ARGUMENTS).request_id

    until(lambda: isinstance(fal.status(APPLICATION, request_id), fal_client.Completed))
    status = fal.status(APPLICATION, request_id, with_logs=True)

    assert isinstance(status, fal_client.Completed)
    assert (status.error, status.error_type) == (None, None)
    assert status.metrics["inference_time"] > 0
    assert set(fal.result(APPLICATION, request_id)) == {"diffusers_lora_file", "config_file"}


def test_events_go_from_the_queue_to_the_end(
    simulate: Simulate, point_fal_client: PointFalClient
) -> None:
    sim = simulate(max_in_progress=1)
    fal = point_fal_client(sim)
    sim.inject("training_slow", times=2, seconds=0.3)
    fal.submit(APPLICATION, ARGUMENTS)

    events = list(fal.submit(APPLICATION, ARGUMENTS).iter_events(with_logs=True, interval=0.02))

    assert events[0] == fal_client.Queued(position=0)
    kinds = list(dict.fromkeys(type(event) for event in events))
    assert kinds == [fal_client.Queued, fal_client.InProgress, fal_client.Completed]


def test_a_cancelled_request_in_the_queue_never_runs(
    simulate: Simulate, point_fal_client: PointFalClient
) -> None:
    sim = simulate(max_in_progress=1)
    fal = point_fal_client(sim)
    sim.inject("training_stuck")
    fal.submit(APPLICATION, ARGUMENTS)
    second, third = (fal.submit(APPLICATION, ARGUMENTS) for _ in range(2))
    assert third.status() == fal_client.Queued(position=1)

    fal.cancel(APPLICATION, second.request_id)

    status = second.status()
    assert isinstance(status, fal_client.Completed)
    assert status.error_type == "client_cancelled"
    assert third.status() == fal_client.Queued(position=0)
    assert second.request_id not in {row["request_id"] for row in sim.ledger()["datasets"]}
    with pytest.raises(FalClientHTTPError) as refused:
        second.cancel()
    assert refused.value.status_code == 400
    assert refused.value.response.json() == {"status": "ALREADY_COMPLETED"}


def test_a_running_request_can_be_cancelled(sim: ControlClient, fal: fal_client.SyncClient) -> None:
    sim.inject("training_stuck")
    handle = fal.submit(APPLICATION, ARGUMENTS)
    until(lambda: isinstance(handle.status(), fal_client.InProgress))

    handle.cancel()

    with pytest.raises(FalClientHTTPError) as ended:
        handle.get()
    assert ended.value.status_code == 499
    assert ended.value.error_type == "client_cancelled"


def test_a_training_that_fails_is_completed_and_its_result_is_the_error(
    fal: fal_client.SyncClient,
) -> None:
    handle = fal.submit(APPLICATION, {**ARGUMENTS, "steps": 0})

    with pytest.raises(FalClientHTTPError) as failed:
        handle.get()

    status = handle.status()
    assert isinstance(status, fal_client.Completed)
    assert (status.error, status.error_type) == ("Invalid status code: 422", "greater_than_equal")
    assert failed.value.status_code == 422
    assert failed.value.response.json()["detail"][0]["loc"] == ["body", "steps"]


def test_a_deadline_that_passes_in_the_queue_is_a_timeout_of_the_user(
    simulate: Simulate, point_fal_client: PointFalClient
) -> None:
    sim = simulate(max_in_progress=1)
    fal = point_fal_client(sim)
    sim.inject("training_stuck")
    fal.submit(APPLICATION, ARGUMENTS)
    handle = fal.submit(APPLICATION, ARGUMENTS, headers={"X-Fal-Request-Timeout": "0.2"})

    with pytest.raises(FalClientHTTPError) as late:
        handle.get()

    assert late.value.status_code == 504
    assert late.value.error_type == "request_timeout"
    assert late.value.response_headers["x-fal-request-timeout-type"] == "user"


def test_a_wrong_key_is_refused_once(sim: ControlClient, point_fal_client: PointFalClient) -> None:
    point_fal_client(sim)

    with pytest.raises(FalClientHTTPError) as refused:
        fal_client.SyncClient(key="wrong").submit(APPLICATION, ARGUMENTS)

    assert refused.value.status_code == 401
    rows = [(row["accepted"], row["status"]) for row in sim.ledger()["submissions"]]
    assert rows == [(False, 401)]


def test_a_status_stream_ends_with_the_request(sim: ControlClient, calls: Calls) -> None:
    sim.inject("training_slow", seconds=0.4)
    url = calls.submit().json()["status_url"]

    with calls.http.stream("GET", f"{url}/stream", params={"logs": "1"}) as response:
        kind = response.headers["content-type"]
        events = [event.json() for event in EventSource(response).iter_sse()]

    assert kind == "text/event-stream"
    assert [event["status"] for event in events][-1] == "COMPLETED"
    assert "IN_PROGRESS" in [event["status"] for event in events]
    sizes = [len(event["logs"]) for event in events]
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]

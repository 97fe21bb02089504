"""What can happen to a request after it was taken: while it trains, and when it is asked about."""

import json
import time

import httpx
import pytest

from lora_drop.simulator.running import ControlClient
from tests.simulator.fal_calls import Calls, path, until
from tests.simulator.receiver import Receiver


def test_a_status_that_is_not_answered_says_nothing_of_the_request(
    sim: ControlClient, calls: Calls
) -> None:
    request_id = calls.submitted()
    sim.inject("status_error", status=500, form="nginx")

    failed = calls.http.get(f"{path(request_id)}/status")

    assert failed.status_code == 500
    assert "nginx" in failed.text
    assert calls.ended(request_id)["status"] == "COMPLETED"


def test_a_result_can_be_gone_before_its_time(sim: ControlClient, calls: Calls) -> None:
    request_id = calls.submitted()
    calls.ended(request_id)
    sim.inject("result_gone")

    gone = calls.result(request_id)

    assert (gone.status_code, gone.json()) == (404, {"status": "NOT_FOUND"})
    assert calls.result(request_id).status_code == 200


def test_a_cancellation_can_be_taken_and_ignored(
    sim: ControlClient, calls: Calls, receiver: Receiver
) -> None:
    sim.inject("cancel_ignored")
    sim.inject("training_slow", seconds=0.5)
    request_id = calls.submitted(webhook_url=receiver.url)

    answered = calls.cancel(request_id)

    assert (answered.status_code, answered.json()) == (202, {"status": "CANCELLATION_REQUESTED"})
    assert json.loads(receiver.next().body)["status"] == "OK"
    assert calls.result(request_id).status_code == 200


def test_a_training_can_fail_after_a_while_with_words_and_a_status_of_our_own(
    sim: ControlClient, calls: Calls
) -> None:
    sim.inject(
        "training_error", type="face_detection_error", seconds=0.3, status=418, detail="No face."
    )
    start = time.monotonic()
    request_id = calls.submitted()

    status = calls.ended(request_id)

    assert time.monotonic() - start >= 0.3
    assert status["error"] == "Invalid status code: 418"
    result = calls.result(request_id)
    assert result.status_code == 418
    assert result.json()["detail"][0]["msg"] == "No face."


def test_a_request_error_has_fals_other_form(sim: ControlClient, calls: Calls) -> None:
    sim.inject("training_error", type="runner_disconnected")
    request_id = calls.submitted()

    status = calls.ended(request_id)

    result = calls.result(request_id)
    assert (status["error"], status["error_type"]) == (
        "Runner disconnected",
        "runner_disconnected",
    )
    assert result.status_code == 503
    assert result.json() == {"detail": "Runner disconnected", "error_type": "runner_disconnected"}
    assert result.headers["x-fal-error-type"] == "runner_disconnected"


def test_a_training_can_take_its_time(sim: ControlClient, calls: Calls) -> None:
    sim.inject("training_slow", seconds=0.4)
    start = time.monotonic()

    calls.trained()

    assert time.monotonic() - start >= 0.4


def test_a_stuck_training_never_ends_by_itself_but_can_be_cancelled(
    sim: ControlClient, calls: Calls
) -> None:
    sim.inject("training_stuck")
    request_id = calls.submitted()
    until(lambda: "100%" in str(calls.status(request_id, logs=True)["logs"]))
    time.sleep(0.2)
    assert calls.status(request_id)["status"] == "IN_PROGRESS"

    calls.cancel(request_id)

    assert calls.ended(request_id)["error_type"] == "client_cancelled"


def test_a_download_can_be_cut(sim: ControlClient, calls: Calls) -> None:
    url = calls.trained()["diffusers_lora_file"]["url"]
    sim.inject("download_cut", bytes=70_000)

    with (
        pytest.raises(httpx.RemoteProtocolError, match="received 70000 bytes"),
        calls.http.stream("GET", url) as response,
    ):
        for _ in response.iter_bytes():
            pass

    [row] = until(lambda: sim.ledger()["served"])
    assert (row["bytes"], row["complete"], row["status"]) == (70_000, False, 200)
    rest = calls.http.get(url, headers={"Range": "bytes=70000-"})
    assert rest.status_code == 206


def test_a_download_can_be_refused(sim: ControlClient, calls: Calls) -> None:
    url = calls.stored(b"data")
    sim.inject("download_status", status=403, detail="Forbidden")

    assert calls.http.get(url).json() == {"detail": "Forbidden"}
    assert calls.http.get(url).content == b"data"
    assert [row["bytes"] for row in sim.ledger()["served"]] == [4]


def test_a_download_can_trickle(sim: ControlClient, calls: Calls) -> None:
    url = calls.stored(bytes(10_000))
    sim.inject("download_slow", bytes_per_second=20_000)
    arrivals: list[float] = []
    start = time.monotonic()

    with calls.http.stream("GET", url) as response:
        for piece in response.iter_raw():
            arrivals.append(time.monotonic() - start)
            assert len(piece) < 10_000

    assert arrivals[-1] - arrivals[0] >= 0.3


def test_the_signing_keys_can_be_away_for_a_while(sim: ControlClient, calls: Calls) -> None:
    sim.inject("jwks_down", status=500)

    assert calls.http.get("/.well-known/jwks.json").status_code == 500
    assert calls.http.get("/.well-known/jwks.json").json()["keys"]

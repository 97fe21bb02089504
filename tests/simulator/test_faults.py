"""A fault happens where, when and as often as it was asked for; what it does to trainings and files."""

import json
from typing import Any

import httpx
import pytest
from httpx import HTTPStatusError

from lora_drop.simulator.errors import DOCUMENTED
from lora_drop.simulator.fault_table import TABLE, FaultKind, Place
from lora_drop.simulator.faults import FORMS, Faults, InvalidFaultError
from tests.simulator.conftest import FakeSleeps
from tests.simulator.fal_calls import Calls, Receiver, path, until
from tests.support.builders import APPLICATION
from tests.support.sweeps import sweep


@pytest.mark.parametrize("kind", TABLE, ids=lambda kind: kind.name)
def test_fault_by_its_name_alone(standing: Calls, kind: FaultKind) -> None:
    fault = standing.inject(kind.name)
    assert fault == standing.sim.faults()[-1]
    standing.sim.clear()
    assert (fault["fault"], fault["remaining"], fault["injected"]) == (kind.name, 1, 0)
    assert fault["says"]
    usual = [(FORMS[name], value) for name, value in kind.settings.items() if value is not None]
    assert all(holds(value) for (_, holds), value in usual)


@pytest.mark.parametrize("kind", sweep(sorted(DOCUMENTED), sample=8))
def test_training_ends_in_documented_error(standing: Calls, kind: str) -> None:
    standing.inject("training_error", type=kind)
    request_id = standing.submitted()
    status, result = standing.ended(request_id), standing.result(request_id)

    assert (status["status"], status["error_type"]) == ("COMPLETED", kind)
    assert status["error"]
    assert result.status_code >= 400
    detail = result.json()["detail"]
    said = detail[0]["type"] if isinstance(detail, list) else result.json()["error_type"]
    assert said == kind


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"fault": "nonsense"}, "no fault is called nonsense; there are submit_answer_lost, "),
        ({}, "no fault is called None"),
        ({"fault": ["submit_empty"]}, "no fault is called ['submit_empty']"),
        ([1], "a fault is a JSON object"),
        ("text", "a fault is a JSON object"),
        ({"fault": "submit_empty", "times": 0}, "times is a number from 1 on, or null"),
        ({"fault": "submit_empty", "times": True}, "times is a number from 1 on, or null"),
        ({"fault": "submit_empty", "times": "2"}, "times is a number from 1 on, or null"),
        ({"fault": "submit_empty", "colour": 1}, "submit_empty has no setting colour; it has "),
        ({"fault": "submit_empty", "answer": "abort"}, "submit_empty has no setting answer"),
        ({"fault": "submit_empty", "request_id": "x"}, "submit_empty has no setting request_id"),
        ({"fault": "jwks_down", "endpoint_id": "x"}, "jwks_down has no setting endpoint_id"),
        ({"fault": "result_gone", "name": 1}, "no setting name; it has request_id, endpoint_id"),
        ({"fault": "result_gone", "request_id": 5}, "request_id is a text, not 5"),
        ({"fault": "submit_status", "status": 99}, "is a status from 200 to 599, not 99"),
        ({"fault": "submit_status", "status": "502"}, "is a status from 200 to 599, not '502'"),
        ({"fault": "submit_status", "form": "apache"}, "is fal or nginx, not 'apache'"),
        ({"fault": "submit_status", "detail": 5}, "detail of submit_status is a text, not 5"),
        ({"fault": "submit_status", "accepted": 1}, "is true or false, not 1"),
        ({"fault": "picture_photos", "folder": 5}, "is a folder of photos, not 5"),
        ({"fault": "picture_photos", "folder": "/no/such"}, "is a folder of photos, not"),
        ({"fault": "submit_stall", "seconds": -1}, "is a number from 0 on, not -1"),
        ({"fault": "submit_stall", "seconds": True}, "is a number from 0 on, not True"),
        ({"fault": "training_error", "type": "odd"}, "is an error type that fal documents"),
        ({"fault": "training_error", "type": None}, "is an error type that fal documents"),
        ({"fault": "training_error", "type": ["odd"]}, "is an error type that fal documents"),
        ({"fault": "training_error", "status": "x"}, "is a status from 200 to 599, not 'x'"),
        ({"fault": "training_error", "billable_units": -1}, "is a number from 0 on, not -1"),
        ({"fault": "training_error", "billable_units": "1"}, "is a number from 0 on, not '1'"),
        ({"fault": "training_error", "units_told": None}, "is true or false, not None"),
        ({"fault": "webhook_doubled", "copies": 0}, "is a whole number from 1 on, not 0"),
        ({"fault": "webhook_stale", "age": 1.5}, "is a whole number of seconds, not 1.5"),
        ({"fault": "download_cut", "bytes": -1}, "is a whole number from 0 on, not -1"),
        ({"fault": "download_slow", "bytes_per_second": 0}, "is a whole number from 1 on, not 0"),
    ],
    ids=str,
)
def test_impossible_fault_is_refused(standing: Calls, wanted: Any, said: str) -> None:
    before = standing.sim.faults()
    response = standing.http.post("/_sim/faults", json=wanted)
    assert response.status_code == 400
    assert said in response.json()["error"]
    assert standing.sim.faults() == before


def test_fault_without_json_is_refused(standing: Calls) -> None:
    response = standing.http.post("/_sim/faults", content=b"\xff{")
    assert (response.status_code, response.json()) == (400, {"error": "not JSON"})
    with pytest.raises(HTTPStatusError, match="no fault is called nonsense"):
        standing.inject("nonsense")


@pytest.mark.parametrize(("times", "then"), [(2, 200), (None, 503)])
def test_fault_happens_so_many_times(calls: Calls, times: int | None, then: int) -> None:
    calls.inject("submit_status", times=times, status=503)
    assert [calls.submit().status_code for _ in range(3)] == [503, 503, then]
    [fault] = calls.sim.faults()
    assert (fault["remaining"], fault["injected"]) == ((0, 2) if times else (None, 3))
    calls.sim.clear()
    assert (calls.submit().status_code, calls.sim.faults()) == (200, [])


def test_faults_of_one_place_in_turn(standing: Calls) -> None:
    standing.inject("submit_status", status=503)
    standing.inject("balance_exhausted")
    assert [standing.submit().status_code for _ in range(3)] == [503, 403, 200]


def test_fault_at_the_named_endpoint(standing: Calls) -> None:
    standing.inject("submit_status", status=503, endpoint_id=APPLICATION)
    other = standing.submit(application="fal-ai/flux-2-trainer").status_code
    assert (other, standing.submit().status_code) == (200, 503)


def test_fault_of_the_named_request(calls: Calls) -> None:
    one, other = calls.submitted(), calls.submitted()
    calls.inject("status_error", times=None, request_id=other)
    assert calls.ended(one)["status"] == "COMPLETED"
    assert "detail" in calls.status(other)


def test_fault_of_the_named_file(calls: Calls) -> None:
    result = calls.trained()
    name = "pytorch_lora_weights.safetensors"
    calls.inject("download_status", status=403, detail="Forbidden", file_name=name)
    urls = [result[name]["url"] for name in ("config_file", *["diffusers_lora_file"] * 2)]
    answers = [calls.http.get(url) for url in urls]
    assert [answer.status_code for answer in answers] == [200, 403, 200]
    assert answers[1].json() == {"detail": "Forbidden"}
    assert [row["file_name"] for row in calls.rows("served")][1:] == [name]


def test_fault_at_every_third_occasion() -> None:
    faults = Faults()
    lost = faults.inject({"fault": "webhook_lost", "times": None, "every": 3})
    doubled = faults.inject({"fault": "webhook_doubled", "times": 1, "every": 2})
    struck = [faults.take(Place.WEBHOOK, request_id=f"r{number}") for number in range(6)]
    assert struck == [None, doubled, lost, None, None, lost]
    with pytest.raises(InvalidFaultError, match="every"):
        faults.inject({"fault": "webhook_lost", "every": 0})


def test_status_error_leaves_the_request(standing: Calls) -> None:
    request_id = standing.submitted()
    standing.inject("status_error", status=500, form="nginx")
    failed = standing.http.get(f"{path(request_id)}/status")
    assert failed.status_code == 500
    assert "nginx" in failed.text
    assert standing.ended(request_id)["status"] == "COMPLETED"


def test_cancellation_can_be_ignored(
    standing: Calls, receiver: Receiver, fake_sleep: FakeSleeps
) -> None:
    sleep = fake_sleep("trainer", held_from=0)
    standing.inject("cancel_ignored")
    request_id = standing.submitted(webhook_url=receiver.url)
    answered = standing.cancel(request_id)
    sleep.go_on.set()

    assert (answered.status_code, answered.json()) == (202, {"status": "CANCELLATION_REQUESTED"})
    assert json.loads(receiver.next().body)["status"] == "OK"
    assert standing.result(request_id).status_code == 200


@pytest.mark.parametrize("fault", ["training_error", "training_slow"])
def test_training_takes_the_given_time(calls: Calls, fake_sleep: FakeSleeps, fault: str) -> None:
    """A training can also fail after that time, with a message and a status of our own."""
    sleep = fake_sleep("trainer")
    words: dict[str, Any] = {"type": "face_detection_error", "status": 418, "detail": "No face."}
    calls.inject(fault, seconds=300, **(words if fault == "training_error" else {}))
    request_id = calls.submitted()
    status, result = calls.ended(request_id), calls.result(request_id)

    assert sum(sleep.seconds) == pytest.approx(300)
    if fault == "training_error":
        assert (status["error"], result.status_code) == ("Invalid status code: 418", 418)
        assert result.json()["detail"][0]["msg"] == "No face."
    else:
        assert result.status_code == 200


def test_request_error_has_another_form(standing: Calls) -> None:
    standing.inject("training_error", type="runner_disconnected")
    request_id = standing.submitted()
    status, result = standing.ended(request_id), standing.result(request_id)

    said = ("Runner disconnected", "runner_disconnected")
    assert (status["error"], status["error_type"]) == said
    assert result.status_code == 503
    assert result.json() == dict(zip(("detail", "error_type"), said, strict=True))
    assert result.headers["x-fal-error-type"] == "runner_disconnected"


def test_stuck_training_can_be_cancelled(standing: Calls) -> None:
    """A training that is stuck never ends by itself, while another one does."""
    standing.inject("training_stuck")
    request_id = standing.submitted()
    until(lambda: "100%" in str(standing.status(request_id, logs=True)["logs"]))
    standing.trained()
    assert standing.status(request_id)["status"] == "IN_PROGRESS"
    standing.cancel(request_id)
    assert standing.ended(request_id)["error_type"] == "client_cancelled"


def test_download_can_be_cut(calls: Calls) -> None:
    url = calls.trained()["diffusers_lora_file"]["url"]
    calls.inject("download_cut", bytes=70_000)
    with (
        pytest.raises(httpx.RemoteProtocolError, match="received 70000 bytes"),
        calls.http.stream("GET", url) as response,
    ):
        for _ in response.iter_bytes():
            pass

    [row] = until(lambda: calls.rows("served"))
    assert (row["bytes"], row["complete"], row["status"]) == (70_000, False, 200)
    assert calls.http.get(url, headers={"Range": "bytes=70000-"}).status_code == 206


def test_download_can_be_slow(standing: Calls, fake_sleep: FakeSleeps) -> None:
    sleep = fake_sleep("cdn")
    standing.inject("download_slow", bytes_per_second=20_000)
    assert standing.http.get(standing.stored(bytes(10_000))).content == bytes(10_000)
    assert until(lambda: sum(sleep.seconds) == pytest.approx(0.5))  # the last one comes after
    assert len(sleep.seconds) > 1


def test_signing_keys_can_be_away(standing: Calls) -> None:
    standing.inject("jwks_down", status=500)
    assert standing.http.get("/.well-known/jwks.json").status_code == 500
    assert standing.http.get("/.well-known/jwks.json").json()["keys"]


def test_file_can_come_whole_and_keys_packed(standing: Calls) -> None:
    url = standing.trained()["config_file"]["url"]
    standing.sim.inject("download_whole")
    whole = standing.http.get(url, headers={"Range": "bytes=0-3"})
    assert (whole.status_code, "ETag" in whole.headers, len(whole.content) > 4) == (
        200,
        False,
        True,
    )
    plain = standing.http.get("/.well-known/jwks.json")
    standing.sim.inject("jwks_packed")
    packed = standing.http.get("/.well-known/jwks.json")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert packed.json() == plain.json()


def test_answers_that_prove_nothing(standing: Calls) -> None:
    """A result that is there can be answered with 202, and a state can name units that were not billed."""
    request_id = standing.run()
    standing.inject("result_early")
    assert [standing.result(request_id).status_code for _ in range(2)] == [202, 200]
    standing.inject("status_names_units")
    states = [standing.http.get(f"{path(request_id)}/status") for _ in range(2)]
    assert [each.headers.get("X-Fal-Billable-Units") for each in states] == ["0", None]

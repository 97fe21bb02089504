"""How long a result can be had, and under which addresses."""

import time
from typing import Any

import pytest

from lora_drop.simulator.queue_api import EVENT_INTERVAL, QueueApi
from lora_drop.simulator.running import ControlClient
from tests.simulator.conftest import CallTo, Simulate
from tests.simulator.fal_calls import Calls, path, until


def test_a_result_is_not_there_before_the_end(sim: ControlClient, calls: Calls) -> None:
    sim.inject("training_stuck")
    request_id = calls.submitted()

    response = calls.result(request_id)

    assert response.status_code == 400
    assert response.json() == {"detail": "Request is still in progress"}


def test_a_result_is_kept_for_a_while_and_then_gone(simulate: Simulate, call: CallTo) -> None:
    calls = call(simulate(result_retention=1.0))
    request_id = calls.submitted()
    calls.ended(request_id)

    assert calls.result(request_id).status_code == 200
    until(lambda: calls.result(request_id).status_code == 404)
    assert calls.result(request_id).json() == {"status": "NOT_FOUND"}
    assert calls.status(request_id)["status"] == "COMPLETED"


def test_the_addresses_of_the_ticket_work(calls: Calls) -> None:
    ticket = calls.submit().json()

    assert ticket["status"] == "IN_QUEUE"
    assert ticket["queue_position"] == 0
    calls.ended(ticket["request_id"])
    assert calls.http.get(ticket["status_url"]).status_code == 200
    assert calls.http.get(ticket["response_url"]).status_code == 200
    assert calls.http.put(ticket["cancel_url"]).json() == {"status": "ALREADY_COMPLETED"}


@pytest.mark.parametrize(
    ("application", "short"),
    [
        ("fal-ai/wan-22-trainer/t2v-a14b", "fal-ai/wan-22-trainer"),
        ("workflows/ada/flow/v1", "workflows/ada/flow"),
    ],
)
def test_requests_lie_under_owner_and_app_whatever_else_the_endpoint_has(
    calls: Calls, application: str, short: str
) -> None:
    ticket = calls.submit(application=application).json()

    assert f"/{short}/requests/{ticket['request_id']}" in ticket["status_url"]
    for endpoint in (application, short):
        found = calls.http.get(f"{path(ticket['request_id'], endpoint)}/status")
        assert found.status_code in (200, 202)


def test_a_status_is_202_until_the_end_and_200_from_then_on(
    sim: ControlClient, calls: Calls
) -> None:
    sim.inject("training_slow", seconds=0.3)
    url = calls.submit().json()["status_url"]

    codes: list[int] = []
    while not codes or codes[-1] != 200:
        codes.append(calls.http.get(url).status_code)
        time.sleep(0.01)

    assert set(codes[:-1]) == {202}


def test_nobody_has_a_request_of_another_name_or_without_the_key(calls: Calls) -> None:
    request_id = calls.submitted()
    guess = path("00000000-0000-4000-8000-000000000000")
    other = path(request_id, "fal-ai/flux-2-trainer")

    unknown = [
        calls.http.get(guess),
        calls.http.get(f"{guess}/status"),
        calls.http.get(f"{guess}/status/stream"),
        calls.http.put(f"{guess}/cancel"),
        calls.http.get(other),
    ]
    keyless = calls.http.get(path(request_id), headers={"Authorization": "Key wrong"})

    assert [answer.status_code for answer in unknown] == [404] * 5
    assert all(answer.json() == {"status": "NOT_FOUND"} for answer in unknown)
    assert keyless.status_code == 401


def test_a_stream_ends_when_nobody_reads_it_any_more(
    sim: ControlClient, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []
    status_body = QueueApi._status_body

    def looked(*of: Any) -> dict[str, Any]:
        looks.append(time.monotonic())
        return status_body(*of)

    sim.inject("training_stuck")
    url = calls.submit().json()["status_url"]
    monkeypatch.setattr(QueueApi, "_status_body", looked)

    with calls.http.stream("GET", f"{url}/stream") as response:
        next(response.iter_raw())
    left = time.monotonic()
    time.sleep(6 * EVENT_INTERVAL)

    assert looks
    assert looks[-1] < left + 4 * EVENT_INTERVAL

"""Who runs, who waits, and who is turned away."""

import asyncio
import logging

import pytest

from lora_drop.simulator.errors import Outcome
from lora_drop.simulator.ledger import Ledger
from lora_drop.simulator.requests import ModelRequest
from lora_drop.simulator.slots import Slots
from tests.simulator.conftest import FakeSleeps, Simulate
from tests.simulator.fal_calls import Calls
from tests.support.builders import APPLICATION


def test_two_run_and_four_wait(calls: Calls, fake_sleep: FakeSleeps) -> None:
    """Two trainings run at once, and the rest wait and start in their order."""
    sleep = fake_sleep("trainer", held_from=0)
    ids = [calls.submitted() for _ in range(6)]
    held = [calls.status(request_id)["status"] for request_id in ids]
    sleep.go_on.set()
    for request_id in ids:
        calls.ended(request_id)

    assert held == ["IN_PROGRESS"] * 2 + ["IN_QUEUE"] * 4
    assert calls.sim.ledger()["max_in_progress"] == 2
    query = {"endpoint_id": APPLICATION}
    items = calls.http.get("/v1/models/requests/by-endpoint", params=query).json()["items"]
    started = {item["request_id"]: item["started_at"] for item in items}
    assert [started[request_id] for request_id in ids] == sorted(started.values())


def test_queue_position_counts_those_before(calls: Calls) -> None:
    calls.inject("training_stuck", times=2)
    tickets = [calls.submit().json() for _ in range(4)]

    assert [ticket["queue_position"] for ticket in tickets] == [0, 0, 0, 1]
    last = calls.status(tickets[3]["request_id"])
    assert (last["status"], last["queue_position"]) == ("IN_QUEUE", 1)
    calls.cancel(tickets[0]["request_id"])
    calls.ended(tickets[2]["request_id"])
    assert "queue_position" not in calls.status(tickets[2]["request_id"])


def test_cancelled_request_makes_room(calls: Calls) -> None:
    calls.inject("training_stuck", times=2)
    first, _, third = (calls.submitted() for _ in range(3))
    calls.cancel(first)
    assert calls.ended(first)["error_type"] == "client_cancelled"
    assert "error" not in calls.ended(third)
    assert [request["cancelled"] for request in calls.sim.requests()] == [True, False, False]


def test_deadline_limits_the_wait(simulate: Simulate, fake_sleep: FakeSleeps) -> None:
    """A deadline limits how long a request waits, and not how long it runs."""
    sleep = fake_sleep("trainer", held_from=0)
    calls = simulate(max_in_progress=1)
    headers = {"X-Fal-Request-Timeout": "0.2"}
    running, waiting = calls.submitted(headers=headers), calls.submitted(headers=headers)
    late = calls.ended(waiting)
    sleep.go_on.set()

    assert (late["error"], late["error_type"]) == ("Request timed out", "request_timeout")
    response = calls.result(waiting)
    assert response.status_code == 504
    assert response.headers["x-fal-request-timeout-type"] == "user"
    assert "error" not in calls.ended(running)


@pytest.mark.parametrize("deadline", ["soon", "0.1", "-1", "nan", "inf"])
def test_unreadable_deadline_is_refused(calls: Calls, deadline: str) -> None:
    response = calls.submit(headers={"X-Fal-Request-Timeout": deadline})
    assert response.status_code == 422
    assert response.json()["detail"]
    assert calls.sim.requests() == []


def test_queue_too_long_for_the_caller(calls: Calls) -> None:
    calls.inject("training_stuck", times=2)
    for _ in range(3):
        calls.submitted()
    refused = calls.submit(max_queue_length="1")
    assert (refused.status_code, refused.json()) == (429, {"detail": "Queue is full"})
    assert calls.submit(max_queue_length="2").status_code == 200
    assert calls.accepted() == [True] * 3 + [False, True]


def test_training_simulator_ends_at_once(simulate: Simulate) -> None:
    calls = simulate(training_seconds=3600.0)
    for _ in range(3):
        calls.submitted(webhook_url="http://127.0.0.1:9/")
    assert calls.sim.ledger()["max_in_progress"] == 2  # and the fixture ends it


async def _forever(_: ModelRequest) -> Outcome:
    await asyncio.Event().wait()
    raise AssertionError


async def _at_once(_: ModelRequest) -> Outcome:
    return Outcome(200, {})


async def _breaks(_: ModelRequest) -> Outcome:
    raise ZeroDivisionError


async def turns() -> None:
    """Let the loop run all that is ready, and what that makes ready."""
    for _ in range(20):
        await asyncio.sleep(0)


def error_types(requests: list[ModelRequest]) -> list[str | None]:
    return [each.outcome.error_type if each.outcome else None for each in requests]


def test_cancellation_before_the_first_step() -> None:
    """A request that is cancelled before its task's first step ends as well."""
    ended: list[ModelRequest] = []
    first, second = requests = [ModelRequest(APPLICATION, {}, None) for _ in range(2)]

    async def story() -> None:
        slots = Slots(1, ledger=Ledger(), work=_forever, ended=ended.append)
        slots.enqueue(first)
        slots.cancel(first)  # its task has not begun
        slots.enqueue(second)
        await turns()
        slots.cancel(second)
        await turns()

    asyncio.run(story())
    assert error_types(requests) == ["client_cancelled", "client_cancelled"]
    assert len(ended) == 2


def test_late_cancellation_changes_nothing() -> None:
    ended: list[ModelRequest] = []
    request = ModelRequest(APPLICATION, {}, None)

    async def story() -> None:
        slots = Slots(1, ledger=Ledger(), work=_at_once, ended=ended.append)
        slots.enqueue(request)
        # Between the end of its task and the moment that is noticed.
        asyncio.get_running_loop().call_soon(slots.cancel, request)
        await turns()

    asyncio.run(story())
    assert request.outcome == Outcome(200, {})
    assert not request.cancelled
    assert ended == [request]


def test_broken_runner_makes_room(caplog: pytest.LogCaptureFixture) -> None:
    requests = [ModelRequest(APPLICATION, {}, None) for _ in range(2)]

    async def story() -> None:
        slots = Slots(1, ledger=Ledger(), work=_breaks, ended=lambda _: None)
        for request in requests:
            slots.enqueue(request)
        await turns()

    with caplog.at_level(logging.ERROR):
        asyncio.run(story())
    assert error_types(requests) == ["runner_server_error"] * 2
    errors = [record.exc_info[0] for record in caplog.records if record.exc_info]
    assert errors == [ZeroDivisionError] * 2


def test_simulator_end_stops_its_runners() -> None:
    ended: list[ModelRequest] = []
    requests = [ModelRequest(APPLICATION, {}, None) for _ in range(2)]

    async def story() -> None:
        slots = Slots(1, ledger=Ledger(), work=_forever, ended=ended.append)
        for request in requests:
            slots.enqueue(request)
        await slots.close()
        assert len(asyncio.all_tasks()) == 1  # this one

    asyncio.run(story())
    assert [request.outcome for request in requests] == [None, None]
    assert ended == []

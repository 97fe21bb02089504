"""Who runs, who waits, and who is turned away."""

import asyncio
import logging

import pytest

from lora_drop.simulator.errors import Outcome
from lora_drop.simulator.ledger import Ledger
from lora_drop.simulator.requests import ModelRequest
from lora_drop.simulator.running import ControlClient
from lora_drop.simulator.slots import Slots
from tests.simulator.conftest import CallTo, Simulate
from tests.simulator.fal_calls import Calls
from tests.support.builders import APPLICATION


def test_two_trainings_run_at_once_and_the_rest_wait_in_order(
    sim: ControlClient, calls: Calls
) -> None:
    sim.inject("training_slow", times=6, seconds=0.1)

    ids = [calls.submitted() for _ in range(6)]
    for request_id in ids:
        calls.ended(request_id)

    assert sim.ledger()["max_in_progress"] == 2
    started = [row["request_id"] for row in sim.ledger()["datasets"]]
    assert [set(started[n : n + 2]) for n in (0, 2, 4)] == [set(ids[n : n + 2]) for n in (0, 2, 4)]


def test_the_queue_position_counts_those_before(sim: ControlClient, calls: Calls) -> None:
    sim.inject("training_stuck", times=2)

    tickets = [calls.submit().json() for _ in range(4)]

    assert [ticket["queue_position"] for ticket in tickets] == [0, 0, 0, 1]
    last = calls.status(tickets[3]["request_id"])
    assert (last["status"], last["queue_position"]) == ("IN_QUEUE", 1)
    calls.cancel(tickets[0]["request_id"])
    calls.ended(tickets[2]["request_id"])
    assert "queue_position" not in calls.status(tickets[2]["request_id"])


def test_what_is_cancelled_makes_room(sim: ControlClient, calls: Calls) -> None:
    sim.inject("training_stuck", times=2)
    first, _, third = (calls.submitted() for _ in range(3))

    calls.cancel(first)

    assert calls.ended(first)["error_type"] == "client_cancelled"
    assert "error" not in calls.ended(third)
    cancelled = [request["cancelled"] for request in sim.requests()]
    assert cancelled == [True, False, False]


def test_a_deadline_limits_the_wait_and_not_the_work(simulate: Simulate, call: CallTo) -> None:
    sim = simulate(max_in_progress=1)
    calls = call(sim)
    sim.inject("training_slow", seconds=0.5)
    running = calls.submitted(headers={"X-Fal-Request-Timeout": "0.2"})
    waiting = calls.submitted(headers={"X-Fal-Request-Timeout": "0.2"})

    late = calls.ended(waiting)

    assert (late["error"], late["error_type"]) == ("Request timed out", "request_timeout")
    response = calls.result(waiting)
    assert response.status_code == 504
    assert response.headers["x-fal-request-timeout-type"] == "user"
    assert "error" not in calls.ended(running)


@pytest.mark.parametrize("deadline", ["soon", "0.1", "-1", "nan", "inf"])
def test_a_deadline_that_is_none_is_refused(
    sim: ControlClient, calls: Calls, deadline: str
) -> None:
    response = calls.submit(headers={"X-Fal-Request-Timeout": deadline})

    assert response.status_code == 422
    assert response.json()["detail"]
    assert sim.requests() == []


def test_a_queue_that_is_too_long_for_the_caller_is_refused(
    sim: ControlClient, calls: Calls
) -> None:
    sim.inject("training_stuck", times=2)
    for _ in range(3):
        calls.submitted()

    refused = calls.submit(max_queue_length="1")

    assert (refused.status_code, refused.json()) == (429, {"detail": "Queue is full"})
    assert calls.submit(max_queue_length="2").status_code == 200
    assert [row["accepted"] for row in sim.ledger()["submissions"]] == [True] * 3 + [False, True]


def test_a_submission_with_a_wrong_key_is_refused_and_noted(
    sim: ControlClient, calls: Calls
) -> None:
    answers = [
        calls.submit(headers={"Authorization": given})
        for given in ("", "Key wrong", f"Bearer {sim.key}", sim.key)
    ]

    assert [answer.status_code for answer in answers] == [401] * 4
    rows = sim.ledger()["submissions"]
    assert [(row["accepted"], row["status"]) for row in rows] == [(False, 401)] * 4
    assert sim.requests() == []


def test_a_simulator_that_trains_ends_at_once(simulate: Simulate, call: CallTo) -> None:
    sim = simulate(training_seconds=60.0)
    for _ in range(3):
        call(sim).submitted(webhook_url="http://127.0.0.1:9/")

    assert sim.ledger()["max_in_progress"] == 2  # and the fixture ends it, within the test's time


def test_a_request_that_is_cancelled_before_its_first_step_ends_all_the_same() -> None:
    ended: list[ModelRequest] = []

    async def story() -> list[str | None]:
        slots = Slots(1, ledger=Ledger(), work=_forever, ended=ended.append)
        first, second = (ModelRequest(APPLICATION, {}, None) for _ in range(2))
        slots.enqueue(first)
        slots.cancel(first)  # its task has not begun
        slots.enqueue(second)
        await asyncio.sleep(0.01)
        slots.cancel(second)
        await asyncio.sleep(0.01)
        return [each.outcome.error_type if each.outcome else None for each in (first, second)]

    assert asyncio.run(story()) == ["client_cancelled", "client_cancelled"]
    assert len(ended) == 2


def test_a_cancellation_that_comes_too_late_changes_nothing() -> None:
    ended: list[ModelRequest] = []

    async def story() -> ModelRequest:
        slots = Slots(1, ledger=Ledger(), work=_at_once, ended=ended.append)
        request = ModelRequest(APPLICATION, {}, None)
        slots.enqueue(request)
        # Between the end of its task and the moment that is noticed.
        asyncio.get_running_loop().call_soon(slots.cancel, request)
        await asyncio.sleep(0.01)
        return request

    request = asyncio.run(story())

    assert request.outcome == Outcome(200, {})
    assert not request.cancelled
    assert ended == [request]


def test_a_runner_that_breaks_ends_its_request_and_makes_room(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story() -> list[str | None]:
        slots = Slots(1, ledger=Ledger(), work=_breaks, ended=lambda _: None)
        requests = [ModelRequest(APPLICATION, {}, None) for _ in range(2)]
        for request in requests:
            slots.enqueue(request)
        await asyncio.sleep(0.01)
        return [each.outcome.error_type if each.outcome else None for each in requests]

    with caplog.at_level(logging.ERROR):
        assert asyncio.run(story()) == ["runner_server_error"] * 2

    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [
        ZeroDivisionError
    ] * 2


def test_what_runs_at_the_end_of_the_simulator_is_stopped_and_has_no_outcome() -> None:
    ended: list[ModelRequest] = []

    async def story() -> list[ModelRequest]:
        slots = Slots(1, ledger=Ledger(), work=_forever, ended=ended.append)
        requests = [ModelRequest(APPLICATION, {}, None) for _ in range(2)]
        for request in requests:
            slots.enqueue(request)
        await slots.close()
        assert len(asyncio.all_tasks()) == 1  # this one
        return requests

    assert [request.outcome for request in asyncio.run(story())] == [None, None]
    assert ended == []


async def _forever(_: ModelRequest) -> Outcome:
    await asyncio.Event().wait()
    raise AssertionError


async def _at_once(_: ModelRequest) -> Outcome:
    return Outcome(200, {})


async def _breaks(_: ModelRequest) -> Outcome:
    raise ZeroDivisionError

"""What happens to a paid POST, whether a request is left behind, and who runs and who waits."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import fal_client
import httpx
import pytest

from lora_drop.simulator.errors import Outcome
from lora_drop.simulator.ledger import Ledger
from lora_drop.simulator.requests import ModelRequest
from lora_drop.simulator.slots import Slots
from tests.simulator.conftest import FakeSleeps, Simulate
from tests.simulator.fal_calls import DATASET, Calls, until
from tests.support.builders import APPLICATION

IMPATIENT = httpx.Timeout(60.0, read=0.1)


def test_lost_answer_leaves_a_paid_request(calls: Calls) -> None:
    calls.inject("submit_answer_lost")
    with pytest.raises(httpx.TransportError):
        calls.submit()
    [request] = calls.sim.requests()
    calls.ended(request["request_id"])
    [row] = calls.rows("submissions")
    assert (row["accepted"], row["status"], row["fault"]) == (True, None, "submit_answer_lost")
    assert row["request_id"] == request["request_id"]


@pytest.mark.parametrize(
    ("fault", "settings", "times"),
    [("submit_answer_lost", {}, 1), ("submit_status", {"accepted": True}, 2)],
    ids=["lost answer", "502"],
)
def test_fal_client_pays_again(
    calls: Calls, fal: fal_client.SyncClient, fault: str, settings: dict[str, bool], times: int
) -> None:
    """fal_client repeats a POST whose answer is lost or a proxy's, and each is paid."""
    calls.inject(fault, times=times, **settings)
    handle = fal.submit(APPLICATION, {"images_data_url": DATASET})
    assert calls.accepted() == [True] * (times + 1)
    assert calls.sim.requests()[-1]["request_id"] == handle.request_id


@pytest.mark.parametrize(
    ("fault", "accepted"), [("submit_reset_before", False), ("submit_truncated", True)]
)
def test_connection_that_breaks(calls: Calls, fault: str, *, accepted: bool) -> None:
    calls.inject(fault)
    with pytest.raises(httpx.TransportError):
        calls.submit()
    assert (len(calls.sim.requests()), calls.accepted()) == (accepted, [accepted])


def test_stalled_answer_comes_late(calls: Calls, fake_sleep: FakeSleeps) -> None:
    """The answer comes late, for a request that is there; a stall does not delay the simulator's end."""
    calls.inject("submit_stall")
    with pytest.raises(httpx.ReadTimeout):
        calls.http.post(f"/{APPLICATION}", json={"images_data_url": DATASET}, timeout=IMPATIENT)
    until(lambda: calls.accepted() == [True])
    sleep = fake_sleep("queue_api")
    calls.inject("submit_stall", seconds=400)
    response = calls.submit()
    assert sleep.seconds == [400]
    assert calls.sim.requests()[1]["request_id"] == response.json()["request_id"]
    assert calls.accepted() == [True, True]


@pytest.mark.parametrize(
    ("fault", "content"), [("submit_garbage", b"\x00\xffnot json at all\n"), ("submit_empty", b"")]
)
def test_unreadable_answer_leaves_paid_request(calls: Calls, fault: str, content: bytes) -> None:
    calls.inject(fault)
    response = calls.submit()
    assert (response.status_code, response.content) == (200, content)
    assert calls.accepted() == [True]


@pytest.mark.parametrize("status", [400, 404, 408, 409, 422, 429, 500, 503, 504])
def test_any_status_in_fals_form(calls: Calls, status: int) -> None:
    calls.inject("submit_status", status=status, form="fal", detail="No.")
    response = calls.submit()
    assert (response.status_code, response.json()) == (status, {"detail": "No."})
    assert "x-fal-request-id" not in response.headers
    assert calls.accepted() == [False]


@pytest.mark.parametrize(
    ("settings", "status", "title"),
    [
        ({}, 502, "502 Bad Gateway"),
        ({"status": 520}, 520, "520 Error"),
        ({"accepted": True}, 502, "502 Bad Gateway"),
    ],
    ids=["502", "a status without a name", "accepted"],
)
def test_status_of_a_proxy(
    calls: Calls, settings: dict[str, bool | int], status: int, title: str
) -> None:
    """It is HTML that names nginx, and can hide a request that was accepted."""
    calls.inject("submit_status", **settings)
    response = calls.submit()
    assert response.status_code == status
    assert response.headers["content-type"].startswith("text/html")
    assert f"<h1>{title}</h1>" in response.text
    assert "nginx" in response.text
    assert calls.accepted() == [settings.get("accepted", False)]


def test_exhausted_balance_in_fals_words(calls: Calls) -> None:
    calls.inject("balance_exhausted")
    response = calls.submit()
    assert response.status_code == 403
    assert response.json()["detail"].startswith("User is locked. Reason: Exhausted balance.")
    assert calls.sim.requests() == []


def test_wrong_key_is_refused_and_recorded(calls: Calls) -> None:
    key = calls.sim.key
    answers = [
        calls.submit(headers={"Authorization": given})
        for given in ("", "Key wrong", f"Bearer {key}", key)
    ]
    assert [answer.status_code for answer in answers] == [401] * 4
    rows = calls.rows("submissions")
    assert [(row["accepted"], row["status"]) for row in rows] == [(False, 401)] * 4
    assert calls.sim.requests() == []


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


type Play = Callable[[Slots, list[ModelRequest]], Awaitable[object]]
type Work = Callable[[ModelRequest], Coroutine[Any, Any, Outcome]]


def played(work: Work, play: Play) -> tuple[list[str | None], int]:
    """How two requests to one slot ended, and how many ends were reported."""
    requests = [ModelRequest(APPLICATION, {}, None) for _ in range(2)]
    ended: list[ModelRequest] = []

    async def story() -> None:
        await play(Slots(1, ledger=Ledger(), work=work, ended=ended.append), requests)
        await turns()

    asyncio.run(story())
    return [
        f"{each.outcome.error_type}, {each.cancelled}" if each.outcome else None
        for each in requests
    ], len(ended)


def test_cancellation_before_the_first_step() -> None:
    """A request that is cancelled before its task's first step ends as well."""

    async def play(slots: Slots, requests: list[ModelRequest]) -> None:
        first, second = requests
        slots.enqueue(first)
        slots.cancel(first)  # its task has not begun
        slots.enqueue(second)
        await turns()
        slots.cancel(second)

    assert played(_forever, play) == (["client_cancelled, True"] * 2, 2)


def test_late_cancellation_changes_nothing() -> None:
    async def play(slots: Slots, requests: list[ModelRequest]) -> None:
        slots.enqueue(requests[0])
        # Between the end of its task and the moment that is noticed.
        asyncio.get_running_loop().call_soon(slots.cancel, requests[0])

    assert played(_at_once, play) == (["None, False", None], 1)


def test_broken_runner_makes_room(caplog: pytest.LogCaptureFixture) -> None:
    async def play(slots: Slots, requests: list[ModelRequest]) -> None:
        for request in requests:
            slots.enqueue(request)

    assert played(_breaks, play) == (["runner_server_error, False"] * 2, 2)
    errors = [record.exc_info[0] for record in caplog.records if record.exc_info]
    assert errors == [ZeroDivisionError] * 2


def test_simulator_end_stops_its_runners() -> None:
    async def play(slots: Slots, requests: list[ModelRequest]) -> None:
        for request in requests:
            slots.enqueue(request)
        await slots.close()
        assert len(asyncio.all_tasks()) == 1  # this one

    assert played(_forever, play) == ([None, None], 0)

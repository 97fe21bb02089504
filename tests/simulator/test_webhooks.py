"""How the simulator calls back: the body, the signature, the attempts, and what can happen on the way."""

import json
import threading
import time
from dataclasses import replace
from typing import Any

import pytest
from httpx import HTTPStatusError
from nacl.exceptions import BadSignatureError

from tests.simulator.conftest import Clock, FakeSleeps, Simulate
from tests.simulator.fal_calls import DATASET, Calls, Received, Receiver, until


def attempts(calls: Calls, count: int) -> list[dict[str, Any]]:
    """The ledger's rows of all attempts, once there are so many."""
    return until(lambda: rows if len(rows := calls.rows("webhooks")) >= count else [])


def sent_at(webhook: Received) -> int:
    return int(webhook.headers["x-fal-webhook-timestamp"])


def test_success_calls_back_with_the_result(calls: Calls, receiver: Receiver) -> None:
    """The body has sorted keys and Python's separators."""
    request_id = calls.submitted(webhook_url=f"{receiver.url}/hooks/fal/job-1/token?a=b")
    received = receiver.next()

    assert received.path == "/hooks/fal/job-1/token?a=b"
    assert received.headers["content-type"] == "application/json"
    assert json.loads(received.body) == {
        "error": None,
        "gateway_request_id": request_id,
        "payload": calls.result(request_id).json(),
        "request_id": request_id,
        "status": "OK",
    }
    assert received.body == json.dumps(json.loads(received.body), sort_keys=True).encode()
    assert received.body.startswith(b'{"error": null, "gateway_request_id": ')
    [row] = attempts(calls, 1)
    assert (row["request_id"], row["status"], row["variant"]) == (request_id, 200, "true")


def test_failure_calls_back_with_the_error(standing: Calls, receiver: Receiver) -> None:
    request_id = standing.submitted({"images_data_url": "data:,no"}, webhook_url=receiver.url)
    body = json.loads(receiver.next().body)
    assert (body["status"], body["error"]) == ("ERROR", "Invalid status code: 422")
    assert body["payload"] == standing.result(request_id).json()
    assert body["payload"]["detail"][0]["type"] == "invalid_archive"


def test_signature_holds_for_these_bytes(standing: Calls, receiver: Receiver) -> None:
    before = int(time.time())
    request_id = standing.submitted(webhook_url=receiver.url)
    received = receiver.next()
    standing.verify(received)
    with pytest.raises(BadSignatureError):
        standing.verify(replace(received, body=received.body + b" "))
    assert received.headers["x-fal-webhook-request-id"] == request_id
    assert received.headers["x-fal-webhook-user-id"] == standing.sim.user_id
    assert before <= sent_at(received) <= time.time()


def test_signing_key_outlives_a_simulator(
    simulate: Simulate, tmp_path_factory: pytest.TempPathFactory
) -> None:
    state = tmp_path_factory.mktemp("state")
    keys = [simulate(state=state).http.get("/.well-known/jwks.json").json() for _ in range(2)]
    assert keys[0] == keys[1]
    assert all((state / name).stat().st_mode & 0o077 == 0 for name in ("webhook.key", "ca.key"))


@pytest.mark.parametrize(
    ("answers", "pauses"),
    [([500, 404, 429, 201], [0.05, 0.1, 0.2]), ([503] * 32, None)],
    ids=["until one is taken", "thirty-one times"],
)
def test_refused_webhook_is_retried_with_backoff(
    calls: Calls,
    receiver: Receiver,
    fake_sleep: FakeSleeps,
    answers: list[int],
    pauses: list[float] | None,
) -> None:
    sleep, count = fake_sleep("webhooks"), len(answers)
    receiver.answers = [*answers]
    calls.submitted(webhook_url=receiver.url)
    received = [receiver.next() for _ in answers]
    assert calls.nothing_more(receiver)
    assert len({call.body for call in received}) == 1
    rows = [(row["status"], row["attempt"]) for row in attempts(calls, count)[:count]]
    assert rows == list(zip(answers, range(1, count + 1), strict=True))
    assert pauses is None or [pause for pause in sleep.seconds if pause] == pauses


@pytest.mark.parametrize("status", [302, 308])
def test_redirect_is_neither_followed_nor_retried(
    calls: Calls, receiver: Receiver, fake_sleep: FakeSleeps, status: int
) -> None:
    fake_sleep("webhooks")
    receiver.answers = [status]
    calls.submitted(webhook_url=receiver.url)
    receiver.next()
    assert calls.nothing_more(receiver)
    assert attempts(calls, 1)[0]["status"] == status


def test_retries_end_with_the_result(
    simulate: Simulate, receiver: Receiver, fake_sleep: FakeSleeps, clock: Clock
) -> None:
    sleep = fake_sleep("webhooks")
    calls = simulate(result_retention=1000, webhook_backoff=1, webhook_backoff_cap=4)
    request_id = calls.submitted(webhook_url="http://127.0.0.1:9/hook")
    attempts(calls, 5)
    clock.add(1001)
    calls.submitted(webhook_url=receiver.url)
    receiver.next()
    first = len([row for row in calls.rows("webhooks") if row["request_id"] == request_id])

    assert calls.nothing_more(receiver)
    rows = [row for row in calls.rows("webhooks") if row["request_id"] == request_id]
    assert len(rows) == first
    assert all(row["status"] is None for row in rows)
    assert rows[0]["error"].startswith("ClientConnectorError")
    assert sleep.seconds[:6] == [0, 1, 2, 4, 4, 4]


def test_slow_answer_is_retried(simulate: Simulate, receiver: Receiver) -> None:
    calls = simulate(webhook_first_timeout=0.1)
    receiver.first_answer = threading.Event()
    answer = receiver.first_answer
    calls.submitted(webhook_url=receiver.url)
    attempts(calls, 1)
    answer.set()
    rows = attempts(calls, 2)
    assert [row["status"] for row in rows] == [None, 200]
    assert "Timeout" in rows[0]["error"]


def test_webhook_in_the_body_is_ignored(calls: Calls, receiver: Receiver) -> None:
    """An address that stands among the arguments, a common mistake, is not called."""
    calls.trained({"images_data_url": DATASET, "webhook_url": receiver.url})
    assert calls.rows("webhooks") == []
    assert calls.nothing_more(receiver)


@pytest.mark.parametrize("calls_back", [True, False])
def test_cancelled_request_calls_back_if_set(
    simulate: Simulate, receiver: Receiver, *, calls_back: bool
) -> None:
    calls = simulate(webhook_on_cancel=calls_back)
    calls.inject("training_stuck")
    request_id = calls.submitted(webhook_url=receiver.url)
    calls.cancel(request_id)
    if calls_back:
        body = json.loads(receiver.next().body)
        assert (body["status"], body["request_id"]) == ("ERROR", request_id)
    assert calls.nothing_more(receiver)


def test_late_webhook_comes_after_a_while(
    calls: Calls, receiver: Receiver, fake_sleep: FakeSleeps
) -> None:
    sleep = fake_sleep("webhooks", held_from=0)
    calls.inject("webhook_late", seconds=700)
    request_id = calls.run(webhook_url=receiver.url)
    until(lambda: sleep.seconds)
    before = receiver.calls.empty()
    sleep.go_on.set()
    assert (before, sleep.seconds) == (True, [700])
    assert json.loads(receiver.next().body)["request_id"] == request_id


@pytest.mark.parametrize("age", [600, -600])
def test_stale_webhook_has_another_time(standing: Calls, receiver: Receiver, age: int) -> None:
    standing.inject("webhook_stale", age=age)
    before = int(time.time())
    standing.submitted(webhook_url=receiver.url)
    received = receiver.next()
    standing.verify(received)
    assert before <= sent_at(received) + age <= time.time()


@pytest.mark.parametrize("fault", ["webhook_forged", "webhook_foreign_user"])
def test_false_webhook_precedes_true_one(calls: Calls, receiver: Receiver, fault: str) -> None:
    """That of another user is signed well."""
    settings: dict[str, Any] = {"user_id": "user_mallory"} if "user" in fault else {}
    calls.inject(fault, **settings)
    calls.submitted(webhook_url=receiver.url)
    false, true = receiver.next(), receiver.next()

    if fault == "webhook_forged":
        with pytest.raises(BadSignatureError):
            calls.verify(false)
    else:
        calls.verify(false)
        assert false.headers["x-fal-webhook-user-id"] == "user_mallory"
    calls.verify(true)
    assert true.headers["x-fal-webhook-user-id"] == calls.sim.user_id
    assert false.body == true.body
    assert attempts(calls, 2)[1]["variant"] == "true"
    assert attempts(calls, 2)[0]["variant"] == ("forged" if "forged" in fault else "foreign_user")


@pytest.mark.parametrize(
    ("fault", "settings", "comes"),
    [
        ("webhook_doubled", {"copies": 3}, 3),
        ("webhook_forged", {"alone": True}, 1),
        ("webhook_foreign_user", {"alone": True}, 1),
    ],
)
def test_webhook_comes_so_often(
    standing: Calls, receiver: Receiver, fault: str, settings: dict[str, Any], comes: int
) -> None:
    standing.inject(fault, **settings)
    standing.submitted(webhook_url=receiver.url)
    assert len({receiver.next().body for _ in range(comes)}) == 1
    assert standing.nothing_more(receiver)


def test_webhook_without_payload(standing: Calls, receiver: Receiver) -> None:
    """A webhook without its payload says that the result has to be fetched."""
    standing.inject("webhook_payload_null")
    request_id = standing.submitted(webhook_url=receiver.url)
    received = receiver.next()
    body = json.loads(received.body)
    standing.verify(received)
    assert (body["status"], body["payload"]) == ("OK", None)
    assert body["payload_error"].startswith("Response payload is not JSON serializable.")
    assert standing.result(request_id).json()["diffusers_lora_file"]


def test_redelivery_is_one_attempt(calls: Calls, receiver: Receiver) -> None:
    """A webhook can be sent once more; that is one attempt, whatever the answer."""
    receiver.answers = [200, 503]
    request_id = calls.submitted(webhook_url=receiver.url)
    first = receiver.next()
    attempts(calls, 1)
    row = calls.sim.redeliver(request_id)
    assert receiver.next().body == first.body
    assert (row["variant"], row["status"], row["attempt"]) == ("redelivery", 503, 2)
    assert calls.nothing_more(receiver)


@pytest.mark.parametrize("times", [1, None])
def test_lost_webhook_can_be_redelivered(
    calls: Calls, receiver: Receiver, times: int | None
) -> None:
    """A lost webhook never comes by itself; a redelivery is spared by the faults."""
    calls.inject("webhook_lost", times=times)
    request_id = calls.submitted(webhook_url=receiver.url)
    [row] = attempts(calls, 1)
    before = receiver.calls.empty()
    assert (before, row["variant"], row["status"]) == (True, "lost", None)
    assert calls.sim.redeliver(request_id)["status"] == 200
    assert json.loads(receiver.next().body)["request_id"] == request_id


def test_impossible_redelivery_is_refused(calls: Calls) -> None:
    silent = calls.run()
    calls.inject("training_stuck")
    unfinished = calls.submitted(webhook_url="http://127.0.0.1:9/")
    with pytest.raises(HTTPStatusError, match="no such request"):
        calls.sim.redeliver("unknown")
    for request_id in (silent, unfinished):
        with pytest.raises(HTTPStatusError, match="it has no webhook to send"):
            calls.sim.redeliver(request_id)


@pytest.mark.parametrize("fault", ["webhook_gateway_id", "webhook_capitals"])
def test_delivery_of_another_form_holds(standing: Calls, receiver: Receiver, fault: str) -> None:
    """A delivery may be signed with the id of fal's last try, or in capitals; the signature holds."""
    standing.sim.inject(fault)
    request_id = standing.submitted(webhook_url=receiver.url)
    received = receiver.next()
    body, headers = json.loads(received.body), received.headers
    standing.verify(received)
    assert body["request_id"] == request_id
    assert headers["x-fal-webhook-request-id"] == body["gateway_request_id"]
    assert (body["gateway_request_id"] == request_id) == (fault == "webhook_capitals")
    assert headers["x-fal-webhook-signature"].isupper() == (fault == "webhook_capitals")

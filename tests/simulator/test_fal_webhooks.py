"""How the simulator calls back: the body, the signature, and how often it tries."""

import itertools
import json
import time
from dataclasses import replace

import pytest
from nacl.exceptions import BadSignatureError

from lora_drop.simulator.running import ControlClient
from tests.simulator.conftest import CallTo, Simulate
from tests.simulator.fal_calls import DATASET, Calls, until
from tests.simulator.receiver import Receiver


def test_a_training_that_succeeds_calls_back_with_its_result(
    sim: ControlClient, calls: Calls, receiver: Receiver
) -> None:
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
    [row] = until(lambda: sim.ledger()["webhooks"])
    assert (row["request_id"], row["status"], row["variant"]) == (request_id, 200, "true")


def test_the_body_has_sorted_keys_and_pythons_separators(calls: Calls, receiver: Receiver) -> None:
    calls.submitted(webhook_url=receiver.url)

    body = receiver.next().body

    assert body == json.dumps(json.loads(body), sort_keys=True).encode()
    assert body.startswith(b'{"error": null, "gateway_request_id": ')


def test_a_training_that_fails_calls_back_with_the_error(calls: Calls, receiver: Receiver) -> None:
    request_id = calls.submitted({"images_data_url": "data:,no"}, webhook_url=receiver.url)

    body = json.loads(receiver.next().body)

    assert body["status"] == "ERROR"
    assert body["error"] == "Invalid status code: 422"
    assert body["payload"] == calls.result(request_id).json()
    assert body["payload"]["detail"][0]["type"] == "invalid_archive"


def test_the_signature_holds_for_just_these_bytes(
    sim: ControlClient, calls: Calls, receiver: Receiver
) -> None:
    request_id = calls.submitted(webhook_url=receiver.url)

    received = receiver.next()

    calls.verify(received)
    with pytest.raises(BadSignatureError):
        calls.verify(replace(received, body=received.body + b" "))
    assert received.headers["x-fal-webhook-request-id"] == request_id
    assert received.headers["x-fal-webhook-user-id"] == sim.user_id
    assert abs(int(received.headers["x-fal-webhook-timestamp"]) - time.time()) < 5


def test_the_signing_key_outlives_a_simulator(
    simulate: Simulate, call: CallTo, tmp_path_factory: pytest.TempPathFactory
) -> None:
    state = tmp_path_factory.mktemp("state")

    keys = [call(simulate(state=state)).http.get("/.well-known/jwks.json").json() for _ in range(2)]

    assert keys[0] == keys[1]
    assert all((state / name).stat().st_mode & 0o077 == 0 for name in ("webhook.key", "ca.key"))


def test_what_is_not_2xx_is_tried_again_until_it_is_with_growing_pauses(
    sim: ControlClient, calls: Calls, receiver: Receiver
) -> None:
    receiver.answers = [500, 404, 429, 201]
    calls.submitted(webhook_url=receiver.url)

    received = [receiver.next() for _ in range(4)]

    assert receiver.is_quiet(0.6)  # the next pause would be 0.4 s
    assert len({call.body for call in received}) == 1
    pauses = [later.at - earlier.at for earlier, later in itertools.pairwise(received)]
    assert all(pause > 0.8 * least for pause, least in zip(pauses, (0.05, 0.1, 0.2), strict=True))
    rows = sim.ledger()["webhooks"]
    assert [row["status"] for row in rows] == [500, 404, 429, 201]
    assert [row["attempt"] for row in rows] == [1, 2, 3, 4]


@pytest.mark.parametrize("status", [302, 308])
def test_a_redirect_is_neither_followed_nor_tried_again(
    sim: ControlClient, calls: Calls, receiver: Receiver, status: int
) -> None:
    receiver.answers = [status]
    calls.submitted(webhook_url=receiver.url)

    receiver.next()

    assert receiver.is_quiet()
    assert [row["status"] for row in sim.ledger()["webhooks"]] == [status]


def test_nobody_listening_is_tried_until_the_result_expires(
    simulate: Simulate, call: CallTo
) -> None:
    sim = simulate(result_retention=0.4, webhook_backoff=0.05, webhook_backoff_cap=0.05)
    call(sim).submitted(webhook_url="http://127.0.0.1:9/hook")

    until(lambda: len(sim.ledger()["webhooks"]) > 2)
    time.sleep(0.6)
    tries = len(sim.ledger()["webhooks"])
    time.sleep(0.2)

    rows = sim.ledger()["webhooks"]
    assert len(rows) == tries
    assert all(row["status"] is None for row in rows)
    assert rows[0]["error"].startswith("ClientConnectorError")


def test_thirty_one_retries_are_the_end(
    simulate: Simulate, call: CallTo, receiver: Receiver
) -> None:
    sim = simulate(webhook_backoff=0.001, webhook_backoff_cap=0.001)
    receiver.answers = [503] * 50
    call(sim).submitted(webhook_url=receiver.url)

    until(lambda: len(sim.ledger()["webhooks"]) == 32)

    time.sleep(0.1)
    assert len(sim.ledger()["webhooks"]) == 32


def test_an_answer_that_takes_too_long_is_tried_again(
    simulate: Simulate, call: CallTo, receiver: Receiver
) -> None:
    sim = simulate(webhook_first_timeout=0.1)
    receiver.seconds = 0.5
    call(sim).submitted(webhook_url=receiver.url)

    rows = until(lambda: rows if len(rows := sim.ledger()["webhooks"]) == 2 else None)

    assert rows is not None
    assert [row["status"] for row in rows] == [None, 200]
    assert "Timeout" in rows[0]["error"]


def test_nothing_is_sent_for_a_request_without_a_webhook(
    sim: ControlClient, calls: Calls, receiver: Receiver
) -> None:
    calls.trained({"images_data_url": DATASET, "webhook_url": receiver.url})  # a common mistake

    assert receiver.is_quiet(0.1)
    assert sim.ledger()["webhooks"] == []


@pytest.mark.parametrize("calls_back", [True, False])
def test_a_cancelled_request_calls_back_only_when_it_is_set_so(
    simulate: Simulate, call: CallTo, receiver: Receiver, *, calls_back: bool
) -> None:
    sim = simulate(webhook_on_cancel=calls_back)
    calls = call(sim)
    sim.inject("training_stuck")
    request_id = calls.submitted(webhook_url=receiver.url)

    calls.cancel(request_id)

    if calls_back:
        body = json.loads(receiver.next().body)
        assert (body["status"], body["request_id"]) == ("ERROR", request_id)
    else:
        assert receiver.is_quiet()

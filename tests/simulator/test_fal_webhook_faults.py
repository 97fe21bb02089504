"""What can happen to a webhook on its way."""

import json
import time

import pytest
from nacl.exceptions import BadSignatureError

from lora_drop.simulator.running import ControlClient
from tests.simulator.fal_calls import Calls, until
from tests.simulator.receiver import Receiver


def test_a_lost_webhook_never_comes(sim: ControlClient, calls: Calls, receiver: Receiver) -> None:
    sim.inject("webhook_lost")
    calls.submitted(webhook_url=receiver.url)

    [row] = until(lambda: sim.ledger()["webhooks"])

    assert receiver.is_quiet()
    assert (row["variant"], row["status"]) == ("lost", None)


def test_a_doubled_webhook_comes_twice_the_same(
    sim: ControlClient, calls: Calls, receiver: Receiver
) -> None:
    sim.inject("webhook_doubled", copies=3)
    calls.submitted(webhook_url=receiver.url)

    bodies = {receiver.next().body for _ in range(3)}

    assert len(bodies) == 1
    assert receiver.is_quiet()


def test_a_late_webhook_comes_after_a_while(
    sim: ControlClient, calls: Calls, receiver: Receiver
) -> None:
    sim.inject("webhook_late", seconds=0.7)
    request_id = calls.submitted(webhook_url=receiver.url)
    calls.ended(request_id)

    assert receiver.is_quiet(0.2)
    assert json.loads(receiver.next().body)["request_id"] == request_id


@pytest.mark.parametrize("age", [600, -600])
def test_a_stale_webhook_is_signed_with_another_time(
    sim: ControlClient, calls: Calls, receiver: Receiver, age: int
) -> None:
    sim.inject("webhook_stale", age=age)
    calls.submitted(webhook_url=receiver.url)

    received = receiver.next()

    calls.verify(received)
    assert abs(time.time() - int(received.headers["x-fal-webhook-timestamp"]) - age) < 5


def test_a_forged_webhook_comes_before_the_true_one(
    sim: ControlClient, calls: Calls, receiver: Receiver
) -> None:
    sim.inject("webhook_forged")
    calls.submitted(webhook_url=receiver.url)

    forged, true = receiver.next(), receiver.next()

    with pytest.raises(BadSignatureError):
        calls.verify(forged)
    calls.verify(true)
    assert forged.body == true.body
    rows = until(lambda: rows if len(rows := sim.ledger()["webhooks"]) == 2 else None)
    assert [row["variant"] for row in rows or []] == ["forged", "true"]


def test_a_webhook_of_a_foreign_user_is_signed_well(
    sim: ControlClient, calls: Calls, receiver: Receiver
) -> None:
    sim.inject("webhook_foreign_user", user_id="user_mallory")
    calls.submitted(webhook_url=receiver.url)

    foreign, true = receiver.next(), receiver.next()

    calls.verify(foreign)
    assert foreign.headers["x-fal-webhook-user-id"] == "user_mallory"
    assert true.headers["x-fal-webhook-user-id"] == sim.user_id


@pytest.mark.parametrize("fault", ["webhook_forged", "webhook_foreign_user"])
def test_a_false_webhook_can_come_alone(
    sim: ControlClient, calls: Calls, receiver: Receiver, fault: str
) -> None:
    sim.inject(fault, alone=True)
    calls.submitted(webhook_url=receiver.url)

    receiver.next()

    assert receiver.is_quiet()


def test_a_webhook_without_its_payload_says_that_the_result_has_to_be_fetched(
    sim: ControlClient, calls: Calls, receiver: Receiver
) -> None:
    sim.inject("webhook_payload_null")
    request_id = calls.submitted(webhook_url=receiver.url)

    received = receiver.next()

    body = json.loads(received.body)
    calls.verify(received)
    assert (body["status"], body["payload"]) == ("OK", None)
    assert body["payload_error"].startswith("Response payload is not JSON serializable.")
    assert calls.result(request_id).json()["diffusers_lora_file"]

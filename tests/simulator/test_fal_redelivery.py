"""A webhook can be sent once more, now."""

import json

import pytest
from httpx import HTTPStatusError

from lora_drop.simulator.running import ControlClient
from tests.simulator.fal_calls import Calls, until
from tests.simulator.receiver import Receiver


def test_a_webhook_is_sent_once_more_and_the_attempt_is_told(
    sim: ControlClient, calls: Calls, receiver: Receiver
) -> None:
    receiver.answers = [200, 503]
    request_id = calls.submitted(webhook_url=receiver.url)
    first = receiver.next()
    until(lambda: sim.ledger()["webhooks"])

    row = sim.redeliver(request_id)

    second = receiver.next()
    assert second.body == first.body
    assert (row["variant"], row["status"], row["attempt"]) == ("redelivery", 503, 2)
    assert receiver.is_quiet()  # one attempt, whatever the answer


def test_a_lost_webhook_can_be_sent_after_all(
    sim: ControlClient, calls: Calls, receiver: Receiver
) -> None:
    sim.inject("webhook_lost")
    request_id = calls.submitted(webhook_url=receiver.url)
    until(lambda: sim.ledger()["webhooks"])

    sim.redeliver(request_id)

    assert json.loads(receiver.next().body)["request_id"] == request_id


def test_what_cannot_be_sent_is_said(sim: ControlClient, calls: Calls) -> None:
    silent = calls.submitted()
    calls.ended(silent)
    sim.inject("training_stuck")
    unfinished = calls.submitted(webhook_url="http://127.0.0.1:9/")

    with pytest.raises(HTTPStatusError, match="no such request"):
        sim.redeliver("nobody")
    for request_id in (silent, unfinished):
        with pytest.raises(HTTPStatusError, match="it has no webhook to send"):
            sim.redeliver(request_id)

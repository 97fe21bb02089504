"""A deployed stack tells a receiver on this machine every change of a job, as any receiver would get it."""

import time
from collections.abc import Iterator

import pytest
from standardwebhooks import Webhook

from lora_drop.webhooks import JobChanged, unwrap_event
from tests.e2e.conftest import Deployed
from tests.support.receivers import LocalReceiver

pytestmark = pytest.mark.stack

PATIENCE = 60  # seconds for the last notification


@pytest.fixture
def receiver(stack: Deployed) -> Iterator[LocalReceiver]:
    with LocalReceiver() as found:
        stack.run("up", "--parameter", f"NotifyUrl={found.url}")
        yield found
        stack.run("up", "--parameter", "NotifyUrl=")


@pytest.mark.promise("interfaces stay")
def test_receiver_is_told_every_change(stack: Deployed, receiver: LocalReceiver) -> None:
    """A receiver that fails at first, redirects and fails again gets every change of a training all the same."""
    receiver.answers = [500, 302, 429]  # the first ones; then 204
    secret = stack.run("notify-secret").strip()

    job = stack.train(stack.local.sample)

    heard: dict[str, JobChanged] = {}
    until = time.monotonic() + PATIENCE
    every = {step["status"] for step in job["history"]} - {"SUBMITTING"}
    while time.monotonic() < until and not every <= {each.change.status for each in heard.values()}:
        time.sleep(0.2)
        for headers, body in receiver.accepted:
            assert Webhook(secret).verify(body, headers)["type"] == "job.status_changed"
            changed = unwrap_event(body, headers, secret=secret)
            heard[changed.webhook_id] = changed
    changes = sorted((each.change for each in heard.values()), key=lambda each: each.version)
    assert {each.job_id for each in changes} == {job["job_id"]}
    assert [each.status for each in changes][:2] == ["RECEIVED", "READY"]
    assert [each.status for each in changes][-2:] == ["STORING", "SUCCEEDED"]
    assert receiver.asked > len(heard)

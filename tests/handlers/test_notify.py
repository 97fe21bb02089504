"""The notify function: a change on the bus becomes one signed POST to the customer's own address."""

from datetime import UTC, datetime

import httpx
import pytest
from standardwebhooks import Webhook

from functions.notify.handler import handler
from lora_drop.jobs.status import Status
from tests.support.builders import make_job
from tests.support.lambda_environment import NOTIFY_SECRET, Context, LambdaEnvironment, event
from tests.support.lambda_events import failed_messages
from tests.support.receivers import changes, envelope


@pytest.mark.promise("interfaces stay")
def test_change_reaches_the_customer_signed(environment: LambdaEnvironment) -> None:
    """Each change of a job is one POST to the customer's address, which every library of Standard Webhooks verifies."""
    environment.clock.now = datetime.now(UTC)
    job = environment.add_job(make_job(Status.SUBMITTED))

    answer = handler(event("notify_batch"), Context())

    [post] = environment.internet.posts
    assert answer == {"batchItemFailures": []}
    assert str(post.url) == "https://hooks.example/lora"
    said = Webhook(NOTIFY_SECRET).verify(post.content, dict(post.headers))
    assert (said["type"], said["timestamp"]) == ("job.status_changed", said["data"]["since"])
    assert (said["data"]["job_id"], said["data"]["status"]) == (job.job_id, "SUBMITTED")
    assert post.headers["webhook-id"] == f"{job.job_id}-v{job.version}"


OWN = "https://ada.customer.example/hook?key=of-a-receiver"


@pytest.mark.promise("nothing leaks")
def test_only_what_is_not_taken_comes_back(environment: LambdaEnvironment) -> None:
    """A receiver that fails has its change come again, is counted, and its address is in no log."""
    environment.internet.says["ada.customer.example"] = httpx.Response(500)
    job = environment.add_job(make_job(Status.SUBMITTED))
    own = make_job(Status.SUBMITTED, job_id="own-0123456789", notify_url=OWN)
    environment.add_job(own)
    forgotten = make_job(Status.SUBMITTED, job_id="gone-0123456789")

    answer = handler(changes(*map(envelope, (job, own, forgotten)), "no JSON", tries=3), Context())

    assert failed_messages(answer) == ["message-2"]
    assert environment.aws.messages(environment.dead_changes) == ["no JSON"]
    urls = sorted(str(post.url) for post in environment.internet.posts)
    assert urls == [OWN, "https://hooks.example/lora"]
    lines = environment.output_lines()
    [line] = [line for line in lines if line.get("job_id") == own.job_id]
    assert (line["message"], line["reason"]) == ("notification not taken", "status 500")
    assert 240 <= line["retry_in"] <= 300
    counted = {key: line[key] for line in lines for key in line if key.startswith("Notification")}
    assert counted == {"NotificationDelivered": [1.0], "NotificationFailed": [1.0, 1.0]}
    assert "customer.example" not in str(lines)


def test_a_secret_that_is_none_sends_nothing(environment: LambdaEnvironment) -> None:
    """All of them come again, and the error names no secret."""
    job = environment.add_job(make_job(Status.SUBMITTED))
    environment.aws.secrets.put_secret_value(
        SecretId=environment.notify_secret, SecretString="too short"
    )
    with pytest.raises(ValueError, match="24 to 64 bytes"):
        handler(changes(envelope(job)), Context())
    assert environment.internet.posts == []

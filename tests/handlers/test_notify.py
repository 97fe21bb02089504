"""The notify function: a change on the bus becomes one signed POST to the customer's own address."""

from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook

from functions.notify.handler import handler
from lora_drop.jobs.status import Status
from tests.support.builders import make_job
from tests.support.lambda_environment import NOTIFY_SECRET, Context, LambdaEnvironment
from tests.support.receivers import changes, envelope


@pytest.mark.promise("interfaces stay")
def test_change_reaches_the_customer_signed(environment: LambdaEnvironment) -> None:
    """Each change of a job is one POST to the customer's address, which every library of Standard Webhooks verifies."""
    environment.clock.now = datetime.now(UTC)
    job = environment.add_job(make_job(Status.SUBMITTED))

    answer = handler(changes(envelope(job)), Context())

    [post] = environment.internet.posts
    assert answer == {"batchItemFailures": []}
    assert str(post.url) == "https://hooks.example/lora"
    said = Webhook(NOTIFY_SECRET).verify(post.content, dict(post.headers))
    assert (said["type"], said["timestamp"]) == ("job.status_changed", said["data"]["since"])
    assert (said["data"]["job_id"], said["data"]["status"]) == (job.job_id, "SUBMITTED")
    assert post.headers["webhook-id"] == f"{job.job_id}-v{job.version}"

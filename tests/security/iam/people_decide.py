"""What people ask and decide through the jobs API: each of these needs rights of its function."""

from lora_drop.adapters.s3_deliveries import S3Deliveries
from lora_drop.fal.webhooks import RawDelivery
from lora_drop.jobs.job import Status
from tests.security.iam.harness import Harness, scenario
from tests.security.iam.results_go_out import JOB_ID, with_error_file
from tests.support.builders import NOW, make_job, signed, webhook_body


@scenario
def jobs_are_listed_and_shown(harness: Harness) -> None:
    """By time, by state and one by one."""
    job = harness.environment.add_job(make_job(Status.TRAINING))

    assert len(harness.asked("GET", "/jobs")["jobs"]) == 1
    assert len(harness.asked("GET", "/jobs", status="TRAINING")["jobs"]) == 1
    assert harness.asked("GET", f"/jobs/{job.job_id}")["status"] == "TRAINING"


@scenario
def a_training_is_stopped_and_the_next_one_called(harness: Harness) -> None:
    """Fal is asked with our key; why it ended stands beside its files."""
    harness.environment.add_job(make_job(Status.TRAINING))
    harness.environment.add_job(make_job(Status.READY, job_id="next-0000000000"))
    harness.environment.internet.status = {
        "status": "COMPLETED",
        "error": "x",
        "error_type": "internal_error",
    }

    assert harness.asked("POST", f"/jobs/{JOB_ID}/cancel")["status"] == "FAILED"
    assert "ERROR.txt" in harness.environment.files()
    assert len(harness.waiting("InboxQueue")) == 1


@scenario
def a_waiting_job_is_stopped(harness: Harness) -> None:
    """It leaves the line."""
    harness.environment.add_job(make_job(Status.READY))

    assert harness.asked("POST", f"/jobs/{JOB_ID}/cancel")["status"] == "CANCELLED"
    assert harness.environment.jobs.next_waiting() is None


@scenario
def a_person_lets_a_held_job_go_on(harness: Harness) -> None:
    """Nothing is in its way any more."""
    with_error_file(harness, harness.environment.add_job(make_job(Status.HELD)))

    assert harness.asked("POST", f"/jobs/{JOB_ID}/approve")["status"] == "READY"
    assert "ERROR.txt" not in harness.environment.files()


@scenario
def what_fal_delivered_is_replayed(harness: Harness) -> None:
    """From where it was kept."""
    job = harness.environment.add_job(make_job(Status.EXPIRED))
    raw = RawDelivery(signed(webhook_body()), webhook_body())
    S3Deliveries(harness.environment.aws.s3, "models").keep(job, raw, sent_at=NOW)

    assert harness.asked("POST", f"/jobs/{JOB_ID}/replay")["status"] == "STORING"
    assert len(harness.waiting("ResultsQueue")) == 1


@scenario
def dead_letters_are_sent_back(harness: Harness) -> None:
    """Of both queues."""
    for queue in (harness.environment.dead_inbox, harness.environment.dead_results):
        harness.environment.aws.sqs.send_message(QueueUrl=queue, MessageBody="x")

    assert harness.asked("POST", "/redrive") == {"moved": {"inbox": 1, "results": 1}}
    assert harness.waiting("InboxQueue") == harness.waiting("ResultsQueue") == ["x"]
    assert harness.waiting("InboxDeadLetters") == harness.waiting("ResultsDeadLetters") == []

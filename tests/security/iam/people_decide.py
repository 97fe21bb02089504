"""What people ask and decide through the jobs API: each of these needs rights of its function."""

from lora_drop.adapters.s3_results import S3Deliveries
from lora_drop.fal.webhooks import RawDelivery
from lora_drop.jobs.status import Status
from tests.security.iam.results_go_out import JOB_ID, with_error_file
from tests.security.iam.stage import Stage, scenario
from tests.support.builders import NOW, make_job, signed, webhook_body


@scenario
def jobs_are_listed_and_shown(stage: Stage) -> None:
    """By time, by state and one by one."""
    job = stage.house.holds(make_job(Status.TRAINING))

    assert len(stage.asked("GET", "/jobs")["jobs"]) == 1
    assert len(stage.asked("GET", "/jobs", status="TRAINING")["jobs"]) == 1
    assert stage.asked("GET", f"/jobs/{job.job_id}")["status"] == "TRAINING"


@scenario
def a_training_is_stopped_and_the_next_one_called(stage: Stage) -> None:
    """Fal is asked with our key; why it ended stands beside its files."""
    stage.house.holds(make_job(Status.TRAINING))
    stage.house.holds(make_job(Status.READY, job_id="next-0000000000"))
    stage.house.internet.status = {
        "status": "COMPLETED",
        "error": "x",
        "error_type": "internal_error",
    }

    assert stage.asked("POST", f"/jobs/{JOB_ID}/cancel")["status"] == "FAILED"
    assert "ERROR.txt" in stage.house.files()
    assert len(stage.waiting("InboxQueue")) == 1


@scenario
def a_waiting_job_is_stopped(stage: Stage) -> None:
    """It leaves the line."""
    stage.house.holds(make_job(Status.READY))

    assert stage.asked("POST", f"/jobs/{JOB_ID}/cancel")["status"] == "CANCELLED"
    assert stage.house.jobs.next_waiting() is None


@scenario
def a_person_lets_a_held_job_go_on(stage: Stage) -> None:
    """Nothing is in its way any more."""
    with_error_file(stage, stage.house.holds(make_job(Status.HELD)))

    assert stage.asked("POST", f"/jobs/{JOB_ID}/approve")["status"] == "READY"
    assert "ERROR.txt" not in stage.house.files()


@scenario
def what_fal_delivered_is_replayed(stage: Stage) -> None:
    """From where it was kept."""
    job = stage.house.holds(make_job(Status.EXPIRED))
    raw = RawDelivery(signed(webhook_body()), webhook_body())
    S3Deliveries(stage.house.aws.s3, "models").keep(job, raw, sent_at=NOW)

    assert stage.asked("POST", f"/jobs/{JOB_ID}/replay")["status"] == "STORING"
    assert len(stage.waiting("ResultsQueue")) == 1


@scenario
def dead_letters_are_sent_back(stage: Stage) -> None:
    """Of both queues."""
    for queue in (stage.house.dead_inbox, stage.house.dead_results):
        stage.house.aws.sqs.send_message(QueueUrl=queue, MessageBody="x")

    assert stage.asked("POST", "/redrive") == {"moved": {"inbox": 1, "results": 1}}
    assert stage.waiting("InboxQueue") == stage.waiting("ResultsQueue") == ["x"]
    assert stage.waiting("InboxDeadLetters") == stage.waiting("ResultsDeadLetters") == []

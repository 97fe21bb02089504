import json
from datetime import timedelta

import httpx
import pytest

from functions.reconcile.handler import handler
from functions.submit.handler import handler as submit
from shared.domain.jobs import Job, Status
from shared.messages import StoreRequest
from tests.builders import APPLICATION, ARTIFACTS, NOW, make_dataset, make_job
from tests.house import FAL_KEY, Context, House, event


@pytest.fixture
def late(house: House) -> House:
    """A house in which every job of ``make_job`` is late."""
    house.clock.now = NOW + timedelta(minutes=10)
    return house


def round_done() -> object:
    return handler(event("schedule"), Context())


def test_without_jobs_there_is_nothing_to_do(house: House) -> None:
    assert round_done() == {"open": 0, "late": 0, "unanswered": 0, "doubtful": 0}
    assert house.internet.requests == []


def test_a_late_job_is_asked_about_and_its_result_handed_over(late: House) -> None:
    job = late.holds(make_job(Status.SUBMITTED))
    late.internet.status = {"status": "COMPLETED"}

    tally = round_done()

    after = late.job(job.job_id)
    [handed] = late.aws.messages(late.results)
    assert tally == {"open": 1, "late": 1, "unanswered": 0, "doubtful": 0}
    assert (after.status, {file.url for file in after.artifacts}) == (
        Status.STORING,
        {file.url for file in ARTIFACTS},
    )
    assert StoreRequest.model_validate_json(handed).job_id == job.job_id


def test_a_job_that_fal_is_training_is_left_to_it(late: House) -> None:
    job = late.holds(make_job(Status.SUBMITTED))

    round_done()

    assert late.job(job.job_id).status is Status.TRAINING
    assert late.aws.messages(late.results) == []


def test_a_job_that_is_not_late_is_left_alone(house: House) -> None:
    job = house.holds(make_job(Status.SUBMITTED))

    assert round_done() == {"open": 1, "late": 0, "unanswered": 0, "doubtful": 0}
    assert house.job(job.job_id) == job
    assert house.internet.requests == []


def test_fal_being_down_changes_nothing_and_is_told(late: House) -> None:
    job = late.holds(make_job(Status.SUBMITTED))
    late.internet.says["queue.fal.run"] = httpx.Response(503)

    assert round_done() == {"open": 1, "late": 1, "unanswered": 1, "doubtful": 0}
    assert late.job(job.job_id) == job


def test_a_dataset_that_was_announced_again_is_submitted_once(late: House) -> None:
    version = late.drop()
    dataset = make_dataset(version_id=version)
    late.holds(Job.receive(dataset, application=APPLICATION, now=NOW))

    round_done()
    announced = late.aws.messages(late.inbox)
    [message] = event("s3_put_in_sqs")["Records"]
    answer = submit({"Records": [{**message, "body": body} for body in announced]}, Context())

    assert answer == {"batchItemFailures": []}
    assert late.only_job().status is Status.SUBMITTED
    assert len(late.internet.posts) == 1


def test_a_dead_submission_is_marked_and_never_sent(late: House) -> None:
    job = late.holds(make_job(Status.SUBMITTING))

    round_done()

    assert late.job(job.job_id).status is Status.SUBMIT_UNKNOWN
    assert late.internet.posts == []
    assert "nothing is paid twice" in late.files()["ERROR.txt"].decode()


def test_one_round_helps_every_late_job(late: House) -> None:
    stuck = late.holds(make_job(Status.STORING, job_id="stuck-0000000000"))
    asked = late.holds(make_job(Status.TRAINING, job_id="asked-0000000000"))
    late.internet.status = {"status": "COMPLETED", "error": "x", "error_type": "internal_error"}

    tally = round_done()

    assert tally == {"open": 2, "late": 2, "unanswered": 0, "doubtful": 0}
    assert late.job(asked.job_id).status is Status.FAILED
    [handed] = late.aws.messages(late.results)
    assert StoreRequest.model_validate_json(handed).job_id == stuck.job_id


def test_a_round_is_counted_and_logs_no_secret(
    late: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    late.holds(make_job(Status.SUBMITTED))

    round_done()

    said = late.said()
    [line] = [line for line in said if line.get("message") == "round done"]
    [counted] = [line for line in said if "_aws" in line]
    assert (line["open"], line["late"], line["unanswered"]) == (1, 1, 0)
    assert (counted["JobsOpen"], counted["JobsLate"]) == ([1.0], [1.0])
    assert FAL_KEY not in json.dumps(said) + caplog.text

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from functions.reconcile.handler import handler
from functions.submit.handler import handler as submit
from lora_drop.jobs.job import Job
from lora_drop.jobs.job_problems import over_budget
from lora_drop.jobs.status import Status
from lora_drop.messages import StoreRequest
from tests.support.builders import APPLICATION, ARTIFACTS, NOW, make_dataset, make_job
from tests.support.lambda_environment import FAL_KEY, Context, House, event

QUIET = {
    "open": 0,
    "late": 0,
    "unanswered": 0,
    "doubtful": 0,
    "overdue": 0,
    "held": 0,
    "swept": {"datasets": 0, "uploads": 0},
    "untold": 0,
}


@pytest.fixture
def late(house: House) -> House:
    """A house in which every job of ``make_job`` is late."""
    house.clock.now = NOW + timedelta(minutes=11)
    return house


def round_done() -> dict[str, Any]:
    """What a round has counted, without what it has measured."""
    tally = handler(event("schedule"), Context())
    return {name: tally[name] for name in QUIET}


def test_without_jobs_there_is_nothing_to_do(house: House) -> None:
    assert round_done() == QUIET
    assert house.internet.requests == []


def test_a_late_job_is_asked_about_and_its_result_handed_over(late: House) -> None:
    job = late.holds(make_job(Status.SUBMITTED))
    late.internet.status = {"status": "COMPLETED"}

    tally = round_done()

    after = late.job(job.job_id)
    [handed] = late.aws.messages(late.results)
    assert tally == QUIET | {"open": 1, "late": 1}
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


def test_a_question_is_about_one_job_late_or_not(house: House) -> None:
    job = house.holds(make_job(Status.SUBMITTED))
    other = house.holds(make_job(Status.SUBMITTED, job_id="other-0000000000"))

    answer = handler({"schema_version": 1, "job_id": job.job_id}, Context())

    assert answer == {"job_id": job.job_id, "status": "TRAINING"}
    assert house.job(job.job_id).status is Status.TRAINING
    assert house.job(other.job_id) == other


@pytest.mark.parametrize("answer", [httpx.Response(503), httpx.ReadTimeout("slow")])
def test_a_question_that_fal_does_not_answer_is_told_and_left_to_the_round(
    house: House, answer: httpx.Response | Exception
) -> None:
    job = house.holds(make_job(Status.SUBMITTED))
    house.internet.says["queue.fal.run"] = answer

    assert handler({"job_id": job.job_id}, Context()) == {"job_id": job.job_id, "status": None}
    assert house.job(job.job_id) == job
    assert any(line.get("JobsUnanswered") == [1.0] for line in house.said())


def test_a_job_that_is_not_late_is_left_alone(house: House) -> None:
    job = house.holds(make_job(Status.SUBMITTED))

    assert round_done() == QUIET | {"open": 1}
    assert house.job(job.job_id) == job
    assert house.internet.requests == []


def test_fal_being_down_changes_nothing_and_is_told(late: House) -> None:
    job = late.holds(make_job(Status.SUBMITTED))
    late.internet.says["queue.fal.run"] = httpx.Response(503)

    assert round_done() == QUIET | {"open": 1, "late": 1, "unanswered": 1}
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

    assert tally == QUIET | {"open": 2, "late": 2}
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


def test_a_dataset_whose_event_was_lost_is_announced(house: House) -> None:
    version = house.drop()
    house.clock.now = datetime.now(UTC) + timedelta(minutes=6)

    tally = round_done()

    [message] = house.aws.messages(house.inbox)
    assert tally == QUIET | {"swept": {"datasets": 1, "uploads": 0}}
    assert version in message


def test_an_upload_that_nobody_goes_on_with_is_ended(house: House) -> None:
    house.aws.s3.create_multipart_upload(Bucket="models", Key="x/lora.safetensors")
    house.clock.now = datetime.now(UTC) + timedelta(hours=2)

    tally = round_done()

    assert tally == QUIET | {"swept": {"datasets": 0, "uploads": 1}}
    assert "Uploads" not in house.aws.s3.list_multipart_uploads(Bucket="models")


def test_what_a_larger_budget_can_pay_is_let_go_on(
    late: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MONTHLY_BUDGET_USD", "6.00")
    problem = over_budget(6.0, 5.99)
    job = late.holds(make_job(Status.HELD, problems=(problem,)))

    tally = round_done()

    [message] = late.aws.messages(late.inbox)
    assert tally == QUIET | {"open": 1, "late": 1, "held": 1}
    assert late.job(job.job_id).status is Status.READY
    assert job.dataset.version_id in message


def test_however_many_wait_one_message_wakes_the_line(late: House) -> None:
    jobs = [late.holds(make_job(Status.READY, job_id=f"job-{number}")) for number in range(5)]

    round_done()

    assert len(late.aws.messages(late.inbox)) == 1
    assert list(late.jobs.unfinished()) == jobs


def test_a_doubt_is_settled_by_fals_own_list(late: House) -> None:
    job = late.holds(make_job(Status.SUBMIT_UNKNOWN))
    url = f"https://datasets.s3.amazonaws.com/{job.dataset.key}?versionId=v1&X-Amz-Signature=x"
    late.internet.listed = [
        {"request_id": "request-1", "json_input": {"images_data_url": url}},
    ]

    round_done()

    assert late.job(job.job_id).request_id == "request-1"
    assert late.internet.posts == []


def test_what_calls_a_person_is_counted(late: House) -> None:
    late.holds(make_job(Status.HELD, job_id="held-1"))
    late.holds(make_job(Status.TRAINING, job_id="long-1"))
    late.clock.now = NOW + timedelta(hours=4)

    round_done()

    [counted] = [line for line in late.said() if "_aws" in line]
    assert (counted["JobsHeld"], counted["JobsOverdue"]) == ([1.0], [1.0])

"""The reconcile function: each round helps every job that is late, and one question asks about one job."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from functions.reconcile.handler import bootstrap, handler
from functions.submit.handler import handler as submit
from lora_drop.jobs.job import Job
from lora_drop.jobs.job_problems import over_budget
from lora_drop.jobs.status import Status
from lora_drop.jobs.time_limits import ALL_ENDED
from lora_drop.messages import StoreRequest
from tests.support.builders import APPLICATION, ARTIFACTS, NOW, make_dataset, make_job
from tests.support.lambda_environment import FAL_KEY, Context, LambdaEnvironment, event

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
def late(environment: LambdaEnvironment) -> LambdaEnvironment:
    """An environment in which every job of ``make_job`` is late."""
    environment.clock.now = NOW + 2 * ALL_ENDED
    return environment


def round_done() -> dict[str, Any]:
    """What a round has counted, without what it has measured."""
    tally = handler(event("schedule"), Context())
    return {name: tally[name] for name in QUIET}


def test_without_jobs_nothing_is_done(environment: LambdaEnvironment) -> None:
    assert round_done() == QUIET
    assert environment.internet.requests == []


@pytest.mark.promise("never get stuck")
def test_late_job_is_asked_about(late: LambdaEnvironment) -> None:
    """A job whose webhook was lost gets its result, since fal is asked about every late job."""
    job = late.add_job(make_job(Status.SUBMITTED))
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


def test_training_job_is_left_alone(late: LambdaEnvironment) -> None:
    job = late.add_job(make_job(Status.SUBMITTED))
    round_done()
    assert late.job(job.job_id).status is Status.TRAINING
    assert late.aws.messages(late.results) == []


def test_status_check_concerns_one_job(environment: LambdaEnvironment) -> None:
    job = environment.add_job(make_job(Status.SUBMITTED))
    other = environment.add_job(make_job(Status.SUBMITTED, job_id="other-0000000000"))
    answer = handler({"schema_version": 1, "job_id": job.job_id}, Context())
    assert answer == {"job_id": job.job_id, "status": "TRAINING"}
    assert environment.job(job.job_id).status is Status.TRAINING
    assert environment.job(other.job_id) == other


@pytest.mark.parametrize("answer", [httpx.Response(503), httpx.ReadTimeout("slow")])
def test_unanswered_status_check_is_counted(
    environment: LambdaEnvironment, answer: httpx.Response | Exception
) -> None:
    job = environment.add_job(make_job(Status.SUBMITTED))
    environment.internet.says["queue.fal.run"] = answer
    assert handler({"job_id": job.job_id}, Context()) == {"job_id": job.job_id, "status": None}
    assert environment.job(job.job_id) == job
    assert any(line.get("JobsUnanswered") == [1.0] for line in environment.output_lines())


def test_job_in_time_is_left_alone(environment: LambdaEnvironment) -> None:
    job = environment.add_job(make_job(Status.SUBMITTED))
    assert round_done() == QUIET | {"open": 1}
    assert environment.job(job.job_id) == job
    assert environment.internet.requests == []


def test_fal_outage_changes_nothing(late: LambdaEnvironment) -> None:
    job = late.add_job(make_job(Status.SUBMITTED))
    late.internet.says["queue.fal.run"] = httpx.Response(503)
    assert round_done() == QUIET | {"open": 1, "late": 1, "unanswered": 1}
    assert late.job(job.job_id) == job


@pytest.mark.promise("never pay twice")
def test_repeated_notice_submits_once(late: LambdaEnvironment) -> None:
    """A dataset whose notice is sent once more is submitted once."""
    version = late.drop()
    dataset = make_dataset(version_id=version)
    late.add_job(Job.receive(dataset, application=APPLICATION, now=NOW))

    round_done()
    announced = late.aws.messages(late.inbox)
    [message] = event("s3_put_in_sqs")["Records"]
    answer = submit({"Records": [{**message, "body": body} for body in announced]}, Context())

    assert answer == {"batchItemFailures": []}
    assert late.only_job().status is Status.SUBMITTED
    assert len(late.internet.posts) == 1


@pytest.mark.promise("never pay twice")
def test_dead_submission_is_never_sent(late: LambdaEnvironment) -> None:
    """A submission whose function died may have been paid, so it is marked and not sent again."""
    job = late.add_job(make_job(Status.SUBMITTING))
    round_done()
    assert late.job(job.job_id).status is Status.SUBMIT_UNKNOWN
    assert late.internet.posts == []
    assert "nothing is paid twice" in late.files()["ERROR.txt"].decode()


def test_round_helps_every_late_job(late: LambdaEnvironment) -> None:
    stuck = late.add_job(make_job(Status.STORING, job_id="stuck-0000000000"))
    asked = late.add_job(make_job(Status.TRAINING, job_id="asked-0000000000"))
    late.internet.status = {"status": "COMPLETED", "error": "x", "error_type": "internal_error"}

    tally = round_done()

    assert tally == QUIET | {"open": 2, "late": 2}
    assert late.job(asked.job_id).status is Status.FAILED
    [handed] = late.aws.messages(late.results)
    assert StoreRequest.model_validate_json(handed).job_id == stuck.job_id


def test_round_is_counted_without_secrets(
    late: LambdaEnvironment, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    late.add_job(make_job(Status.SUBMITTED))

    round_done()

    said = late.output_lines()
    [line] = [line for line in said if line.get("message") == "round done"]
    [counted] = [line for line in said if "_aws" in line]
    assert (line["open"], line["late"], line["unanswered"]) == (1, 1, 0)
    assert (counted["JobsOpen"], counted["JobsLate"]) == ([1.0], [1.0])
    assert FAL_KEY not in json.dumps(said) + caplog.text


@pytest.mark.promise("never get stuck")
def test_lost_event_is_made_good(environment: LambdaEnvironment) -> None:
    """A dataset whose S3 event was lost is found in the bucket and taken in."""
    version = environment.drop()
    environment.clock.now = datetime.now(UTC) + timedelta(minutes=6)
    tally = round_done()
    [message] = environment.aws.messages(environment.inbox)
    assert tally == QUIET | {"swept": {"datasets": 1, "uploads": 0}}
    assert version in message


def test_larger_budget_releases_held_job(
    late: LambdaEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MONTHLY_BUDGET_USD", "6.00")
    problem = over_budget(6.0, 5.99)
    job = late.add_job(make_job(Status.HELD, problems=(problem,)))

    tally = round_done()

    [message] = late.aws.messages(late.inbox)
    assert tally == QUIET | {"open": 1, "late": 1, "held": 1}
    assert late.job(job.job_id).status is Status.READY
    assert job.dataset.version_id in message


@pytest.mark.promise("never pay twice")
def test_fal_list_settles_doubt(late: LambdaEnvironment) -> None:
    """A submission that was not answered is found in fal's own list of requests and not paid again."""
    job = late.add_job(make_job(Status.SUBMIT_UNKNOWN))
    url = f"https://datasets.s3.amazonaws.com/{job.dataset.key}?versionId=v1&X-Amz-Signature=x"
    late.internet.listed = [{"request_id": "request-1", "json_input": {"images_data_url": url}}]

    round_done()

    assert late.job(job.job_id).request_id == "request-1"
    assert late.internet.posts == []


@pytest.mark.promise("it can be operated")
def test_jobs_for_people_are_counted(late: LambdaEnvironment) -> None:
    """Jobs that wait for a person and jobs that take too long are counted for the alarms."""
    late.add_job(make_job(Status.HELD, job_id="held-1"))
    late.add_job(make_job(Status.TRAINING, job_id="long-1"))
    late.clock.now = NOW + timedelta(hours=4)
    round_done()
    [counted] = [line for line in late.output_lines() if "_aws" in line]
    assert (counted["JobsHeld"], counted["JobsOverdue"]) == ([1.0], [1.0])


@pytest.mark.promise("it can be operated")
def test_rotated_key_reconciles_at_once(environment: LambdaEnvironment) -> None:
    """After the fal key is rotated, a running function asks fal with the new one."""
    job = environment.add_job(make_job(Status.SUBMITTED))
    environment.rotate_fal_key("old-id:old-secret")
    assert bootstrap()._key() == "old-id:old-secret"
    environment.rotate_fal_key(FAL_KEY)
    environment.internet.revoked = "old-id:old-secret"

    environment.clock.now = job.updated_at.replace(hour=13)
    tally = handler(event("schedule"), Context())

    assert (tally["late"], tally["unanswered"]) == (1, 0)
    assert environment.only_job().status is Status.TRAINING

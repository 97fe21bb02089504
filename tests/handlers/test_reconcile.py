"""The reconcile function: each round helps every job that is late, and one question asks about one job."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from functions.reconcile.handler import handler
from lora_drop.jobs.status import Status
from lora_drop.messages import StoreRequest
from tests.support.builders import ARTIFACTS, NOW, make_job
from tests.support.lambda_environment import Context, LambdaEnvironment, event

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
    environment.clock.now = NOW + timedelta(minutes=11)
    return environment


def round_done() -> dict[str, Any]:
    """What a round has counted, without what it has measured."""
    tally = handler(event("schedule"), Context())
    return {name: tally[name] for name in QUIET}


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


def test_fal_outage_changes_nothing(late: LambdaEnvironment) -> None:
    job = late.add_job(make_job(Status.SUBMITTED))
    late.internet.says["queue.fal.run"] = httpx.Response(503)
    assert round_done() == QUIET | {"open": 1, "late": 1, "unanswered": 1}
    assert late.job(job.job_id) == job


@pytest.mark.promise("it can be operated")
def test_jobs_for_people_are_counted(late: LambdaEnvironment) -> None:
    """Jobs that wait for a person and jobs that take too long are counted for the alarms."""
    late.add_job(make_job(Status.HELD, job_id="held-1"))
    late.add_job(make_job(Status.TRAINING, job_id="long-1"))
    late.clock.now = NOW + timedelta(hours=4)
    assert round_done() == QUIET | {"open": 2, "late": 2, "held": 1, "overdue": 1}
    said = late.output_lines()
    [line] = [line for line in said if line.get("message") == "round done"]
    [counted] = [line for line in said if "_aws" in line]
    assert (line["open"], line["late"], line["unanswered"]) == (2, 2, 0)
    names = ("JobsOpen", "JobsLate", "JobsHeld", "JobsOverdue")
    assert [counted[name] for name in names] == [[2.0], [2.0], [1.0], [1.0]]

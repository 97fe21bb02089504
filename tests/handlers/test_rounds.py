"""The scheduled functions: each round helps every late job, and a job is forgotten over S3, the table and fal's wire."""

import json
from datetime import timedelta
from typing import Any

import httpx
import pytest

from functions.forget.handler import handler as forget
from functions.jobs.handler import handler as jobs_handler
from functions.reconcile.handler import handler as reconcile
from functions.store.handler import handler as store
from functions.submit.handler import handler as submit
from functions.webhook.handler import handler as webhook
from lora_drop.adapters.dynamodb import DynamoJobs
from lora_drop.adapters.s3_eraser import S3Eraser
from lora_drop.jobs.budget import Charge, ChargeState
from lora_drop.jobs.erasures import LAST_LOOK_AFTER
from lora_drop.jobs.errors import ConflictError, NotErasableError
from lora_drop.jobs.ids import digest_of
from lora_drop.jobs.status import Status
from lora_drop.messages import StoreRequest
from tests.support.builders import APPLICATION, ARTIFACTS, NOW, make_job, s3_event
from tests.support.forget_requests import FILES, ask, ended_job, left_of
from tests.support.lambda_environment import Context, LambdaEnvironment, event, recorded
from tests.support.lambda_events import job_event, store_event, webhook_event

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
    tally = reconcile(event("schedule"), Context())
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
    answer = reconcile({"schema_version": 1, "job_id": job.job_id}, Context())
    assert answer == {"job_id": job.job_id, "status": "TRAINING"}
    assert environment.job(job.job_id).status is Status.TRAINING
    assert environment.job(other.job_id) == other


@pytest.mark.parametrize("answer", [httpx.Response(503), httpx.ReadTimeout("slow")])
def test_unanswered_status_check_is_counted(
    environment: LambdaEnvironment, answer: httpx.Response | Exception
) -> None:
    job = environment.add_job(make_job(Status.SUBMITTED))
    environment.internet.says["queue.fal.run"] = answer
    assert reconcile({"job_id": job.job_id}, Context()) == {"job_id": job.job_id, "status": None}
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


@pytest.mark.promise("it can be operated")
def test_forgotten_job_leaves_a_proof(today: LambdaEnvironment) -> None:
    """A forgotten job leaves nothing but a proof of what was erased, which is served as often as it is asked for."""
    job = ended_job(today)

    status, first = ask(job.job_id)
    today.clock.now += LAST_LOOK_AFTER
    _, second = ask(job.job_id)
    _, third = ask(job.job_id)

    assert (status, first["done"], second["done"]) == (200, False, True)
    [proof] = second["erasures"]
    assert proof["found"] == {
        "dataset_versions": 2,
        "result_versions": len(FILES) + 2,
        "unfinished_uploads": 1,
    }
    assert (proof["fal_requests"], proof["fal_files"], proof["left"]) == (1, 1, [])
    assert second == third
    assert left_of(today, "zoe") == []
    assert not any("zoe" in json.dumps(line) for line in today.output_lines()), "not in the log"


@pytest.mark.promise("never get stuck")
def test_schedule_continues_an_erasure(today: LambdaEnvironment) -> None:
    """An erasure that was begun is finished by the schedule; how many are open is counted."""
    job = ended_job(today)
    ask(job.job_id)
    early = forget(event("schedule"), Context())
    today.clock.now += LAST_LOOK_AFTER
    late = forget(event("schedule"), Context())
    assert (early, late) == ({"open": 1}, {"open": 0})
    counted = [line["ErasuresOpen"] for line in today.output_lines() if "_aws" in line]
    assert counted == [[1.0], [0.0]]
    assert left_of(today, "zoe") == []


@pytest.mark.parametrize("slow", [False, True], ids=["not begun", "fal is silent"])
def test_trouble_is_tried_again(
    today: LambdaEnvironment, monkeypatch: pytest.MonkeyPatch, *, slow: bool
) -> None:
    """An erasure that could not be begun is not said to go on by itself."""

    def conflict(*_: object) -> None:
        raise ConflictError("zoe")

    job = ended_job(today)
    with monkeypatch.context() as patch:
        if slow:
            today.internet.says["api.fal.ai"] = httpx.ReadTimeout("slow")
        else:
            patch.setattr(DynamoJobs, "begin", conflict)
        status, answer = ask(job.job_id)
    said = answer["error"]["message"]
    today.internet.says.clear()
    today.clock.now += LAST_LOOK_AFTER
    assert (status, answer["error"]["code"]) == (503, "try_again")
    assert ("Try again" in said, "follows by itself" in said) == (not slow, slow)
    assert forget(event("schedule"), Context()) == {"open": 0}


def test_legal_hold_is_counted(today: LambdaEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    """What S3 does not let go is counted with its age."""

    def held(*_: object) -> None:
        raise NotErasableError("a legal hold")

    monkeypatch.setattr(S3Eraser, "erase", held)
    assert ask(ended_job(today).job_id)[0] == 409
    today.output_lines()
    today.clock.now += timedelta(days=2)

    with pytest.raises(NotErasableError):
        forget(event("schedule"), Context())

    [counted] = [line for line in today.output_lines() if "_aws" in line]
    assert (counted["ErasuresOpen"], counted["OldestErasureSeconds"]) == ([1.0], [172_800.0])


@pytest.mark.parametrize("status", [Status.TRAINING, Status.READY])
def test_open_job_is_not_forgotten(today: LambdaEnvironment, status: Status) -> None:
    job = today.add_job(make_job(status))
    answered, body = ask(job.job_id)
    assert (answered, body["error"]["code"]) == (409, "not_forgotten")
    assert "lora-drop" in body["error"]["message"]
    assert today.job(job.job_id) == job


def test_preview_writes_nothing(today: LambdaEnvironment) -> None:
    """A preview names the jobs that would be forgotten with what was paid for them."""
    job = ended_job(today, charge=Charge(month="2026-11", usd=2.4, state=ChargeState.SPENT))
    duplicate = ended_job(today, "duplicate", duplicate_of=job.job_id)

    with recorded() as calls:
        shared = ask(job.job_id, look=True)
        preview = ask(job.job_id, family=True, look=True)

    assert shared[1]["error"]["code"] == "job_shared"
    assert preview == (
        200,
        {
            "jobs": [
                {"job_id": job.job_id, "status": "CANCELLED", "paid_usd": 2.4},
                {"job_id": duplicate.job_id, "status": "CANCELLED", "paid_usd": None},
            ]
        },
    )
    assert calls
    assert not [call for call in calls if call.writes]
    assert today.internet.requests == []


@pytest.mark.usefixtures("today")
@pytest.mark.parametrize("look", [False, True])
def test_unknown_job_is_404(*, look: bool) -> None:
    assert ask("no-job-0123456789", look=look)[0] == 404


@pytest.mark.usefixtures("today")
@pytest.mark.parametrize(
    "body", ["{", "[]", '{"famliy": true}', '{"family": "maybe"}', '{"look": 2}']
)
def test_invalid_request_is_refused(body: str) -> None:
    answer = forget(event("job_forget") | {"body": body}, Context())
    code = json.loads(answer["body"])["error"]["code"]
    assert (answer["statusCode"], code) == (400, "query_invalid")


@pytest.mark.promise("never pay twice")
def test_late_messages_are_dropped(today: LambdaEnvironment) -> None:
    """Whatever comes late for a forgotten job is accepted and dropped: it makes no job and pays nothing."""
    job = ended_job(today)
    ask(job.job_id)
    now, today.clock.now = today.clock.now, NOW  # of the signature
    delivered = webhook(webhook_event(job.job_id), Context())
    today.clock.now = now
    submitted = submit(s3_event(job.dataset), Context())
    stored = store(store_event(job.job_id), Context())
    shown = jobs_handler(job_event(job.job_id), Context())
    asked = reconcile({"job_id": job.job_id}, Context())

    assert (delivered["statusCode"], json.loads(delivered["body"])) == (
        200,
        {"status": "FORGOTTEN"},
    )
    assert submitted == stored == {"batchItemFailures": []}
    assert (shown["statusCode"], "forgotten" in shown["body"]) == (410, True)
    assert asked == {"job_id": job.job_id, "status": None}
    assert ask(job.job_id, look=True) == (200, {"jobs": []})
    assert (today.all_jobs(), today.internet.posts) == ((), [])
    lines = [line for line in today.output_lines() if "forgotten job" in line.get("message", "")]
    assert [line["digest"] for line in lines] == [digest_of(job.job_id)] * 4


@pytest.mark.promise("it can be operated")
def test_trainer_that_differs_is_counted_and_named(environment: LambdaEnvironment) -> None:
    """What fal publishes of a trainer otherwise than our table has it is counted, and named in the log."""
    model = {"endpoint_id": APPLICATION, "metadata": {"status": "deprecated"}}
    for models, differences in (([model], 1), ([{**model, "metadata": {}}], 0)):
        environment.internet.says["api.fal.ai"] = httpx.Response(200, json={"models": models})
        assert reconcile(event("schedule_drift"), Context()) == {"differences": differences}
        printed = environment.output()
        assert ("TrainerDrift" in printed) == (differences > 0)
    environment.internet.says["api.fal.ai"] = httpx.ConnectError("no way")
    assert reconcile({"compare": "trainers"}, Context()) == {"differences": 0}

"""A job is forgotten through the real function, over S3, the table and fal's wire, also when it is interrupted."""

import json
from datetime import timedelta

import httpx
import pytest

from functions.forget.handler import handler
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
from tests.support.builders import NOW, make_job, s3_event
from tests.support.forget_requests import FILES, ask, ended_job, left_of
from tests.support.lambda_environment import Context, LambdaEnvironment, event, recorded
from tests.support.lambda_events import job_event, store_event, webhook_event


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

    early = handler(event("schedule"), Context())
    today.clock.now += LAST_LOOK_AFTER
    late = handler(event("schedule"), Context())

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
    assert handler(event("schedule"), Context()) == {"open": 0}


def test_legal_hold_is_counted(today: LambdaEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    """What S3 does not let go is counted with its age."""

    def held(*_: object) -> None:
        raise NotErasableError("a legal hold")

    monkeypatch.setattr(S3Eraser, "erase", held)
    assert ask(ended_job(today).job_id)[0] == 409
    today.output_lines()
    today.clock.now += timedelta(days=2)

    with pytest.raises(NotErasableError):
        handler(event("schedule"), Context())

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
    answer = handler(event("job_forget") | {"body": body}, Context())
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

"""A job is forgotten through the real function, over S3, the table and fal's wire, also when it is interrupted."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from botocore.client import BaseClient

from functions.forget.handler import handler
from functions.jobs.handler import handler as jobs_handler
from functions.reconcile.handler import handler as reconcile
from functions.store.handler import handler as store
from functions.submit.handler import handler as submit
from functions.webhook.handler import handler as webhook
from lora_drop.adapters.dynamodb import DynamoJobs
from lora_drop.adapters.s3_eraser import S3Eraser
from lora_drop.jobs.budget import Charge, ChargeState
from lora_drop.jobs.erasures import STORED_BY
from lora_drop.jobs.errors import ConflictError, NotErasableError
from lora_drop.jobs.ids import digest_of
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from tests.support.builders import NOW, make_job, s3_event
from tests.support.forget_requests import FILES, ask, ended_job, left_of
from tests.support.lambda_environment import READS, Context, LambdaEnvironment, event, recorded
from tests.support.lambda_events import job_event, store_event, webhook_event
from tests.support.outcome import Killed


@pytest.mark.promise("it can be operated")
def test_forgotten_job_leaves_a_proof(today: LambdaEnvironment) -> None:
    """A forgotten job leaves nothing but a proof of what was erased, which is served as often as it is asked for."""
    job = ended_job(today)

    status, first = ask(job.job_id)
    today.clock.now += STORED_BY
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
    today.clock.now += STORED_BY
    late = handler(event("schedule"), Context())

    assert (early, late) == ({"open": 1}, {"open": 0})
    counted = [line["ErasuresOpen"] for line in today.output_lines() if "_aws" in line]
    assert counted == [[1.0], [0.0]]
    assert left_of(today, "zoe") == []


def test_refused_start_promises_nothing(
    today: LambdaEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An erasure that could not be begun is not said to go on by itself."""

    def conflict(*_: object) -> None:
        raise ConflictError("zoe")

    job = ended_job(today)
    monkeypatch.setattr(DynamoJobs, "begin", conflict)

    status, answer = ask(job.job_id)

    assert (status, answer["error"]["code"]) == (503, "try_again")
    assert "Try again" in answer["error"]["message"]
    assert "follows by itself" not in answer["error"]["message"]


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


def test_sharing_jobs_are_named(today: LambdaEnvironment) -> None:
    job = ended_job(today)
    duplicate = ended_job(today, "duplicate", duplicate_of=job.job_id)
    status, body = ask(job.job_id)
    assert (status, body["error"]["code"]) == (409, "job_shared")
    assert body["error"]["jobs"] == [duplicate.job_id]
    assert len(ask(job.job_id, family=True)[1]["erasures"]) == 2


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


def test_preview_of_begun_erasure_is_empty(today: LambdaEnvironment) -> None:
    job = ended_job(today)
    ask(job.job_id)
    assert ask(job.job_id, look=True) == (200, {"jobs": []})


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


def test_silent_fal_is_asked_again(today: LambdaEnvironment) -> None:
    job = ended_job(today)
    today.internet.says["api.fal.ai"] = httpx.ReadTimeout("slow")
    status, body = ask(job.job_id)
    assert (status, body["error"]["code"]) == (503, "try_again")
    today.internet.says.clear()
    today.clock.now += STORED_BY
    assert handler(event("schedule"), Context()) == {"open": 0}


def test_jobs_api_says_forgotten(today: LambdaEnvironment) -> None:
    job = ended_job(today)
    ask(job.job_id)
    answer = jobs_handler(job_event(job.job_id), Context())
    assert answer["statusCode"] == 410
    assert "forgotten" in answer["body"]


def comes_late(environment: LambdaEnvironment, job: Job) -> list[dict[str, Any]]:
    """Send everything that may still come for a job; return what the functions answer to it."""
    now = environment.clock.now
    environment.clock.now = NOW  # of the signature
    answers = [webhook(webhook_event(job.job_id), Context())]
    environment.clock.now = now
    answers.append(submit(s3_event(job.dataset), Context()))
    answers.append(store(store_event(job.job_id), Context()))
    reconcile(event("schedule"), Context())
    for notice in environment.aws.messages(environment.inbox):
        submit(json.loads(notice), Context())
    return answers


@pytest.mark.promise("never pay twice")
def test_late_messages_are_dropped(today: LambdaEnvironment) -> None:
    """Whatever comes late for a forgotten job is accepted and dropped: it makes no job and pays nothing."""
    job = ended_job(today)
    ask(job.job_id)

    delivered, submitted, stored = comes_late(today, job)

    assert (delivered["statusCode"], json.loads(delivered["body"])) == (
        200,
        {"status": "FORGOTTEN"},
    )
    assert submitted == stored == {"batchItemFailures": []}
    assert today.all_jobs() == ()
    assert today.internet.posts == []
    lines = [line for line in today.output_lines() if "forgotten job" in line.get("message", "")]
    assert [line["digest"] for line in lines] == [digest_of(job.job_id)] * 3


@dataclass
class Crash:
    """The function dies before its n-th call that changes something, on AWS or at fal.

    Before a call is the same as after the call before it, and what only reads makes no difference.
    """

    at: int = 0
    calls: int = 0

    def before[R](self, call: Callable[[], R]) -> R:
        self.calls += 1
        if self.calls == self.at:
            raise Killed
        return call()


@contextmanager
def crashing(environment: LambdaEnvironment, crash: Crash) -> Iterator[None]:
    """While the block runs, every call that changes something counts towards the crash."""
    api_call, answer = BaseClient._make_api_call, environment.internet.answer  # type: ignore[attr-defined]  # every call goes through it

    def counted(client: BaseClient, operation: str, arguments: Any) -> Any:
        if operation.startswith(READS):
            return api_call(client, operation, arguments)
        return crash.before(lambda: api_call(client, operation, arguments))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", counted)
        patch.setattr(
            environment.internet, "answer", lambda request: crash.before(lambda: answer(request))
        )
        yield


def forgotten_with(environment: LambdaEnvironment, name: str, crash: Crash) -> dict[str, Any]:
    """Ask until a job is forgotten, the first time with a crash; return the last answer."""
    environment.clock.now = datetime.now(UTC) + timedelta(seconds=2)
    job = ended_job(environment, name)
    with crashing(environment, crash), suppress(Killed):
        ask(job.job_id)
        environment.clock.now += STORED_BY
        ask(job.job_id)
    if job.job_id not in {each.job_id for each in environment.all_jobs()}:
        comes_late(environment, job)
    answer: dict[str, Any] = {}
    for _ in range(2):
        environment.clock.now += STORED_BY
        answer = ask(job.job_id)[1]
    return answer


@pytest.mark.promise("never get stuck")
def test_interrupted_erasure_is_completed(today: LambdaEnvironment) -> None:
    """Wherever an erasure is interrupted, it can be repeated until nothing is left, and nothing is paid."""
    calm = Crash()
    [whole] = forgotten_with(today, "zoe-calm", calm)["erasures"]
    assert calm.calls > 8

    for at in range(1, calm.calls + 1):
        answer = forgotten_with(today, f"zoe-{at}", Crash(at))
        [proof] = answer["erasures"]
        assert answer["done"], at
        assert proof["fal_requests"] == 1
        for what in ("dataset_versions", "result_versions"):  # moto's uploads are of 2010: swept
            assert proof["found"][what] == whole["found"][what], at

    assert left_of(today, "zoe") == []
    assert len(today.aws.dynamodb.scan(TableName=today.table)["Items"]) == 1 + calm.calls
    assert today.internet.posts == []

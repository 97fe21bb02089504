"""Whatever comes late for a job that is forgotten, or dies while it is: nothing is left, nothing is paid."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.client import BaseClient

from functions.reconcile.handler import handler as reconcile
from functions.store.handler import handler as store
from functions.submit.handler import handler as submit
from functions.webhook.handler import handler as webhook
from lora_drop.jobs.erasures import LAST_LOOK_AFTER
from lora_drop.jobs.ids import digest_of, webhook_token
from lora_drop.jobs.job import Job
from lora_drop.messages import StoreRequest
from tests.support.builders import NOW, SECRET, s3_event
from tests.support.forget_orders import READING, ask, lay_down, left_of
from tests.support.lambda_environment import Context, House, event
from tests.support.outcome import Killed

# ------------------------------------------------------------------------------ what comes late


def late_webhook(job: Job) -> dict[str, Any]:
    token = webhook_token(SECRET, job.job_id)
    return event("webhook_ok") | {"path": f"/webhooks/fal/{job.job_id}/{token}"}


def results_message(job: Job) -> dict[str, Any]:
    [record, _] = event("results_batch")["Records"]
    return {"Records": [record | {"body": StoreRequest(job_id=job.job_id).model_dump_json()}]}


def comes_late(house: House, job: Job) -> list[dict[str, Any]]:
    """Everything that may still come for a job, and what the functions say to it."""
    now = house.clock.now
    house.clock.now = NOW  # of the signature
    answers = [webhook(late_webhook(job), Context())]
    house.clock.now = now
    answers.append(submit(s3_event(job.dataset), Context()))
    answers.append(store(results_message(job), Context()))
    reconcile(event("schedule"), Context())
    for notice in house.aws.messages(house.inbox):
        submit(json.loads(notice), Context())
    return answers


def test_what_comes_late_is_taken_and_dropped(today: House) -> None:
    job = lay_down(today)
    ask(job.job_id)

    delivered, submitted, stored = comes_late(today, job)

    assert (delivered["statusCode"], json.loads(delivered["body"])) == (
        200,
        {"status": "FORGOTTEN"},
    )
    assert submitted == stored == {"batchItemFailures": []}
    assert today.all_jobs() == ()
    assert today.internet.posts == []
    digests = [
        line["digest"] for line in today.said() if "forgotten job" in line.get("message", "")
    ]
    assert digests == [digest_of(job.job_id)] * 3


# ------------------------------------------------------------------------------ interrupted


@dataclass
class Blow:
    """Where the function dies: before the n-th call that changes something, on AWS or at fal.

    Before one is after the one before it, and what only reads makes no difference.
    """

    at: int = 0
    calls: int = 0

    def before[R](self, call: Callable[[], R]) -> R:
        self.calls += 1
        if self.calls == self.at:
            raise Killed
        return call()


@contextmanager
def struck(house: House, blow: Blow) -> Iterator[None]:
    """Every call passes the blow."""
    api_call, answer = BaseClient._make_api_call, house.internet.answer  # type: ignore[attr-defined]  # botocore's one door

    def struck_call(client: BaseClient, operation: str, arguments: Any) -> Any:
        if operation.startswith(READING):
            return api_call(client, operation, arguments)
        return blow.before(lambda: api_call(client, operation, arguments))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BaseClient, "_make_api_call", struck_call)
        patch.setattr(
            house.internet, "answer", lambda request: blow.before(lambda: answer(request))
        )
        yield


def forgotten_with(house: House, name: str, blow: Blow) -> dict[str, Any]:
    """The last answer, when a job was asked for until it was done; the first time with a blow."""
    house.clock.now = datetime.now(UTC) + timedelta(seconds=2)
    job = lay_down(house, name)
    with struck(house, blow):
        try:
            ask(job.job_id)
            house.clock.now += LAST_LOOK_AFTER
            ask(job.job_id)
        except Killed:
            pass
    if job.job_id not in {each.job_id for each in house.all_jobs()}:
        comes_late(house, job)
    house.clock.now += LAST_LOOK_AFTER
    ask(job.job_id)
    house.clock.now += LAST_LOOK_AFTER
    answer: dict[str, Any] = ask(job.job_id)[1]
    return answer


def test_wherever_it_is_interrupted_nothing_is_left_and_nothing_is_paid(today: House) -> None:
    calm = Blow()
    [whole] = forgotten_with(today, "zoe-calm", calm)["erasures"]
    assert calm.calls > 8

    for at in range(1, calm.calls + 1):
        answer = forgotten_with(today, f"zoe-{at}", Blow(at))
        [proof] = answer["erasures"]
        assert answer["done"], at
        assert proof["fal_requests"] == 1
        for what in ("dataset_versions", "result_versions"):  # moto's uploads are of 2010: swept
            assert proof["found"][what] == whole["found"][what], at

    assert left_of(today, "zoe") == []
    assert len(today.aws.dynamodb.scan(TableName=today.table)["Items"]) == 1 + calm.calls
    assert today.internet.posts == []

"""A job is forgotten through the real function, over S3, the table and fal's wire."""

import json
from datetime import timedelta
from typing import Any

import httpx
import pytest
from botocore.client import BaseClient

from functions.forget.handler import handler
from functions.jobs.handler import handler as jobs_handler
from lora_drop.adapters.dynamodb import DynamoJobs
from lora_drop.adapters.s3_eraser import S3Eraser
from lora_drop.jobs.budget import Charge, ChargeState
from lora_drop.jobs.erasures import LAST_LOOK_AFTER
from lora_drop.jobs.errors import ConflictError, NotErasableError
from lora_drop.jobs.status import Status
from tests.support.builders import make_job
from tests.support.forget_orders import NAMES, READING, ask, lay_down, left_of
from tests.support.lambda_environment import Context, House, event


def test_a_job_is_forgotten_and_the_proof_is_served_again_and_again(today: House) -> None:
    job = lay_down(today)

    status, first = ask(job.job_id)
    today.clock.now += LAST_LOOK_AFTER
    _, second = ask(job.job_id)
    _, third = ask(job.job_id)

    assert (status, first["done"], second["done"]) == (200, False, True)
    [proof] = second["erasures"]
    assert proof["found"] == {
        "dataset_versions": 2,
        "result_versions": len(NAMES) + 2,
        "unfinished_uploads": 1,
    }
    assert (proof["fal_requests"], proof["fal_files"], proof["left"]) == (1, 1, [])
    assert second == third
    assert left_of(today, "zoe") == []
    assert not any("zoe" in json.dumps(line) for line in today.said()), "not even in the log"


def test_a_round_goes_on_with_what_somebody_has_begun(today: House) -> None:
    job = lay_down(today)
    ask(job.job_id)

    early = handler(event("schedule"), Context())
    today.clock.now += LAST_LOOK_AFTER
    late = handler(event("schedule"), Context())

    assert (early, late) == ({"open": 1}, {"open": 0})
    assert [line["ErasuresOpen"] for line in today.said() if "_aws" in line] == [[1.0], [0.0]]
    assert left_of(today, "zoe") == []


def test_an_order_that_was_not_begun_is_not_said_to_go_on(
    today: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_late(*_: object) -> None:
        raise ConflictError("zoe")

    job = lay_down(today)
    monkeypatch.setattr(DynamoJobs, "begin", too_late)

    status, answer = ask(job.job_id)

    assert (status, answer["error"]["code"]) == (503, "try_again")
    assert "Try again" in answer["error"]["message"]
    assert "follows by itself" not in answer["error"]["message"]


def test_what_s3_does_not_let_go_is_counted_with_its_age(
    today: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held(*_: object) -> None:
        raise NotErasableError("a legal hold")

    monkeypatch.setattr(S3Eraser, "erase", held)
    assert ask(lay_down(today).job_id)[0] == 409
    today.said()
    today.clock.now += timedelta(days=2)

    with pytest.raises(NotErasableError):
        handler(event("schedule"), Context())

    [counted] = [line for line in today.said() if "_aws" in line]
    assert (counted["ErasuresOpen"], counted["OldestErasureSeconds"]) == ([1.0], [172_800.0])


@pytest.mark.parametrize(
    ("status", "code"), [(Status.TRAINING, "not_forgotten"), (Status.READY, "not_forgotten")]
)
def test_a_job_at_work_is_not_forgotten(today: House, status: Status, code: str) -> None:
    job = today.holds(make_job(status))

    answered, body = ask(job.job_id)

    assert (answered, body["error"]["code"]) == (409, code)
    assert "lora-drop" in body["error"]["message"]
    assert today.job(job.job_id) == job


def test_those_who_share_are_named(today: House) -> None:
    job = lay_down(today)
    twin = lay_down(today, "twin", duplicate_of=job.job_id)

    status, body = ask(job.job_id)

    assert (status, body["error"]["code"]) == (409, "job_shared")
    assert body["error"]["jobs"] == [twin.job_id]
    assert len(ask(job.job_id, family=True)[1]["erasures"]) == 2


def test_a_look_answers_who_would_go_and_writes_nothing(
    today: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = lay_down(today, charge=Charge(month="2026-11", usd=2.4, state=ChargeState.SPENT))
    twin = lay_down(today, "twin", duplicate_of=job.job_id)
    api_call = BaseClient._make_api_call  # type: ignore[attr-defined]  # botocore's one door

    def reading(client: BaseClient, operation: str, arguments: Any) -> Any:
        assert operation.startswith(READING)
        return api_call(client, operation, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", reading)

    assert ask(job.job_id, look=True)[1]["error"]["code"] == "job_shared"
    assert ask(job.job_id, family=True, look=True) == (
        200,
        {
            "jobs": [
                {"job_id": job.job_id, "status": "CANCELLED", "paid_usd": 2.4},
                {"job_id": twin.job_id, "status": "CANCELLED", "paid_usd": None},
            ]
        },
    )
    assert today.internet.requests == []


def test_a_look_at_what_is_begun_answers_nobody(today: House) -> None:
    job = lay_down(today)
    ask(job.job_id)

    assert ask(job.job_id, look=True) == (200, {"jobs": []})


@pytest.mark.usefixtures("today")
@pytest.mark.parametrize("look", [False, True])
def test_an_unknown_job_is_told_as_such(*, look: bool) -> None:
    assert ask("nobody-0123456789", look=look)[0] == 404


@pytest.mark.usefixtures("today")
@pytest.mark.parametrize(
    "said", ["{", "[]", '{"famliy": true}', '{"family": "maybe"}', '{"look": 2}']
)
def test_an_order_that_is_none_is_refused(said: str) -> None:
    answer = handler(event("job_forget") | {"body": said}, Context())

    assert (answer["statusCode"], json.loads(answer["body"])["error"]["code"]) == (
        400,
        "query_invalid",
    )


def test_a_fal_that_does_not_answer_is_asked_again_by_itself(today: House) -> None:
    job = lay_down(today)
    today.internet.says["api.fal.ai"] = httpx.ReadTimeout("slow")

    status, body = ask(job.job_id)
    assert (status, body["error"]["code"]) == (503, "try_again")
    today.internet.says.clear()
    today.clock.now += LAST_LOOK_AFTER

    assert handler(event("schedule"), Context()) == {"open": 0}


def test_the_jobs_api_says_that_it_is_gone(today: House) -> None:
    job = lay_down(today)
    ask(job.job_id)

    answer = jobs_handler(event("job_item") | {"path": f"/jobs/{job.job_id}"}, Context())

    assert answer["statusCode"] == 410
    assert "forgotten" in answer["body"]

"""A job is forgotten through the real function, over S3, the table and fal's wire."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
from shared.adapters.dynamodb import DynamoJobs
from shared.adapters.s3_eraser import S3Eraser
from shared.domain.budget import Charge, ChargeState
from shared.domain.erasures import LAST_LOOK_AFTER, digest_of
from shared.domain.errors import Conflict, NotErasable
from shared.domain.jobs import Job, Status
from shared.domain.naming import job_id_for
from shared.domain.tokens import webhook_token
from shared.messages import StoreRequest
from tests.builders import NOW, REQUEST_ID, SECRET, make_dataset, make_job, s3_event
from tests.fate import Killed
from tests.house import Context, House, event

NAMES = ("status.json", "ERROR.txt", "report.html", "lora.safetensors", "deliveries/1.json")


def ask(job_id: str, *, family: bool = False, **more: bool) -> tuple[int, Any]:
    request = {
        "resource": "/jobs/{job_id}/forget",
        "path": f"/jobs/{job_id}/forget",
        "pathParameters": {"job_id": job_id},
        "body": json.dumps({"family": family, **more}),
    }
    answer = handler(event("job_forget") | request, Context())
    return answer["statusCode"], json.loads(answer["body"])


def lay_down(house: House, name: str = "zoe", **changes: Any) -> Job:
    """A job that has ended: two versions of its dataset, its files, one written over and one deleted, an upload."""
    s3, key = house.aws.s3, f"portrait/{name}.zip"
    s3.put_object(Bucket="datasets", Key=key, Body=b"older")
    version = s3.put_object(Bucket="datasets", Key=key, Body=b"photos")["VersionId"]
    dataset = make_dataset(key, version_id=version)
    job = make_job(
        Status.CANCELLED,
        job_id=job_id_for("datasets", key, version),
        dataset=dataset,
        created_at=house.clock.now,
        request_id=REQUEST_ID,
        intents=1,
        **changes,
    )
    for file in NAMES:
        s3.put_object(Bucket="models", Key=job.prefix + file, Body=f"of {name}".encode())
    # The models bucket keeps what was written over and what was deleted.
    s3.put_object(Bucket="models", Key=job.prefix + NAMES[0], Body=f"newer, of {name}".encode())
    s3.delete_object(Bucket="models", Key=job.prefix + NAMES[1])
    begun = s3.create_multipart_upload(Bucket="models", Key=job.prefix + "lora.safetensors")
    part: dict[str, Any] = {"UploadId": begun["UploadId"], "PartNumber": 1, "Body": b"x"}
    s3.upload_part(Bucket="models", Key=job.prefix + "lora.safetensors", **part)
    return house.holds(job)


def left_of(house: House, word: str) -> list[str]:
    """Every row, object version, upload and message that has this word."""
    aws = house.aws
    found: list[Any] = []
    found += aws.dynamodb.scan(TableName=house.table)["Items"]
    for bucket in ("datasets", "models"):
        pages = aws.s3.list_object_versions(Bucket=bucket)
        found += [*pages.get("Versions", []), *pages.get("DeleteMarkers", [])]
        found += aws.s3.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
        for row in pages.get("Versions", []):
            got = aws.s3.get_object(Bucket=bucket, Key=row["Key"], VersionId=row["VersionId"])
            found += [got["Body"].read().decode(errors="replace")]
    for queue in (house.inbox, house.results, house.dead_inbox, house.dead_results):
        found += house.aws.messages(queue)
    return [str(each) for each in found if word in str(each)]


@pytest.fixture
def today(house: House) -> House:
    """S3 stamps what is put into it with the real time."""
    house.clock.now = datetime.now(UTC) + timedelta(seconds=2)
    return house


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
        raise Conflict("zoe")

    job = lay_down(today)
    monkeypatch.setattr(DynamoJobs, "begin", too_late)

    status, answer = ask(job.job_id)

    assert (status, answer["error"]["code"]) == (503, "try_again")
    assert "Say it again" in answer["error"]["message"]
    assert "follows by itself" not in answer["error"]["message"]


def test_what_s3_does_not_let_go_is_counted_with_its_age(
    today: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def held(*_: object) -> None:
        raise NotErasable("a legal hold")

    monkeypatch.setattr(S3Eraser, "erase", held)
    assert ask(lay_down(today).job_id)[0] == 409
    today.said()
    today.clock.now += timedelta(days=2)

    with pytest.raises(NotErasable):
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


READING = ("Get", "List", "Query", "BatchGet")


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

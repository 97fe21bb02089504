"""A dataset full of canaries goes every way through the real functions: none of them gets out."""

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from botocore.exceptions import ClientError

from functions.forget.handler import handler as forget
from functions.jobs.handler import handler as jobs
from functions.reconcile.handler import handler as reconcile
from functions.store.handler import handler as store
from functions.submit.handler import handler as submit
from functions.webhook.handler import handler as webhook
from lora_drop.adapters.pillow import PillowPictures
from lora_drop.adapters.s3_datasets import S3Range
from lora_drop.bootstrap.submit import SubmitBootstrap
from lora_drop.jobs.ids import webhook_token
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from lora_drop.messages import StoreRequest
from tests.security.canary import canary_dataset as nest
from tests.security.canary import canary_values as birds
from tests.security.canary.canary_values import Kind, Place
from tests.security.canary.plugin import WATCH
from tests.support.builders import NOW, SECRET, make_dataset, s3_event, signed, webhook_body
from tests.support.lambda_environment import RESULT, Context, House, event


@pytest.fixture(autouse=True)
def _signed_by_a_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Lambda's role has one: presigned addresses carry its token."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", birds.SESSION_TOKEN)


@pytest.fixture
def nobody_sings(house: House) -> Iterator[House]:
    """A house in which nothing gets out while the test runs, and something is looked at."""
    hits, lines = len(WATCH.hits), WATCH.seen[Place.LOG]
    yield house
    house.said()
    assert [str(hit) for hit in WATCH.hits[hits:]] == []
    assert WATCH.seen[Place.LOG] > lines


@pytest.fixture
def real_photos(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked at and mended by Pillow, in the place of the house's own."""
    assert isinstance(house, House)
    monkeypatch.setattr(SubmitBootstrap, "pictures", PillowPictures())


def dropped(house: House, data: bytes, **metadata: str) -> dict[str, Any]:
    """S3's notice of the dataset, in the inbox queue's form."""
    put = house.aws.s3.put_object(Bucket="datasets", Key=nest.KEY, Body=data, Metadata=metadata)
    notice = s3_event(make_dataset(nest.KEY, version_id=put["VersionId"]))
    [record] = event("s3_put_in_sqs")["Records"]
    return {"Records": [record | {"body": json.dumps(notice)}]}


def called_back(job: Job, body: bytes, **headers: str) -> dict[str, Any]:
    request = event("webhook_ok")
    sent = {name: values[0] for name, values in signed(body).items()} | headers
    path = f"/webhooks/fal/{job.job_id}/{webhook_token(SECRET, job.job_id)}"
    several = {name: [value] for name, value in sent.items()}
    return request | {
        "path": path,
        "headers": sent,
        "multiValueHeaders": several,
        "body": body.decode(),
    }


def handed_over(job: Job) -> dict[str, Any]:
    [record, _] = event("results_batch")["Records"]
    return {"Records": [record | {"body": StoreRequest(job_id=job.job_id).model_dump_json()}]}


@pytest.mark.usefixtures("real_photos")
def test_a_dataset_goes_all_the_way_and_is_forgotten(nobody_sings: House) -> None:
    house = nobody_sings
    submit(dropped(house, nest.dataset(), trigger_phrase="TOK_zoe"), Context())
    job = house.only_job()
    assert (job.status, job.clean is not None) == (Status.SUBMITTED, True), job.problems
    assert b"X-Amz-Security-Token" in house.internet.posts[0].content
    webhook(called_back(job, webhook_body(payload=RESULT)), Context())
    store(handed_over(job), Context())
    reconcile(event("schedule"), Context())
    for path in ("/jobs", f"/jobs/{job.job_id}"):
        jobs(event("jobs_list") | {"path": path, "queryStringParameters": None}, Context())
    assert house.only_job().status is Status.SUCCEEDED

    report = house.files()["report.html"].decode()
    clean = house.files()["dataset.zip"]

    assert birds.PHOTO in report, "the owner's own report names their photos"
    with zipfile.ZipFile(io.BytesIO(clean)) as archive:
        for name in archive.namelist():
            data = archive.read(name)
            assert not any(hidden.encode() in data for hidden in HIDDEN), name
    house.clock.now = datetime.now(UTC) + timedelta(seconds=2)
    request = event("job_forget") | {"path": f"/jobs/{job.job_id}/forget"}
    assert forget(request, Context())["statusCode"] == 200


HIDDEN = [bird for bird, kind in birds.LITERALS.items() if kind is Kind.HIDDEN]
BAD: dict[str, bytes] = {
    "photos that end in the middle": nest.dataset(broken=4),
    "too few photos": nest.dataset(count=3),
    "a ZIP that ends in the middle": nest.dataset()[:-4000],
    "no ZIP at all": f"{birds.PHOTO} {birds.CAPTION} {birds.OWNER}".encode() * 50,
    "a misspelt parameter": nest.dataset(training=f'{{"{birds.CAPTION}": 1}}'),
    "no JSON": nest.dataset(training=birds.CAPTION),
}


@pytest.mark.usefixtures("real_photos")
@pytest.mark.parametrize("data", BAD.values(), ids=BAD)
def test_a_dataset_is_rejected_and_only_its_owner_reads_why(
    nobody_sings: House, data: bytes
) -> None:
    submit(dropped(nobody_sings, data), Context())

    assert nobody_sings.only_job().status is Status.REJECTED


def of_fal(status: int) -> httpx.Response:
    """A refusal that repeats everything that it was given."""
    url = "https://datasets.s3.amazonaws.com/x?X-Amz-Signature=0123abcd&X-Amz-Credential=AK"
    detail = [{"loc": ["body"], "msg": f"cannot fetch {url} {birds.SESSION_TOKEN}", "input": url}]
    return httpx.Response(status, json={"detail": detail})


FAL: dict[str, tuple[httpx.Response | Exception, Status]] = {
    "refuses": (httpx.Response(422, json={"detail": "no"}), Status.FAILED),
    "knows no key": (httpx.Response(401, json={"detail": "Authentication"}), Status.HELD),
    "does not answer": (httpx.ReadTimeout(nest.KEY), Status.SUBMIT_UNKNOWN),
    "cannot be reached": (httpx.ConnectError(nest.KEY), Status.READY),
    "answers with somebody's page": (
        httpx.Response(500, text=birds.SESSION_TOKEN),
        Status.SUBMIT_UNKNOWN,
    ),
}


@pytest.mark.parametrize("how", FAL)
def test_fal_does_not_take_it(nobody_sings: House, how: str) -> None:
    answer, status = FAL[how]
    for host in ("queue.fal.run", "queue.falrun.com"):
        nobody_sings.internet.says[host] = answer

    submit(dropped(nobody_sings, nest.dataset()), Context())

    assert nobody_sings.only_job().status is status


def test_fal_repeats_what_it_was_given(house: House) -> None:
    hits = len(WATCH.hits)
    house.internet.says["queue.fal.run"] = of_fal(422)

    submit(dropped(house, nest.dataset()), Context())

    assert house.only_job().status is Status.FAILED
    told = [hit for hit in WATCH.hits[hits:] if "Amz" in hit.bird]
    del WATCH.hits[hits:]  # a token without its name is in fal's own words, for the owner alone
    assert told == []


class Broken:
    """S3, or the check, in trouble that names everything."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __call__(self, *_: object, **__: object) -> Any:
        raise self.error


S3_TROUBLE = ClientError({"Error": {"Code": "SlowDown", "Message": "Reduce"}}, "GetObject")


def test_s3_breaks_off_and_the_message_comes_back(
    nobody_sings: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(S3Range, "read", Broken(S3_TROUBLE))

    answer = submit(dropped(nobody_sings, nest.dataset()), Context())

    assert len(answer["batchItemFailures"]) == 1


def test_a_mistake_of_ours_is_told_without_what_it_stumbled_over(
    nobody_sings: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    mistake = ValueError(f"{birds.PHOTO} {birds.LATITUDE} {birds.OWNER}")
    monkeypatch.setattr("lora_drop.services.check.Checker.check", Broken(mistake))

    submit(dropped(nobody_sings, nest.dataset()), Context())

    assert nobody_sings.only_job().problems[0].code == "dataset_check_failed"


@pytest.mark.parametrize("handler", [submit, store], ids=["submit", "store"])
@pytest.mark.parametrize(
    "body",
    [
        birds.CAPTION,
        json.dumps({"Records": [{"eventName": 1, "s3": {"object": {"key": nest.KEY}}}]}),
        json.dumps({"job_id": {"name": nest.KEY}}),
        json.dumps({"job_id": 7, "photo": birds.PHOTO}),
    ],
    ids=["no JSON", "a notice that is none", "an object", "a number"],
)
def test_a_message_that_cannot_be_read_is_logged_without_its_words(
    nobody_sings: House, handler: Callable[..., Any], body: str
) -> None:
    assert nobody_sings.all_jobs() == ()
    [record] = event("s3_put_in_sqs")["Records"]

    answer = handler({"Records": [record | {"body": body}]}, Context())

    assert len(answer["batchItemFailures"]) == 1


@pytest.fixture
def submitted(nobody_sings: House) -> Job:
    submit(dropped(nobody_sings, nest.dataset()), Context())
    return nobody_sings.only_job()


DELIVERIES: dict[str, tuple[bytes, dict[str, str]]] = {
    "not signed by fal": (webhook_body(), {"X-Fal-Webhook-Signature": "00" * 64}),
    "of no form": (f'["{birds.CAPTION}"]'.encode(), {}),
    "no JSON": (birds.CAPTION.encode(), {}),
    "of no status": (webhook_body(status=nest.KEY), {}),
    "another's request": (webhook_body(request_id=birds.PHOTO), {}),
    "an odd header": (webhook_body(), {"X-Fal-Webhook-Timestamp": birds.CAPTION}),
    "a failure that names a photo": (
        webhook_body(status="ERROR", error="422", payload={"detail": [{"msg": birds.PHOTO}]}),
        {},
    ),
}


@pytest.mark.parametrize("what", DELIVERIES)
def test_a_delivery_is_logged_without_its_words(submitted: Job, what: str) -> None:
    body, headers = DELIVERIES[what]

    webhook(called_back(submitted, body, **headers), Context())


def test_a_wrong_token_is_not_logged(submitted: Job) -> None:
    request = called_back(submitted, webhook_body())
    guess = request["path"].rpartition("/")[0] + f"/{birds.FOLDER}"

    assert webhook(request | {"path": guess}, Context())["statusCode"] == 404


CDN: dict[str, httpx.Response | Exception] = {
    "breaks off": httpx.ReadError("[Errno 104] Connection reset by peer"),
    "does not know it": httpx.Response(404, text=birds.CAPTION),
    "is in trouble": httpx.Response(503, text=birds.CAPTION),
    "gives a page": httpx.Response(200, stream=httpx.ByteStream(birds.CAPTION.encode())),
    "sends us elsewhere": httpx.Response(302, headers={"Location": f"https://x/{birds.CAPTION}"}),
}


@pytest.mark.parametrize("how", CDN)
def test_a_result_that_does_not_come_is_logged_without_its_address(
    submitted: Job, nobody_sings: House, how: str
) -> None:
    webhook(called_back(submitted, webhook_body()), Context())
    nobody_sings.internet.says["v3.fal.media"] = CDN[how]

    store(handed_over(submitted), Context())
    nobody_sings.clock.now = NOW + timedelta(minutes=30)
    reconcile(event("schedule"), Context())


@pytest.mark.parametrize("path", ["/jobs", "/jobs/{job_id}"])
def test_a_row_that_cannot_be_read_is_told_without_what_is_in_it(
    submitted: Job, nobody_sings: House, path: str
) -> None:
    nobody_sings.aws.dynamodb.update_item(
        TableName=nobody_sings.table,
        Key={"pk": {"S": submitted.job_id}, "sk": {"S": "job"}},
        UpdateExpression="SET images = :value",
        ExpressionAttributeValues={":value": {"S": birds.CAPTION}},
    )
    request = event("jobs_list") | {"path": path.format(job_id=submitted.job_id)}

    with pytest.raises(ValueError, match="images"):
        jobs(request | {"queryStringParameters": None}, Context())

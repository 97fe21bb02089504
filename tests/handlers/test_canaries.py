"""A dataset full of canaries goes every way through the real functions: none of them gets out."""

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from functions.forget.handler import handler as forget
from functions.jobs.handler import handler as jobs
from functions.reconcile.handler import handler as reconcile
from functions.store.handler import handler as store
from functions.submit.handler import handler as submit
from functions.webhook.handler import handler as webhook
from lora_drop.adapters.pillow import PillowPictures
from lora_drop.bootstrap.submit import SubmitBootstrap
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from tests.security.canary import canary_dataset, canary_values
from tests.security.canary.canary_values import Kind, Place
from tests.security.canary.plugin import WATCH
from tests.support.builders import NOW, make_dataset, make_job, s3_event, signed, webhook_body
from tests.support.lambda_environment import RESULT, Context, LambdaEnvironment, event
from tests.support.lambda_events import (
    Request,
    failed_messages,
    queue_event,
    store_event,
    webhook_event,
)
from tests.support.silent_s3 import silence_s3

pytestmark = pytest.mark.usefixtures("no_canary_found")


@pytest.fixture(autouse=True)
def _session_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lambda's role has a session token, and presigned addresses carry it."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", canary_values.SESSION_TOKEN)


@pytest.fixture
def no_canary_found(environment: LambdaEnvironment) -> Iterator[None]:
    """While the test runs, something is logged, and no canary is in anything recorded."""
    hits, seen = len(WATCH.hits), WATCH.seen[Place.LOG]
    yield
    environment.output_lines()
    assert [str(hit) for hit in WATCH.hits[hits:]] == []
    assert WATCH.seen[Place.LOG] > seen


@pytest.fixture
def real_photos(environment: LambdaEnvironment, monkeypatch: pytest.MonkeyPatch) -> None:
    """Photos are decoded by Pillow, in the place of the environment's own."""
    assert isinstance(environment, LambdaEnvironment)
    monkeypatch.setattr(SubmitBootstrap, "pictures", PillowPictures())


@pytest.fixture
def submitted(environment: LambdaEnvironment) -> Job:
    """A job of the dataset with canaries, at fal."""
    submit(uploaded(environment, canary_dataset.dataset()), Context())
    return environment.only_job()


def uploaded(environment: LambdaEnvironment, data: bytes, **metadata: str) -> Request:
    """S3's notice of the dataset, in the inbox queue's form."""
    put = environment.aws.s3.put_object(
        Bucket="datasets", Key=canary_dataset.KEY, Body=data, Metadata=metadata
    )
    return queue_event(s3_event(make_dataset(canary_dataset.KEY, version_id=put["VersionId"])))


@pytest.mark.promise("nothing leaks")
@pytest.mark.usefixtures("real_photos")
def test_photo_metadata_never_gets_out(environment: LambdaEnvironment) -> None:
    """The place and the owner in a photo reach neither fal, nor a log, nor any file, from upload to forgetting."""
    submit(uploaded(environment, canary_dataset.dataset(), trigger_phrase="TOK_zoe"), Context())
    job = environment.only_job()
    assert (job.status, job.clean is not None) == (Status.SUBMITTED, True), job.problems
    assert b"X-Amz-Security-Token" in environment.internet.posts[0].content
    webhook(webhook_event(job.job_id, webhook_body(payload=RESULT)), Context())
    store(store_event(job.job_id), Context())
    reconcile(event("schedule"), Context())
    for path in ("/jobs", f"/jobs/{job.job_id}"):
        jobs(event("jobs_list") | {"path": path, "queryStringParameters": None}, Context())
    assert environment.only_job().status is Status.SUCCEEDED

    report = environment.files()["report.html"].decode()
    clean = environment.files()["dataset.zip"]

    assert canary_values.PHOTO in report, "the owner's own report names their photos"
    hidden = [each for each, kind in canary_values.LITERALS.items() if kind is Kind.HIDDEN]
    with zipfile.ZipFile(io.BytesIO(clean)) as archive:
        for name in archive.namelist():
            data = archive.read(name)
            assert not any(each.encode() in data for each in hidden), name
    environment.clock.now = datetime.now(UTC) + timedelta(seconds=2)
    assert forget(forget_event(job), Context())["statusCode"] == 200


def forget_event(job: Job) -> Request:
    return event("job_forget") | {
        "path": f"/jobs/{job.job_id}/forget",
        "pathParameters": {"job_id": job.job_id},
    }


WORDS = f"{canary_values.PHOTO} {canary_values.CAPTION} {canary_values.OWNER}"
INVALID: dict[str, bytes] = {
    "photos that end in the middle": canary_dataset.dataset(broken=4),
    "too few photos": canary_dataset.dataset(count=3),
    "a ZIP that ends in the middle": canary_dataset.dataset()[:-4000],
    "no ZIP at all": WORDS.encode() * 50,
    "a misspelt parameter": canary_dataset.dataset(training=f'{{"{canary_values.CAPTION}": 1}}'),
    "no JSON": canary_dataset.dataset(training=canary_values.CAPTION),
}


@pytest.mark.promise("nothing leaks")
@pytest.mark.usefixtures("real_photos")
@pytest.mark.parametrize("data", INVALID.values(), ids=INVALID)
def test_rejection_names_photos_to_owner(environment: LambdaEnvironment, data: bytes) -> None:
    """Only the files for the owner say which photo is wrong; logs and messages do not."""
    submit(uploaded(environment, data), Context())
    assert environment.only_job().status is Status.REJECTED


FAL: dict[str, tuple[httpx.Response | Exception, Status]] = {
    "refuses": (httpx.Response(422, json={"detail": "no"}), Status.FAILED),
    "knows no key": (httpx.Response(401, json={"detail": "Authentication"}), Status.HELD),
    "does not answer": (httpx.ReadTimeout(canary_dataset.KEY), Status.SUBMIT_UNKNOWN),
    "cannot be reached": (httpx.ConnectError(canary_dataset.KEY), Status.READY),
    "answers with a page": (
        httpx.Response(500, text=canary_values.SESSION_TOKEN),
        Status.SUBMIT_UNKNOWN,
    ),
}


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("how", FAL)
def test_fal_does_not_take_it(environment: LambdaEnvironment, how: str) -> None:
    """The key, the webhook's token and the signature of the dataset's address are never logged."""
    answer, status = FAL[how]
    for host in ("queue.fal.run", "queue.falrun.com"):
        environment.internet.says[host] = answer
    submit(uploaded(environment, canary_dataset.dataset()), Context())
    assert environment.only_job().status is status
    counted = any("SubmitUnknown" in line for line in environment.output_lines())
    assert counted == (status is Status.SUBMIT_UNKNOWN)


def test_fal_repeats_its_request(environment: LambdaEnvironment) -> None:
    hits = len(WATCH.hits)
    url = "https://datasets.s3.amazonaws.com/x?X-Amz-Signature=0123abcd&X-Amz-Credential=AK"
    words = f"cannot fetch {url} {canary_values.SESSION_TOKEN}"
    detail = [{"loc": ["body"], "msg": words, "input": url}]
    environment.internet.says["queue.fal.run"] = httpx.Response(422, json={"detail": detail})
    submit(uploaded(environment, canary_dataset.dataset()), Context())
    assert environment.only_job().status is Status.FAILED
    presigned = [hit for hit in WATCH.hits[hits:] if "Amz" in hit.canary]
    del WATCH.hits[hits:]  # a token without its name is in fal's own words, for the owner alone
    assert presigned == []


def failing(error: Exception) -> Callable[..., Any]:
    """A method whose call fails with an error that may name everything."""

    def fails(*_: object, **__: object) -> Any:
        raise error

    return fails


def test_internal_error_hides_its_input(
    environment: LambdaEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = f"{canary_values.PHOTO} {canary_values.LATITUDE} {canary_values.OWNER}"
    monkeypatch.setattr("lora_drop.services.check.Checker.check", failing(ValueError(words)))
    submit(uploaded(environment, canary_dataset.dataset()), Context())
    assert environment.only_job().problems[0].code == "dataset_check_failed"


@pytest.mark.parametrize("handler", [submit, store], ids=["submit", "store"])
@pytest.mark.parametrize(
    "body",
    [
        canary_values.CAPTION,
        {"Records": [{"eventName": 1, "s3": {"object": {"key": canary_dataset.KEY}}}]},
        {"job_id": {"name": canary_dataset.KEY}},
        {"job_id": 7, "photo": canary_values.PHOTO},
    ],
    ids=["no JSON", "an invalid notice", "an object", "a number"],
)
def test_invalid_message_hides_its_words(
    environment: LambdaEnvironment, handler: Callable[..., Any], body: object
) -> None:
    assert environment.all_jobs() == ()
    answer = handler(queue_event(body), Context())
    assert failed_messages(answer) == ["message-1"]


DELIVERIES: dict[str, tuple[bytes, dict[str, str]]] = {
    "not signed by fal": (webhook_body(), {"X-Fal-Webhook-Signature": "00" * 64}),
    "of no form": (f'["{canary_values.CAPTION}"]'.encode(), {}),
    "no JSON": (canary_values.CAPTION.encode(), {}),
    "of no status": (webhook_body(status=canary_dataset.KEY), {}),
    "another's request": (webhook_body(request_id=canary_values.PHOTO), {}),
    "an odd header": (webhook_body(), {"X-Fal-Webhook-Timestamp": canary_values.CAPTION}),
    "a failure that names a photo": (
        webhook_body(
            status="ERROR", error="422", payload={"detail": [{"msg": canary_values.PHOTO}]}
        ),
        {},
    ),
}


@pytest.mark.parametrize("what", DELIVERIES)
def test_delivery_hides_its_words(submitted: Job, what: str) -> None:
    body, headers = DELIVERIES[what]
    sent = signed(body) | {name: [value] for name, value in headers.items()}
    webhook(webhook_event(submitted.job_id, body, sent), Context())


CDN: dict[str, httpx.Response | Exception] = {
    "breaks off": httpx.ReadError("[Errno 104] Connection reset by peer"),
    "does not know it": httpx.Response(404, text=canary_values.CAPTION),
    "is in trouble": httpx.Response(503, text=canary_values.CAPTION),
    "gives a page": httpx.Response(200, stream=httpx.ByteStream(canary_values.CAPTION.encode())),
    "redirects": httpx.Response(302, headers={"Location": f"https://x/{canary_values.CAPTION}"}),
}


@pytest.mark.parametrize("how", CDN)
def test_missing_result_hides_its_address(
    submitted: Job, environment: LambdaEnvironment, how: str
) -> None:
    webhook(webhook_event(submitted.job_id), Context())
    environment.internet.says["v3.fal.media"] = CDN[how]
    store(store_event(submitted.job_id), Context())
    environment.clock.now = NOW + timedelta(minutes=30)
    reconcile(event("schedule"), Context())


@pytest.mark.parametrize("path", ["/jobs", "/jobs/{job_id}"])
def test_unreadable_row_hides_its_content(
    submitted: Job, environment: LambdaEnvironment, path: str
) -> None:
    environment.break_row(submitted.job_id, canary_values.CAPTION)
    request = event("jobs_list") | {"path": path.format(job_id=submitted.job_id)}
    with pytest.raises(ValueError, match="images"):
        jobs(request | {"queryStringParameters": None}, Context())


# S3 does not answer: botocore's own errors hold the whole address with the dataset's key.


def run_once(
    environment: LambdaEnvironment, handler: Callable[[Any, Any], object], request: Request
) -> None:
    """Run a handler; what it raises is recorded as an exception, what it prints as lines of a log."""
    with suppress(Exception):
        handler(request, Context())
    WATCH.lines(json.dumps(environment.output_lines()))


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("handler", [submit, store, webhook], ids=["submit", "store", "webhook"])
def test_silent_s3_hides_the_key(
    environment: LambdaEnvironment, monkeypatch: pytest.MonkeyPatch, handler: Callable[..., Any]
) -> None:
    """When S3 does not answer, neither the log nor the exception names the dataset."""
    request = uploaded(environment, canary_dataset.dataset())
    if handler is not submit:
        status = Status.STORING if handler is store else Status.SUBMITTED
        job = environment.add_job(make_job(status, dataset=make_dataset(canary_dataset.KEY)))
        request = store_event(job.job_id) if handler is store else event("webhook_ok")
    silence_s3(monkeypatch)
    run_once(environment, handler, request)


@pytest.mark.parametrize("part", ["versions", "uploads", "delete"])
def test_failed_erasure_hides_the_key(
    environment: LambdaEnvironment, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    environment.clock.now = datetime.now(UTC) + timedelta(seconds=2)
    put = environment.aws.s3.put_object(Bucket="datasets", Key=canary_dataset.KEY, Body=b"photos")
    dataset = make_dataset(canary_dataset.KEY, version_id=put["VersionId"])
    job = environment.add_job(make_job(Status.CANCELLED, dataset=dataset))
    silence_s3(monkeypatch, part=part)
    run_once(environment, forget, forget_event(job))
    run_once(environment, forget, event("schedule"))

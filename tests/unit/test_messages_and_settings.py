"""What the functions are sent, what they send each other, and their settings."""

import base64
import json
from typing import Any

import pytest
from pydantic import ValidationError

from lora_drop import messages
from lora_drop.jobs.errors import InvalidQueryError, InvalidWebhookError
from lora_drop.jobs.job import DatasetVersion
from lora_drop.jobs.status import Status
from lora_drop.settings import (
    JobsSettings,
    NotifySettings,
    ReconcileSettings,
    Settings,
    StoreSettings,
    SubmitSettings,
    WebhookSettings,
    load,
)
from tests.support.builders import make_dataset, s3_event, webhook_body

KEYS = [
    *("ada.zip", "portrait/a b.zip", "a+b.zip", "100%.zip", "a%20b+c d.zip"),
    *("\u5199\u771f/\u00e9t\u00e9 \U0001f600.zip", "a&b=c;d?e#f.zip", "quote'\"<>.zip"),
]
# As S3 sends it when a bucket's notifications are switched on.
TEST_EVENT = {
    "Service": "Amazon S3",
    "Event": "s3:TestEvent",
    "Time": "2026-11-24T12:00:00.000Z",
    "Bucket": "datasets",
    "RequestId": "5582815E1AEA5ADF",
    "HostId": "8cLeGAmw098X5cv4Zkwcmo8vvZa3eH3eKxsPzbB9wrR",
}
TEXT, BODY = '{\r\n "request_id" : "\u00e9" }\n', webhook_body()


@pytest.mark.promise("interfaces stay")
@pytest.mark.parametrize("key", KEYS)
def test_key_arrives_as_given(key: str) -> None:
    """A key arrives as it was given, in S3's notice and in our own."""
    dataset = make_dataset(key)
    ours = json.dumps(messages.s3_notice_for(dataset))
    assert messages.S3Notice.model_validate(s3_event(dataset)).datasets() == (dataset,)
    assert messages.S3Notice.model_validate_json(ours).datasets() == (dataset,)


@pytest.mark.parametrize(
    ("event", "datasets"),
    [
        (s3_event(make_dataset(), "ObjectCreated:Put"), (make_dataset(),)),
        (s3_event(make_dataset(), "ObjectCreated:CompleteMultipartUpload"), (make_dataset(),)),
        (s3_event(make_dataset(), "s3:ObjectCreated:Copy"), (make_dataset(),)),
        (s3_event(make_dataset(), "ObjectRemoved:Delete"), ()),
        (s3_event(make_dataset(), "ObjectTagging:Put"), ()),
        (s3_event(make_dataset(), "ReducedRedundancy"), ()),
        (s3_event(make_dataset("portrait/")), ()),  # a folder's marker
        (TEST_EVENT, ()),
    ],
)
def test_only_created_objects_are_datasets(
    event: dict[str, Any], datasets: tuple[DatasetVersion, ...]
) -> None:
    """Every way of creating an object is a dataset; other events, folders and S3's test are not."""
    assert messages.S3Notice.model_validate(event).datasets() == datasets


def test_missing_version_means_the_newest() -> None:
    event = s3_event(make_dataset())
    del event["Records"][0]["s3"]["object"]["versionId"]
    [dataset] = messages.S3Notice.model_validate(event).datasets()
    assert dataset.version_id == ""


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"foo": 1},
        {"Event": "s3:OtherEvent"},
        {"Records": []},
        {"Records": [{"eventName": "ObjectCreated:Put"}]},
        {"Records": "none"},
        {"detail-type": "Object Created", "detail": {"bucket": {"name": "datasets"}}},
    ],
)
def test_other_messages_are_no_notice(message: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        messages.S3Notice.model_validate(message)


@pytest.mark.promise("interfaces stay")
@pytest.mark.parametrize(
    ("event", "headers", "body"),
    [
        (
            {"multiValueHeaders": {"X-A": ["1", "2"]}, "body": TEXT, "isBase64Encoded": False},
            {"X-A": ["1", "2"]},
            TEXT.encode(),
        ),
        (
            {
                "headers": {"X-A": "1"},
                "body": base64.b64encode(BODY).decode(),
                "isBase64Encoded": True,
            },
            {"X-A": ["1"]},
            BODY,
        ),
        ({"multiValueHeaders": None, "headers": {"X-A": "1"}, "body": ""}, {"X-A": ["1"]}, b""),
        ({"headers": None}, {}, b""),
        ({"multiValueHeaders": None}, {}, b""),
        ({"body": None}, {}, b""),
    ],
    ids=["text", "Base64", "one value", "no headers", "no many headers", "no body"],
)
def test_webhooks_exact_bytes_are_kept(
    event: dict[str, Any], headers: dict[str, list[str]], body: bytes
) -> None:
    """A webhook's headers and exact bytes are kept, in each form of API Gateway's event."""
    assert messages.raw_delivery(event) == (headers, body)


@pytest.mark.parametrize(
    ("body", "encoded"),
    [("not base64!", True), ("YQ", True), ("YQ==\n", True), ("\u00e9", True), ("\ud800", False)],
)
def test_body_that_cannot_be_bytes(body: str, *, encoded: bool) -> None:
    with pytest.raises(InvalidWebhookError):
        messages.raw_delivery({"body": body, "isBase64Encoded": encoded})


def test_unknown_webhook_fields_are_ignored() -> None:
    body = webhook_body(payload_error="x", something_new={"a": 1})
    assert messages.WebhookBody.parse(body).status == "OK"


def test_store_message_is_versioned() -> None:
    said = messages.StoreRequest(job_id="ada-1").model_dump_json()
    assert json.loads(said) == {"schema_version": 1, "job_id": "ada-1"}
    with pytest.raises(ValidationError):
        messages.StoreRequest.model_validate_json('{"schema_version": 2, "job_id": "ada-1"}')


@pytest.mark.parametrize(
    ("said", "query"),
    [
        ({}, messages.JobsQuery(status=None, limit=20, cursor=None)),
        (
            {"status": "HELD", "limit": "100", "cursor": "x"},
            messages.JobsQuery(status=Status.HELD, limit=100, cursor="x"),
        ),
    ],
)
def test_query_comes_as_text(said: dict[str, str], query: messages.JobsQuery) -> None:
    assert messages.JobsQuery.parse(said) == query


@pytest.mark.parametrize(
    "query",
    [{"status": "held"}, {"status": ""}, {"limit": "0"}, {"limit": "101"}, {"limit": "ten"}],
)
def test_malformed_query_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(InvalidQueryError, match=next(iter(query))):
        messages.JobsQuery.parse(query)


@pytest.mark.parametrize(
    ("body", "resume"),
    [
        *((None, False), ("", False), ("{}", False), ('{"resume": false}', False)),
        *(('{"resume": true}', True), (' {"resume" : true} ', True)),
    ],
)
def test_retry_resumes_only_on_request(body: str | None, *, resume: bool) -> None:
    assert messages.RetryRequest.parse(body).resume is resume


@pytest.mark.parametrize("body", ["{", "[]", "null", '"true"', '{"resum": true}', '{"resume": 7}'])
def test_malformed_retry_shows_the_form(body: str) -> None:
    with pytest.raises(InvalidQueryError, match=r'\{"resume": true\}'):
        messages.RetryRequest.parse(body)


ENVIRONMENT = {
    "JOBS_TABLE": "jobs",
    "FAL_KEY_SECRET": "fal-key",
    "FAL_RUN_HOST": "fal.run",
    "FAL_QUEUE_RUN_HOST": "queue.fal.run",
    "MODELS_BUCKET": "models",
    "FAL_APPLICATION": "fal-ai/flux-lora-portrait-trainer",
    "WEBHOOK_BASE_URL": "https://api.example/live",
    "WEBHOOK_SECRET": "webhook-secret",
    "RECONCILE_FUNCTION": "reconcile",
    "DATASET_URL_SECONDS": "21600",
    "RESULTS_QUEUE_URL": "https://sqs.example/results",
    "RESULTS_DEAD_LETTERS_URL": "https://sqs.example/dead-results",
    "FETCH_QUEUE_URL": "https://sqs.example/fetches",
    "FETCH_DEAD_LETTERS_URL": "https://sqs.example/dead-fetches",
    "NOTIFY_QUEUE_URL": "https://sqs.example/changes",
    "NOTIFY_DEAD_LETTERS_URL": "https://sqs.example/dead-changes",
    "INBOX_QUEUE_URL": "https://sqs.example/inbox",
    "INBOX_DEAD_LETTERS_URL": "https://sqs.example/dead-inbox",
    "DATASETS_BUCKET": "datasets",
    "MAX_IN_FLIGHT": "2",
    "MONTHLY_BUDGET_USD": "100",
    "MAX_JOB_USD": "25",
    "FAL_API_URL": "https://api.fal.ai/v1",
    "FAL_REST_URL": "https://rest.fal.ai",
    "FAL_CDN_URL": "https://v3.fal.media",
    "FAL_JWKS_URL": "https://rest.fal.ai/.well-known/jwks.json",
    "ARTIFACT_HOSTS": "fal.media",
    "LATE_AFTER_SECONDS": "300",
}
EACH: list[type[Settings]] = [
    *(
        SubmitSettings,
        WebhookSettings,
        StoreSettings,
        ReconcileSettings,
        JobsSettings,
        NotifySettings,
    )
]
NEEDED = [
    (model, name.upper())
    for model in EACH
    for name, field in model.model_fields.items()
    if field.is_required()
]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.mark.usefixtures("environment")
@pytest.mark.parametrize("model", EACH)
def test_functions_load_their_settings(model: type[Settings]) -> None:
    assert load(model).jobs_table == "jobs"


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize("value", [None, ""], ids=["missing", "empty"])
@pytest.mark.parametrize(("model", "name"), NEEDED)
def test_missing_setting_is_named(
    environment: pytest.MonkeyPatch, model: type[Settings], name: str, value: str | None
) -> None:
    """A setting that is missing or empty is an error at once, and is named."""
    environment.setenv(name, "") if value is not None else environment.delenv(name)
    with pytest.raises(ValidationError, match=name):
        load(model)


def test_numbers_come_as_text(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("DATASET_URL_SECONDS", "900")
    assert load(SubmitSettings).dataset_url_seconds == 900


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize(
    ("model", "name", "value"),
    [
        (SubmitSettings, "DATASET_URL_SECONDS", "0"),
        (SubmitSettings, "DATASET_URL_SECONDS", "six hours"),
        (SubmitSettings, "WEBHOOK_BASE_URL", "api.example/live"),
        (ReconcileSettings, "LATE_AFTER_SECONDS", "-1"),
        (SubmitSettings, "MAX_IN_FLIGHT", "0"),
        (SubmitSettings, "MONTHLY_BUDGET_USD", "-1"),
        (WebhookSettings, "RESULTS_QUEUE_URL", "results"),
        (WebhookSettings, "FAL_JWKS_URL", "rest.fal.ai"),
        (WebhookSettings, "FAL_JWKS_URL", "http://rest.fal.ai/.well-known/jwks.json"),
    ],
)
def test_wrong_value_is_not_repeated(
    environment: pytest.MonkeyPatch, model: type[Settings], name: str, value: str
) -> None:
    """A wrong value is named and not repeated."""
    environment.setenv(name, value)
    with pytest.raises(ValidationError, match=name) as raised:
        load(model)
    assert f"input_value='{value}'" not in str(raised.value)


def test_user_id_may_be_left_out(environment: pytest.MonkeyPatch) -> None:
    assert load(WebhookSettings).fal_user_id == ""
    environment.setenv("FAL_USER_ID", "user_1")
    assert load(WebhookSettings).fal_user_id == "user_1"


@pytest.mark.usefixtures("environment")
def test_settings_never_change() -> None:
    settings = load(JobsSettings)
    with pytest.raises(ValidationError):
        settings.jobs_table = "another"  # type: ignore[misc]  # the promise under test

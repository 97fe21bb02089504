"""What the functions are sent, and what they send each other."""

import base64
import json
from typing import Any

import pytest
from pydantic import ValidationError

from lora_drop.jobs.errors import BadQuery, InvalidWebhookError
from lora_drop.jobs.job import DatasetVersion
from lora_drop.jobs.status import Status
from lora_drop.messages import (
    JobsQuery,
    RetryRequest,
    S3Notice,
    StoreRequest,
    WebhookBody,
    raw_delivery,
    s3_notice_for,
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
    ours = json.dumps(s3_notice_for(dataset))
    assert S3Notice.model_validate(s3_event(dataset)).datasets() == (dataset,)
    assert S3Notice.model_validate_json(ours).datasets() == (dataset,)


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
    assert S3Notice.model_validate(event).datasets() == datasets


def test_missing_version_means_the_newest() -> None:
    event = s3_event(make_dataset())
    del event["Records"][0]["s3"]["object"]["versionId"]
    [dataset] = S3Notice.model_validate(event).datasets()
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
        S3Notice.model_validate(message)


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
    assert raw_delivery(event) == (headers, body)


@pytest.mark.parametrize(
    ("body", "encoded"),
    [("not base64!", True), ("YQ", True), ("YQ==\n", True), ("\u00e9", True), ("\ud800", False)],
)
def test_body_that_cannot_be_bytes(body: str, *, encoded: bool) -> None:
    with pytest.raises(InvalidWebhookError):
        raw_delivery({"body": body, "isBase64Encoded": encoded})


def test_unknown_webhook_fields_are_ignored() -> None:
    body = webhook_body(payload_error="x", something_new={"a": 1})
    assert WebhookBody.parse(body).status == "OK"


def test_store_message_is_versioned() -> None:
    said = StoreRequest(job_id="ada-1").model_dump_json()
    assert json.loads(said) == {"schema_version": 1, "job_id": "ada-1"}
    with pytest.raises(ValidationError):
        StoreRequest.model_validate_json('{"schema_version": 2, "job_id": "ada-1"}')


@pytest.mark.parametrize(
    ("said", "query"),
    [
        ({}, JobsQuery(status=None, limit=20, cursor=None)),
        (
            {"status": "HELD", "limit": "100", "cursor": "x"},
            JobsQuery(status=Status.HELD, limit=100, cursor="x"),
        ),
    ],
)
def test_query_comes_as_text(said: dict[str, str], query: JobsQuery) -> None:
    assert JobsQuery.parse(said) == query


@pytest.mark.parametrize(
    "query",
    [{"status": "held"}, {"status": ""}, {"limit": "0"}, {"limit": "101"}, {"limit": "ten"}],
)
def test_malformed_query_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(BadQuery, match=next(iter(query))):
        JobsQuery.parse(query)


@pytest.mark.parametrize(
    ("body", "resume"),
    [
        *((None, False), ("", False), ("{}", False), ('{"resume": false}', False)),
        *(('{"resume": true}', True), (' {"resume" : true} ', True)),
    ],
)
def test_retry_resumes_only_on_request(body: str | None, *, resume: bool) -> None:
    assert RetryRequest.parse(body).resume is resume


@pytest.mark.parametrize("body", ["{", "[]", "null", '"true"', '{"resum": true}', '{"resume": 7}'])
def test_malformed_retry_shows_the_form(body: str) -> None:
    with pytest.raises(BadQuery, match=r'\{"resume": true\}'):
        RetryRequest.parse(body)

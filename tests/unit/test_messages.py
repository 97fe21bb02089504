import base64
import json
from typing import Any

import pytest
from pydantic import ValidationError

from lora_drop.jobs.errors import BadQuery, InvalidWebhookError
from lora_drop.jobs.job import Status
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
    "ada.zip",
    "portrait/a b.zip",
    "a+b.zip",
    "100%.zip",
    "a%20b+c d.zip",
    "\u5199\u771f/\u00e9t\u00e9 \U0001f600.zip",
    "a&b=c;d?e#f.zip",
    "quote'\"<>.zip",
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


@pytest.mark.parametrize("key", KEYS)
def test_a_key_arrives_as_it_was_given(key: str) -> None:
    dataset = make_dataset(key)

    assert S3Notice.model_validate(s3_event(dataset)).datasets() == (dataset,)


@pytest.mark.parametrize("key", KEYS)
def test_our_own_notice_reads_like_s3s(key: str) -> None:
    dataset = make_dataset(key)

    said = json.dumps(s3_notice_for(dataset))

    assert S3Notice.model_validate_json(said).datasets() == (dataset,)


@pytest.mark.parametrize(
    "name", ["ObjectCreated:Put", "ObjectCreated:CompleteMultipartUpload", "s3:ObjectCreated:Copy"]
)
def test_every_way_of_creating_an_object_counts(name: str) -> None:
    assert S3Notice.model_validate(s3_event(make_dataset(), name)).datasets() == (make_dataset(),)


@pytest.mark.parametrize("name", ["ObjectRemoved:Delete", "ObjectTagging:Put", "ReducedRedundancy"])
def test_other_events_speak_of_no_dataset(name: str) -> None:
    assert S3Notice.model_validate(s3_event(make_dataset(), name)).datasets() == ()


def test_a_folder_marker_is_no_dataset() -> None:
    assert S3Notice.model_validate(s3_event(make_dataset("portrait/"))).datasets() == ()


def test_s3s_test_of_the_subscription_speaks_of_no_dataset() -> None:
    assert S3Notice.model_validate(TEST_EVENT).datasets() == ()


def test_a_notice_without_a_version_is_one_of_the_newest() -> None:
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
def test_what_is_no_notice_of_s3s_is_never_taken_for_one(message: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        S3Notice.model_validate(message)


def test_a_webhooks_exact_bytes_are_kept() -> None:
    body = '{\r\n "request_id" : "\u00e9" }\n'
    event = {"multiValueHeaders": {"X-A": ["1", "2"]}, "body": body, "isBase64Encoded": False}

    assert raw_delivery(event) == ({"X-A": ["1", "2"]}, body.encode())


def test_a_base64_body_is_decoded_to_the_exact_bytes() -> None:
    body = webhook_body()
    event = {
        "headers": {"X-A": "1"},
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }

    assert raw_delivery(event) == ({"X-A": ["1"]}, body)


def test_headers_without_several_values_are_read_as_well() -> None:
    event = {"multiValueHeaders": None, "headers": {"X-A": "1"}, "body": ""}

    assert raw_delivery(event) == ({"X-A": ["1"]}, b"")


@pytest.mark.parametrize("missing", ["headers", "multiValueHeaders", "body"])
def test_a_request_without_headers_or_body_is_an_empty_one(missing: str) -> None:
    assert raw_delivery({missing: None}) == ({}, b"")


@pytest.mark.parametrize(
    ("body", "encoded"),
    [("not base64!", True), ("YQ", True), ("YQ==\n", True), ("\u00e9", True), ("\ud800", False)],
)
def test_a_body_that_cannot_be_bytes_is_refused(body: str, encoded: bool) -> None:  # noqa: FBT001  # a table's column
    with pytest.raises(InvalidWebhookError):
        raw_delivery({"body": body, "isBase64Encoded": encoded})


def test_a_webhook_may_say_more_than_we_know() -> None:
    body = webhook_body(payload_error="x", something_new={"a": 1})

    assert WebhookBody.parse(body).status == "OK"


def test_our_message_to_the_store_is_versioned() -> None:
    said = StoreRequest(job_id="ada-1").model_dump_json()

    assert json.loads(said) == {"schema_version": 1, "job_id": "ada-1"}
    with pytest.raises(ValidationError):
        StoreRequest.model_validate_json('{"schema_version": 2, "job_id": "ada-1"}')


def test_a_query_without_a_word_asks_for_the_newest_twenty() -> None:
    assert JobsQuery.parse({}) == JobsQuery(status=None, limit=20, cursor=None)


def test_a_query_comes_as_text() -> None:
    query = JobsQuery.parse({"status": "HELD", "limit": "100", "cursor": "x"})

    assert query == JobsQuery(status=Status.HELD, limit=100, cursor="x")


@pytest.mark.parametrize(
    "query",
    [{"status": "held"}, {"status": ""}, {"limit": "0"}, {"limit": "101"}, {"limit": "ten"}],
)
def test_a_query_that_is_not_of_its_form_is_refused(query: dict[str, str]) -> None:
    with pytest.raises(BadQuery, match=next(iter(query))):
        JobsQuery.parse(query)


@pytest.mark.parametrize(
    ("body", "resume"),
    [
        (None, False),
        ("", False),
        ("{}", False),
        ('{"resume": false}', False),
        ('{"resume": true}', True),
        (' {"resume" : true} ', True),
    ],
)
def test_a_retry_goes_on_from_a_lora_only_when_it_says_so(
    body: str | None,
    resume: bool,  # noqa: FBT001  # a table's column
) -> None:
    assert RetryRequest.parse(body).resume is resume


@pytest.mark.parametrize("body", ["{", "[]", "null", '"true"', '{"resum": true}', '{"resume": 7}'])
def test_an_order_that_is_none_is_refused_with_the_one_that_is(body: str) -> None:
    with pytest.raises(BadQuery, match=r'\{"resume": true\}'):
        RetryRequest.parse(body)

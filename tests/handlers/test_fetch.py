"""The fetch function: an order of the API becomes a dataset in the bucket, and its address is shown nowhere."""

import json
from typing import Any

import httpx
import pytest

from functions.fetch.handler import handler as fetch
from functions.jobs.handler import handler as jobs
from functions.submit.handler import handler as submit
from lora_drop.jobs.status import Status
from lora_drop.messages import StoreRequest, s3_notice_for
from tests.support.builders import make_archive
from tests.support.lambda_environment import Context, LambdaEnvironment, event
from tests.support.lambda_events import queue_event

ORDER = {
    "url": "https://photos.example/ada.zip?signature=private",
    "name": "ada.zip",
    "parameters": {"steps": 1200},
    "reference": "user-42",
}


def asked(body: object, **headers: str) -> tuple[int, Any]:
    request = event("datasets_post") | {
        "path": "/jobs",
        "resource": "/jobs",
        "body": json.dumps(body),
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
    }
    answer = jobs(request, Context())
    return answer["statusCode"], json.loads(answer["body"])


@pytest.mark.promise("never pay twice", "A dataset that POST /jobs has fetched is paid for once.")
@pytest.mark.promise("nothing leaks")
def test_order_becomes_a_training(environment: LambdaEnvironment) -> None:
    """The order twice, its message twice and S3's event twice are one job, with the owner's own fields."""
    there = environment
    there.internet.says["photos.example"] = httpx.Response(200, content=make_archive())
    (status, job), again = asked(ORDER), asked(ORDER)
    assert ((status, job), job["status"]) == (again, "RECEIVED")
    orders = there.aws.messages(there.orders)
    assert [StoreRequest.model_validate_json(each).job_id for each in orders] == [job["job_id"]] * 2
    for each in orders:
        assert fetch(queue_event(each), Context()) == {"batchItemFailures": []}
    dataset = there.job(job["job_id"]).dataset
    for _ in range(2):
        submit(queue_event(json.dumps(s3_notice_for(dataset))), Context())

    done = there.only_job()
    assert (done.status, done.reference) == (Status.SUBMITTED, "user-42")
    assert done.parameters
    assert (done.parameters.steps, len(there.internet.posts)) == (1200, 1)
    fetched = [each for each in there.internet.requests if each.url.host == "photos.example"]
    assert [each.url.query for each in fetched] == [b"signature=private"]
    kept = there.aws.s3.list_object_versions(Bucket="datasets")["Versions"]
    assert [each["Key"] for each in kept] == [dataset.key]
    shown = there.output() + str(there.files()) + str(job) + str(there.internet.posts[0].content)
    shown += str(there.aws.dynamodb.scan(TableName=there.table)) + str(orders)
    assert "photos.example" not in shown


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (httpx.Response(404), "dataset_url_gone"),
        (httpx.Response(302, headers={"Location": "https://10.0.0.1/"}), "dataset_url_not_allowed"),
        (httpx.Response(200, headers={"Content-Length": str(2**33)}), "dataset_url_too_large"),
    ],
)
def test_useless_address_is_said(
    environment: LambdaEnvironment, answer: httpx.Response, code: str
) -> None:
    """The job is rejected with its code, and the log has no address."""
    environment.internet.says["photos.example"] = answer
    _, job = asked(ORDER)
    [order] = environment.aws.messages(environment.orders)
    assert fetch(queue_event(order), Context()) == {"batchItemFailures": []}
    ended = environment.only_job()
    assert (ended.status, [each.code for each in ended.problems]) == (Status.REJECTED, [code])
    assert "photos.example" not in environment.output()
    assert asked(ORDER)[1]["status"] == "REJECTED"
    assert asked(ORDER, **{"Idempotency-Key": "2"})[1]["job_id"] != job["job_id"]


@pytest.mark.parametrize(
    ("body", "headers", "status", "says"),
    [
        ({"url": "https://other.example/a.zip"}, {}, 400, "DatasetHosts"),
        ({"url": "http://photos.example/a.zip"}, {}, 400, "url"),
        ({"url": ORDER["url"], "key": "a.zip"}, {}, 400, "key"),
        (ORDER, {"Idempotency-Key": "x" * 129}, 400, "Idempotency-Key"),
        (ORDER | {"parameters": {"steps": -1}}, {}, 422, "steps"),
    ],
)
def test_wrong_order_is_refused(
    environment: LambdaEnvironment, body: object, headers: dict[str, str], status: int, says: str
) -> None:
    """An order that cannot be carried out makes no job."""
    code, answer = asked(body, **headers)
    assert (code, says in answer["error"]["message"]) == (status, True)
    assert environment.all_jobs() == ()

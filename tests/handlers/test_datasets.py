"""The jobs function: datasets come in by a signed form, and are ordered as jobs; files go out by signed addresses."""

import base64
import json
from datetime import timedelta
from typing import Any

import pytest
import requests

from functions.jobs.handler import handler
from functions.submit.handler import handler as submit
from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.ids import job_id_for
from lora_drop.jobs.status import Status
from lora_drop.openapi import document
from lora_drop.services.deduplication import OF_FORM
from tests.support.builders import NOW, make_archive, make_job
from tests.support.lambda_environment import Context, LambdaEnvironment, event
from tests.support.lambda_events import queue_event


def asked(method: str, path: str, body: object = None) -> tuple[int, Any]:
    """What a caller is answered; a body that is no text is sent as JSON."""
    text = body if isinstance(body, str | None) else json.dumps(body)
    request = event("datasets_post") | {"httpMethod": method, "path": path, "body": text}
    answer = handler(request, Context())
    assert answer["multiValueHeaders"]["Content-Type"] == ["application/json"]
    return answer["statusCode"], json.loads(answer["body"])


def sent(form: dict[str, Any], data: bytes = b"", **fields: str) -> requests.Response:
    """What S3 answers to a browser that sends a form with a file, some fields of it changed."""
    return requests.post(
        form["url"], data=form["fields"] | fields, files={"file": data or make_archive()}, timeout=5
    )


@pytest.mark.promise("never pay twice")
def test_order_and_event_are_one_job(today: LambdaEnvironment) -> None:
    """An uploaded dataset is the same job whether S3's event, an order or both announce it, however often."""
    said = {"reference": "u-42", "notify_url": "https://customer.example/done"}
    order = {"name": "ada.zip", "parameters": {"steps": 1200}, **said}
    status, form = asked("POST", "/datasets", order)
    assert (status, sent(form).status_code) == (200, 204)

    first, again = (asked("POST", "/jobs", {"key": form["key"]}) for _ in range(2))
    notices = today.aws.messages(today.inbox)
    for notice in notices:
        submit(queue_event(notice), Context())

    assert first == again
    assert (first[0], first[1]["status"], first[1]["reference"]) == (202, "RECEIVED", "u-42")
    job = today.only_job()
    version = job.dataset.version_id
    assert job.job_id == first[1]["job_id"] == job_id_for("datasets", form["key"], version)
    assert (job.status, job.parameters and job.parameters.steps) == (Status.SUBMITTED, 1200)
    assert (job.reference, job.notify_url) == (said["reference"], said["notify_url"])
    assert (len(notices), len(today.internet.posts)) == (2, 1)
    # It has moved on by now, and needs no announcement.
    assert asked("POST", "/jobs", {"key": form["key"], "version_id": version})[1]["version"] > 1
    assert today.aws.messages(today.inbox) == []


@pytest.mark.usefixtures("environment")
def test_form_is_bound() -> None:
    """The form names its key, type, metadata and sizes, and works for an hour."""
    _, form = asked("POST", "/datasets", {"name": "ada", "size": 5000, "parameters": {"steps": 1}})
    assert OF_FORM.match(form["key"])
    folder, random, name = form["key"].split("/")
    assert (folder, len(random), name) == ("uploads", 32, "ada.zip")
    assert form["expires_at"] == (NOW + timedelta(hours=1)).isoformat()
    assert form["fields"]["Content-Type"] == "application/zip"
    assert form["fields"]["x-amz-meta-steps"] == "1"
    policy = json.loads(base64.b64decode(form["fields"]["policy"]))
    assert ["content-length-range", 5000, 5000] in policy["conditions"]
    bound = {name for each in policy["conditions"] if isinstance(each, dict) for name in each}
    assert form["fields"].keys() - {"policy", "x-amz-signature"} <= bound | {"key"}
    assert form["advice"][0]["code"] == "parameter_steps_below_minimum"


@pytest.mark.parametrize(("wanted", "sent"), [(True, "true"), (False, "false"), (None, None)])
@pytest.mark.usefixtures("environment")
def test_form_says_whether_a_proof_is_made(*, wanted: bool | None, sent: str | None) -> None:
    _, form = asked("POST", "/datasets", {"name": "ada", "proof": wanted})
    assert form["fields"].get("x-amz-meta-proof") == sent


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ({"parameters": {"stpes": 9}}, "dataset_rejected", "did you mean steps?"),
        ({"parameters": {"steps": "many"}}, "dataset_rejected", "steps in parameters is “many”"),
        ({"parameters": {"preset": "portait"}}, "dataset_rejected", "did you mean portrait?"),
        ({"parameters": {"colour of hair": 1}}, "dataset_rejected", "is not a parameter"),
        ({"parameters": {"steps": 1, "Steps": 2}}, "query_invalid", "twice"),
        ({"parameters": {"trigger_phrase": "a\nb"}}, "query_invalid", "on one line"),
        ({"parameters": {"trigger_phrase": "x" * 3000}}, "dataset_rejected", "trigger_phrase"),
        ({"parameters": {f"p{n}": 1 for n in range(101)}}, "query_invalid", "at most 100"),
        ({"reference": "x" * 201}, "query_invalid", "reference"),
        ({"name": "../ada.zip"}, "query_invalid", "name"),
        ({"notify_url": "http://example.com/"}, "query_invalid", "notify_url"),
        ({"notify_url": "https://elsewhere.example/"}, "dataset_rejected", "NotifyHosts"),
        ({"proof": "yes"}, "query_invalid", "proof"),
        ({"size": 0}, "query_invalid", "size"),
        ({"size": 2**32}, "query_invalid", "size"),
        ({"stesp": 1}, "query_invalid", "stesp"),
        ("[]", "query_invalid", "body"),
        ("{", "query_invalid", "body"),
    ],
)
@pytest.mark.usefixtures("environment")
def test_wrong_order_gets_no_form(body: object, code: str, said: str) -> None:
    """Wrong parameters are refused before anything is uploaded, with what may be meant."""
    status, answer = asked("POST", "/datasets", body)
    assert (status, answer["error"]["code"]) == (422 if code == "dataset_rejected" else 400, code)
    assert said in answer["error"]["message"]
    assert "drop" not in answer["error"]["message"]
    assert code == "query_invalid" or answer["error"]["problems"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"key": "not/there.zip"}, 404, "dataset_unknown"),
        ({"key": "ada.zip", "version_id": "of-none"}, 404, "dataset_unknown"),
        ({"key": "folder/"}, 400, "query_invalid"),
        ({"key": ""}, 400, "query_invalid"),
        ({}, 400, "query_invalid"),
        (None, 400, "query_invalid"),
        ({"url": "https://169.254.169.254/latest/meta-data"}, 400, "query_invalid"),
        ({"key": "ada.zip", "version": "x"}, 400, "query_invalid"),
    ],
)
def test_nothing_is_no_job(
    environment: LambdaEnvironment, body: object, status: int, code: str
) -> None:
    environment.aws.s3.put_object(Bucket="datasets", Key="ada.zip", Body=b"x")
    answered, answer = asked("POST", "/jobs", body)
    assert (answered, answer["error"]["code"]) == (status, code)
    assert environment.all_jobs() == ()
    assert environment.aws.messages(environment.inbox) == []


@pytest.mark.promise("never get stuck")
def test_lost_announcement_leaves_a_job(
    environment: LambdaEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An order whose announcement is lost leaves a job behind, which the reconciler announces."""

    def lost(*_: object) -> None:
        raise ConnectionError

    monkeypatch.setattr("lora_drop.adapters.sqs.SqsInbox.announce", lost)
    environment.aws.s3.put_object(Bucket="datasets", Key="ada.zip", Body=b"x")
    with pytest.raises(ConnectionError):
        asked("POST", "/jobs", {"key": "ada.zip"})
    assert environment.only_job().status is Status.RECEIVED


def test_files_are_downloaded_by_address(environment: LambdaEnvironment) -> None:
    """Each with its size and digest, for an hour; a job without a result has none."""
    key = f"{make_job().prefix}lora.safetensors"
    environment.aws.s3.put_object(Bucket="models", Key=key, Body=b"weights")
    file = StoredFile(name="lora.safetensors", bucket="models", key=key, size=7, sha256="ab" * 32)
    job = environment.add_job(make_job(Status.SUCCEEDED, files=(file,)))
    waits = environment.add_job(make_job(Status.READY, job_id="next-0000000000"))

    status, answer = asked("GET", f"/jobs/{job.job_id}/files")

    [found] = answer["files"]
    url = found.pop("url")
    assert status == 200
    assert found == {
        "name": "lora.safetensors",
        "size": 7,
        "sha256": "ab" * 32,
        "expires_at": (NOW + timedelta(hours=1)).isoformat(),
    }
    assert "X-Amz-Expires=3600" in url
    assert requests.get(url, timeout=5).content == b"weights"
    assert asked("GET", f"/jobs/{waits.job_id}/files") == (200, {"files": []})
    assert asked("GET", "/jobs/no-job/files")[0] == 404


@pytest.mark.usefixtures("environment")
def test_description_is_served() -> None:
    assert asked("GET", "/openapi.json") == (200, json.loads(json.dumps(document())))

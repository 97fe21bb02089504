"""The Python client: what it uploads, and what it asks of the API."""

import json
import os
import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from lora_drop.client.errors import CommandError, JobUnknownError
from lora_drop.client.following import EventReader, Watch
from lora_drop.client.stack import Stack
from lora_drop.client.stack_client import StackClient
from lora_drop.client.upload import PART
from lora_drop.jobs.ids import job_id_for
from lora_drop.jobs.status import Status
from tests.support.client_fixtures import Api, answering, error_answer, job_answer

UNKNOWN = error_answer(404, "job_unknown", "There is no job x.")


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize("size", [1000, 2 * PART + 17])
def test_drop_is_the_uploaded_version(stack: Stack, tmp_path: Path, size: int) -> None:
    """A drop is the job of exactly the version that was uploaded."""
    file, seen = tmp_path / "ada.zip", []
    file.write_bytes(os.urandom(size))
    job_id = answering(stack, Api()).drop(
        file,
        parameters={"steps": 1200, "subject_crop": False},
        progress=lambda sent, of: seen.append((sent, of)),
    )

    got = stack.client("s3").get_object(Bucket="datasets", Key="ada.zip")
    assert job_id == job_id_for("datasets", "ada.zip", got["VersionId"])
    assert got["Body"].read() == file.read_bytes()
    assert got["Metadata"] == {"steps": "1200", "subject_crop": "false"}
    assert seen[-1] == (size, size)


@pytest.mark.promise("never pay for a dataset that cannot train")
def test_small_file_that_changes_meanwhile_is_refused(stack: Stack, tmp_path: Path) -> None:
    """A ZIP that is sent in one piece is the one that was looked at, or nothing is ordered."""
    file = tmp_path / "ada.zip"
    file.write_bytes(b"x")
    with pytest.MonkeyPatch.context() as patch:
        looked = "lora_drop.client.stack_client.check_parameters"
        patch.setattr(looked, lambda *_, **__: file.write_bytes(b"y") and None)
        with pytest.raises(CommandError, match="changed while it was sent"):
            answering(stack, Api()).drop(file)
    assert "Contents" not in stack.client("s3").list_objects_v2(Bucket="datasets")


def test_unsendable_parameter_is_refused(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "ada.zip"
    file.write_bytes(b"x")
    for parameters in ({"trigger_phrase": "two\nlines"}, {"customer": "7"}):
        with pytest.raises(CommandError, match=r"on one line|no trainer has such"):
            answering(stack, Api()).drop(file, parameters=parameters)
    assert "Contents" not in stack.client("s3").list_objects_v2(Bucket="datasets")


def test_missing_bucket_is_explained(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "ada.zip"
    file.write_bytes(b"x")
    stack.client("s3").delete_bucket(Bucket="datasets")
    with pytest.raises(CommandError, match="could not be uploaded"):
        answering(stack, Api()).drop(file)


def test_request_is_signed(stack: Stack) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return job_answer()

    job = answering(stack, answer).job("ada-1")

    assert str(asked[0].url) == "https://api.example/live/jobs/ada-1"
    assert "/us-east-1/execute-api/aws4_request" in asked[0].headers["Authorization"]
    assert job["location"] == f"s3://models/portrait/ada/{job['job_id']}/"


def followed(client: StackClient, timeout: float | None = None) -> list[str]:
    """The states that a job is seen in, until it is not waited for any more."""
    reader, seen = EventReader(Watch(client, "x", timeout)), list[str]()
    while not reader.ended:
        list(reader.look())
        seen += [reader.job["status"]] if reader.job else []
    return seen


@pytest.mark.promise("interfaces stay")
def test_job_is_followed_to_its_end(stack: Stack) -> None:
    """A job is followed from before it is known to its end."""
    answers = iter(
        [UNKNOWN]
        + [job_answer(status=status) for status in (Status.RECEIVED, Status.READY)]
        + [job_answer(status=Status.REJECTED)]
    )
    assert followed(answering(stack, lambda _: next(answers))) == ["RECEIVED", "READY", "REJECTED"]


def test_held_job_is_not_waited_for(stack: Stack) -> None:
    assert followed(answering(stack, lambda _: job_answer(status=Status.HELD))) == ["HELD"]


def test_timeout_says_the_job_goes_on(stack: Stack) -> None:
    with pytest.raises(CommandError, match="goes on by itself: lora-drop watch x"):
        followed(answering(stack, lambda _: job_answer()), timeout=0)


def test_logs_are_asked_for_by_what_is_known(stack: Stack) -> None:
    page = {"lines": [], "next": 120, "progress": None, "queue_position": 2}

    def answer(request: httpx.Request) -> httpx.Response:
        assert (request.url.path, request.url.query) == ("/live/jobs/ada-1/logs", b"after=120")
        return httpx.Response(200, json=page)

    assert answering(stack, answer).logs("ada-1", after=120) == page


def test_documented_watcher_prints_each_line_once(
    stack: Stack, root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    text = (root / "docs" / "developers.md").read_text()
    [code] = [
        each for each in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "watch(" in each
    ]
    pages = {"0": ("TRAINING", ["a", "b"], 2), "2": ("SUCCEEDED", ["c"], 3)}

    def answer(request: httpx.Request) -> httpx.Response:
        status, lines, after = pages[request.url.params["after"]]
        found = [{"message": line, "at": None} for line in lines]
        return httpx.Response(200, json={"status": status, "lines": found, "next": after})

    names: dict[str, Any] = {}
    exec(code, names)  # noqa: S102  # our own documentation
    names["watch"](answering(stack, answer), "ada-1")
    assert capsys.readouterr().out == "a\nb\nc\n"


def test_jobs_come_by_page(stack: Stack) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert dict(request.url.params) == {"status": "READY", "limit": "7", "cursor": "c=="}
        return httpx.Response(200, content=json.dumps({"jobs": [], "next": None}))

    page = answering(stack, answer).jobs(status=Status.READY, limit=7, cursor="c==")

    assert page == {"jobs": [], "next": None}


@pytest.mark.parametrize(
    ("response", "said"),
    [
        (httpx.Response(403, json={"message": "Missing Authentication Token"}), "403: Missing"),
        (httpx.Response(502, json={"message": "Internal server error"}), "502: Internal"),
        (httpx.Response(200, text="<html>"), "in the API's place"),
        (httpx.Response(400, json={"error": {"code": "q", "message": "limit is 0"}}), "limit is 0"),
    ],
    ids=["forbidden", "broken", "no JSON", "bad query"],
)
def test_unhelpful_api_is_explained(stack: Stack, response: httpx.Response, said: str) -> None:
    with pytest.raises(CommandError, match=said):
        answering(stack, lambda _: response).job("x")


def test_unknown_job_has_its_error(stack: Stack) -> None:
    with pytest.raises(JobUnknownError, match="no job x"):
        answering(stack, lambda _: UNKNOWN).job("x")


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize(
    "job_id", ["ada-1/retry?", "../jobs", "", "..", "ada-1#", "a%2F", "a\n", "a" * 200]
)
def test_job_id_is_no_path(stack: Stack, job_id: str) -> None:
    """What is no job's id never becomes another call of the API, which could pay: it is a job that is not there."""
    asked: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.raw_path)
        return UNKNOWN

    client = answering(stack, answer)
    for call in (client.job, client.logs, client.cancel, client.retry, client.files, client.forget):
        with pytest.raises(JobUnknownError, match="lora-drop jobs"):
            call(job_id)
    assert asked == []


def test_broken_connection_is_explained(stack: Stack) -> None:
    def broken(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(CommandError, match="does not answer"):
        answering(stack, broken).job("x")


@pytest.mark.parametrize(
    ("request_id", "body"),
    [("abc", {"request_id": "abc"}), (None, {"not_submitted": True})],
    ids=["request", "nothing"],
)
def test_action_is_sent_signed(
    stack: Stack, request_id: str | None, body: dict[str, object]
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert (request.method, request.url.path) == ("POST", "/live/jobs/x/resolve")
        assert json.loads(request.content) == body
        assert "Authorization" in request.headers
        return job_answer(status=Status.SUBMITTED)

    assert answering(stack, answer).resolve("x", request_id=request_id)["status"] == "SUBMITTED"

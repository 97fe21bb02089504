import json
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from lora_drop.client.errors import CommandError, JobUnknownError
from lora_drop.client.lora_drop import PART
from lora_drop.client.stack import Stack
from lora_drop.jobs.ids import job_id_for
from lora_drop.jobs.status import Status
from tests.support.client_fixtures import answering, job_answer

UNKNOWN = {"error": {"code": "job_unknown", "message": "There is no job x."}}


def never(request: httpx.Request) -> httpx.Response:
    raise AssertionError(f"nobody asked for {request.url}")


@pytest.mark.parametrize("size", [1000, 2 * PART + 17])
def test_a_drop_is_the_job_of_exactly_the_version_that_was_uploaded(
    stack: Stack, tmp_path: Path, size: int
) -> None:
    file, seen = tmp_path / "ada.zip", []
    file.write_bytes(os.urandom(size))

    job_id = answering(stack, never).drop(
        file,
        parameters={"steps": 1200, "subject_crop": False},
        progress=lambda sent, of: seen.append((sent, of)),
    )

    got = stack.client("s3").get_object(Bucket="datasets", Key="ada.zip")
    assert job_id == job_id_for("datasets", "ada.zip", got["VersionId"])
    assert got["Body"].read() == file.read_bytes()
    assert got["Metadata"] == {"steps": "1200", "subject_crop": "false"}
    assert seen[-1] == (size, size)


def test_an_upload_that_breaks_off_leaves_no_parts_to_be_paid_for(
    stack: Stack, tmp_path: Path
) -> None:
    file = tmp_path / "ada.zip"
    file.write_bytes(bytes(2 * PART))

    def interrupt(_sent: int, _of: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        answering(stack, never).drop(file, progress=interrupt)

    assert "Uploads" not in stack.client("s3").list_multipart_uploads(Bucket="datasets")


def test_what_metadata_cannot_carry_is_pointed_to_training_json(
    stack: Stack, tmp_path: Path
) -> None:
    file = tmp_path / "ada.zip"
    file.write_bytes(b"x")

    with pytest.raises(CommandError, match=r"training\.json"):
        answering(stack, never).drop(file, parameters={"trigger_phrase": "Zoë"})

    assert "Contents" not in stack.client("s3").list_objects_v2(Bucket="datasets")


def test_a_missing_bucket_is_told_in_a_sentence(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "ada.zip"
    file.write_bytes(b"x")
    stack.client("s3").delete_bucket(Bucket="datasets")

    with pytest.raises(CommandError, match="could not be uploaded"):
        answering(stack, never).drop(file)


def test_a_question_to_the_api_is_signed(stack: Stack) -> None:
    asked: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return job_answer()

    job = answering(stack, answer).job("ada-1")

    assert str(asked[0].url) == "https://api.example/live/jobs/ada-1"
    assert "/us-east-1/execute-api/aws4_request" in asked[0].headers["Authorization"]
    assert job["location"] == f"s3://models/portrait/ada/{job['job_id']}/"


def test_a_job_is_followed_from_before_it_is_known_to_its_end(stack: Stack) -> None:
    answers = iter(
        [httpx.Response(404, json=UNKNOWN)]
        + [job_answer(status=status) for status in (Status.RECEIVED, Status.READY)]
        + [job_answer(status=Status.REJECTED)]
    )

    looks = answering(stack, lambda _: next(answers)).follow("x", interval=0)

    assert [job["status"] for job in looks] == ["RECEIVED", "READY", "REJECTED"]


def test_a_job_that_waits_for_a_person_is_not_waited_for(stack: Stack) -> None:
    looks = answering(stack, lambda _: job_answer(status=Status.HELD)).follow("x", interval=0)

    assert [job["status"] for job in looks] == ["HELD"]


def test_a_timeout_says_that_the_job_goes_on(stack: Stack) -> None:
    looks: Iterator[object] = answering(stack, lambda _: job_answer()).follow(
        "x", timeout=0, interval=0
    )

    with pytest.raises(CommandError, match="goes on by itself: lora-drop job x"):
        list(looks)


def test_jobs_are_asked_for_by_page(stack: Stack) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert dict(request.url.params) == {"status": "READY", "limit": "7", "cursor": "c=="}
        return httpx.Response(200, content=json.dumps({"jobs": [], "next": None}))

    page = answering(stack, answer).jobs(status=Status.READY, limit=7, cursor="c==")

    assert page == {"jobs": [], "next": None}


@pytest.mark.parametrize(
    ("response", "told"),
    [
        (httpx.Response(403, json={"message": "Missing Authentication Token"}), "403: Missing"),
        (httpx.Response(502, json={"message": "Internal server error"}), "502: Internal"),
        (httpx.Response(200, text="<html>"), "does not answer"),
        (httpx.Response(400, json={"error": {"code": "q", "message": "limit is 0"}}), "limit is 0"),
    ],
    ids=["forbidden", "broken", "no JSON", "bad query"],
)
def test_an_api_that_does_not_help_is_told_in_a_sentence(
    stack: Stack, response: httpx.Response, told: str
) -> None:
    with pytest.raises(CommandError, match=told):
        answering(stack, lambda _: response).job("x")


def test_a_job_that_nobody_knows_is_told_apart(stack: Stack) -> None:
    with pytest.raises(JobUnknownError, match="no job x"):
        answering(stack, lambda _: httpx.Response(404, json=UNKNOWN)).job("x")


def test_a_broken_connection_is_told_in_a_sentence(stack: Stack) -> None:
    def broken(_: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(CommandError, match="does not answer"):
        answering(stack, broken).job("x")


@pytest.mark.parametrize(
    ("request_id", "body"),
    [("abc", {"request_id": "abc"}), (None, {"not_submitted": True})],
    ids=["request", "nothing"],
)
def test_a_decision_is_sent_signed(
    stack: Stack, request_id: str | None, body: dict[str, object]
) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert (request.method, request.url.path) == ("POST", "/live/jobs/x/resolve")
        assert json.loads(request.content) == body
        assert "Authorization" in request.headers
        return job_answer(status=Status.SUBMITTED)

    assert answering(stack, answer).resolve("x", request_id=request_id)["status"] == "SUBMITTED"

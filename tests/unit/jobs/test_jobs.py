"""A job's identity and moves, its webhook token, its problems, and what proves that fal has it."""

import re
from typing import Any

import pytest

from lora_drop.jobs.errors import (
    DatasetRejectedError,
    LoraDropError,
    ResultUnusableError,
    SubmissionRefusedError,
)
from lora_drop.jobs.evidence import points_at
from lora_drop.jobs.ids import job_id_for, result_prefix, token_matches, webhook_token
from lora_drop.jobs.job import Lease
from lora_drop.jobs.problems import MAX_MESSAGE, MAX_NAME, Problem, shortened
from lora_drop.jobs.status import TRANSITIONS, IllegalTransitionError, Status
from tests.support.builders import NOW, make_dataset, make_job


@pytest.mark.promise("never pay twice")
def test_the_same_drop_is_one_job() -> None:
    """The same version of the same key is always the same job."""
    one, same = (job_id_for("b", "portrait/Ada Lovelace.ZIP", "v1") for _ in range(2))
    assert one == same == job_id_for("b", "portrait/Ada Lovelace.ZIP", "v1", 1)
    assert one.startswith("ada-lovelace-")


@pytest.mark.parametrize(
    "other",
    [("c", "k.zip", "v1"), ("b", "l.zip", "v1"), ("b", "k.zip", "v2"), ("b", "k.zip", "v1", 2)],
)
def test_another_version_is_another_job(other: tuple[Any, ...]) -> None:
    """Another bucket, key, version or attempt is another job under the key's name."""
    assert job_id_for("b", "k.zip", "v1") != job_id_for(*other)
    assert job_id_for(*other).startswith(f"{other[1][0]}-")


@pytest.mark.parametrize("key", ["写真.zip", "a" * 900 + ".zip", "....zip", "-.zip"])
def test_a_job_id_fits_an_address(key: str) -> None:
    job_id = job_id_for("b", key, "v")
    assert job_id.replace("-", "").isalnum()
    assert job_id.isascii()
    assert len(job_id) <= 51


@pytest.mark.promise("interfaces stay")
def test_results_lie_under_the_key() -> None:
    """Results lie under the key without .zip, in a folder of the job's own."""
    assert result_prefix("style/ada.zip", "ada-1") == "style/ada/ada-1/"
    assert result_prefix("ada.ZIP", "ada-1") == "ada/ada-1/"
    assert result_prefix("ada", "ada-1") == "ada/ada-1/"


@pytest.mark.parametrize("letter", ["a", "é", "写"])
def test_a_long_key_fits_into_s3(letter: str) -> None:
    key = (letter * 1020)[: 1020 // len(letter.encode())] + ".zip"
    job_id = job_id_for("b", key, "v1")
    prefix = result_prefix(key, job_id)
    assert prefix.endswith(f"/{job_id}/")
    assert len((prefix + "x" * 120).encode()) <= 1024


def test_every_status_can_be_reached() -> None:
    assert set(TRANSITIONS) == set(Status)
    assert {make_job(status).status for status in Status} == set(Status)


@pytest.mark.promise("never lose a result")
def test_only_a_late_result_revives() -> None:
    """A job that has ended moves only for a result that comes after all."""
    late = {Status.FAILED, Status.CANCELLED, Status.EXPIRED}
    ended = {status for status in Status if status.terminal}
    assert ended == late | {Status.REJECTED, Status.SUCCEEDED}
    assert TRANSITIONS[Status.EXPIRED] == {Status.STORING}
    undone = {(status, Status.STORING) for status in late}
    for status, to in {(status, to) for status in ended for to in Status} - undone:
        with pytest.raises(IllegalTransitionError):
            make_job(status).move(to, now=NOW)


@pytest.mark.promise("never pay twice")
def test_money_is_spent_out_of_ready() -> None:
    """A submission begins only from READY, and a doubtful one never goes back to it by itself."""
    begins = [status for status in Status if Status.SUBMITTING in TRANSITIONS[status]]
    assert begins == [Status.READY]
    assert TRANSITIONS[Status.SUBMIT_UNKNOWN] == {Status.SUBMITTED, Status.READY}


def test_a_move_keeps_the_history() -> None:
    job = make_job(Status.READY)
    assert [step.status for step in job.history] == [Status.RECEIVED, Status.READY]
    assert job.version == 2
    assert job.dataset == make_dataset()


def test_each_submission_has_a_number() -> None:
    ready = make_job(Status.READY)
    first = ready.move(Status.SUBMITTING, now=NOW)
    second = first.move(Status.READY, now=NOW).move(Status.SUBMITTING, now=NOW)
    assert (ready.intents, first.intents, second.intents) == (0, 1, 2)
    assert second.move(Status.SUBMITTED, now=NOW).intents == 2


@pytest.mark.promise("never get stuck")
def test_a_lease_ends_with_its_state() -> None:
    """A lease ends with the state it was for."""
    job = make_job(Status.STORING, lease=Lease(owner="o", fence=3, until=NOW))
    assert job.move(Status.SUCCEEDED, now=NOW).lease is None


DATASET = make_dataset("portrait/ada lovelace+é.zip")
KEY = "portrait/ada%20lovelace%2B%C3%A9.zip"


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize(
    "url",
    [
        f"https://datasets.s3.eu-west-1.amazonaws.com/{KEY}?versionId=v1&X-Amz-Signature=a",
        f"https://s3.eu-west-1.amazonaws.com/datasets/{KEY}?X-Amz-Signature=b&versionId=v1",
        f"http://127.0.0.1:4566/datasets/{KEY}?versionId=v1",
    ],
)
def test_any_signing_of_one_version_matches(url: str) -> None:
    """A submitted dataset is recognised in fal's list however its address was signed."""
    assert points_at(url, DATASET)


@pytest.mark.parametrize(
    "url",
    [
        f"https://datasets.s3.amazonaws.com/{KEY}?versionId=v2",
        f"https://datasets.s3.amazonaws.com/{KEY}",
        f"https://datasets.s3.amazonaws.com/{KEY}?versionId=v1&versionId=v2",
        f"https://other.s3.amazonaws.com/{KEY}?versionId=v1",
        f"https://s3.amazonaws.com/other/{KEY}?versionId=v1",
        f"https://datasets.s3.amazonaws.com/more/{KEY}?versionId=v1",
        "https://datasets.s3.amazonaws.com/portrait/ada.zip?versionId=v1",
        *("https://v3.fal.media/files/a/dataset.zip", "data:application/zip;base64,UEsDBA=="),
        *("http://[", ""),
    ],
)
def test_another_version_key_or_bucket_differs(url: str) -> None:
    assert not points_at(url, DATASET)


@pytest.mark.parametrize("version", ["", "null"])
def test_an_unversioned_object_has_no_version(version: str) -> None:
    dataset = make_dataset("a.zip", version_id=version)
    assert points_at("https://datasets.s3.amazonaws.com/a.zip?X-Amz-Signature=a", dataset)
    assert not points_at("https://datasets.s3.amazonaws.com/a.zip?versionId=v1", dataset)


SECRET, JOB_ID = b"secret", "ada-0123456789"


TOKEN = webhook_token(SECRET, JOB_ID)


@pytest.mark.promise("nothing leaks")
def test_a_token_opens_its_job_only() -> None:
    """A webhook token opens its own job only."""
    assert re.fullmatch("[0-9a-f]{32}", TOKEN)
    assert token_matches(SECRET, JOB_ID, TOKEN)
    for secret, job_id in ((SECRET, "ada-0123456780"), (b"secres", JOB_ID)):
        assert not token_matches(secret, job_id, TOKEN)
        assert webhook_token(secret, job_id) != TOKEN


@pytest.mark.parametrize(
    "token",
    [
        *("", "0" * 32, "\u00e9", "x" * 10_000, "\ud800"),
        *(TOKEN.upper(), TOKEN[:-1], TOKEN + "0"),
    ],
    ids=range(8),
)
def test_a_token_has_one_writing(token: str) -> None:
    assert not token_matches(SECRET, JOB_ID, token)


def test_a_long_text_keeps_both_ends() -> None:
    """A long text keeps its beginning and its end, and a short one stays as it is."""
    assert re.fullmatch(r"aaa+…a+\.jpg", short := shortened("a" * 500 + ".jpg", 200))
    assert len(short) == 200
    assert shortened("photo.jpg", 9) == "photo.jpg"


def test_a_problem_fits_into_a_job() -> None:
    problem = Problem(code="c", message="m" * 100_000, member="n" * 65_535)
    assert (len(problem.message), len(problem.member or "")) == (MAX_MESSAGE, MAX_NAME)


PROBLEM = Problem(code="image_damaged", message="zoe.jpg ends in the middle.", member="zoe.jpg")


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize(
    "error",
    [
        DatasetRejectedError([PROBLEM, PROBLEM]),
        SubmissionRefusedError(PROBLEM),
        ResultUnusableError(PROBLEM),
    ],
)
def test_an_errors_text_is_its_code(error: LoraDropError) -> None:
    """The text of an error says a code and never the name of a file."""
    assert str(error) == "image_damaged"
    assert "zoe" not in repr(error)

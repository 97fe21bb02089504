import pytest

from lora_drop.jobs.ids import job_id_for, result_prefix
from lora_drop.jobs.job import Lease
from lora_drop.jobs.status import TRANSITIONS, IllegalTransitionError, Status
from tests.support.builders import NOW, make_dataset, make_job


def test_the_same_drop_is_always_the_same_job() -> None:
    assert job_id_for("b", "portrait/Ada Lovelace.ZIP", "v1") == job_id_for(
        "b", "portrait/Ada Lovelace.ZIP", "v1"
    )
    assert job_id_for("b", "portrait/Ada Lovelace.ZIP", "v1").startswith("ada-lovelace-")


@pytest.mark.parametrize(
    "other", [("c", "k.zip", "v1"), ("b", "l.zip", "v1"), ("b", "k.zip", "v2")]
)
def test_another_bucket_key_or_version_is_another_job(other: tuple[str, str, str]) -> None:
    assert job_id_for("b", "k.zip", "v1") != job_id_for(*other)


@pytest.mark.parametrize("key", ["写真.zip", "a" * 900 + ".zip", "....zip", "-.zip"])
def test_a_job_id_is_always_fit_for_an_address(key: str) -> None:
    job_id = job_id_for("b", key, "v")

    assert job_id.replace("-", "").isalnum()
    assert job_id.isascii()
    assert len(job_id) <= 51


def test_results_lie_under_the_key_without_zip() -> None:
    assert result_prefix("style/ada.zip", "ada-1") == "style/ada/ada-1/"
    assert result_prefix("ada.ZIP", "ada-1") == "ada/ada-1/"
    assert result_prefix("ada", "ada-1") == "ada/ada-1/"


@pytest.mark.parametrize("letter", ["a", "é", "写"])
def test_files_of_a_job_fit_into_s3_however_long_the_key(letter: str) -> None:
    key = (letter * 1020)[: 1020 // len(letter.encode())] + ".zip"
    job_id = job_id_for("b", key, "v1")

    prefix = result_prefix(key, job_id)

    assert prefix.endswith(f"/{job_id}/")
    assert len((prefix + "x" * 120).encode()) <= 1024


def test_every_status_can_be_reached_and_has_a_row() -> None:
    assert set(TRANSITIONS) == set(Status)
    assert {make_job(status).status for status in Status} == set(Status)


def test_what_has_ended_moves_only_for_a_result_that_comes_after_all() -> None:
    ended = [status for status in Status if status.terminal]

    assert set(ended) == {
        Status.REJECTED,
        Status.SUCCEEDED,
        Status.FAILED,
        Status.CANCELLED,
        Status.EXPIRED,
    }
    moves = {(status, to) for status in ended for to in Status}
    undone = {
        (status, Status.STORING) for status in (Status.FAILED, Status.CANCELLED, Status.EXPIRED)
    }
    for status, to in moves - undone:
        with pytest.raises(IllegalTransitionError):
            make_job(status).move(to, now=NOW)


def test_only_a_result_that_comes_after_all_brings_a_job_back() -> None:
    assert TRANSITIONS[Status.EXPIRED] == {Status.STORING}


def test_money_is_spent_only_out_of_ready() -> None:
    assert [status for status in Status if Status.SUBMITTING in TRANSITIONS[status]] == [
        Status.READY
    ]


def test_a_doubtful_submission_never_goes_back_to_submitting_by_itself() -> None:
    assert TRANSITIONS[Status.SUBMIT_UNKNOWN] == {Status.SUBMITTED, Status.READY}


def test_a_move_keeps_the_story_and_counts_the_version() -> None:
    job = make_job(Status.READY)

    assert [step.status for step in job.history] == [Status.RECEIVED, Status.READY]
    assert job.version == 2
    assert job.dataset == make_dataset()


def test_each_submission_that_is_begun_has_a_number_of_its_own() -> None:
    ready = make_job(Status.READY)

    first = ready.move(Status.SUBMITTING, now=NOW)
    second = first.move(Status.READY, now=NOW).move(Status.SUBMITTING, now=NOW)

    assert (ready.intents, first.intents, second.intents) == (0, 1, 2)
    assert second.move(Status.SUBMITTED, now=NOW).intents == 2


def test_another_attempt_for_a_dataset_is_another_job_under_the_same_name() -> None:
    ids = [job_id_for("b", "ada.zip", "v1", attempt) for attempt in (1, 2, 3)]

    assert ids[0] == job_id_for("b", "ada.zip", "v1")
    assert len(set(ids)) == 3
    assert all(job_id.startswith("ada-") for job_id in ids)


def test_a_lease_ends_with_the_state_it_was_for() -> None:
    job = make_job(Status.STORING, lease=Lease(owner="o", fence=3, until=NOW))

    assert job.move(Status.SUCCEEDED, now=NOW).lease is None

"""A dataset is checked, kept as an intent and sent to fal once."""

import json
from datetime import timedelta

import pytest

from lora_drop.fal.status import Failed, FalStatus, Finished
from lora_drop.jobs.errors import NotSubmittedError, SubmissionRefusedError, SubmissionUnknownError
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from lora_drop.ports import Submission
from tests.support.builders import (
    APPLICATION,
    ARTIFACTS,
    BAD_IMAGE,
    LOCKED,
    NOW,
    REQUEST_ID,
    make_job,
)
from tests.support.world import World


@pytest.mark.promise("it can be operated", "The state of a job can be read beside its results.")
def test_good_dataset_is_submitted_with_request(world: World) -> None:
    job = world.submit(world.drop())
    assert (job.status, job.request_id) == (Status.SUBMITTED, REQUEST_ID)
    assert job == world.job(job.job_id)
    steps = [step.status for step in job.history]
    assert steps == [Status.RECEIVED, Status.READY, Status.SUBMITTING, Status.SUBMITTED]
    assert (job.images, job.estimated_cost_usd) == (12, 3.6)
    status = json.loads(world.results.text(job, "status.json") or "")
    assert (status["status"], status["request_id"]) == ("SUBMITTED", REQUEST_ID)
    assert world.results.text(job, "ERROR.txt") is None


@pytest.mark.promise("interfaces stay")
def test_fal_gets_exact_version_and_parameters(world: World) -> None:
    """fal gets the exact version, the parameters and the job's own address."""
    dataset = world.drop(
        "portrait/ada.zip", training={"steps": 1200}, metadata={"create-masks": "true"}
    )
    job = world.submit(dataset)

    [(application, arguments, webhook_url)] = world.fal.posts
    assert application == APPLICATION
    assert arguments == {
        "images_data_url": "https://datasets.example/portrait/ada.zip?versionId=v1",
        "trigger_phrase": f"TOK_{job.job_id[-10:-2]}",
        "learning_rate": 0.00015,
        "steps": 1200,
        "multiresolution_training": True,
        "subject_crop": True,
        "create_masks": True,
        "data_archive_format": "zip",
    }
    address = f"https://api.example/live/webhooks/fal/{job.job_id}/{world.token(job.job_id)}"
    assert address == webhook_url


@pytest.mark.promise(
    "never pay twice", "However often S3 sends the event of a dataset, one training is paid."
)
@pytest.mark.promise(
    "never pay twice", "A dataset whose notice is sent once more is submitted once."
)
@pytest.mark.promise("never pay twice")
def test_same_event_is_one_payment(world: World) -> None:
    """The same event five times is one job and one payment."""
    dataset = world.drop()
    jobs = [world.submit(dataset) for _ in range(5)]
    assert len(world.jobs.rows) == 1
    assert len(world.fal.posts) == 1
    assert [jobs[0]] * 5 == jobs


@pytest.mark.promise(
    "never pay twice", "A job is kept as SUBMITTING before the one POST that costs money."
)
def test_same_event_during_post_pays_nothing(world: World) -> None:
    dataset = world.drop()
    meanwhile: list[Status] = []

    def deliver_again() -> Submission:
        meanwhile.extend(job.status for job in world.jobs.rows.values())
        meanwhile.append(world.submit(dataset).status)
        return Submission(REQUEST_ID)

    world.answer(deliver_again)
    assert world.submit(dataset).status == Status.SUBMITTED
    assert len(world.fal.posts) == 1
    assert meanwhile == [Status.SUBMITTING, Status.SUBMITTING]


def test_two_versions_are_two_jobs(world: World) -> None:
    first, newest = world.drop(), world.drop(images=20)
    jobs = [world.submit(first), world.submit(newest.model_copy(update={"version_id": ""}))]
    assert [job.dataset for job in jobs] == [first, newest]
    assert (jobs[1].images, len({job.job_id for job in jobs})) == (20, 2)
    assert len(world.fal.posts) == 2


@pytest.mark.promise("never pay twice")
def test_submitting_job_is_never_sent_again(world: World) -> None:
    """A job that is being submitted is never sent again however old."""
    dataset = world.drop()
    world.holds(make_job(Status.SUBMITTING, job_id=world.submit(dataset).job_id))
    world.fal.posts.clear()
    world.clock.now = NOW + timedelta(days=30)
    job = world.submit(dataset)
    assert job.status == Status.SUBMITTING
    assert world.fal.posts == []


@pytest.mark.promise(
    "never get stuck",
    "A dataset whose request never left waits in the queue, and the next event sends it.",
)
@pytest.mark.promise("never get stuck")
def test_unsent_post_is_sent_next_time(world: World) -> None:
    """A POST that never left is sent the next time."""
    dataset = world.drop()
    world.answer(NotSubmittedError("no connection"))
    for _ in range(50):
        world.clock.now += timedelta(minutes=5)
        world.submit(dataset)
    [waiting] = world.jobs.rows.values()
    assert (waiting.status, waiting.problems[0].code) == (Status.READY, "fal_unreachable")
    # A long outage adds nothing to the history.
    assert [step.status for step in waiting.history] == [Status.RECEIVED, Status.READY]
    assert waiting.updated_at == world.clock.now
    assert "fal_unreachable" in (world.results.text(waiting, "status.json") or "")
    world.answer(lambda: Submission(REQUEST_ID))
    assert world.submit(dataset).status == Status.SUBMITTED
    assert len(world.fal.posts) == 51


@pytest.mark.promise(
    "never pay twice",
    "A request that fal did not answer may have been paid, so it is not sent once more.",
)
@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize(
    ("error", "status", "problems", "text"),
    [
        (SubmissionRefusedError(LOCKED), Status.FAILED, (LOCKED,), LOCKED.message),
        (SubmissionRefusedError(LOCKED, held=True), Status.HELD, (LOCKED,), LOCKED.message),
        (
            *(SubmissionUnknownError("ReadTimeout"), Status.SUBMIT_UNKNOWN),
            *(None, "nothing is paid twice"),
        ),
    ],
    ids=["refused", "held", "in doubt"],
)
def test_doubtful_answer_is_never_sent_again(
    world: World, error: Exception, status: Status, problems: tuple[Problem, ...] | None, text: str
) -> None:
    """A refusal and a doubtful answer are shown and never sent again by themselves."""
    dataset = world.drop()
    world.answer(error)
    job = world.submit(dataset)
    assert job == world.submit(dataset)
    assert job.status is status
    assert problems in (None, job.problems)
    assert len(world.fal.posts) == 1
    assert text in (world.results.text(job, "ERROR.txt") or "")


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize(
    ("said", "answer", "after"),
    [
        (Finished(REQUEST_ID, ARTIFACTS), Submission(REQUEST_ID), Status.STORING),
        (Failed(REQUEST_ID, BAD_IMAGE), SubmissionUnknownError("ReadTimeout"), Status.FAILED),
    ],
    ids=["faster", "receipt lost"],
)
def test_faster_webhook_is_not_overwritten(
    world: World, said: FalStatus, answer: Submission | Exception, after: Status
) -> None:
    """A webhook that is faster than our own write is kept, and answers for a receipt that was lost."""

    def call_back_first() -> Submission:
        [job_id] = world.jobs.rows
        world.fal_updates.receive(job_id, said)
        if isinstance(answer, Exception):
            raise answer
        return answer

    world.answer(call_back_first)
    job = world.submit(world.drop())
    assert (job.status, job.request_id) == (after, REQUEST_ID)
    assert world.job(job.job_id).artifacts == (ARTIFACTS if after is Status.STORING else ())

import json
from datetime import timedelta

import pytest

from lora_drop.fal.status import Failed, Finished
from lora_drop.jobs.errors import NotSubmittedError, SubmissionRefusedError, SubmissionUnknownError
from lora_drop.jobs.job import Job
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from lora_drop.ports import Submission
from tests.support.builders import APPLICATION, ARTIFACTS, NOW, REQUEST_ID, make_job
from tests.support.world import World


def test_a_good_dataset_is_submitted_and_its_request_id_kept(world: World) -> None:
    job = world.submit(world.drop())

    assert (job.status, job.request_id) == (Status.SUBMITTED, REQUEST_ID)
    assert job == world.job(job.job_id)
    assert [step.status for step in job.history] == [
        Status.RECEIVED,
        Status.READY,
        Status.SUBMITTING,
        Status.SUBMITTED,
    ]
    assert (job.images, job.estimated_cost_usd) == (12, 3.6)


def test_fal_gets_the_exact_version_the_parameters_and_the_jobs_own_address(world: World) -> None:
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


def test_the_intent_is_kept_before_anything_is_paid(world: World) -> None:
    seen: list[Status] = []

    def look() -> Submission:
        seen.extend(job.status for job in world.jobs.rows.values())
        return Submission(REQUEST_ID)

    world.answer(look)

    world.submit(world.drop())

    assert seen == [Status.SUBMITTING]


def test_the_state_can_be_read_beside_the_results(world: World) -> None:
    job = world.submit(world.drop())

    status = json.loads(world.results.text(job, "status.json") or "")
    assert (status["status"], status["request_id"]) == ("SUBMITTED", REQUEST_ID)
    assert world.results.text(job, "ERROR.txt") is None


def test_the_same_event_five_times_is_one_job_and_one_payment(world: World) -> None:
    dataset = world.drop()

    jobs = [world.submit(dataset) for _ in range(5)]

    assert len(world.jobs.rows) == 1
    assert len(world.fal.posts) == 1
    assert [jobs[0]] * 5 == jobs


def test_the_same_event_during_the_post_pays_nothing_more(world: World) -> None:
    dataset = world.drop()
    meanwhile: list[Job] = []

    def deliver_again() -> Submission:
        meanwhile.append(world.submit(dataset))
        return Submission(REQUEST_ID)

    world.answer(deliver_again)

    job = world.submit(dataset)

    assert len(world.fal.posts) == 1
    assert [one.status for one in meanwhile] == [Status.SUBMITTING]
    assert job.status == Status.SUBMITTED


def test_two_versions_of_one_key_are_two_jobs(world: World) -> None:
    first = world.submit(world.drop())

    second = world.submit(world.drop(images=13))

    assert first.job_id != second.job_id
    assert len(world.fal.posts) == 2


def test_an_event_without_a_version_means_the_newest(world: World) -> None:
    dataset = world.drop(images=3)
    newest = world.drop(images=20)

    job = world.submit(dataset.model_copy(update={"version_id": ""}))

    assert newest == job.dataset
    assert job.images == 20


def test_a_job_that_is_being_submitted_is_never_sent_again_however_old(world: World) -> None:
    dataset = world.drop()
    world.holds(make_job(Status.SUBMITTING, job_id=world.submit(dataset).job_id))
    world.fal.posts.clear()
    world.clock.now = NOW + timedelta(days=30)

    job = world.submit(dataset)

    assert job.status == Status.SUBMITTING
    assert world.fal.posts == []


def test_a_post_that_never_left_is_sent_the_next_time(world: World) -> None:
    dataset = world.drop()
    world.answer(NotSubmittedError("no connection"))

    waiting = world.submit(dataset)

    assert (waiting.status, waiting.problems[0].code) == (Status.READY, "fal_unreachable")
    assert "fal_unreachable" in (world.results.text(waiting, "status.json") or "")
    world.answer(lambda: Submission(REQUEST_ID))
    assert world.submit(dataset).status == Status.SUBMITTED
    assert len(world.fal.posts) == 2


def test_a_long_outage_leaves_no_trace_in_the_jobs_story(world: World) -> None:
    dataset = world.drop()
    world.answer(NotSubmittedError("no connection"))

    for _ in range(50):
        world.clock.now += timedelta(minutes=5)
        world.submit(dataset)

    [waiting] = world.jobs.rows.values()
    assert [step.status for step in waiting.history] == [Status.RECEIVED, Status.READY]
    assert waiting.updated_at == world.clock.now


@pytest.mark.parametrize(("held", "status"), [(False, Status.FAILED), (True, Status.HELD)])
def test_a_refusal_is_told_and_never_sent_again(world: World, held: bool, status: Status) -> None:  # noqa: FBT001
    dataset = world.drop()
    problem = Problem(code="fal_account_locked", message="Top up the balance.")
    world.answer(SubmissionRefusedError(problem, held=held))

    job = world.submit(dataset)
    again = world.submit(dataset)

    assert (status, (problem,)) == (job.status, job.problems)
    assert job == again
    assert len(world.fal.posts) == 1
    assert "Top up the balance." in (world.results.text(job, "ERROR.txt") or "")


def test_a_doubtful_answer_is_told_and_never_sent_again(world: World) -> None:
    dataset = world.drop()
    world.answer(SubmissionUnknownError("ReadTimeout"))

    job = world.submit(dataset)
    again = world.submit(dataset)

    assert job.status == Status.SUBMIT_UNKNOWN
    assert job == again
    assert len(world.fal.posts) == 1
    assert "nothing is paid twice" in (world.results.text(job, "ERROR.txt") or "")


def test_a_webhook_that_is_faster_than_our_own_write_is_not_overwritten(world: World) -> None:
    dataset = world.drop()

    def call_back_first() -> Submission:
        [job_id] = world.jobs.rows
        world.fal_updates.receive(job_id, Finished(REQUEST_ID, ARTIFACTS))
        return Submission(REQUEST_ID)

    world.answer(call_back_first)

    job = world.submit(dataset)

    assert (job.status, job.request_id) == (Status.STORING, REQUEST_ID)
    assert world.job(job.job_id).artifacts == ARTIFACTS


def test_a_webhook_answers_for_a_receipt_that_was_lost(world: World) -> None:
    dataset = world.drop()

    def fail_after_the_webhook() -> Submission:
        [job_id] = world.jobs.rows
        problem = Problem(code="fal_invalid_archive", message="The archive must be a ZIP.")
        world.fal_updates.receive(job_id, Failed(REQUEST_ID, problem))
        raise SubmissionUnknownError("ReadTimeout")

    world.answer(fail_after_the_webhook)

    job = world.submit(dataset)

    assert (job.status, job.request_id) == (Status.FAILED, REQUEST_ID)


def test_without_the_webhook_secret_nothing_is_sent_and_the_job_waits(world: World) -> None:
    dataset = world.drop()

    def no_secret() -> bytes:
        raise NotSubmittedError("the secret has no value yet")

    world.webhook_secret = no_secret

    with pytest.raises(NotSubmittedError):
        world.submit(dataset)

    assert world.fal.posts == []
    assert [job.status for job in world.jobs.rows.values()] == [Status.READY]

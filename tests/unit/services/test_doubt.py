"""A submission in doubt is settled by evidence or by a person, and never paid again by itself."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from lora_drop.fal.status import Finished, Gone, Running
from lora_drop.jobs.errors import (
    ActionNotAllowedError,
    FalUnavailableError,
    ForeignRequestError,
    JobNotFoundError,
    SubmissionRefusedError,
    SubmissionUnknownError,
)
from lora_drop.jobs.job import Job
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from lora_drop.ports import Submission
from tests.support.builders import ARTIFACTS, NOW, REQUEST_ID, make_job
from tests.support.world import World

ADA = "arn:aws:iam::123456789012:user/ada"


@pytest.fixture
def doubtful(world: World) -> Job:
    """A job whose answer was lost ten minutes ago."""
    job = world.holds(make_job(Status.SUBMIT_UNKNOWN))
    world.clock.now = NOW + timedelta(minutes=10)
    return job


def test_the_one_request_of_fals_list_is_adopted_and_asked_about(
    world: World, doubtful: Job
) -> None:
    world.fal.known = [REQUEST_ID]
    world.fal.facts[REQUEST_ID] = Finished(REQUEST_ID, ARTIFACTS)

    tally = world.reconciler.reconcile()

    job = world.job(doubtful.job_id)
    assert (job.status, job.request_id) == (Status.STORING, REQUEST_ID)
    assert world.queue.handed == [job.job_id]
    assert world.fal.posts == []
    assert tally.doubtful == 0


def test_the_list_is_asked_from_an_hour_before_the_intent_and_for_this_very_version(
    world: World, doubtful: Job
) -> None:
    world.reconciler.reconcile()

    intended = next(s.at for s in doubtful.history if s.status is Status.SUBMITTING)
    assert world.fal.listed == [("v1", intended - timedelta(hours=1))]


@pytest.mark.parametrize(
    "known",
    [[], ["one", "two"], FalUnavailableError("down")],
    ids=["none", "several", "no answer"],
)
def test_anything_but_exactly_one_request_decides_nothing(
    world: World, doubtful: Job, known: Sequence[str] | Exception
) -> None:
    world.fal.known = known

    for _ in range(3):
        world.reconciler.reconcile()

    assert world.job(doubtful.job_id) == doubtful
    assert world.fal.posts == []
    assert world.queue.datasets == []


def test_a_request_that_is_still_running_is_adopted_as_well(world: World, doubtful: Job) -> None:
    world.fal.known = [REQUEST_ID]
    world.fal.facts[REQUEST_ID] = Running(REQUEST_ID, started=True)

    world.reconciler.reconcile()

    assert world.job(doubtful.job_id).status is Status.TRAINING


@pytest.mark.parametrize(("minutes", "alarms"), [(14, 0), (15, 1), (600, 1)])
def test_after_a_quarter_of_an_hour_without_evidence_a_person_is_called(
    world: World, doubtful: Job, minutes: int, alarms: int
) -> None:
    world.clock.now = doubtful.since + timedelta(minutes=minutes)

    assert world.reconciler.reconcile().doubtful == alarms


def test_a_person_can_name_the_request_and_is_remembered(world: World, doubtful: Job) -> None:
    world.fal.facts[REQUEST_ID] = Running(REQUEST_ID, started=True)

    job = world.manual_actions.accepted(doubtful.job_id, REQUEST_ID, by=ADA)

    assert (job.status, job.request_id) == (Status.SUBMITTED, REQUEST_ID)
    assert job.history[-1].by == ADA
    assert world.job(job.job_id) == job
    assert "ERROR.txt" not in {name.rsplit("/", 1)[-1] for name in world.results.files}
    assert world.fal.posts == []


def test_a_person_can_say_that_it_never_arrived_and_it_is_sent_again(
    world: World,
) -> None:
    dataset = world.drop()
    world.answer(SubmissionUnknownError("ReadTimeout"))
    job = world.submit(dataset)
    world.answer(lambda: Submission(REQUEST_ID))
    world.fal.posts.clear()

    ready = world.manual_actions.not_submitted(job.job_id, by=ADA)
    [announced] = world.queue.datasets
    again = world.submit(announced)

    assert (ready.status, ready.history[-1].by) == (Status.READY, ADA)
    assert again.status is Status.SUBMITTED
    assert len(world.fal.posts) == 1


@pytest.mark.parametrize(
    "status", [status for status in Status if status is not Status.SUBMIT_UNKNOWN]
)
def test_only_a_submission_in_doubt_can_be_settled(world: World, status: Status) -> None:
    job = world.holds(make_job(status))

    with pytest.raises(ActionNotAllowedError, match=status):
        world.manual_actions.accepted(job.job_id, "another", by=ADA)
    with pytest.raises(ActionNotAllowedError, match=status):
        world.manual_actions.not_submitted(job.job_id, by=ADA)

    assert world.job(job.job_id) == job


def test_nobody_settles_a_job_that_is_not_there(world: World) -> None:
    with pytest.raises(JobNotFoundError):
        world.manual_actions.not_submitted("nobody", by=ADA)


def test_what_was_settled_takes_no_other_request(world: World, doubtful: Job) -> None:
    world.fal.facts[REQUEST_ID] = Running(REQUEST_ID, started=True)
    world.manual_actions.accepted(doubtful.job_id, REQUEST_ID, by=ADA)

    with pytest.raises(ForeignRequestError):
        world.fal_updates.receive(doubtful.job_id, Running("another", started=True))


def test_a_held_job_goes_on_when_a_person_says_so(world: World) -> None:
    dataset = world.drop()
    world.answer(SubmissionRefusedError(Problem(code="fal_account_locked", message="m"), held=True))
    held = world.submit(dataset)
    world.answer(lambda: Submission(REQUEST_ID))

    ready = world.manual_actions.approve(held.job_id, by=ADA)
    again = world.submit(world.queue.datasets[-1])

    assert (held.status, ready.status, ready.history[-1].by) == (Status.HELD, Status.READY, ADA)
    assert again.status is Status.SUBMITTED


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.HELD])
def test_only_a_held_job_can_be_approved(world: World, status: Status) -> None:
    job = world.holds(make_job(status))

    with pytest.raises(ActionNotAllowedError, match=status):
        world.manual_actions.approve(job.job_id, by=ADA)


@pytest.mark.parametrize("said", [Gone("typo"), FalUnavailableError("503")], ids=["gone", "down"])
def test_a_slip_in_a_request_id_settles_nothing(
    world: World, doubtful: Job, said: Gone | FalUnavailableError
) -> None:
    world.fal.facts["typo"] = said

    with pytest.raises((ActionNotAllowedError, FalUnavailableError)):
        world.manual_actions.accepted(doubtful.job_id, "typo", by=ADA)

    assert world.job(doubtful.job_id) == doubtful


def test_another_jobs_request_settles_nothing(world: World, doubtful: Job) -> None:
    world.fal.facts["theirs"] = Running("theirs", started=True)
    for number in range(120):
        job_id = f"job-{number}"
        request_id = "theirs" if number == 5 else f"request-{number}"
        world.holds(make_job(Status.TRAINING, job_id=job_id, request_id=request_id))

    with pytest.raises(ActionNotAllowedError, match="job-5"):
        world.manual_actions.accepted(doubtful.job_id, "theirs", by=ADA)

    assert world.job(doubtful.job_id) == doubtful


def test_a_request_that_an_earlier_try_of_another_job_had_settles_nothing(
    world: World, doubtful: Job
) -> None:
    world.fal.facts["theirs"] = Running("theirs", started=True)
    world.holds(make_job(Status.HELD, job_id="other", earlier_requests=("theirs",)))

    with pytest.raises(ActionNotAllowedError, match="other"):
        world.manual_actions.accepted(doubtful.job_id, "theirs", by=ADA)

"""A submission in doubt is settled by evidence or by a person, and never paid again by itself."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from lora_drop.fal.status import FalStatus, Finished, Gone, Running
from lora_drop.jobs import errors
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from lora_drop.ports import Submission
from tests.support.builders import ADA, ARTIFACTS, LOCKED, NOW, REQUEST_ID, make_job
from tests.support.world import World


@pytest.fixture
def doubtful(world: World) -> Job:
    """A job whose answer was lost ten minutes ago."""
    job = world.holds(make_job(Status.SUBMIT_UNKNOWN))
    world.clock.now = NOW + timedelta(minutes=10)
    return job


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize(
    ("said", "after"),
    [
        (Finished(REQUEST_ID, ARTIFACTS), Status.STORING),
        (Running(REQUEST_ID, started=True), Status.TRAINING),
    ],
    ids=["finished", "running"],
)
def test_only_listed_request_is_adopted(
    world: World, doubtful: Job, said: FalStatus, after: Status
) -> None:
    """The one request of fal's list, from an hour before the intent, is adopted and asked about."""
    world.fal.known = [REQUEST_ID]
    world.fal.facts[REQUEST_ID] = said
    tally = world.reconciler.reconcile()

    job = world.job(doubtful.job_id)
    assert (job.status, job.request_id) == (after, REQUEST_ID)
    assert world.queue.handed == ([job.job_id] if after is Status.STORING else [])
    assert (world.fal.posts, tally.doubtful) == ([], 0)
    intended = next(s.at for s in doubtful.history if s.status is Status.SUBMITTING)
    assert world.fal.listed == [("v1", intended - timedelta(hours=1))]


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize(
    "known",
    [[], ["one", "two"], errors.FalUnavailableError("down")],
    ids=["none", "several", "no answer"],
)
def test_only_one_request_decides(
    world: World, doubtful: Job, known: Sequence[str] | Exception
) -> None:
    """A list of fal with none or several requests settles no submission in doubt."""
    world.fal.known = known
    for _ in range(3):
        world.reconciler.reconcile()
    assert world.job(doubtful.job_id) == doubtful
    assert world.fal.posts == []
    assert world.queue.datasets == []


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize(("minutes", "alarms"), [(14, 0), (15, 1), (600, 1)])
def test_doubt_calls_a_person(world: World, doubtful: Job, minutes: int, alarms: int) -> None:
    """After a quarter of an hour without evidence a person is called."""
    world.clock.now = doubtful.since + timedelta(minutes=minutes)
    assert world.reconciler.reconcile().doubtful == alarms


def test_person_names_the_request(world: World, doubtful: Job) -> None:
    """A person can name the request and is remembered; the job takes no other request then."""
    world.fal.facts[REQUEST_ID] = Running(REQUEST_ID, started=True)
    job = world.manual_actions.accepted(doubtful.job_id, REQUEST_ID, by=ADA)

    assert (job.status, job.request_id) == (Status.SUBMITTED, REQUEST_ID)
    assert job.history[-1].by == ADA
    assert world.job(job.job_id) == job
    assert "ERROR.txt" not in {name.rsplit("/", 1)[-1] for name in world.results.files}
    assert world.fal.posts == []
    with pytest.raises(errors.ForeignRequestError):
        world.fal_updates.receive(job.job_id, Running("another", started=True))


def test_person_says_it_never_arrived(world: World) -> None:
    """A person can say that a submission never arrived, and it is sent again."""
    dataset = world.drop()
    world.answer(errors.SubmissionUnknownError("ReadTimeout"))
    job = world.submit(dataset)
    world.answer(lambda: Submission(REQUEST_ID))
    world.fal.posts.clear()
    ready = world.manual_actions.not_submitted(job.job_id, by=ADA)
    [announced] = world.queue.datasets
    again = world.submit(announced)

    assert (ready.status, ready.history[-1].by) == (Status.READY, ADA)
    assert again.status is Status.SUBMITTED
    assert len(world.fal.posts) == 1


@pytest.mark.parametrize("status", list(Status))
def test_only_doubt_can_be_settled(world: World, status: Status) -> None:
    """Only a submission in doubt can be settled, and only a held job approved."""
    job = world.holds(make_job(status))
    if status is not Status.SUBMIT_UNKNOWN:
        with pytest.raises(errors.ActionNotAllowedError, match=status):
            world.manual_actions.accepted(job.job_id, "another", by=ADA)
        with pytest.raises(errors.ActionNotAllowedError, match=status):
            world.manual_actions.not_submitted(job.job_id, by=ADA)
    if status is not Status.HELD:
        with pytest.raises(errors.ActionNotAllowedError, match=status):
            world.manual_actions.approve(job.job_id, by=ADA)
    with pytest.raises(errors.JobNotFoundError):
        world.manual_actions.not_submitted("unknown", by=ADA)

    assert world.job(job.job_id) == job


def test_approved_job_goes_on(world: World) -> None:
    dataset = world.drop()
    world.answer(errors.SubmissionRefusedError(LOCKED, held=True))
    held = world.submit(dataset)
    world.answer(lambda: Submission(REQUEST_ID))
    ready = world.manual_actions.approve(held.job_id, by=ADA)
    again = world.submit(world.queue.datasets[-1])

    assert (held.status, ready.status, ready.history[-1].by) == (Status.HELD, Status.READY, ADA)
    assert again.status is Status.SUBMITTED


@pytest.mark.parametrize(
    "said", [Gone("typo"), errors.FalUnavailableError("503")], ids=["gone", "down"]
)
def test_mistyped_request_settles_nothing(
    world: World, doubtful: Job, said: Gone | errors.FalUnavailableError
) -> None:
    world.fal.facts["typo"] = said
    with pytest.raises((errors.ActionNotAllowedError, errors.FalUnavailableError)):
        world.manual_actions.accepted(doubtful.job_id, "typo", by=ADA)
    assert world.job(doubtful.job_id) == doubtful


@pytest.mark.promise("never pay twice")
def test_another_jobs_request_settles_nothing(world: World, doubtful: Job) -> None:
    """A request that another job has, or an earlier try of it had, settles nothing."""
    for request_id in ("theirs", "earlier"):
        world.fal.facts[request_id] = Running(request_id, started=True)
    for number in range(120):
        job_id = f"job-{number}"
        request_id = "theirs" if number == 5 else f"request-{number}"
        world.holds(make_job(Status.TRAINING, job_id=job_id, request_id=request_id))
    world.holds(make_job(Status.HELD, job_id="other", earlier_requests=("earlier",)))

    with pytest.raises(errors.ActionNotAllowedError, match="job-5"):
        world.manual_actions.accepted(doubtful.job_id, "theirs", by=ADA)
    with pytest.raises(errors.ActionNotAllowedError, match="other"):
        world.manual_actions.accepted(doubtful.job_id, "earlier", by=ADA)
    assert world.job(doubtful.job_id) == doubtful

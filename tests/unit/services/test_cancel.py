"""A person stops a job: for free before it is sent, as far as fal can afterwards."""

from datetime import timedelta

import pytest

from lora_drop.fal.status import Failed, FalStatus, Finished, Gone, Running, failed
from lora_drop.jobs.budget import Limits
from lora_drop.jobs.errors import (
    ActionNotAllowedError,
    ConflictError,
    FalUnavailableError,
    JobNotFoundError,
)
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from lora_drop.ports import Submission
from tests.support.builders import ADA, ARTIFACTS, BAD_IMAGE, NOW, REQUEST_ID, make_job
from tests.support.memory import MemoryFal
from tests.support.memory_jobs import MemoryJobs
from tests.support.queue import codes
from tests.support.world import World

STOPPED = failed(
    REQUEST_ID,
    "Request cancelled",
    {"detail": "Request cancelled", "error_type": "client_cancelled"},
)
FREE = [Status.RECEIVED, Status.READY, Status.HELD]
AT_FAL = [Status.SUBMITTED, Status.TRAINING]


@pytest.mark.promise("never pay twice")
def test_cancelled_job_is_not_sent(world: World) -> None:
    """A cancelled job is not sent when its turn comes."""
    world.limits = Limits(max_in_flight=1)
    world.answer(lambda: Submission(f"request-{len(world.fal.posts)}"))
    first = world.submit(world.drop("a.zip", images=11))
    second = world.submit(world.drop("b.zip", images=12))
    world.manual_actions.cancel(second.job_id, by=ADA)
    world.fal_updates.receive(first.job_id, Finished("request-1", ARTIFACTS))
    world.work()
    again = world.submit(second.dataset)

    assert again.status is Status.CANCELLED
    assert world.paid == [first.job_id]


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize("status", FREE)
def test_unsent_job_is_cancelled_for_free(world: World, status: Status) -> None:
    """A job that is not at fal is cancelled for free, under the person's name, without an error."""
    job = world.holds(make_job(status))
    world.record.publish_files(job)
    cancelled = world.manual_actions.cancel(job.job_id, by=ADA)

    assert (cancelled.status, cancelled.history[-1].by) == (Status.CANCELLED, ADA)
    assert (codes(cancelled), cancelled.charges) == (["cancelled_by_person"], ())
    assert cancelled == world.job(job.job_id)
    assert world.fal.cancelled == []
    assert world.results.text(job, "ERROR.txt") is None


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize("status", AT_FAL)
def test_fal_is_asked_to_stop(world: World, status: Status) -> None:
    """fal is asked to stop a training, what it makes of it counts, and the slot is handed on."""
    job = world.holds(make_job(status))
    waiting = world.holds(make_job(Status.READY, job_id="next-1"))
    world.fal.facts[REQUEST_ID] = STOPPED
    cancelled = world.manual_actions.cancel(job.job_id, by=ADA)

    assert world.fal.cancelled == [REQUEST_ID]
    assert (cancelled.status, codes(cancelled)) == (Status.CANCELLED, ["cancelled_by_person"])
    # fal does not say that a training it has begun is free.
    assert [charge.state for charge in cancelled.charges] == ["wasted"]
    assert world.queue.datasets == [waiting.dataset]


@pytest.mark.parametrize("started", [False, True])
def test_unfinished_cancel_is_shown(world: World, *, started: bool) -> None:
    """Until fal has stopped it, the job says that it was asked; the reconciler learns the end."""
    job = world.holds(make_job(Status.SUBMITTED))
    world.fal.facts[REQUEST_ID] = Running(REQUEST_ID, started=started)
    asked = [world.manual_actions.cancel(job.job_id, by=ADA) for _ in range(3)][-1]

    assert asked.status is (Status.TRAINING if started else Status.SUBMITTED)
    assert world.fal.cancelled == [REQUEST_ID] * 3
    assert codes(asked) == ["cancel_requested"]
    assert "cancel_requested" in (world.results.text(job, "status.json") or "")
    assert world.results.text(job, "ERROR.txt") is None
    assert asked.at_fal
    world.fal.facts[REQUEST_ID] = STOPPED
    world.clock.now = NOW + timedelta(minutes=10)
    world.reconciler.reconcile()
    assert world.job(job.job_id).status is Status.CANCELLED


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("over", [False, True], ids=["too late", "over"])
def test_finished_training_is_kept(world: World, *, over: bool) -> None:
    """A training that ended all the same is kept."""
    job = world.holds(make_job(Status.TRAINING))
    world.fal.over = over
    world.fal.facts[REQUEST_ID] = Finished(REQUEST_ID, ARTIFACTS)
    kept = world.manual_actions.cancel(job.job_id, by=ADA)
    assert (kept.status, kept.problems) == (Status.STORING, ())
    assert world.queue.handed == [job.job_id]
    assert world.result_storer.store_result(job.job_id).status is Status.SUCCEEDED


def test_quick_denials_decide_nothing(world: World) -> None:
    job = world.holds(make_job(Status.TRAINING))
    world.fal.over = True
    world.fal.facts[REQUEST_ID] = Gone(REQUEST_ID)
    world.manual_actions.cancel(job.job_id, by=ADA)
    assert world.manual_actions.cancel(job.job_id, by=ADA).status is Status.TRAINING


def test_finished_training_is_not_being_stopped(world: World) -> None:
    """A training that was over ends as it has ended, and is not shown as being stopped."""
    job = world.holds(make_job(Status.TRAINING))
    world.fal.over = True
    world.fal.facts[REQUEST_ID] = FalUnavailableError("down")
    with pytest.raises(FalUnavailableError):
        world.manual_actions.cancel(job.job_id, by=ADA)
    assert world.job(job.job_id) == job
    world.fal.facts[REQUEST_ID] = Failed(REQUEST_ID, BAD_IMAGE)

    ended = world.manual_actions.cancel(job.job_id, by=ADA)
    assert ended.status is Status.FAILED
    assert "cancel_requested" not in codes(ended)


def test_cancelling_person_is_remembered(world: World) -> None:
    """The person who cancelled is named, and the way to train after all is shown."""
    job = world.holds(make_job(Status.SUBMITTED))
    world.fal.facts[REQUEST_ID] = Running(REQUEST_ID, started=False)
    world.manual_actions.cancel(job.job_id, by=ADA)
    stopped = {"detail": "stopped", "error_type": "client_cancelled"}
    ended = world.fal_updates.receive(
        job.job_id, failed(REQUEST_ID, "x", stopped, billable_units="0"), asked=True
    )

    assert (ended.status, ended.history[-1].by) == (Status.CANCELLED, ADA)
    assert ended.problems[0].code == "cancelled_by_person"
    assert "lora-drop retry" in ended.problems[0].message
    assert "fal does not bill it" in ended.problems[0].message


WHY_NOT = {
    Status.SUBMITTING: "this very moment",
    Status.SUBMIT_UNKNOWN: "lora-drop resolve",
    Status.STORING: "trained and paid",
    **{status: f"has ended: {status}" for status in Status if status.terminal},
}


@pytest.mark.parametrize("status", WHY_NOT)
def test_uncancellable_job_says_why(world: World, status: Status) -> None:
    """A job that cannot be stopped now or has ended stays as it is, and says why."""
    job = world.holds(make_job(status))
    with pytest.raises(ActionNotAllowedError, match=WHY_NOT[status]):
        world.manual_actions.cancel(job.job_id, by=ADA)
    with pytest.raises(JobNotFoundError):
        world.manual_actions.cancel("unknown", by=ADA)

    assert world.job(job.job_id) == job
    assert world.fal.cancelled == []


@pytest.mark.parametrize("call", ["cancel", "ask"])
def test_silent_fal_stops_nothing(world: World, call: str) -> None:
    class Down(MemoryFal):
        def cancel(self, application: str, request_id: str) -> bool:
            if call == "cancel":
                raise FalUnavailableError(f"{application} {request_id}")
            return super().cancel(application, request_id)

        def ask(self, application: str, request_id: str) -> FalStatus:
            raise FalUnavailableError(f"{application} {request_id}")

    world.fal = Down()
    job = world.holds(make_job(Status.TRAINING))
    with pytest.raises(FalUnavailableError):
        world.manual_actions.cancel(job.job_id, by=ADA)

    assert world.job(job.job_id).status is Status.TRAINING


@pytest.mark.promise("never pay twice")
def test_job_being_sent_is_not_cancelled(world: World) -> None:
    """A job that is sent in this very moment is not taken for cancelled."""
    job = world.holds(make_job(Status.READY))

    class Slow(MemoryJobs):
        """The submitter comes between the reading and the writing."""

        def get(self, job_id: str) -> Job | None:
            found = super().get(job_id)
            if found and found.status is Status.READY:
                self.rows[job_id] = found.move(Status.SUBMITTING, now=NOW)
            return found

    world.jobs = Slow(world.jobs.rows)
    with pytest.raises(ConflictError):
        world.manual_actions.cancel(job.job_id, by=ADA)

    assert world.job(job.job_id).status is Status.SUBMITTING

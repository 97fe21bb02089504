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
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from lora_drop.ports import Submission
from tests.support.builders import ARTIFACTS, NOW, REQUEST_ID, make_job
from tests.support.memory import MemoryFal
from tests.support.memory_jobs import MemoryJobs
from tests.support.world import World

ADA = "arn:aws:iam::123456789012:user/ada"
STOPPED = failed(
    REQUEST_ID,
    "Request cancelled",
    {"detail": "Request cancelled", "error_type": "client_cancelled"},
)
BAD = Problem(code="fal_image_load_error", message="One of the images cannot be read.")
FREE = [Status.RECEIVED, Status.READY, Status.HELD]
AT_FAL = [Status.SUBMITTED, Status.TRAINING]


@pytest.mark.parametrize("status", FREE)
def test_what_is_not_at_fal_is_stopped_for_free_under_a_name(world: World, status: Status) -> None:
    job = world.holds(make_job(status))

    cancelled = world.manual_actions.cancel(job.job_id, by=ADA)

    assert (cancelled.status, cancelled.history[-1].by) == (Status.CANCELLED, ADA)
    assert [problem.code for problem in cancelled.problems] == ["cancelled_by_person"]
    assert cancelled == world.job(job.job_id)
    assert cancelled.charges == ()
    assert world.fal.cancelled == []


def test_what_was_stopped_is_not_sent_when_its_turn_comes(world: World) -> None:
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


def test_a_held_job_that_was_stopped_tells_no_trouble(world: World) -> None:
    job = world.holds(make_job(Status.HELD))
    world.record.publish_files(job)

    world.manual_actions.cancel(job.job_id, by=ADA)

    assert world.results.text(job, "ERROR.txt") is None


@pytest.mark.parametrize("status", AT_FAL)
def test_fal_is_asked_to_stop_and_what_it_makes_of_it_counts(world: World, status: Status) -> None:
    job = world.holds(make_job(status))
    world.fal.facts[REQUEST_ID] = STOPPED

    cancelled = world.manual_actions.cancel(job.job_id, by=ADA)

    assert world.fal.cancelled == [REQUEST_ID]
    assert cancelled.status is Status.CANCELLED
    assert [problem.code for problem in cancelled.problems] == ["cancelled_by_person"]
    # fal does not say that a training it has begun is free.
    assert [charge.state for charge in cancelled.charges] == ["wasted"]


def test_a_training_that_was_stopped_hands_its_slot_on(world: World) -> None:
    job = world.holds(make_job(Status.TRAINING))
    waiting = world.holds(make_job(Status.READY, job_id="next-1"))
    world.fal.facts[REQUEST_ID] = STOPPED

    world.manual_actions.cancel(job.job_id, by=ADA)

    assert world.queue.datasets == [waiting.dataset]


@pytest.mark.parametrize("started", [False, True])
def test_until_fal_has_stopped_it_the_job_says_that_it_was_asked(
    world: World,
    started: bool,  # noqa: FBT001  # a table's column
) -> None:
    job = world.holds(make_job(Status.SUBMITTED))
    world.fal.facts[REQUEST_ID] = Running(REQUEST_ID, started=started)

    asked = world.manual_actions.cancel(job.job_id, by=ADA)

    assert asked.status is (Status.TRAINING if started else Status.SUBMITTED)
    assert [problem.code for problem in asked.problems] == ["cancel_requested"]
    assert "cancel_requested" in (world.results.text(job, "status.json") or "")
    assert world.results.text(job, "ERROR.txt") is None
    assert asked.at_fal


@pytest.mark.parametrize("over", [False, True], ids=["too late", "over"])
def test_a_training_that_ended_all_the_same_is_kept(
    world: World,
    over: bool,  # noqa: FBT001  # a table's column
) -> None:
    job = world.holds(make_job(Status.TRAINING))
    world.fal.over = over
    world.fal.facts[REQUEST_ID] = Finished(REQUEST_ID, ARTIFACTS)

    kept = world.manual_actions.cancel(job.job_id, by=ADA)

    assert (kept.status, kept.problems) == (Status.STORING, ())
    assert world.queue.handed == [job.job_id]
    assert world.result_storer.store_result(job.job_id).status is Status.SUCCEEDED


def test_whoever_asks_twice_in_a_minute_does_not_take_fals_word_that_it_has_nothing(
    world: World,
) -> None:
    job = world.holds(make_job(Status.TRAINING))
    world.fal.over = True
    world.fal.facts[REQUEST_ID] = Gone(REQUEST_ID)

    world.manual_actions.cancel(job.job_id, by=ADA)
    asked = world.manual_actions.cancel(job.job_id, by=ADA)

    assert asked.status is Status.TRAINING


def test_a_training_that_was_over_ends_as_it_has_ended(world: World) -> None:
    job = world.holds(make_job(Status.TRAINING))
    world.fal.over = True
    world.fal.facts[REQUEST_ID] = Failed(REQUEST_ID, BAD)

    ended = world.manual_actions.cancel(job.job_id, by=ADA)

    assert ended.status is Status.FAILED
    assert "cancel_requested" not in [problem.code for problem in ended.problems]


def test_whoever_had_it_stopped_is_remembered_and_told_how_to_train_it_after_all(
    world: World,
) -> None:
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


def test_what_was_over_is_not_said_to_be_being_stopped(world: World) -> None:
    job = world.holds(make_job(Status.TRAINING))
    world.fal.over = True
    world.fal.facts[REQUEST_ID] = FalUnavailableError("down")

    with pytest.raises(FalUnavailableError):
        world.manual_actions.cancel(job.job_id, by=ADA)

    assert world.job(job.job_id) == job


def test_the_reconciler_learns_the_rest(world: World) -> None:
    job = world.holds(make_job(Status.TRAINING))
    world.fal.facts[REQUEST_ID] = Running(REQUEST_ID, started=True)
    world.manual_actions.cancel(job.job_id, by=ADA)
    world.fal.facts[REQUEST_ID] = STOPPED
    world.clock.now = NOW + timedelta(minutes=10)

    world.reconciler.reconcile()

    assert world.job(job.job_id).status is Status.CANCELLED


def test_asking_again_asks_fal_again(world: World) -> None:
    job = world.holds(make_job(Status.TRAINING))
    world.fal.facts[REQUEST_ID] = Running(REQUEST_ID, started=True)

    for _ in range(3):
        world.manual_actions.cancel(job.job_id, by=ADA)

    assert world.fal.cancelled == [REQUEST_ID] * 3
    assert world.job(job.job_id).status is Status.TRAINING


@pytest.mark.parametrize("status", [Status.SUBMITTING, Status.SUBMIT_UNKNOWN, Status.STORING])
def test_what_cannot_be_stopped_now_says_why(world: World, status: Status) -> None:
    job = world.holds(make_job(status))
    why = {
        Status.SUBMITTING: "this very moment",
        Status.SUBMIT_UNKNOWN: "lora-drop resolve",
        Status.STORING: "trained and paid",
    }

    with pytest.raises(ActionNotAllowedError, match=why[status]):
        world.manual_actions.cancel(job.job_id, by=ADA)

    assert world.job(job.job_id) == job
    assert world.fal.cancelled == []


@pytest.mark.parametrize("status", [status for status in Status if status.terminal])
def test_what_has_ended_has_ended(world: World, status: Status) -> None:
    job = world.holds(make_job(status))

    with pytest.raises(ActionNotAllowedError, match=f"has ended: {status}"):
        world.manual_actions.cancel(job.job_id, by=ADA)

    assert world.job(job.job_id) == job


def test_nobody_stops_a_job_that_is_not_there(world: World) -> None:
    with pytest.raises(JobNotFoundError):
        world.manual_actions.cancel("nobody", by=ADA)


@pytest.mark.parametrize("call", ["cancel", "ask"])
def test_when_fal_does_not_answer_the_job_goes_on(world: World, call: str) -> None:
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


def test_a_job_that_is_sent_in_this_very_moment_is_not_taken_for_stopped(world: World) -> None:
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

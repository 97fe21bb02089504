"""Progress is kept beside a job's state: monotone, of the request in use, and never a reason for a conflict."""

from datetime import timedelta
from typing import Any

import pytest

from lora_drop.fal.status import Finished, LogEntry, RequestLog, Running
from lora_drop.jobs.job import Job
from lora_drop.jobs.progress import TrainingProgress
from lora_drop.jobs.status import Status
from lora_drop.jobs.training_times import KEPT, TrainingTime, seconds_left, time_limit
from lora_drop.services.progress import KEPT_EVERY
from lora_drop.services.training_log import AT_ONCE
from tests.support.builders import APPLICATION, ARTIFACTS, NOW, REQUEST_ID, make_job
from tests.support.world import World


def log(step: int, *, pace: float = 1.0, steps: int = 2500) -> RequestLog:
    """What fal's log says at this step, after a bar of the captions."""
    seconds, left = int(step * pace), int((steps - step) * pace)
    clock = [f"{number // 60:02}:{number % 60:02}" for number in (seconds, left)]
    line = f"\r{step / steps:4.0%}|#| {step}/{steps} [{clock[0]}<{clock[1]}, {pace:.2f}s/it]"
    return RequestLog(
        started=True, lines=(LogEntry("100%|#| 12/12 [00:01<00:00, 9it/s]"), LogEntry(line))
    )


def at_fal(world: World, step: int, **more: Any) -> None:
    world.fal.facts[REQUEST_ID] = Running(REQUEST_ID, started=True, log=log(step, **more))


def step_of(job: Job) -> int | None:
    return job.progress.step if job.progress else None


@pytest.fixture
def training(world: World) -> Job:
    world.clock.now = NOW + timedelta(minutes=10)
    return world.holds(make_job(Status.TRAINING))


@pytest.mark.promise("it can be operated")
def test_round_keeps_progress_and_nothing_else(world: World, training: Job) -> None:
    """The reconciler's round writes how far a training is, without a new version, event or file."""
    at_fal(world, 500)
    world.reconciler.reconcile()
    kept = world.job(training.job_id)
    assert kept.progress == TrainingProgress(
        step=500,
        steps=2500,
        percent=20.0,
        eta_seconds=2000.0,
        at=world.clock.now,
        seconds_per_step=1.0,
    )
    assert kept == training.model_copy(update={"progress": kept.progress})
    assert (world.events.changes, world.results.files, world.fal.asked) == ([], {}, [REQUEST_ID])


def test_round_keeps_progress_of_a_job_that_has_just_started(world: World) -> None:
    world.clock.now = NOW + timedelta(minutes=10)
    job = world.holds(make_job(Status.SUBMITTED))
    at_fal(world, 100)
    world.reconciler.reconcile()
    assert (world.job(job.job_id).status, step_of(world.job(job.job_id))) == (Status.TRAINING, 100)


@pytest.mark.promise("it can be operated")
def test_progress_never_goes_back(world: World, training: Job) -> None:
    """Progress never goes back within one request, whatever order its logs are read in."""
    seen = []
    for step in (50, 300, 200, 0, 301):
        world.clock.now += KEPT_EVERY
        world.progress.learn(world.job(training.job_id), log(step))
        seen.append(step_of(world.job(training.job_id)))
    world.progress.learn(training, log(900))  # it was read before all of these
    assert seen == [50, 300, 300, 300, 301]
    assert step_of(world.job(training.job_id)) == 301


@pytest.mark.promise("it can be operated")
def test_own_total_replaces_another(world: World, training: Job) -> None:
    """A percent of another total than the job's, however high, gives way to the training's own at once."""
    wrong = TrainingProgress(step=5, steps=5, percent=100.0, at=world.clock.now)
    world.holds(training.model_copy(update={"progress": wrong}))
    for step in (10, 20):
        world.progress.learn(world.job(training.job_id), log(step))
        assert step_of(world.job(training.job_id)) == 10  # the second is too soon after the first
    later = world.progress.learn(world.job(training.job_id), log(2600, steps=2600))
    assert step_of(later) == 10


def test_watcher_writes_now_and_then(world: World, training: Job) -> None:
    steps = []
    for step in range(1, 13):
        world.clock.now += timedelta(seconds=1)
        assert step_of(world.progress.learn(world.job(training.job_id), log(step))) == step
        steps.append(step_of(world.job(training.job_id)))
    assert steps == [1] * 5 + [6] * 5 + [11] * 2


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize(
    "changes",
    [{"request_id": "another"}, {"status": Status.STORING}, {"status": Status.CANCELLED}],
    ids=["request", "storing", "cancelled"],
)
def test_progress_of_an_earlier_request_is_dropped(
    world: World, training: Job, changes: dict[str, Any]
) -> None:
    """What was read of a request is not kept once the job has another one, or is over."""
    now = world.holds(training.model_copy(update=changes))
    world.progress.learn(training, log(700))
    assert world.job(training.job_id) == now


def test_another_submission_starts_from_zero(world: World, training: Job) -> None:
    world.progress.learn(training, log(700))
    again = world.job(training.job_id).move(Status.READY, now=NOW, request_id=None)
    assert (again.progress, again.queue_position) == (None, None)


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize("looked", [True, False])
def test_finished_training_is_at_100_percent(world: World, training: Job, looked: bool) -> None:  # noqa: FBT001
    """A training that fal has finished is at 100 percent, also where no program had looked."""
    if looked:
        world.progress.learn(training, log(700))
    job = world.fal_updates.receive(training.job_id, Finished(REQUEST_ID, ARTIFACTS))
    assert job.progress is not None
    progress = job.progress.model_dump(include={"step", "steps", "percent", "eta_seconds"})
    assert progress == {"step": 2500, "steps": 2500, "percent": 100.0, "eta_seconds": 0.0}


def test_progress_kept_meanwhile_is_no_conflict(world: World, training: Job) -> None:
    """A decision about a job neither waits for its progress nor loses it."""
    world.progress.learn(training, log(700))
    moved = world.record.move(training, Status.CANCELLED)
    assert (moved.status, step_of(world.job(training.job_id))) == (Status.CANCELLED, 700)


def test_queue_position_is_kept_until_it_starts(world: World) -> None:
    job = world.holds(make_job(Status.SUBMITTED))
    for position in (3, 3, 1):
        world.progress.learn(world.job(job.job_id), RequestLog(position))
        assert world.job(job.job_id).queue_position == position
    assert world.progress.learn(world.job(job.job_id), log(1)).queue_position is None
    assert world.job(job.job_id).queue_position is None


def test_long_log_comes_in_pages(world: World, training: Job) -> None:
    entries = tuple(LogEntry(f"line {number}\n") for number in range(AT_ONCE + 5))
    world.fal.facts[REQUEST_ID] = Running(
        REQUEST_ID, started=True, log=RequestLog(started=True, lines=entries)
    )
    logs = world.training_logs
    first = logs.read(training.job_id)
    rest = logs.read(training.job_id, after=first["next"])
    assert (len(first["lines"]), rest["next"], rest["lines"][-1]["message"]) == (
        1000,
        1005,
        "line 1004",
    )
    fewer = logs.read(training.job_id, after=5000)  # of an earlier request
    assert (fewer["lines"], fewer["next"]) == (first["lines"], 1000)


def done(seconds: float, pace: float | None = None, steps: int = 2500) -> TrainingTime:
    return TrainingTime(steps=steps, seconds=seconds, seconds_per_step=pace)


@pytest.mark.parametrize(
    ("paces", "step", "pace", "left"),
    [
        ([], 500, 1.0, 7.0),  # no history: the trainer's own word
        ([1.0, 1.0], 500, 1.0, 7.0),
        ([0.5, 0.6, 0.7], 500, 0.6, 1200.0),
        ([0.5, 0.6, 0.7], 500, None, 1200.0),
        ([0.5, 0.6, 0.7], 10, 9.0, 1494.0),  # it warms up
        ([0.5, 0.6, 0.7], 500, 2.0, 7.0),  # another kind of runner
        ([None, None, None], 500, 1.0, 7.0),
    ],
)
def test_eta_is_of_the_own_history(
    paces: list[float | None], step: int, pace: float | None, left: float
) -> None:
    times = [done(1500.0, each) for each in paces]
    assert seconds_left(times, step=step, steps=2500, pace=pace, said=7.0) == left


@pytest.mark.parametrize(
    ("times", "steps", "minutes"),
    [
        ([done(1800.0)] * 4, 2500, None),
        ([done(1800.0)] * 5, 2500, 60),
        ([done(60.0)] * 5, 2500, 30),
        ([*[done(600.0)] * 9, done(1500.0)], 2500, 50),
        ([done(1800.0)] * 5, 5000, 120),  # twice the steps
        ([done(1800.0)] * 5, 1000, 60),  # fewer steps do not make the start shorter
    ],
)
def test_limit_is_twice_the_slowest(
    times: list[TrainingTime], steps: int, minutes: int | None
) -> None:
    assert time_limit(times, steps) == (None if minutes is None else timedelta(minutes=minutes))


def test_round_remembers_trainings_once(world: World) -> None:
    """Each training that succeeded is added when its job is closed, and only the last ones are kept."""
    for number in range(KEPT + 3):
        job_id = f"job-{number}"
        job = make_job(Status.SUCCEEDED, job_id=job_id, request_id=job_id)
        world.holds(job)
        world.jobs.untold.add(job_id)
    world.holds(make_job(Status.FAILED, job_id="failed"))
    world.jobs.untold.add("failed")
    for _ in range(3):
        world.clock.now += timedelta(minutes=20)
        world.reconciler.reconcile()
        assert len(world.times.times(APPLICATION)) == KEPT
    assert world.times.times(APPLICATION)[0] == TrainingTime(steps=2500, seconds=0.0)


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize(
    ("status", "minutes", "overdue"),
    [(Status.TRAINING, 49, 0), (Status.TRAINING, 50, 1), (Status.SUBMITTED, 60, 0)],
)
def test_slower_job_than_ever_calls_a_person(
    world: World, status: Status, minutes: int, overdue: int
) -> None:
    """A training that takes twice as long as the slowest of its trainer before calls a person."""
    for _ in range(5):
        world.times.add_time(APPLICATION, done(1500.0))
    job = world.holds(make_job(status))
    world.fal.facts[REQUEST_ID] = Running(REQUEST_ID, started=status is Status.TRAINING)
    world.clock.now = job.since + timedelta(minutes=minutes)
    assert world.reconciler.reconcile().overdue == overdue

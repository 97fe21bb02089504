"""Each change of a job is kept, shown beside its files and published, in spite of any failure between."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.errors import ConflictError, EventsUnavailableError, SubmissionRefusedError
from lora_drop.jobs.events import StatusChange
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from lora_drop.services.record import SETTLED_AFTER
from lora_drop.services.sweep import PATIENCE, Outbox
from tests.support.builders import ARTIFACTS, LOCKED, REQUEST_ID, make_job
from tests.support.memory_files import MemoryResults
from tests.support.world import World


@dataclass
class SlowResults(MemoryResults):
    """Something happens elsewhere between the decision to write a file and its writing."""

    meanwhile: Callable[[], object] | None = None

    def write(self, key: str, text: str, content_type: str, *, expires: bool = False) -> StoredFile:
        happens, self.meanwhile = self.meanwhile, None
        if happens:
            happens()
        return super().write(key, text, content_type, expires=expires)


@pytest.mark.parametrize(
    ("slow", "ends"),
    [
        (Status.SUBMITTED, (Status.STORING, Status.SUCCEEDED)),
        (Status.SUBMIT_UNKNOWN, (Status.SUBMITTED,)),
    ],
)
def test_slow_writer_is_corrected(world: World, slow: Status, ends: tuple[Status, ...]) -> None:
    """A slower writer never has the last word beside the files, and leaves no false error."""
    results = world.results = SlowResults()
    job = world.holds(make_job(Status.SUBMITTING))
    facts: dict[Status, dict[str, Any]] = {
        Status.SUBMITTED: {"request_id": REQUEST_ID},
        Status.STORING: {"artifacts": ARTIFACTS},
    }

    def end_elsewhere() -> None:
        now = world.job(job.job_id)
        for status in ends:
            now = world.record.move(now, status, **facts.get(status, {}))

    results.meanwhile = end_elsewhere
    world.record.move(job, slow, **facts.get(slow, {}))

    assert json.loads(world.results.text(job, "status.json") or "")["status"] == ends[-1]
    assert world.results.text(job, "ERROR.txt") is None


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize("status", [status for status in Status if status.troubling])
def test_trouble_writes_an_error_file(world: World, status: Status) -> None:
    """Trouble puts an error file beside the state; it goes when the trouble is over."""
    job = world.holds(make_job(status))
    world.record.publish_files(job)
    state, error = job.prefix + "status.json", job.prefix + "ERROR.txt"
    assert set(world.results.files) == {state, error}
    if status is Status.SUBMIT_UNKNOWN:
        world.record.move(job, Status.SUBMITTED, request_id=REQUEST_ID)
        assert set(world.results.files) == {state}


@pytest.mark.promise("never get stuck")
def test_unpublished_end_is_published_later(world: World) -> None:
    """An end that could not be shown is shown by the reconciler."""
    job = world.holds(make_job(Status.SUBMITTED))
    ended = job.move(Status.FAILED, now=world.clock())
    world.jobs.replace(job, ended)  # and the worker dies here
    world.clock.now += SETTLED_AFTER
    world.reconciler.reconcile()
    assert '"FAILED"' in (world.results.text(job, "status.json") or "")
    assert world.results.text(job, "ERROR.txt")
    assert list(world.jobs.unfinished()) == []


DOWN = EventsUnavailableError("the bus is down")


@pytest.mark.promise("it can be operated")
def test_every_change_is_published(world: World) -> None:
    """Every change of state is published with its version; a note of problems is no change."""
    job = world.record.open(make_job())
    ready = world.record.move(job, Status.READY)
    world.record.set_problems(ready, Problem(code="x", message="X."))
    world.record.publish_files(world.job(job.job_id))

    assert [(each.status, each.version) for each in world.events.changes] == [
        (Status.RECEIVED, job.version),
        (Status.READY, ready.version),
    ]
    assert world.jobs.outbox() == {}
    world.record.publish(job, job)
    assert len(world.events.changes) == 3
    assert len(set(world.events.changes)) == 2


@pytest.mark.promise("never pay twice")
def test_no_event_before_the_post(world: World) -> None:
    """Nothing is published before the POST, and the next event has it."""
    job = world.holds(make_job(Status.READY))
    intended = world.record.intend(job, Status.SUBMITTING, limits=world.limits, unchanged=())
    assert world.job(job.job_id).status is Status.SUBMITTING
    assert (world.results.files, world.events.changes) == ({}, [])
    world.record.move(intended, Status.SUBMITTED, request_id=REQUEST_ID)
    [published] = world.events.changes
    assert [step.status for step in published.history][-2:] == [Status.SUBMITTING, Status.SUBMITTED]


@pytest.mark.promise("never get stuck")
def test_bus_failure_delays_events(world: World) -> None:
    """A bus that is down stops no job, and the reconciler publishes later."""
    world.events.refuses = DOWN
    job = world.record.move(world.record.open(make_job()), Status.READY)
    kept = world.jobs.outbox()
    world.events.refuses = None
    world.clock.now += timedelta(minutes=5)
    tally = world.reconciler.reconcile()
    assert kept == {job.job_id: job.version}
    assert world.events.published() == [(job.job_id, "RECEIVED"), (job.job_id, "READY")]
    assert (tally.untold, world.jobs.outbox()) == (0, {})


@pytest.mark.parametrize(("minutes", "published"), [(0, []), (1, ["FAILED"])])
def test_killed_publisher_is_made_up_for(world: World, minutes: int, published: list[str]) -> None:
    """A change that was just written is left to its writer; after a minute it is published."""
    job = world.holds(make_job(Status.SUBMITTED))
    world.jobs.replace(job, job.move(Status.FAILED, now=world.clock()))  # and the writer dies
    world.clock.now += timedelta(minutes=minutes)
    world.reconciler.reconcile()
    world.reconciler.reconcile()
    assert world.events.published() == [(job.job_id, status) for status in published]


@pytest.mark.promise("it can be operated")
def test_every_change_of_a_dead_writer_is_published(world: World) -> None:
    """Each change that its writer could not publish is published by the reconciler, with the files of the last one."""
    job, _ = world.record.add(make_job())
    ready = job.move(Status.READY, now=world.clock())
    world.jobs.replace(job, ready)
    intended = world.record.intend(ready, Status.SUBMITTING, limits=world.limits, unchanged=())
    world.clock.now += timedelta(minutes=1)
    world.reconciler.reconcile()
    assert world.events.published() == [
        (job.job_id, status) for status in ("RECEIVED", "READY", "SUBMITTING")
    ]
    assert [each.version for each in world.events.changes] == [1, 2, 3]
    assert json.loads(world.results.text(job, "status.json") or "")["status"] == intended.status
    assert world.jobs.outbox() == {}


@pytest.mark.promise("it can be operated")
def test_overtaken_writer_leaves_the_newest_files(world: World) -> None:
    """A writer that is overtaken, even by what is no change of state, ends with the newest files."""
    job = world.record.open(make_job())
    ready = job.move(Status.READY, now=world.clock())
    world.jobs.replace(job, ready)
    world.record.set_problems(ready, Problem(code="x", message="Overtaken."))
    world.record.publish(ready, ready)
    assert "Overtaken." in (world.results.text(job, "status.json") or "")
    world.clock.now += timedelta(minutes=1)
    world.reconciler.reconcile()
    assert set(world.events.published()) == {(job.job_id, "RECEIVED"), (job.job_id, "READY")}
    assert world.jobs.outbox() == {}


def test_removed_job_is_not_published(world: World) -> None:
    job = make_job()
    world.jobs.add(job)
    del world.jobs.rows[job.job_id]
    world.reconciler.reconcile()
    assert (world.events.changes, world.jobs.outbox()) == ([], {})


def test_refusing_bus_is_tried_once(world: World) -> None:
    for number in range(3):
        world.jobs.add(make_job(job_id=f"job-{number}"))
    world.clock.now += timedelta(minutes=1)
    world.events.refuses = DOWN
    tally = world.reconciler.reconcile()
    assert (tally.untold, world.events.refused) == (3, 1)


def test_round_ends_in_time(world: World) -> None:
    for number in range(100):
        world.jobs.add(make_job(job_id=f"job-{number}"))
    world.clock.now += timedelta(minutes=1)
    ticks = iter(range(1000))
    left = Outbox(world.record, lambda: float(next(ticks))).publish_left()
    assert len(world.events.changes) < PATIENCE
    assert left + len(world.events.changes) == 100


@pytest.mark.parametrize(
    ("by", "then", "again"),
    [
        ("the clock", LOCKED.code, True),
        ("the clock", "budget_exhausted", False),
        ("a person", LOCKED.code, False),
    ],
)
def test_repeated_hold_is_marked(world: World, by: str, then: str, *, again: bool) -> None:
    """Only a job that is held for the same as before is no news."""
    world.answer(SubmissionRefusedError(Problem(code=LOCKED.code, message="x"), held=True))
    job = world.submit(world.drop())
    world.clock.now += timedelta(hours=2)
    world.answer(SubmissionRefusedError(Problem(code=then, message="x"), held=True))
    if by == "a person":
        world.manual_actions.approve(job.job_id, by="ada")
    else:
        world.reconciler.reconcile()
    world.work()

    held = [each for each in world.events.changes if each.status is Status.HELD]
    assert [each.again for each in held] == [False, again]


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("status", list(Status))
def test_event_has_no_personal_data(status: Status) -> None:
    """An event has no personal data."""
    job = make_job(
        status,
        problems=(Problem(code="image_damaged", message="anna.jpg is cut.", member="anna.jpg"),),
        cancel_by="arn:aws:iam::123456789012:user/ada",
    )
    job = job.model_copy(
        update={"history": tuple(s.model_copy(update={"by": "ada"}) for s in job.history)}
    )
    published = StatusChange.of(job, bucket="models")
    text = published.model_dump_json()
    assert published.problems == ("image_damaged",)
    assert [word for word in ("anna", "arn:", '"by"', "https:", "TOK_") if word in text] == []


def test_late_move_writes_nothing(world: World) -> None:
    stale = world.holds(make_job(Status.READY))
    world.record.move(stale, Status.SUBMITTING)
    before = dict(world.results.files)
    with pytest.raises(ConflictError):
        world.record.move(stale, Status.CANCELLED)
    assert world.job(stale.job_id).status is Status.SUBMITTING
    assert before == world.results.files

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest

from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.errors import ConflictError
from lora_drop.jobs.status import Status
from tests.support.builders import ARTIFACTS, REQUEST_ID, make_job
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


def test_a_new_job_is_kept_and_told_once(world: World) -> None:
    job = make_job()

    opened = world.record.open(job)
    again = world.record.open(make_job(images=99))

    assert opened == again == job
    assert '"RECEIVED"' in (world.results.text(job, "status.json") or "")


def test_a_move_that_comes_too_late_writes_nothing(world: World) -> None:
    stale = world.holds(make_job(Status.READY))
    world.record.move(stale, Status.SUBMITTING)
    told = dict(world.results.files)

    with pytest.raises(ConflictError):
        world.record.move(stale, Status.CANCELLED)

    assert world.job(stale.job_id).status is Status.SUBMITTING
    assert told == world.results.files


def test_nothing_stands_between_an_intent_and_the_post(world: World) -> None:
    job = world.holds(make_job(Status.READY))

    world.record.intend(job, Status.SUBMITTING, limits=world.limits, unchanged=())

    assert world.job(job.job_id).status is Status.SUBMITTING
    assert world.results.files == {}


def test_a_slower_writer_never_has_the_last_word(world: World) -> None:
    slow = world.results = SlowResults()
    job = world.holds(make_job(Status.SUBMITTING))

    def end_elsewhere() -> None:
        submitted = world.job(job.job_id)
        storing = world.record.move(submitted, Status.STORING, artifacts=ARTIFACTS)
        world.record.move(storing, Status.SUCCEEDED)

    slow.meanwhile = end_elsewhere

    world.record.move(job, Status.SUBMITTED, request_id=REQUEST_ID)

    assert json.loads(world.results.text(job, "status.json") or "")["status"] == "SUCCEEDED"


def test_a_slower_writer_leaves_no_false_alarm_behind(world: World) -> None:
    slow = world.results = SlowResults()
    job = world.holds(make_job(Status.SUBMITTING))

    def answer_elsewhere() -> None:
        doubtful = world.job(job.job_id)
        world.record.move(doubtful, Status.SUBMITTED, request_id=REQUEST_ID)

    slow.meanwhile = answer_elsewhere

    world.record.move(job, Status.SUBMIT_UNKNOWN)

    assert world.results.text(job, "ERROR.txt") is None


@pytest.mark.parametrize("status", [status for status in Status if status.troubling])
def test_trouble_puts_an_error_file_beside_the_state(world: World, status: Status) -> None:
    job = world.holds(make_job(status))

    world.record.publish_files(job)

    assert {job.prefix + "status.json", job.prefix + "ERROR.txt"} == set(world.results.files)


def test_the_error_file_goes_when_the_trouble_is_over(world: World) -> None:
    job = world.holds(make_job(Status.SUBMIT_UNKNOWN))
    world.record.publish_files(job)

    world.record.move(job, Status.SUBMITTED, request_id=REQUEST_ID)

    assert {job.prefix + "status.json"} == set(world.results.files)


def test_an_end_that_could_not_be_told_is_told_by_the_reconciler(world: World) -> None:
    job = world.holds(make_job(Status.SUBMITTED))
    ended = job.move(Status.FAILED, now=world.clock())
    world.jobs.replace(job, ended)  # and whoever did it dies here
    world.clock.now += timedelta(minutes=10)

    world.reconciler.reconcile()

    assert '"FAILED"' in (world.results.text(job, "status.json") or "")
    assert world.results.text(job, "ERROR.txt")
    assert list(world.jobs.unfinished()) == []

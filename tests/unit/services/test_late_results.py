"""A result that fal has for a job is kept, whatever was said or done before it comes."""

from collections.abc import Callable
from typing import Any

import pytest

from lora_drop.fal.status import Failed, FalStatus, Finished, Gone
from lora_drop.jobs import errors
from lora_drop.jobs.artifacts import Artifact
from lora_drop.jobs.budget import Limits
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from lora_drop.jobs.time_limits import DENIAL_STANDS
from lora_drop.ports import Submission
from lora_drop.services.record import Record
from tests.support.builders import ADA, ARTIFACTS, BAD_IMAGE, REQUEST_ID, make_job
from tests.support.memory import MemoryFal
from tests.support.queue import again, codes, first, later
from tests.support.world import LATE_AFTER, World


def full(world: World, *, full: bool) -> None:
    """Whether there is no slot left."""
    world.limits = Limits(0 if full else 2, 100.0, 25.0)


def expired(world: World, job: Job) -> Job:
    for doubted in (False, True):
        world.fal_updates.receive(
            job.job_id, Gone(job.request_id or ""), asked=True, doubted=doubted
        )
    return world.job(job.job_id)


def failed(world: World, job: Job) -> Job:
    return world.fal_updates.receive(
        job.job_id, Failed(job.request_id or "", BAD_IMAGE, billed=False)
    )


def duplicate(world: World, ended: Callable[[World, Job], Job]) -> tuple[Job, Job]:
    """A job that ended, and its duplicate, which waits for a slot now."""
    given_up = first(world)
    waiting = again(world)
    full(world, full=True)
    given_up = ended(world, given_up)
    later(world)
    return given_up, world.job(waiting.job_id)


def retried(world: World, ended: Callable[[World, Job], Job]) -> tuple[Job, Job]:
    """A job that ended, and its retry, which waits for a slot now."""
    given_up = ended(world, first(world))
    full(world, full=True)
    retry = world.retry_service.retry(given_up.job_id, resume=False, by=ADA)
    world.work()
    return given_up, world.job(retry.job_id)


BOTH = pytest.mark.parametrize("replacement", [duplicate, retried], ids=["duplicate", "retry"])
ENDS = pytest.mark.parametrize("ended", [expired, failed], ids=["expired", "failed"])


type Replacement = Callable[[World, Callable[[World, Job], Job]], tuple[Job, Job]]


def result_comes(world: World, given_up: Job) -> None:
    """fal has the result after all; there is a slot again, and the reconciler makes a round."""
    world.clock.now += LATE_AFTER
    world.fal_updates.receive(given_up.job_id, Finished(given_up.request_id or "", ARTIFACTS))
    full(world, full=False)
    later(world)


@pytest.mark.promise("never pay twice")
@BOTH
@ENDS
def test_late_result_stops_its_replacement(
    busy: World, replacement: Replacement, ended: Callable[[World, Job], Job]
) -> None:
    """A job that replaces another is not paid for once the result of the other came after all."""
    given_up, waiting = replacement(busy, ended)
    assert waiting.status is Status.READY
    result_comes(busy, given_up)
    held = busy.job(waiting.job_id)
    assert (held.status, codes(held)) == (Status.HELD, ["earlier_result_came"])
    assert given_up.job_id in held.problems[0].message
    for _ in range(30):
        later(busy)
    held = busy.job(waiting.job_id)
    assert (held.status, held.charges, len(busy.fal.posts)) == (Status.HELD, (), 1)


@BOTH
def test_person_may_train_again_anyway(busy: World, replacement: Replacement) -> None:
    given_up, waiting = replacement(busy, expired)
    result_comes(busy, given_up)
    busy.clock.now += LATE_AFTER
    busy.manual_actions.approve(waiting.job_id, by=ADA)
    busy.work()
    sent = busy.job(waiting.job_id)
    assert (sent.status, sent.approved) == (Status.SUBMITTED, False)


@pytest.mark.promise("never pay twice")
@BOTH
def test_simultaneous_result_stops_the_payment(
    busy: World, replacement: Replacement, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A result that comes in this very moment stops the payment."""
    given_up, waiting = replacement(busy, expired)
    full(busy, full=False)
    busy.clock.now += LATE_AFTER
    result = Finished(given_up.request_id or "", ARTIFACTS)
    intend = Record.intend

    def just_before(self: Record, *args: Any, **how: Any) -> Job:
        busy.fal_updates.receive(given_up.job_id, result)
        return intend(self, *args, **how)

    monkeypatch.setattr(Record, "intend", just_before)
    busy.dispatcher.submit_waiting()

    assert busy.job(waiting.job_id).status is Status.HELD
    assert len(busy.fal.posts) == 1


FINISHED = Finished(REQUEST_ID, ARTIFACTS)
MOVED = tuple(Artifact(name=each.name, url=each.url.replace("/a/", "/b/")) for each in ARTIFACTS)


@pytest.mark.promise("never lose a result")
def test_delivered_addresses_replace_dead_ones(world: World) -> None:
    """Living addresses that are delivered take the place of dead ones."""
    job = world.holds(make_job(Status.STORING))
    world.source.gone = {each.url for each in ARTIFACTS}
    world.fal.facts[REQUEST_ID] = Gone(REQUEST_ID)
    world.result_storer.store_result(job.job_id)
    received = world.fal_updates.receive(job.job_id, Finished(REQUEST_ID, MOVED))
    world.clock.now += DENIAL_STANDS
    assert (received.artifacts, received.problems) == (MOVED, ())
    assert world.result_storer.store_result(job.job_id).status is Status.SUCCEEDED


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("then", ["waits to be sent again", "is given up"])
def test_wrong_person_loses_no_result(world: World, then: str) -> None:
    """A person who was wrong about a lost submission loses no result."""
    world.answer(errors.SubmissionUnknownError("ReadTimeout"))
    job = world.submit(world.drop())
    world.manual_actions.not_submitted(job.job_id, by=ADA)
    if then == "is given up":
        world.manual_actions.cancel(job.job_id, by=ADA)
    world.answer(lambda: Submission("never"))
    received = world.fal_updates.receive(job.job_id, FINISHED)
    stored = world.result_storer.store_result(job.job_id)
    world.work()

    assert (received.status, received.request_id) == (Status.STORING, REQUEST_ID)
    assert stored.status is Status.SUCCEEDED
    assert [charge.state for charge in stored.charges] == ["spent"]
    assert len(world.fal.posts) == 1


def test_retry_looks_at_newer_job(busy: World) -> None:
    """A retry of an older job looks at the newer one with the same content."""
    older = failed(busy, first(busy))
    newer = failed(busy, again(busy))
    retry = busy.retry_service.retry(older.job_id, resume=False, by=ADA)
    busy.fal_updates.receive(newer.job_id, Finished(newer.request_id or "", ARTIFACTS))
    busy.work()
    assert busy.job(retry.job_id).problems[0].code == "earlier_result_came"
    assert len(busy.fal.posts) == 2


def test_newer_training_is_not_retried(busy: World) -> None:
    older = failed(busy, first(busy))
    newer = busy.train(again(busy))
    with pytest.raises(errors.ActionNotAllowedError, match=newer.job_id):
        busy.retry_service.retry(older.job_id, resume=False, by=ADA)


def test_forced_retry_ignores_earlier_training(busy: World) -> None:
    busy.train(first(busy))
    forced = failed(busy, again(busy, metadata={"force": "true"}))
    retry = busy.retry_service.retry(forced.job_id, resume=False, by=ADA)
    busy.work()
    assert busy.job(retry.job_id).status is Status.SUBMITTED


def test_new_addresses_are_kept_first(world: World) -> None:
    job = world.holds(make_job(Status.STORING))
    world.source.gone = {each.url for each in ARTIFACTS}

    class Cutting(MemoryFal):
        def ask(self, application: str, request_id: str) -> FalStatus:
            world.source.failing = {
                each.name: errors.DownloadInterruptedError("cut") for each in MOVED
            }
            return super().ask(application, request_id)

    world.fal = Cutting(facts={REQUEST_ID: Finished(REQUEST_ID, MOVED)})
    with pytest.raises(errors.DownloadInterruptedError):
        world.result_storer.store_result(job.job_id)
    world.source.failing = {}
    world.fal = MemoryFal(facts={REQUEST_ID: Gone(REQUEST_ID)})

    assert world.result_storer.store_result(job.job_id).status is Status.SUCCEEDED

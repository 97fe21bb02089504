"""Every change of a job gets its event, whoever dies on the way and whoever writes the job meanwhile."""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from lora_drop.fal.status import Finished
from lora_drop.jobs.budget import Limits
from lora_drop.jobs.delivery import DeliveryMethod
from lora_drop.jobs.errors import EventsUnavailableError, LoraDropError
from lora_drop.jobs.events import ChangeNotice
from lora_drop.jobs.job import Job
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from lora_drop.ports import Submission
from lora_drop.services import submit
from lora_drop.services.dispatch import Dispatcher
from tests.support.builders import ARTIFACTS, REQUEST_ID, make_job
from tests.support.memory import MemoryEvents
from tests.support.memory_jobs import MemoryJobs
from tests.support.outcome import FailingJobs, FailingWorld, Killed, Outcome, effect
from tests.support.world import World

LATER = timedelta(minutes=12)
GOOD = ("RECEIVED", "READY", "SUBMITTED", "STORING", "SUCCEEDED")


@dataclass
class FailingOutbox(FailingJobs):
    """Jobs whose outbox is an effect as well; ``noted`` are all the changes that were ever in it."""

    noted: set[tuple[int, Status]] = field(default_factory=set)
    mark_published = effect(MemoryJobs.mark_published, lambda *_: "mark")

    def _note(self, before: Job | None, after: Job) -> None:
        super()._note(before, after)
        self.noted |= {(each.version, each.status) for each in self.notices[after.job_id]}


@dataclass
class FailingEvents(MemoryEvents):
    """A bus whose every call is an effect."""

    outcome: Outcome = field(default_factory=Outcome)
    emit = effect(MemoryEvents.emit, lambda *_: "emit")


class Life:
    """One job from its dataset to its LoRA; each message comes again where its function died."""

    def __init__(self, outcome: Outcome) -> None:
        self.world = FailingWorld(outcome=outcome)
        self.world.jobs = self.jobs = FailingOutbox(outcome=outcome)
        self.world.events = FailingEvents(outcome=outcome)
        self.dataset = self.world.drop()

    def live(self) -> Job:
        job_id = self._message(lambda: self.world.submit(self.dataset).job_id)
        if self.world.fal.posts:
            fact = Finished(REQUEST_ID, ARTIFACTS)
            self._message(lambda: self.world.fal_updates.receive(job_id, fact).job_id)
            self._message(lambda: self.world.result_storer.store_result(job_id).job_id)
        for _ in range(3):
            self.world.clock.now += LATER
            with suppress(Killed):
                self.world.reconciler.reconcile()
        return self.world.job(job_id)

    def _message(self, handle: Callable[[], str]) -> str:
        for _ in range(3):
            with suppress(Killed, LoraDropError):
                return handle()
            self.world.clock.now += LATER
        raise AssertionError("the message is a dead letter")

    def check(self, job: Job) -> None:
        """Each change was told, under its version, but for a try that came to nothing; the last one is the job's state."""
        hung = job.status is Status.SUBMITTING
        told = {(each.version, each.status) for each in self.world.events.changes}
        noted = {each for each in self.jobs.noted if each[1] is not Status.SUBMITTING or hung}
        assert {each for each in told if each[1] is not Status.SUBMITTING} == noted
        assert max(told)[1] is job.status
        assert self.world.jobs.outbox() == {}
        text = self.world.results.text(job, "status.json")
        assert json.loads(text or "")["status"] == job.status


def effects_of_a_life() -> Sequence[str]:
    life = Life(Outcome())
    life.live()
    return life.world.outcome.effects


EFFECTS = effects_of_a_life()


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize("at", range(1, len(EFFECTS) + 1), ids=lambda at: f"{at}")
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_no_death_loses_an_event(at: int, *, after: bool) -> None:
    """Whatever function dies at whatever effect, each state of the job is told, and the last of them is its own."""
    assert EFFECTS.count("emit") == 3, "RECEIVED, READY and SUBMITTED are told at once"
    assert EFFECTS.count("mark") == 3
    life = Life(Outcome(at=at, after=after))
    life.check(life.live())


def test_each_change_is_told_once_and_in_order() -> None:
    """A job that goes well has one event for each state, but for SUBMITTING, in their order."""
    life = Life(Outcome())
    job = life.live()
    life.check(job)
    assert [status for _, status in life.world.events.published()] == list(GOOD)
    versions = [each.version for each in life.world.events.changes]
    assert versions == sorted(set(versions))


@pytest.mark.promise("it can be operated")
def test_change_during_the_round_is_told(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a function writes, and dies, while a round publishes what others have left is told by the next round."""
    job, _ = world.record.add(make_job())
    real = MemoryJobs.left
    deaths: list[Job] = []

    def left(self: MemoryJobs, job_id: str) -> Sequence[ChangeNotice] | None:
        found = real(self, job_id)
        if not deaths:
            deaths.append(job.move(Status.READY, now=world.clock()))
            world.jobs.replace(job, deaths[0])  # and its writer dies
        return found

    monkeypatch.setattr(MemoryJobs, "left", left)
    for _ in range(2):
        world.clock.now += timedelta(minutes=1)
        world.reconciler.reconcile()
    told = [(each.status, each.version) for each in world.events.changes]
    assert set(told) == {(Status.RECEIVED, 1), (Status.READY, 2)}
    assert world.jobs.outbox() == {}


@pytest.mark.promise("it can be operated")
def test_change_of_a_dead_function_between_ours_is_told(world: World) -> None:
    """A change that a dead function has made between two of a living one is told later, and not taken for told."""
    full, world.limits = world.limits, Limits(0)
    ready = world.submit(world.drop())
    world.limits = full

    def marked_meanwhile() -> Submission:
        intent = world.job(ready.job_id)
        unknown = intent.move(Status.SUBMIT_UNKNOWN, now=world.clock())
        world.jobs.replace(intent, unknown)  # and the reconciler dies
        return Submission(REQUEST_ID)

    world.answer(marked_meanwhile)
    [job] = world.dispatcher.submit_waiting()
    assert job.status is Status.SUBMITTED
    assert world.jobs.outbox() == {job.job_id: job.version}
    world.clock.now += timedelta(minutes=1)
    world.reconciler.reconcile()
    assert "SUBMIT_UNKNOWN" in {status for _, status in world.events.published()}
    assert "SUBMITTING" not in {status for _, status in world.events.published()}
    assert world.jobs.outbox() == {}


@pytest.mark.promise("it can be operated")
def test_result_faster_than_the_answer(world: World) -> None:
    """Where fal calls back before it has answered the POST, what was held back is told a round later."""

    def called_back() -> Submission:
        [job] = world.jobs.rows.values()
        world.fal_updates.receive(job.job_id, Finished(REQUEST_ID, ARTIFACTS))
        return Submission(REQUEST_ID)

    world.answer(called_back)
    job = world.submit(world.drop())
    assert job.status is Status.STORING
    world.clock.now += timedelta(minutes=1)
    world.reconciler.reconcile()
    assert {status for _, status in world.events.published()} == {"RECEIVED", "READY", "STORING"}
    assert world.jobs.outbox() == {}


def held_back(world: World) -> list[str]:
    return [status for _, status in world.events.published()]


@pytest.mark.promise("it can be operated")
def test_nothing_is_held_back_from_an_error(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written before an error is told before the error is raised."""

    class BrokenError(Exception):
        pass

    def broken(*_: object) -> Job:
        raise BrokenError

    monkeypatch.setattr(Dispatcher, "_turn", broken)
    with pytest.raises(BrokenError):
        world.submit(world.drop())
    assert held_back(world) == ["RECEIVED", "READY"]
    assert world.jobs.outbox() == {}


@pytest.mark.promise("it can be operated")
def test_nothing_is_held_back_for_an_upload(world: World) -> None:
    """READY is told before a dataset goes to fal's storage, which may take minutes."""
    world.way = DeliveryMethod.FAL
    seen: list[list[str]] = []
    real = world.storage.upload

    def upload(*given: Any, **more: Any) -> Any:
        seen.append(held_back(world))
        return real(*given, **more)

    world.storage.upload = upload  # type: ignore[method-assign]
    world.submit(world.drop())
    assert seen == [["RECEIVED", "READY"]]
    assert held_back(world) == ["RECEIVED", "READY", "SUBMITTED"]


@pytest.mark.promise("it can be operated")
def test_nothing_is_held_back_for_anothers_turn(world: World) -> None:
    """A job that stands behind another one is told before that one's turn."""
    full, world.limits = world.limits, Limits(0)
    first = world.submit(world.drop())
    world.limits = full
    world.events.changes.clear()
    world.clock.now += LATER
    seen: list[list[str]] = []

    def answered() -> Submission:
        seen.append(held_back(world))
        return Submission(f"request-{len(seen)}")

    world.answer(answered)
    job = world.submit(world.drop(key="portrait/bo.zip", images=13))
    assert world.job(first.job_id).status is Status.SUBMITTED
    assert (job.status, seen[0]) == (Status.SUBMITTED, ["RECEIVED", "READY"])
    assert world.jobs.outbox() == {}


def test_long_check_is_told_of_before(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """RECEIVED of a large dataset is told before the check, which takes long."""
    monkeypatch.setattr(submit, "CHECKED_SOON", 0)
    seen: list[list[str]] = []
    real = submit.Submitter._check

    def check(self: submit.Submitter, *given: Any) -> Job:
        seen.append(held_back(world))
        return real(self, *given)

    monkeypatch.setattr(submit.Submitter, "_check", check)
    world.submit(world.drop())
    assert seen == [["RECEIVED"]]
    assert held_back(world) == ["RECEIVED", "READY", "SUBMITTED"]


def test_verdict_has_what_was_held_back(world: World) -> None:
    """A dataset that is refused has RECEIVED and REJECTED told together."""
    job = world.submit(world.drop(images=1))
    assert held_back(world) == ["RECEIVED", "REJECTED"]
    assert world.jobs.outbox() == {}
    assert json.loads(world.results.text(job, "status.json") or "")["status"] == "REJECTED"


@pytest.mark.promise("never get stuck")
def test_bus_that_is_down_holds_nothing_up(world: World) -> None:
    """While the bus is down a job goes its whole way, and each state is told when it is back."""
    world.events.refuses = EventsUnavailableError("down")
    job = world.train(world.submit(world.drop()))
    world.events.refuses = None
    world.clock.now += timedelta(minutes=1)
    world.reconciler.reconcile()
    assert job.status is Status.SUCCEEDED
    assert held_back(world) == list(GOOD)


def test_note_of_problems_leaves_no_event(world: World) -> None:
    """A write that changes no state is told to nobody, and its files are made up for where its writer died."""
    job = world.record.open(make_job(Status.HELD))
    noted = job.model_copy(
        update={"version": job.version + 1, "problems": (Problem(code="x", message="Noted."),)}
    )
    world.jobs.replace(job, noted)  # and its writer dies
    told = held_back(world)
    world.clock.now += timedelta(minutes=2)
    world.reconciler.reconcile()
    assert held_back(world) == told
    assert "Noted." in (world.results.text(job, "status.json") or "")
    assert world.jobs.outbox() == {}


def test_submit_that_a_webhook_overtook_tells_what_it_has_written(world: World) -> None:
    """Where fal's webhook is faster than the answer to the POST, submit tells the changes before it at once, and no round tells them again."""
    post = world.fal.submit

    def answered_late(application: str, arguments: Any, *, webhook_url: str) -> Any:
        receipt = post(application, arguments, webhook_url=webhook_url)
        job_id = webhook_url.split("/")[-2]
        world.fal_updates.receive(job_id, Finished(receipt.request_id, ARTIFACTS))
        return receipt

    world.fal.submit = answered_late  # type: ignore[method-assign]
    world.submit(world.drop())

    def told() -> list[str]:
        return [change.status.value for change in world.events.changes]

    assert set(told()) == {"RECEIVED", "READY", "STORING"}
    world.result_storer.store_result(world.queue.handed.pop(0))
    at_the_end = told()
    assert at_the_end.count("SUCCEEDED") == 1
    world.clock.now += LATER
    world.reconciler.reconcile()
    assert told() == at_the_end

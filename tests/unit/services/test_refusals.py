"""What fal refuses, or never hears of: who waits for it, and who goes on."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from lora_drop.fal.status import Failed
from lora_drop.jobs.errors import NotSubmittedError, SubmissionRefusedError, SubmissionUnknownError
from lora_drop.jobs.job import DatasetVersion, Job
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from lora_drop.ports import Submission
from tests.support.queue import dropped, free, states
from tests.support.world import World

LOCKED = Problem(code="fal_account_locked", message="Top up the balance.")
BAD = Problem(code="fal_bad_request", message="fal could not make sense of it.")


@pytest.fixture
def world(busy: World) -> World:
    return busy


def test_what_cannot_be_sent_now_stops_the_line_and_keeps_no_slot(world: World) -> None:
    world.answer(NotSubmittedError("no connection"))

    jobs = dropped(world, "a", "b", "c")

    assert states(world, jobs) == [Status.READY] * 3
    # One try for each event, each of them for the first of the line.
    assert world.paid == [jobs[0].job_id] * 3
    assert world.jobs.account("2026-11").in_flight == ()


def test_what_fal_holds_against_one_job_does_not_stop_the_others(world: World) -> None:
    free(world)
    world.answer(NotSubmittedError("no connection"))
    jobs = dropped(world, "a", "b", "c")
    outcomes: list[Callable[[], Submission]] = [lambda: Submission("r2"), lambda: Submission("r3")]

    def refuse_the_first() -> Submission:
        if len(world.fal.posts) == 4:
            raise SubmissionRefusedError(BAD)
        return outcomes.pop(0)()

    world.answer(refuse_the_first)
    world.dispatcher.submit_waiting()

    assert states(world, jobs) == [Status.FAILED, Status.SUBMITTED, Status.SUBMITTED]


def test_what_fal_holds_against_the_account_stops_the_line(world: World) -> None:
    free(world)
    world.answer(NotSubmittedError("no connection"))
    jobs = dropped(world, "a", "b", "c")
    world.fal.posts.clear()
    world.answer(SubmissionRefusedError(LOCKED, held=True))

    world.dispatcher.submit_waiting()

    assert states(world, jobs) == [Status.HELD, Status.READY, Status.READY]
    assert len(world.fal.posts) == 1
    assert "Top up the balance." in (world.results.text(jobs[0], "ERROR.txt") or "")
    assert world.jobs.account("2026-11").committed_usd == 0


@pytest.mark.parametrize(("minutes", "probes"), [(59, 0), (60, 1)])
def test_after_an_hour_it_is_tried_whether_the_account_is_in_order_again(
    world: World, minutes: int, probes: int
) -> None:
    world.answer(SubmissionRefusedError(LOCKED, held=True))
    [held] = dropped(world, "a")
    world.fal.posts.clear()
    world.clock.now += timedelta(minutes=minutes)

    world.reconciler.reconcile()
    world.work()

    assert len(world.fal.posts) == probes
    assert world.job(held.job_id).status is Status.HELD


def test_once_the_account_is_in_order_everything_goes_on_by_itself(world: World) -> None:
    free(world)
    world.answer(SubmissionRefusedError(LOCKED, held=True))
    jobs = dropped(world, "a", "b", "c")
    world.answer(lambda: Submission(f"request-{len(world.fal.posts)}"))

    world.clock.now += timedelta(hours=1)
    world.reconciler.reconcile()
    world.work()

    assert states(world, jobs) == [Status.SUBMITTED] * 3
    assert world.results.text(jobs[0], "ERROR.txt") is None


def test_what_only_a_person_can_lift_is_not_tried_again(world: World) -> None:
    world.answer(SubmissionRefusedError(Problem(code="fal_x", message="m"), held=True))
    [held] = dropped(world, "a")
    world.clock.now += timedelta(days=40)

    world.reconciler.reconcile()
    world.work()

    assert world.job(held.job_id).status is Status.HELD
    assert len(world.fal.posts) == 1


def test_settling_never_touches_another_submission(world: World) -> None:
    [dataset] = [world.drop()]

    def fail_and_be_sent_again() -> Submission:
        [job_id] = world.jobs.rows
        if len(world.fal.posts) == 1:
            not_fetched = Problem(code="fal_file_download_error", message="m")
            fact = Failed("request-1", not_fetched, billed=False)
            world.fal_updates.receive(job_id, fact, asked=True)
            world.submit(dataset)
            raise SubmissionUnknownError("ReadTimeout")
        return Submission("request-2")

    world.answer(fail_and_be_sent_again)
    job = world.submit(dataset)

    assert (job.status, job.request_id) == (Status.SUBMITTED, "request-2")
    assert job.earlier_requests == ("request-1",)
    assert world.job(job.job_id).problems == ()


def test_settling_never_touches_a_submission_of_the_same_moment(world: World) -> None:
    """As above, but the other one is still open: only its number tells it apart."""
    dataset = world.drop()
    seen: list[Job] = []

    def overtaken() -> Submission:
        [job_id] = world.jobs.rows
        if len(world.fal.posts) == 1:
            world.reconciler.record.move(world.job(job_id), Status.READY)
            world.submit(dataset)
            raise NotSubmittedError("no connection")
        seen.append(world.job(job_id))
        raise SubmissionUnknownError("ReadTimeout")

    world.answer(overtaken)
    job = world.submit(dataset)

    assert (job.status, seen[0].status) == (Status.SUBMIT_UNKNOWN, Status.SUBMITTING)


def test_nobody_is_sent_without_the_secret_for_the_way_back(world: World) -> None:
    def no_secret() -> bytes:
        raise NotSubmittedError("the secret has no value yet")

    world.webhook_secret = no_secret
    dataset: DatasetVersion = world.drop()

    with pytest.raises(NotSubmittedError):
        world.submit(dataset)

    assert world.jobs.account("2026-11").in_flight == ()
    assert world.fal.posts == []

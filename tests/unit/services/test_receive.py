from dataclasses import replace
from datetime import timedelta

import pytest

from lora_drop.fal.status import Failed, FalStatus, Finished, Gone, Running, failed
from lora_drop.jobs.errors import ConflictError, ForeignRequestError, JobNotFoundError
from lora_drop.jobs.job import Job
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import TRANSITIONS, Status
from lora_drop.services.lease import JobLease
from tests.support.builders import ARTIFACTS, REQUEST_ID, make_job
from tests.support.memory_jobs import MemoryJobs
from tests.support.world import World

OTHER_REQUEST = "019d9e0b-6eb0-7920-8000-000000000000"
INVALID = Problem(code="result_invalid", message="lora.safetensors is not what its name says.")
PROBLEM = Problem(code="fal_image_load_error", message="One of the images cannot be read.")
WAITING = Running(REQUEST_ID, started=False)
STARTED = Running(REQUEST_ID, started=True)
FINISHED = Finished(REQUEST_ID, ARTIFACTS)
FAILED = Failed(REQUEST_ID, PROBLEM)
GONE = Gone(REQUEST_ID)
FACTS: dict[str, FalStatus] = {
    "waiting": WAITING,
    "started": STARTED,
    "finished": FINISHED,
    "failed": FAILED,
    "gone": GONE,
}
# What each fact makes of a job that is at fal.
CONSEQUENCES = [
    (Status.SUBMITTED, "waiting", Status.SUBMITTED),
    (Status.SUBMITTED, "started", Status.TRAINING),
    (Status.SUBMITTED, "finished", Status.STORING),
    (Status.SUBMITTED, "failed", Status.FAILED),
    (Status.SUBMITTED, "gone", Status.SUBMITTED),  # see below
    (Status.TRAINING, "waiting", Status.TRAINING),
    (Status.TRAINING, "started", Status.TRAINING),
    (Status.TRAINING, "finished", Status.STORING),
    (Status.TRAINING, "failed", Status.FAILED),
    (Status.TRAINING, "gone", Status.TRAINING),
    (Status.STORING, "waiting", Status.STORING),
    (Status.STORING, "started", Status.STORING),
    (Status.STORING, "finished", Status.STORING),
    (Status.STORING, "failed", Status.STORING),
    (Status.STORING, "gone", Status.STORING),
]


@pytest.mark.parametrize(("status", "fact", "after"), CONSEQUENCES)
def test_a_fact_moves_a_job_that_is_at_fal_forwards_or_not_at_all(
    world: World, status: Status, fact: str, after: Status
) -> None:
    job = world.holds(make_job(status))

    received = world.fal_updates.receive(job.job_id, FACTS[fact])

    assert received.status is after
    assert received == world.job(job.job_id)


@pytest.mark.parametrize(
    ("status", "fact"),
    [
        (status, fact)
        for status in Status
        for fact in FACTS
        if status.terminal and (status, fact) != (Status.EXPIRED, "finished")  # see below
    ],
)
def test_what_has_ended_stays_as_it_ended(world: World, status: Status, fact: str) -> None:
    job = world.holds(make_job(status))

    received = world.fal_updates.receive(job.job_id, FACTS[fact])

    assert received == world.job(job.job_id) == job
    assert world.queue.handed == []


def test_a_result_that_comes_after_all_is_kept_because_it_was_paid_for(world: World) -> None:
    job = world.holds(make_job(Status.EXPIRED))

    received = world.fal_updates.receive(job.job_id, FINISHED)

    assert (received.status, received.problems) == (Status.STORING, ())
    assert world.queue.handed == [job.job_id]
    assert world.result_storer.store_result(job.job_id).status is Status.SUCCEEDED


def submitted(world: World, after: FalStatus) -> Job:
    """A job that was sent, and what fal said of it then."""
    job = world.submit(world.drop())
    world.fal_updates.receive(
        job.job_id, replace(after, request_id=job.request_id or ""), asked=True
    )
    return world.job(job.job_id)


CANCELLED = failed(REQUEST_ID, "x", {"detail": "stopped", "error_type": "client_cancelled"})
TAKEN_BACK = {
    "billed": replace(FAILED, billed=True),
    "not billed": replace(FAILED, billed=False),
    "cancelled": CANCELLED,
}


@pytest.mark.parametrize("word", TAKEN_BACK.values(), ids=TAKEN_BACK)
def test_a_result_that_comes_after_fal_called_it_a_failure_is_kept_and_booked_once(
    world: World, word: Failed
) -> None:
    ended = submitted(world, word)
    finished = Finished(ended.request_id or "", ARTIFACTS)

    received = world.fal_updates.receive(ended.job_id, finished)
    stored = world.result_storer.store_result(ended.job_id)

    assert ended.status in (Status.FAILED, Status.CANCELLED)
    assert (received.status, received.problems) == (Status.STORING, ())
    assert stored.status is Status.SUCCEEDED
    assert [(each.state, each.usd) for each in stored.charges] == [("spent", 3.6)]
    account = world.jobs.account(f"{world.clock():%Y-%m}")
    assert (account.spent_usd, account.wasted_usd, account.reserved_usd) == (3.6, 0.0, 0.0)


def test_a_result_that_was_copied_and_found_invalid_is_not_copied_again(world: World) -> None:
    job = world.holds(
        make_job(Status.FAILED, request_id=REQUEST_ID, artifacts=ARTIFACTS, problems=(INVALID,))
    )

    assert world.fal_updates.receive(job.job_id, FINISHED) == job


def test_what_was_never_sent_takes_no_result(world: World) -> None:
    job = world.holds(make_job(Status.CANCELLED))

    assert world.fal_updates.receive(job.job_id, FINISHED) == job


@pytest.mark.parametrize("held", [False, True], ids=["free", "while somebody copies"])
def test_addresses_that_come_to_a_result_without_any_are_taken_in(world: World, held: bool) -> None:  # noqa: FBT001
    job = world.holds(make_job(Status.STORING, artifacts=()))
    job_lease = (
        JobLease.take(world.record, job, owner="k1", length=timedelta(minutes=4)) if held else None
    )

    received = world.fal_updates.receive(job.job_id, FINISHED)

    assert (received.status, received.artifacts) == (Status.STORING, ARTIFACTS)
    assert received == world.job(job.job_id)
    if job_lease:
        with pytest.raises(ConflictError):
            job_lease.name(())


def test_fals_word_that_it_has_no_such_request_ends_nothing_until_it_says_so_again(
    world: World,
) -> None:
    job = world.holds(make_job(Status.SUBMITTED))

    denied = world.fal_updates.receive(job.job_id, GONE, asked=True)
    at_once = world.fal_updates.receive(job.job_id, GONE, asked=True)
    ended = world.fal_updates.receive(job.job_id, GONE, asked=True, doubted=True)

    assert (denied.status, [each.code for each in denied.problems]) == (
        Status.SUBMITTED,
        ["result_denied"],
    )
    assert at_once == denied  # two rounds at one time have heard the same slip
    assert (ended.status, [each.code for each in ended.problems]) == (
        Status.EXPIRED,
        ["result_expired"],
    )
    assert "no longer" in (world.results.text(job, "ERROR.txt") or "")


def test_a_denial_is_forgotten_once_fal_knows_the_request(world: World) -> None:
    job = world.holds(make_job(Status.SUBMITTED))

    for fact in (GONE, WAITING, GONE):
        job = world.fal_updates.receive(job.job_id, fact, asked=True, doubted=True)

    assert job.status is Status.SUBMITTED


def test_a_late_success_without_files_brings_nothing_back(world: World) -> None:
    job = world.holds(make_job(Status.EXPIRED))

    received = world.fal_updates.receive(job.job_id, Finished(REQUEST_ID, ()))

    assert received == job


def test_a_request_that_somebody_cancelled_at_fal_is_cancelled(world: World) -> None:
    job = world.holds(make_job(Status.TRAINING))
    detail = {"detail": "Request was cancelled", "error_type": "client_cancelled"}

    received = world.fal_updates.receive(job.job_id, failed(REQUEST_ID, "cancelled", detail))

    assert received.status is Status.CANCELLED


def test_a_result_is_handed_over_with_its_files(world: World) -> None:
    job = world.holds(make_job(Status.SUBMITTED))

    received = world.fal_updates.receive(job.job_id, FINISHED)

    assert received.artifacts == ARTIFACTS
    assert world.queue.handed == [job.job_id]


def test_the_same_result_again_changes_nothing_but_is_handed_over_again(world: World) -> None:
    job = world.holds(make_job(Status.SUBMITTED))

    first = world.fal_updates.receive(job.job_id, FINISHED)
    again = world.fal_updates.receive(job.job_id, FINISHED)

    assert first == again
    assert world.queue.handed == [job.job_id, job.job_id]


def test_a_failure_is_told_with_fals_reason(world: World) -> None:
    job = world.holds(make_job(Status.TRAINING))

    received = world.fal_updates.receive(job.job_id, FAILED)

    assert received.problems == (PROBLEM,)
    assert PROBLEM.message in (world.results.text(job, "ERROR.txt") or "")


def test_facts_in_any_order_end_where_the_final_one_says(world: World) -> None:
    job = world.holds(make_job(Status.SUBMITTED))

    for fact in (STARTED, WAITING, FINISHED, STARTED, GONE, FAILED, WAITING, FINISHED):
        world.fal_updates.receive(job.job_id, fact)

    assert [step.status for step in world.job(job.job_id).history[-2:]] == [
        Status.TRAINING,
        Status.STORING,
    ]


def test_an_unknown_job_is_told_as_such(world: World) -> None:
    with pytest.raises(JobNotFoundError):
        world.fal_updates.receive("ada-0000000000", FINISHED)


AT_FAL = [Status.SUBMITTED, Status.TRAINING, Status.STORING]
NEVER_SENT = [Status.RECEIVED, Status.READY, Status.HELD]


@pytest.mark.parametrize("status", [*AT_FAL, *NEVER_SENT])
def test_another_jobs_request_is_refused(world: World, status: Status) -> None:
    job = world.holds(make_job(status))

    with pytest.raises(ForeignRequestError):
        world.fal_updates.receive(job.job_id, Finished(OTHER_REQUEST, ARTIFACTS))

    assert world.job(job.job_id) == job
    assert world.queue.handed == []


@pytest.mark.parametrize("status", [Status.SUBMITTING, Status.SUBMIT_UNKNOWN])
@pytest.mark.parametrize(
    ("fact", "after"),
    [
        ("waiting", Status.SUBMITTED),
        ("started", Status.TRAINING),
        ("finished", Status.STORING),
        ("failed", Status.FAILED),
        ("gone", Status.SUBMITTED),
    ],
)
def test_a_job_whose_submission_was_never_answered_adopts_its_request(
    world: World, status: Status, fact: str, after: Status
) -> None:
    job = world.holds(make_job(status))

    received = world.fal_updates.receive(job.job_id, FACTS[fact])

    assert (received.status, received.request_id) == (after, REQUEST_ID)
    assert Status.SUBMITTED in [step.status for step in received.history]
    assert received == world.job(job.job_id)


def test_an_adopted_request_keeps_others_out(world: World) -> None:
    job = world.holds(make_job(Status.SUBMIT_UNKNOWN))
    world.fal_updates.receive(job.job_id, STARTED)

    with pytest.raises(ForeignRequestError):
        world.fal_updates.receive(job.job_id, Finished(OTHER_REQUEST, ARTIFACTS))


def test_the_alarm_about_a_doubtful_submission_ends_with_the_evidence(world: World) -> None:
    job = world.holds(make_job(Status.SUBMIT_UNKNOWN))
    world.record.publish_files(job)

    received = world.fal_updates.receive(job.job_id, WAITING)

    assert received.problems == ()
    assert world.results.text(job, "ERROR.txt") is None


def test_a_write_that_somebody_else_overtook_is_told_and_nothing_is_handed_over(
    world: World,
) -> None:
    class Overtaken(MemoryJobs):
        def replace(self, before: Job, after: Job, **_: object) -> None:
            raise ConflictError(f"{before.job_id} {after.status}")

    job = world.holds(make_job(Status.SUBMITTED))
    world.jobs = Overtaken(world.jobs.rows)

    with pytest.raises(ConflictError):
        world.fal_updates.receive(job.job_id, FINISHED)

    assert world.queue.handed == []


def test_no_fact_leads_where_the_table_has_no_move(world: World) -> None:
    for status in Status:
        for fact in FACTS.values():
            job = world.holds(make_job(status))
            try:
                received = world.fal_updates.receive(job.job_id, fact)
            except ForeignRequestError:
                continue
            for earlier, later in zip(received.history, received.history[1:], strict=False):
                assert later.status in TRANSITIONS[earlier.status]

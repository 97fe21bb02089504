"""What fal says of a request moves a job that is at fal forwards, or not at all."""

from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from lora_drop.fal.status import Failed, FalStatus, Finished, Gone, Running, failed
from lora_drop.jobs.artifacts import Artifact
from lora_drop.jobs.errors import ConflictError, ForeignRequestError, JobNotFoundError
from lora_drop.jobs.job import Job
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from lora_drop.services.lease import JobLease
from tests.support.builders import ARTIFACTS, BAD_IMAGE, REQUEST_ID, make_job
from tests.support.queue import codes
from tests.support.world import World

OTHER_REQUEST = "019d9e0b-6eb0-7920-8000-000000000000"
INVALID = Problem(code="result_invalid", message="lora.safetensors is not what its name says.")
WAITING = Running(REQUEST_ID, started=False)
STARTED = Running(REQUEST_ID, started=True)
FINISHED = Finished(REQUEST_ID, ARTIFACTS)
FAILED = Failed(REQUEST_ID, BAD_IMAGE)
GONE = Gone(REQUEST_ID)
STATUSES: dict[str, FalStatus] = {
    "waiting": WAITING,
    "started": STARTED,
    "finished": FINISHED,
    "failed": FAILED,
    "gone": GONE,
}
# What each status of STATUSES makes of a job that is at fal; one denial ends nothing, see below.
AFTER = {
    Status.SUBMITTED: "SUBMITTED TRAINING STORING FAILED SUBMITTED",
    Status.TRAINING: "TRAINING TRAINING STORING FAILED TRAINING",
    Status.STORING: "STORING STORING STORING STORING STORING",
}
CONSEQUENCES = [
    (status, said, Status(after))
    for status, afters in AFTER.items()
    for said, after in zip(STATUSES, afters.split(), strict=True)
]


@pytest.mark.parametrize(("status", "said", "after"), CONSEQUENCES)
def test_status_moves_a_job_forwards(
    world: World, status: Status, said: str, after: Status
) -> None:
    job = world.holds(make_job(status))
    received = world.fal_updates.receive(job.job_id, STATUSES[said])
    assert received.status is after
    assert received == world.job(job.job_id)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (status, said)
        for status in Status
        for said in STATUSES
        if status.terminal and (status, said) != (Status.EXPIRED, "finished")  # see below
    ],
)
def test_ended_job_stays_as_it_is(world: World, status: Status, said: str) -> None:
    job = world.holds(make_job(status))
    received = world.fal_updates.receive(job.job_id, STATUSES[said])
    assert received == world.job(job.job_id) == job
    assert world.queue.handed == []


@pytest.mark.promise("never lose a result")
def test_late_result_is_kept(world: World) -> None:
    """A result that comes after all is kept because it was paid for."""
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


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("word", TAKEN_BACK.values(), ids=TAKEN_BACK)
def test_result_after_failure_is_kept(world: World, word: Failed) -> None:
    """A result that comes after fal called it a failure is kept and booked once."""
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


IGNORED: dict[str, tuple[dict[str, Any], tuple[Artifact, ...]]] = {
    "copied and found invalid": (
        {
            "status": Status.FAILED,
            "request_id": REQUEST_ID,
            "artifacts": ARTIFACTS,
            "problems": (INVALID,),
        },
        ARTIFACTS,
    ),
    "never sent": ({"status": Status.CANCELLED}, ARTIFACTS),
    "without files": ({"status": Status.EXPIRED}, ()),
}


@pytest.mark.parametrize("case", IGNORED)
def test_invalid_result_is_not_copied_again(world: World, case: str) -> None:
    """A result found invalid, of an unsent job, or late and without files brings nothing back."""
    changes, artifacts = IGNORED[case]
    job = world.holds(make_job(**changes))
    assert world.fal_updates.receive(job.job_id, Finished(REQUEST_ID, artifacts)) == job


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize(("intents", "taken"), [(1, False), (2, True)])
def test_known_submissions_take_no_other_request(
    world: World, intents: int, *, taken: bool
) -> None:
    """A job takes an unknown request's result only where one of its own submissions is unknown."""
    known = {"earlier_requests": ("a",), "own_requests": ("a",)}
    job = world.holds(make_job(Status.HELD, intents=intents, **known))
    with nullcontext() if taken else pytest.raises(ForeignRequestError):
        world.fal_updates.receive(job.job_id, Finished(REQUEST_ID, ARTIFACTS))
    assert world.job(job.job_id).status is (Status.STORING if taken else Status.HELD)


@pytest.mark.parametrize("leased", [False, True], ids=["free", "while it is copied"])
def test_late_addresses_are_taken_in(world: World, *, leased: bool) -> None:
    """Addresses that come to a result without any are taken in, also while a worker copies it."""
    job = world.holds(make_job(Status.STORING, artifacts=()))
    length = timedelta(minutes=4)
    lease = JobLease.take(world.record, job, owner="k1", length=length) if leased else None
    received = world.fal_updates.receive(job.job_id, FINISHED)
    assert (received.status, received.artifacts) == (Status.STORING, ARTIFACTS)
    assert received == world.job(job.job_id)
    if lease:
        with pytest.raises(ConflictError):
            lease.name(())


@pytest.mark.promise("never lose a result")
def test_one_denial_ends_no_job(world: World) -> None:
    """fal's word that it has no such request counts only when it says so twice in a row, later."""
    job = world.holds(make_job(Status.SUBMITTED))
    denied = world.fal_updates.receive(job.job_id, GONE, asked=True)
    at_once = world.fal_updates.receive(job.job_id, GONE, asked=True)
    assert (denied.status, codes(denied)) == (Status.SUBMITTED, ["result_denied"])
    assert at_once == denied  # two rounds at one time have got the same wrong answer
    for said, after in ((WAITING, "SUBMITTED"), (GONE, "SUBMITTED"), (GONE, "EXPIRED")):
        received = world.fal_updates.receive(job.job_id, said, asked=True, doubted=True)
        assert received.status == after
    assert codes(world.job(job.job_id)) == ["result_expired"]
    assert "no longer" in (world.results.text(job, "ERROR.txt") or "")


@pytest.mark.parametrize(
    ("said", "after", "text"),
    [(FAILED, Status.FAILED, BAD_IMAGE.message), (CANCELLED, Status.CANCELLED, "")],
    ids=["failed", "cancelled"],
)
def test_failure_keeps_fals_reason(world: World, said: Failed, after: Status, text: str) -> None:
    """A failure is shown with fal's reason; a request that was cancelled at fal is cancelled."""
    job = world.holds(make_job(Status.TRAINING))
    received = world.fal_updates.receive(job.job_id, said)
    assert received.status is after
    assert received.problems == (BAD_IMAGE,) or after is Status.CANCELLED
    assert text in (world.results.text(job, "ERROR.txt") or "")


@pytest.mark.promise("never get stuck")
def test_same_result_is_handed_over_again(world: World) -> None:
    """A result is handed over with its files; again, it changes nothing but is handed over again."""
    job = world.holds(make_job(Status.SUBMITTED))
    first = world.fal_updates.receive(job.job_id, FINISHED)
    again = world.fal_updates.receive(job.job_id, FINISHED)
    assert first == again
    assert first.artifacts == ARTIFACTS
    assert world.queue.handed == [job.job_id, job.job_id]


def test_any_order_ends_the_same(world: World) -> None:
    job = world.holds(make_job(Status.SUBMITTED))
    for said in (STARTED, WAITING, FINISHED, STARTED, GONE, FAILED, WAITING, FINISHED):
        world.fal_updates.receive(job.job_id, said)
    assert [step.status for step in world.job(job.job_id).history[-2:]] == [
        Status.TRAINING,
        Status.STORING,
    ]


AT_FAL = [Status.SUBMITTED, Status.TRAINING, Status.STORING]
NEVER_SENT = [Status.RECEIVED, Status.READY, Status.HELD]


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize("status", [*AT_FAL, *NEVER_SENT])
def test_another_jobs_request_is_refused(world: World, status: Status) -> None:
    """Another job's request, or a request of a job that is not there, is refused."""
    job = world.holds(make_job(status))
    with pytest.raises(ForeignRequestError):
        world.fal_updates.receive(job.job_id, Finished(OTHER_REQUEST, ARTIFACTS))
    with pytest.raises(JobNotFoundError):
        world.fal_updates.receive("ada-0000000000", FINISHED)
    assert world.job(job.job_id) == job
    assert world.queue.handed == []


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("status", [Status.SUBMITTING, Status.SUBMIT_UNKNOWN])
@pytest.mark.parametrize(
    ("said", "after"),
    [
        ("waiting", Status.SUBMITTED),
        ("started", Status.TRAINING),
        ("finished", Status.STORING),
        ("failed", Status.FAILED),
        ("gone", Status.SUBMITTED),
    ],
)
def test_unanswered_submission_adopts_its_request(
    world: World, status: Status, said: str, after: Status
) -> None:
    """A job whose submission was never answered adopts its request, and takes no other after it."""
    job = world.holds(make_job(status))
    received = world.fal_updates.receive(job.job_id, STATUSES[said])
    assert (received.status, received.request_id) == (after, REQUEST_ID)
    assert Status.SUBMITTED in [step.status for step in received.history]
    assert received == world.job(job.job_id)
    if not received.terminal:
        with pytest.raises(ForeignRequestError):
            world.fal_updates.receive(job.job_id, Finished(OTHER_REQUEST, ARTIFACTS))


def test_evidence_ends_the_alarm(world: World) -> None:
    job = world.holds(make_job(Status.SUBMIT_UNKNOWN, problems=(BAD_IMAGE,)))
    world.record.publish_files(job)
    received = world.fal_updates.receive(job.job_id, WAITING)
    assert received.problems == ()
    assert world.results.text(job, "ERROR.txt") is None

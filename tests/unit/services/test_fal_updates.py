"""What fal says of a request moves its job forwards or not at all, and a delivery counts once it is verified."""

from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from nacl.signing import SigningKey

from lora_drop.fal.status import Failed, FalStatus, Finished, Gone, Running, failed
from lora_drop.jobs.artifacts import Artifact
from lora_drop.jobs.errors import (
    ConflictError,
    ForeignRequestError,
    InvalidWebhookError,
    JobNotFoundError,
)
from lora_drop.jobs.job import Job
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from lora_drop.services.lease import JobLease
from tests.support.builders import (
    ARTIFACTS,
    BAD_IMAGE,
    KEY,
    NOW,
    REQUEST_ID,
    make_job,
    signed,
    webhook_body,
)
from tests.support.memory import MemoryKeys
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
# What each status of STATUSES makes of a job; one denial ends nothing, see below.
FORWARDS = "SUBMITTED TRAINING STORING FAILED SUBMITTED"
AFTER = {
    **dict.fromkeys((Status.SUBMITTING, Status.SUBMIT_UNKNOWN, Status.SUBMITTED), FORWARDS),
    Status.TRAINING: "TRAINING TRAINING STORING FAILED TRAINING",
    **{each: " ".join([each] * 5) for each in Status if each.terminal or each is Status.STORING},
    Status.EXPIRED: "EXPIRED EXPIRED STORING EXPIRED EXPIRED",
}
CONSEQUENCES = [
    (status, said, Status(after))
    for status, afters in AFTER.items()
    for said, after in zip(STATUSES, afters.split(), strict=True)
]


@pytest.mark.promise(
    "never lose a result", "A result that comes after all is kept because it was paid for."
)
@pytest.mark.promise(
    "never lose a result",
    "A job whose submission was never answered adopts its request, and takes no other after it.",
)
@pytest.mark.promise(
    "never get stuck",
    "A result is handed over with its files; again, it changes nothing but is handed over again.",
)
@pytest.mark.parametrize(("status", "said", "after"), CONSEQUENCES)
def test_status_moves_job_forwards(world: World, status: Status, said: str, after: Status) -> None:
    job = world.holds(make_job(status))
    received, again = (world.fal_updates.receive(job.job_id, STATUSES[said]) for _ in range(2))
    assert received == again == world.job(job.job_id)
    assert received.status is after
    handed = said == "finished" and after is Status.STORING
    assert world.queue.handed == [job.job_id] * 2 * handed
    assert received.artifacts == (ARTIFACTS if handed else job.artifacts)
    if status.terminal:
        assert (received == job) == (after is status)
        return
    assert received.request_id == REQUEST_ID
    assert Status.SUBMITTED in [step.status for step in received.history]
    if not received.terminal:
        with pytest.raises(ForeignRequestError):
            world.fal_updates.receive(job.job_id, Finished(OTHER_REQUEST, ARTIFACTS))


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
}


@pytest.mark.parametrize("case", IGNORED)
def test_invalid_result_is_not_copied_again(world: World, case: str) -> None:
    """A result found invalid, of an unsent job, or late and without files brings nothing back."""
    changes, artifacts = IGNORED[case]
    job = world.holds(make_job(**changes))
    assert world.fal_updates.receive(job.job_id, Finished(REQUEST_ID, artifacts)) == job


@pytest.mark.promise("never lose a result")
def test_job_changed_since_it_was_read(world: World) -> None:
    """A result that meets a job which was changed since it was read is taken in all the same."""
    read = world.holds(make_job(Status.SUBMITTED))
    world.record.move(read, Status.TRAINING)
    job = world.fal_updates.receive(read.job_id, FINISHED, read=read)
    assert [step.status for step in job.history][-2:] == [Status.TRAINING, Status.STORING]
    assert world.job(job.job_id) == job


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


STRANGER = SigningKey(bytes(32))
NEW_KEY = SigningKey(bytes([1] * 32))


@pytest.fixture
def job(world: World) -> Job:
    return world.holds(make_job(Status.SUBMITTED))


def deliver(
    world: World,
    job: Job,
    body: bytes,
    *,
    headers: dict[str, list[str]] | None = None,
    token: str | None = None,
    **signature: Any,
) -> Job:
    return world.webhook_handler.deliver(
        job.job_id,
        world.token(job.job_id) if token is None else token,
        headers or signed(body, **signature),
        body,
    )


@pytest.mark.promise(
    "never pay twice", "A request whose answer was lost is recognised by its webhook."
)
@pytest.mark.promise(
    "never lose a result",
    "A success is recorded and handed over, with the addresses of its files or without.",
)
@pytest.mark.promise(
    "never lose a result", "Evidence with our token resolves a doubtful submission."
)
@pytest.mark.parametrize("status", [Status.SUBMITTED, Status.SUBMIT_UNKNOWN])
@pytest.mark.parametrize(
    ("body", "artifacts"),
    [
        (webhook_body(), ARTIFACTS),
        (webhook_body(payload=None, payload_error="Payload is not JSON serializable."), ()),
    ],
    ids=["with result", "without"],
)
def test_success_is_recorded_and_handed_over(
    world: World, status: Status, body: bytes, artifacts: tuple[Artifact, ...]
) -> None:
    job = world.holds(make_job(status))
    delivered = deliver(world, job, body)
    assert (delivered.status, delivered.request_id) == (Status.STORING, REQUEST_ID)
    named = {(artifact.name, artifact.url) for artifact in delivered.artifacts}
    assert named == {(artifact.name, artifact.url) for artifact in artifacts}
    assert world.queue.handed == [job.job_id]


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("token", ["", "0" * 32, "\u00e9" * 32, "x", "of another job"])
def test_guessed_token_learns_nothing(world: World, job: Job, token: str) -> None:
    """A request with a guessed token or another job's token learns and changes nothing."""
    unknown = make_job(Status.SUBMITTED, job_id="other-0000000000")
    token = world.token(unknown.job_id) if token == "of another job" else token
    with pytest.raises(JobNotFoundError):
        deliver(world, job, webhook_body(), token=token)
    with pytest.raises(JobNotFoundError):
        deliver(world, unknown, webhook_body())
    assert (world.job(job.job_id), world.deliveries.files) == (job, {})


type Refused = tuple[type[Exception], str, bytes, dict[str, Any]]
UNKNOWN_STATUS = (InvalidWebhookError, "unknown status")
REFUSED: dict[str, Refused] = {
    "another user": (InvalidWebhookError, "another user", webhook_body(), {"user_id": "user_2"}),
    "two requests": (
        *(InvalidWebhookError, "different requests"),
        *(webhook_body(), {"request_id": OTHER_REQUEST}),
    ),
    "another request": (
        *(ForeignRequestError, "."),
        *(webhook_body(request_id=OTHER_REQUEST), {"request_id": OTHER_REQUEST}),
    ),
    "a stranger": (InvalidWebhookError, "no key", webhook_body(), {"key": STRANGER}),
    "a new key, stale": (
        *(InvalidWebhookError, "."),
        *(webhook_body(), {"key": NEW_KEY, "at": NOW - timedelta(hours=1)}),
    ),
    "no JSON": (InvalidWebhookError, ".", b"OK", {}),
    "unknown status": (*UNKNOWN_STATUS, webhook_body(status="FAILED"), {}),
}


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize("case", REFUSED)
def test_wrong_delivery_changes_nothing(world: World, job: Job, case: str) -> None:
    """A delivery that is not fal's, not ours, not of this request or no webhook changes nothing."""
    error, match, body, signature = REFUSED[case]
    world.keys = MemoryKeys(known=[bytes(KEY.verify_key)], newer=[bytes(NEW_KEY.verify_key)])
    with pytest.raises(error, match=match):
        deliver(world, job, body, **signature)
    assert world.job(job.job_id) == job
    assert world.results.files == {}


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("status", [Status.FAILED, Status.EXPIRED, Status.CANCELLED])
def test_late_success_without_files_is_asked_about(world: World, status: Status) -> None:
    """A success that fal signs after a job was given up is read from fal, also where it comes without its files."""
    job = world.holds(make_job(status, request_id=REQUEST_ID))
    world.fal.facts[REQUEST_ID] = Finished(REQUEST_ID, ARTIFACTS)
    assert world.fal_updates.receive(job.job_id, Finished(REQUEST_ID, ())).status is Status.STORING
    assert world.result_storer.store_result(job.job_id).status is Status.SUCCEEDED

"""What fal delivers is kept and can be taken in again; what it signed too long ago has fal asked."""

from datetime import timedelta

import pytest
from nacl.signing import SigningKey

from lora_drop.fal.status import Finished, Gone, Running
from lora_drop.fal.webhooks import RawDelivery
from lora_drop.jobs import errors
from lora_drop.jobs.errors import (
    FalUnavailableError,
    InvalidWebhookError,
    JobNotFoundError,
    StaleWebhookError,
)
from lora_drop.jobs.job import Job
from lora_drop.jobs.job_problems import DENIED
from lora_drop.jobs.status import Status
from lora_drop.services.webhook import ASK_AGAIN, WebhookHandler
from tests.support.builders import (
    ARTIFACTS,
    NOW,
    REQUEST_ID,
    USER_ID,
    make_job,
    signed,
    webhook_body,
)
from tests.support.memory import MemoryKeys
from tests.support.memory_jobs import MemoryJobs
from tests.support.world import World

OTHER_REQUEST = "019d9e0b-6eb0-7920-8000-000000000000"
STALE = NOW - timedelta(hours=1)


@pytest.fixture
def job(world: World) -> Job:
    return world.holds(make_job(Status.TRAINING))


def deliver(
    world: World,
    job: Job,
    *,
    door: WebhookHandler | None = None,
    token: str | None = None,
    request_id: str = REQUEST_ID,
    user_id: str = USER_ID,
) -> None:
    body = webhook_body(request_id=request_id)
    headers = signed(body, at=STALE, request_id=request_id, user_id=user_id)
    door = door or world.webhook_handler
    door.deliver(job.job_id, world.token(job.job_id) if token is None else token, headers, body)


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize("known", [True, False], ids=["known key", "new key"])
@pytest.mark.parametrize("seconds", [-86_400, -301, 301, 3600])
def test_stale_delivery_has_fal_asked(world: World, job: Job, seconds: int, *, known: bool) -> None:
    """A stale delivery is refused, changes nothing and has fal asked."""
    if not known:
        stranger = SigningKey(bytes(32)).verify_key
        world.keys = MemoryKeys(known=[bytes(stranger)], newer=world.keys.known)
    body = webhook_body()
    headers = signed(body, at=NOW + timedelta(seconds=seconds))
    with pytest.raises(StaleWebhookError, match="seconds old"):
        world.webhook_handler.deliver(job.job_id, world.token(job.job_id), headers, body)
    assert (world.status_check.asked, world.keys.refreshes) == ([job.job_id], int(not known))
    assert world.job(job.job_id) == job
    assert (world.results.files, world.deliveries.files, world.queue.handed) == ({}, {}, [])


def test_foreign_delivery_has_fal_unasked(world: World, job: Job) -> None:
    """For a delivery that is not fal's, not ours or not of this request, fal is not asked."""
    body = webhook_body()
    unsigned = signed(body, at=STALE, key=SigningKey(bytes(32)))
    with pytest.raises(JobNotFoundError):
        deliver(world, job, token="0" * 32)
    with pytest.raises(JobNotFoundError):
        deliver(world, make_job(Status.TRAINING, job_id="other-0000000000"))
    with pytest.raises(StaleWebhookError):
        deliver(world, job, request_id=OTHER_REQUEST)
    with pytest.raises(InvalidWebhookError, match="another user"):
        deliver(world, job, user_id="user_2")
    with pytest.raises(InvalidWebhookError, match="no key"):
        world.webhook_handler.deliver(job.job_id, world.token(job.job_id), unsigned, body)

    assert world.status_check.asked == []


@pytest.mark.parametrize("status", list(Status))
def test_only_waiting_jobs_are_asked_about(world: World, status: Status) -> None:
    job = world.holds(make_job(status))
    with pytest.raises(StaleWebhookError):
        deliver(world, job)
    waits = status in (Status.SUBMITTED, Status.TRAINING, Status.SUBMIT_UNKNOWN)
    assert world.status_check.asked == [job.job_id] * waits
    world.fal.facts[REQUEST_ID] = Gone(REQUEST_ID)
    # However often fal denies a request in a minute, the job is not given up.
    checked = [world.reconciler.request_status_check(job.job_id) for _ in range(3)][-1]
    denied = status in (Status.SUBMITTED, Status.TRAINING)
    assert (checked.status, checked.problems) == (status, (DENIED,) if denied else job.problems)
    assert world.fal.asked == [REQUEST_ID] * 3 * denied


@pytest.mark.promise("never get stuck")
def test_flood_asks_once_a_minute(world: World, job: Job) -> None:
    """A flood of stale deliveries has fal asked once a minute for each job."""
    door = world.webhook_handler
    other = world.holds(make_job(Status.TRAINING, job_id="other-0000000000"))
    for _ in range(180):
        for each in (job, other):
            with pytest.raises(StaleWebhookError):
                deliver(world, each, door=door)
        world.clock.now += timedelta(seconds=1)
    assert timedelta(seconds=60) == ASK_AGAIN
    assert sorted(world.status_check.asked) == sorted([job.job_id, other.job_id] * 3)
    assert len(door.asked) == 2


def test_fals_own_word_counts(world: World, job: Job) -> None:
    """fal's own word moves the job on; while it trains or does not answer, nothing changes."""
    world.fal.facts[REQUEST_ID] = FalUnavailableError("down")
    with pytest.raises(FalUnavailableError):
        world.reconciler.request_status_check(job.job_id)
    with pytest.raises(JobNotFoundError):
        world.reconciler.request_status_check("other-0000000000")
    world.fal.facts[REQUEST_ID] = Running(REQUEST_ID, started=True)
    assert world.reconciler.request_status_check(job.job_id) == job
    world.fal.facts[REQUEST_ID] = Finished(REQUEST_ID, ARTIFACTS)
    world.fal.asked.clear()

    asked = world.reconciler.request_status_check(job.job_id)
    assert (asked.status, asked.artifacts) == (Status.STORING, ARTIFACTS)
    assert world.fal.asked == [REQUEST_ID]
    assert world.queue.handed == [job.job_id]


def test_doubt_is_settled_by_list_only(world: World) -> None:
    job = world.holds(make_job(Status.SUBMIT_UNKNOWN))
    world.fal.facts[REQUEST_ID] = Finished(REQUEST_ID, ARTIFACTS)
    assert world.reconciler.request_status_check(job.job_id).status is Status.SUBMIT_UNKNOWN
    world.fal.known = [REQUEST_ID]
    assert world.reconciler.request_status_check(job.job_id).status is Status.STORING


def deliver_now(world: World, job: Job, body: bytes, **how: str) -> Job:
    headers = signed(body, request_id=how.get("request_id", REQUEST_ID))
    token = how.get("token", world.token(job.job_id))
    return world.webhook_handler.deliver(job.job_id, token, headers, body)


def kept(world: World, job: Job, *bodies: bytes) -> Job:
    """A job that these were delivered for, whatever became of them."""
    for body in bodies:
        world.deliveries.keep(job, RawDelivery(signed(body), body), sent_at=NOW)
    return world.holds(job)


@pytest.mark.promise("never lose a result")
def test_delivery_is_kept_first(world: World) -> None:
    """A delivery is kept with every header before anything is done with it."""
    job = world.holds(make_job(Status.SUBMITTED))

    class Overtaken(MemoryJobs):
        def replace(self, before: Job, after: Job, **_: object) -> None:
            raise errors.ConflictError(f"{before.job_id} {after.status}")

    world.jobs = Overtaken(world.jobs.rows)
    with pytest.raises(errors.ConflictError):
        deliver_now(world, job, webhook_body())
    assert world.queue.handed == []
    [delivery] = world.deliveries.files.values()
    assert delivery.body == webhook_body()
    assert delivery.headers == signed(webhook_body())


@pytest.mark.parametrize(
    "body", [b"not JSON", webhook_body(status="NEW"), webhook_body(request_id=OTHER_REQUEST)]
)
def test_unreadable_delivery_is_kept(world: World, body: bytes) -> None:
    job = world.holds(make_job(Status.SUBMITTED))
    request_id = OTHER_REQUEST if OTHER_REQUEST.encode() in body else REQUEST_ID
    with pytest.raises((errors.InvalidWebhookError, errors.ForeignRequestError)):
        deliver_now(world, job, body, request_id=request_id)
    assert world.deliveries.kept(job) == [body]


@pytest.mark.promise(
    "never lose a result",
    "A result that fal delivered and that was not taken in can be taken in later.",
)
@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize(
    ("status", "before"),
    [
        (Status.SUBMITTED, (b"not JSON", webhook_body(request_id=OTHER_REQUEST))),
        (Status.TRAINING, ()),
        (Status.EXPIRED, ()),
        (Status.SUBMIT_UNKNOWN, ()),
    ],
)
def test_replay_brings_the_result(world: World, status: Status, before: tuple[bytes, ...]) -> None:
    """A job that missed its delivery gets its result by a replay, also after bad deliveries."""
    job = kept(world, make_job(status), *before, webhook_body())
    replayed = world.retry_service.replay(job.job_id)
    assert (replayed.status, replayed.request_id) == (Status.STORING, REQUEST_ID)
    assert {each.url for each in replayed.artifacts} == {each.url for each in ARTIFACTS}
    assert world.queue.handed == [job.job_id]
    assert world.result_storer.store_result(job.job_id).status is Status.SUCCEEDED


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize("status", list(Status))
def test_replay_pays_nothing(world: World, status: Status) -> None:
    """A replay pays nothing."""
    job = world.holds(make_job(status))
    with pytest.raises(errors.ActionNotAllowedError, match="delivered nothing"):
        world.retry_service.replay(job.job_id)
    kept(world, job, webhook_body())
    world.retry_service.replay(job.job_id)
    assert world.fal.posts == []


def test_foreign_delivery_stays_foreign(world: World) -> None:
    bodies = (b"not JSON", webhook_body(request_id=OTHER_REQUEST), webhook_body(status="NEW"))
    job = kept(world, make_job(Status.SUBMITTED), *bodies)
    assert world.retry_service.replay(job.job_id) == job

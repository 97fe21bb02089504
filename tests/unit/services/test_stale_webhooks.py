"""What fal signed too long ago is not believed: fal itself is asked, with our key, not too often."""

from datetime import timedelta

import pytest
from nacl.signing import SigningKey

from lora_drop.fal.status import Finished, Gone, Running
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
@pytest.mark.parametrize("seconds", [-86_400, -3600, -301, 301, 3600])
def test_stale_delivery_has_fal_asked(world: World, job: Job, seconds: int) -> None:
    """A stale delivery is refused, changes nothing and has fal asked."""
    body = webhook_body()
    headers = signed(body, at=NOW + timedelta(seconds=seconds))
    with pytest.raises(StaleWebhookError, match="seconds old"):
        world.webhook_handler.deliver(job.job_id, world.token(job.job_id), headers, body)
    assert world.status_check.asked == [job.job_id]
    assert world.job(job.job_id) == job
    assert (world.results.files, world.deliveries.files, world.queue.handed) == ({}, {}, [])


@pytest.mark.parametrize("known", [True, False])
def test_known_key_is_not_refreshed(world: World, job: Job, *, known: bool) -> None:
    """A stale delivery of a new key has fal asked as well; of a known key no others are fetched."""
    if not known:
        stranger = SigningKey(bytes(32)).verify_key
        world.keys = MemoryKeys(known=[bytes(stranger)], newer=world.keys.known)
    with pytest.raises(StaleWebhookError):
        deliver(world, job)
    assert (world.status_check.asked, world.keys.refreshes) == ([job.job_id], int(not known))


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


@pytest.mark.parametrize("status", [Status.READY, Status.SUBMITTING, Status.STORING, Status.FAILED])
def test_other_jobs_are_not_asked_about(world: World, status: Status) -> None:
    job = world.holds(make_job(status))
    assert world.reconciler.request_status_check(job.job_id) == job
    assert world.fal.asked == []


def test_quick_denials_expire_no_job(world: World, job: Job) -> None:
    """However often fal denies a request in a minute, the job is not given up."""
    world.fal.facts[REQUEST_ID] = Gone(REQUEST_ID)
    for _ in range(5):
        world.reconciler.request_status_check(job.job_id)
    after = world.job(job.job_id)
    assert (after.status, after.problems) == (Status.TRAINING, (DENIED,))


def test_doubt_is_settled_by_list_only(world: World) -> None:
    job = world.holds(make_job(Status.SUBMIT_UNKNOWN))
    world.fal.facts[REQUEST_ID] = Finished(REQUEST_ID, ARTIFACTS)
    assert world.reconciler.request_status_check(job.job_id).status is Status.SUBMIT_UNKNOWN
    world.fal.known = [REQUEST_ID]
    assert world.reconciler.request_status_check(job.job_id).status is Status.STORING

"""What fal has delivered is kept, and can be taken in once more."""

import pytest

from lora_drop.fal.webhooks import RawDelivery
from lora_drop.jobs import errors
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from tests.support.builders import ARTIFACTS, NOW, REQUEST_ID, make_job, signed, webhook_body
from tests.support.memory import MemoryWebhookArchive
from tests.support.memory_jobs import MemoryJobs
from tests.support.world import World

OTHER = "019d9e0b-6eb0-7920-8000-000000000000"


def deliver(world: World, job: Job, body: bytes, **how: str) -> Job:
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
        deliver(world, job, webhook_body())

    [delivery] = world.deliveries.files.values()
    assert delivery.body == webhook_body()
    assert delivery.headers == signed(webhook_body())


def test_foreign_delivery_is_not_kept(world: World) -> None:
    job = world.holds(make_job(Status.SUBMITTED))
    for trouble, how in (
        (errors.JobNotFoundError, {"token": "0" * 32}),
        (errors.InvalidWebhookError, {"request_id": "a b"}),
    ):
        with pytest.raises(trouble):
            deliver(world, job, webhook_body(), **how)

    assert world.deliveries.files == {}


@pytest.mark.parametrize(
    "body", [b"not JSON", webhook_body(status="NEW"), webhook_body(request_id=OTHER)]
)
def test_unreadable_delivery_is_kept(world: World, body: bytes) -> None:
    job = world.holds(make_job(Status.SUBMITTED))
    request_id = OTHER if OTHER.encode() in body else REQUEST_ID
    with pytest.raises((errors.InvalidWebhookError, errors.ForeignRequestError)):
        deliver(world, job, body, request_id=request_id)
    assert world.deliveries.kept(job) == [body]


def test_unkept_delivery_is_an_error(world: World) -> None:
    """Where a delivery cannot be kept, fal does not hear that it was."""

    class Full(MemoryWebhookArchive):
        def keep(self, job: Job, *_: object, **__: object) -> None:
            raise OSError(f"no place for {job.job_id}")

    world.deliveries = Full()
    job = world.holds(make_job(Status.SUBMITTED))
    with pytest.raises(OSError, match="no place"):
        deliver(world, job, webhook_body())

    assert world.job(job.job_id) == job


def test_without_deliveries_replay_is_refused(world: World) -> None:
    job = world.holds(make_job(Status.SUBMITTED))
    with pytest.raises(errors.ActionNotAllowedError, match="delivered nothing"):
        world.retry_service.replay(job.job_id)


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize(
    ("status", "before"),
    [
        (Status.SUBMITTED, (b"not JSON", webhook_body(request_id=OTHER))),
        (Status.TRAINING, ()),
        (Status.EXPIRED, ()),
        (Status.SUBMIT_UNKNOWN, ()),
    ],
)
def test_replay_brings_a_missed_result(
    world: World, status: Status, before: tuple[bytes, ...]
) -> None:
    """A job that missed its delivery gets its result by a replay, also after bad deliveries."""
    job = kept(world, make_job(status), *before, webhook_body())
    replayed = world.retry_service.replay(job.job_id)
    assert (replayed.status, replayed.request_id) == (Status.STORING, REQUEST_ID)
    assert {each.url for each in replayed.artifacts} == {each.url for each in ARTIFACTS}
    assert world.queue.handed == [job.job_id]
    assert world.result_storer.store_result(job.job_id).status is Status.SUCCEEDED


@pytest.mark.parametrize(
    "status", [status for status in Status if status.terminal and status is not Status.EXPIRED]
)
def test_ended_job_stays_as_it_is(world: World, status: Status) -> None:
    job = kept(world, make_job(status), webhook_body(), webhook_body(status="ERROR"))
    for _ in range(2):
        assert world.retry_service.replay(job.job_id) == job
    assert world.job(job.job_id) == job
    assert world.queue.handed == []


def test_foreign_delivery_stays_foreign(world: World) -> None:
    bodies = (b"not JSON", webhook_body(request_id=OTHER), webhook_body(status="NEW"))
    job = kept(world, make_job(Status.SUBMITTED), *bodies)
    assert world.retry_service.replay(job.job_id) == job


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize("status", list(Status))
def test_replay_pays_nothing(world: World, status: Status) -> None:
    """A replay pays nothing."""
    job = kept(world, make_job(status), webhook_body())
    world.retry_service.replay(job.job_id)
    assert world.fal.posts == []

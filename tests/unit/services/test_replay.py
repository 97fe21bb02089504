"""What fal has delivered is kept, and can be taken in once more."""

import pytest

from lora_drop.fal.webhooks import RawDelivery
from lora_drop.jobs.errors import (
    ActionNotAllowedError,
    ConflictError,
    ForeignRequestError,
    InvalidWebhookError,
    JobNotFoundError,
)
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


def test_a_delivery_is_kept_with_every_header_before_anything_is_done_with_it(
    world: World,
) -> None:
    job = world.holds(make_job(Status.SUBMITTED))

    class Overtaken(MemoryJobs):
        def replace(self, before: Job, after: Job, **_: object) -> None:
            raise ConflictError(f"{before.job_id} {after.status}")

    world.jobs = Overtaken(world.jobs.rows)
    with pytest.raises(ConflictError):
        deliver(world, job, webhook_body())

    [delivery] = world.deliveries.files.values()
    assert delivery.body == webhook_body()
    assert delivery.headers == signed(webhook_body())


def test_what_is_not_fals_is_not_kept(world: World) -> None:
    job = world.holds(make_job(Status.SUBMITTED))

    for trouble, how in (
        (JobNotFoundError, {"token": "0" * 32}),
        (InvalidWebhookError, {"request_id": "a b"}),
    ):
        with pytest.raises(trouble):
            deliver(world, job, webhook_body(), **how)

    assert world.deliveries.files == {}


@pytest.mark.parametrize(
    "body", [b"not JSON", webhook_body(status="NEW"), webhook_body(request_id=OTHER)]
)
def test_what_fal_says_and_nobody_understands_yet_is_kept(world: World, body: bytes) -> None:
    job = world.holds(make_job(Status.SUBMITTED))
    request_id = OTHER if OTHER.encode() in body else REQUEST_ID

    with pytest.raises((InvalidWebhookError, ForeignRequestError)):
        deliver(world, job, body, request_id=request_id)

    assert world.deliveries.kept(job) == [body]


def test_where_a_delivery_cannot_be_kept_fal_is_not_told_that_it_was(world: World) -> None:
    class Full(MemoryWebhookArchive):
        def keep(self, job: Job, *_: object, **__: object) -> None:
            raise OSError(f"no place for {job.job_id}")

    world.deliveries = Full()
    job = world.holds(make_job(Status.SUBMITTED))

    with pytest.raises(OSError, match="no place"):
        deliver(world, job, webhook_body())

    assert world.job(job.job_id) == job


def test_without_deliveries_there_is_nothing_to_replay(world: World) -> None:
    job = world.holds(make_job(Status.SUBMITTED))

    with pytest.raises(ActionNotAllowedError, match="delivered nothing"):
        world.retry_service.replay(job.job_id)


def test_a_job_that_missed_its_delivery_is_made_good(world: World) -> None:
    job = kept(world, make_job(Status.TRAINING), webhook_body())

    replayed = world.retry_service.replay(job.job_id)

    assert (replayed.status, {each.url for each in replayed.artifacts}) == (
        Status.STORING,
        {each.url for each in ARTIFACTS},
    )
    assert world.queue.handed == [job.job_id]
    assert world.result_storer.store_result(job.job_id).status is Status.SUCCEEDED


def test_a_job_that_was_given_up_gets_its_result_after_all(world: World) -> None:
    job = kept(world, make_job(Status.EXPIRED), webhook_body())

    replayed = world.retry_service.replay(job.job_id)

    assert replayed.status is Status.STORING
    assert world.result_storer.store_result(job.job_id).status is Status.SUCCEEDED


@pytest.mark.parametrize(
    "status", [status for status in Status if status.terminal and status is not Status.EXPIRED]
)
def test_a_job_that_has_ended_stays_as_it_is(world: World, status: Status) -> None:
    job = kept(world, make_job(status), webhook_body(), webhook_body(status="ERROR"))

    for _ in range(2):
        assert world.retry_service.replay(job.job_id) == job

    assert world.job(job.job_id) == job
    assert world.queue.handed == []


def test_what_was_not_for_the_job_then_is_not_for_it_now(world: World) -> None:
    job = kept(
        world,
        make_job(Status.SUBMITTED),
        b"not JSON",
        webhook_body(request_id=OTHER),
        webhook_body(status="NEW"),
    )

    assert world.retry_service.replay(job.job_id) == job


def test_a_bad_delivery_hides_no_good_one(world: World) -> None:
    job = kept(
        world,
        make_job(Status.SUBMITTED),
        b"not JSON",
        webhook_body(request_id=OTHER),
        webhook_body(),
    )

    assert world.retry_service.replay(job.job_id).status is Status.STORING


def test_a_replay_settles_a_submission_in_doubt(world: World) -> None:
    job = kept(world, make_job(Status.SUBMIT_UNKNOWN), webhook_body())

    replayed = world.retry_service.replay(job.job_id)

    assert (replayed.status, replayed.request_id) == (Status.STORING, REQUEST_ID)


def test_a_replay_pays_nothing(world: World) -> None:
    for status in Status:
        job = kept(world, make_job(status, job_id=f"{status}-1".lower()), webhook_body())
        try:
            world.retry_service.replay(job.job_id)
        except ActionNotAllowedError as nothing:
            raise AssertionError(status) from nothing

    assert world.fal.posts == []

"""Deliveries that the simulator forges, or that somebody caught and sends again: they change nothing.

Its keys are fetched from it over TLS, its signatures are its own, and the jobs are at it for real.
"""

import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from lora_drop.adapters.signing_keys import JwksKeys
from lora_drop.jobs.errors import (
    ForeignRequestError,
    InvalidWebhookError,
    JobNotFoundError,
    StaleWebhookError,
)
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from lora_drop.simulator.running import ControlClient
from tests.simulator.conftest import PointFalClient
from tests.simulator.fal_calls import Calls
from tests.simulator.pipeline import to_its_end, world_at
from tests.simulator.receiver import Received, Receiver
from tests.support.world import World

PREFIX = "x-fal-webhook-"


@pytest.fixture
def world(
    sim: ControlClient, calls: Calls, receiver: Receiver, point_fal_client: PointFalClient
) -> World:
    point_fal_client(sim)
    trust = ssl.create_default_context(cafile=sim.ca_file)
    url = f"{sim.base_url}/.well-known/jwks.json"
    keys: Any = JwksKeys(url, httpx.HTTPTransport(verify=trust))
    world = world_at(sim, calls, f"{receiver.url}/hook", keys=keys, fal_user_id=sim.user_id)
    world.clock.now = datetime.now(UTC)
    return world


@pytest.fixture
def job(world: World) -> Job:
    return submitted(world, "ada")


def submitted(world: World, name: str, images: int = 12) -> Job:
    job = world.submit(world.drop(f"portrait/{name}.zip", images=images))
    assert job.status is Status.SUBMITTED, job.problems
    return job


def brought(receiver: Receiver) -> Received:
    """The next webhook; fal fetches datasets from elsewhere."""
    received = receiver.next()
    assert received.method == "POST"
    return received


def deliver(
    world: World,
    job: Job,
    received: Received,
    *,
    token_of: Job | None = None,
    changed: Mapping[str, str] | None = None,
) -> Job:
    """What was received, at this job's address, with changed headers and another job's token."""
    signed = {name: value for name, value in received.headers.items() if name.startswith(PREFIX)}
    headers = {name: [value] for name, value in {**signed, **(changed or {})}.items()}
    token = world.token((token_of or job).job_id)
    return world.webhook_handler.deliver(job.job_id, token, headers, received.body)


@contextmanager
def nothing_changes(world: World) -> Iterator[None]:
    """Neither a job, nor a file of one, nor a queue."""
    before = dict(world.jobs.rows), dict(world.results.files), list(world.queue.handed)
    yield
    assert (world.jobs.rows, world.results.files, world.queue.handed) == before


@pytest.mark.parametrize(
    ("fault", "says"), [("webhook_forged", "no key"), ("webhook_foreign_user", "another user")]
)
def test_a_false_delivery_changes_nothing_and_the_true_one_after_it_does(
    world: World, sim: ControlClient, receiver: Receiver, fault: str, says: str
) -> None:
    sim.inject(fault)
    job = submitted(world, "ada")
    false, true = brought(receiver), brought(receiver)

    with nothing_changes(world), pytest.raises(InvalidWebhookError, match=says):
        deliver(world, job, false)

    assert world.status_check.asked == []
    assert deliver(world, job, true).status is Status.STORING


def test_a_delivery_that_is_sent_again_after_an_hour_changes_nothing(
    world: World, job: Job, receiver: Receiver
) -> None:
    true = brought(receiver)
    world.clock.now += timedelta(hours=1)

    with nothing_changes(world), pytest.raises(StaleWebhookError):
        deliver(world, job, true)

    # It is no more than a reason to ask fal, which holds the job's own request.
    assert world.status_check.asked == [job.job_id]
    assert world.reconciler.request_status_check(job.job_id).status is Status.STORING


@pytest.mark.parametrize("age", [3600, -3600])
def test_a_delivery_with_another_time_changes_nothing(
    world: World, sim: ControlClient, receiver: Receiver, age: int
) -> None:
    sim.inject("webhook_stale", age=age)
    job = submitted(world, "ada")

    with nothing_changes(world), pytest.raises(StaleWebhookError):
        deliver(world, job, brought(receiver))


@pytest.mark.parametrize("hours", [0, 1])
def test_a_job_that_has_ended_stays_as_it_is_whatever_is_sent_again(
    world: World, sim: ControlClient, job: Job, receiver: Receiver, hours: int
) -> None:
    true = brought(receiver)
    done = to_its_end(world, job)
    sim.redeliver(job.request_id or "")
    again = brought(receiver)
    world.clock.now += timedelta(hours=hours)

    for each in (true, again):
        with nothing_changes(world):
            if hours:
                with pytest.raises(StaleWebhookError):
                    deliver(world, job, each)
            else:
                assert deliver(world, job, each) == done

    assert world.status_check.asked == []


def test_a_delivery_opens_no_other_job(world: World, job: Job, receiver: Receiver) -> None:
    true = brought(receiver)
    other = submitted(world, "grace", images=13)

    with nothing_changes(world), pytest.raises(JobNotFoundError):
        deliver(world, other, true, token_of=job)  # its own address, but for the job
    with nothing_changes(world), pytest.raises(JobNotFoundError):
        deliver(world, job, true, token_of=other)
    with nothing_changes(world), pytest.raises(ForeignRequestError):
        deliver(world, other, true)  # somebody knows both tokens

    assert world.status_check.asked == []


def test_ids_that_are_swapped_are_not_signed(world: World, job: Job, receiver: Receiver) -> None:
    true = brought(receiver)
    other = submitted(world, "grace", images=13)
    changed = {f"{PREFIX}request-id": other.request_id or ""}

    for target in (job, other):
        with nothing_changes(world), pytest.raises(InvalidWebhookError, match="no key"):
            deliver(world, target, true, changed=changed)

    changed = {f"{PREFIX}user-id": "user_mallory"}
    with nothing_changes(world), pytest.raises(InvalidWebhookError, match="no key"):
        deliver(world, job, true, changed=changed)

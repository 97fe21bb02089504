"""Forms of an answer that fal may send besides the usual one: our own services take each of them."""

import ssl

import httpx
import pytest

from lora_drop.adapters.fal import FalQueueClient
from lora_drop.fal.trainers.table import TRAINERS
from lora_drop.jobs.budget import ChargeState
from lora_drop.jobs.status import Status
from tests.simulator.conftest import Clock, PointFalClient, Simulate
from tests.simulator.fal_calls import Calls, Receiver
from tests.simulator.pipeline import deliver, submitted, to_its_end, world_at
from tests.support.wire import FixedKey
from tests.support.world import World

DAY = 86_400


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("fault", ["webhook_gateway_id", "webhook_capitals", "jwks_packed"])
def test_delivery_of_another_form_ends_the_training(
    world: World, calls: Calls, receiver: Receiver, fault: str
) -> None:
    """A webhook may be signed for fal's last try or in capitals, and fal's keys may come packed."""
    calls.inject(fault)
    job = submitted(world)
    assert deliver(world, job, receiver.next()).status is Status.STORING


@pytest.mark.promise("never lose a result")
def test_404_of_the_cdn_is_not_the_end(world: World, calls: Calls) -> None:
    """A file that the CDN does not have yet is fetched a moment later."""
    lora = "pytorch_lora_weights.safetensors"
    calls.inject("download_status", status=404, detail="Not Found", file_name=lora)
    assert to_its_end(world, submitted(world)).status is Status.SUCCEEDED


def test_files_come_from_an_ipv6_address(
    simulate: Simulate, point_fal_client: PointFalClient
) -> None:
    calls = simulate(host="::1")
    point_fal_client(calls.sim)
    world = world_at(calls, "https://127.0.0.1:9/hook")
    done = to_its_end(world, submitted(world))
    assert done.artifacts[0].url.startswith("https://[::1]:")
    assert done.status is Status.SUCCEEDED


@pytest.mark.promise("never pay twice")
def test_each_accepted_post_stays_in_the_books(world: World, calls: Calls) -> None:
    """A submission that fal does not bill stays in the job's charges beside the one after it."""
    calls.inject("webhook_lost", times=None)
    calls.inject("training_error", type="file_download_error")
    job = submitted(world)
    calls.ended(job.request_id or "")
    again = world.reconciler.request_status_check(job.job_id)
    assert again.status is Status.READY
    world.work()
    sent = world.job(job.job_id)
    assert [charge.state for charge in sent.charges] == [ChargeState.FREE, ChargeState.RESERVED]
    assert len(calls.sim.requests()) == len(sent.charges)


@pytest.mark.parametrize("name", ["flux-lora-fast-training", "flux-krea-trainer"])
def test_style_reaches_fal_as_one(world: World, calls: Calls, name: str) -> None:
    words = {"trainer": name, "trigger-phrase": "ada", "preset": "style"}
    job = world.submit(world.drop("photos.zip", metadata=words))
    assert job.status is Status.SUBMITTED, job.problems
    [post] = calls.rows("submissions")
    assert post["arguments"]["is_style"] is True


NEW = {
    "blackforestlabs/flux-3/klein/base/trainer": 4.30,
    "ideogram/v4/trainer": 6.75,
    "fal-ai/krea-2-trainer": 3.00,
    "fal-ai/flux-2-trainer-v2": None,
    "fal-ai/flux-2-klein-9b-base-trainer": None,
    "fal-ai/qwen-image-2512-trainer": None,
}


@pytest.mark.parametrize("application", NEW)
def test_newer_trainer_of_any_owner_trains(world: World, calls: Calls, application: str) -> None:
    """The trainer's name alone submits to its owner's address, for the price that fal publishes."""
    words = {"trainer": TRAINERS[application].short_name, "trigger-phrase": "a", "steps": "1000"}
    job = world.submit(world.drop("photos.zip", metadata=words))
    [post] = calls.rows("submissions")
    assert post["endpoint_id"] == application
    assert NEW[application] in (None, job.estimated_cost_usd)
    assert to_its_end(world, job).status is Status.SUCCEEDED


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize(("days", "then"), [(1, 404), (3, 200)])
def test_files_leave_fal_after_their_days(
    calls: Calls, point_fal_client: PointFalClient, clock: Clock, days: int, then: int
) -> None:
    """What a training has made is served by fal for the days that its submission says, and no longer."""
    point_fal_client(calls.sim)
    world = world_at(calls, "https://127.0.0.1:9/hook")
    trust = ssl.create_default_context(cafile=calls.sim.ca_file)
    world.fal.fal = FalQueueClient(  # type: ignore[attr-defined]  # the real one
        FixedKey(calls.sim.key), wire=lambda: httpx.HTTPTransport(verify=trust), file_days=days
    )
    done = to_its_end(world, submitted(world))
    clock.add(2 * DAY)
    assert calls.http.get(done.artifacts[0].url).status_code == then

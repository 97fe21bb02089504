"""A ZIP for each trainer, through our own services and the real fal_client, to its stored LoRA."""

import pytest

from lora_drop.fal.trainers.table import TRAINERS
from lora_drop.fal.trainers.trainer import Trainer
from lora_drop.jobs.errors import ActionNotAllowedError
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from lora_drop.simulator.running import ControlClient
from tests.simulator.conftest import PointFalClient
from tests.simulator.fal_calls import Calls
from tests.simulator.pipeline import to_its_end, world_at
from tests.simulator.receiver import Receiver
from tests.support.world import World

ADA = "arn:aws:iam::123456789012:user/ada"


@pytest.fixture
def world(
    sim: ControlClient,
    calls: Calls,
    receiver: Receiver,
    point_fal_client: PointFalClient,
) -> World:
    point_fal_client(sim)
    return world_at(sim, calls, f"{receiver.url}/hook")


def trained(world: World, trainer: Trainer) -> Job:
    """The job of a dataset that chooses this trainer, at its end."""
    words = {"trainer": trainer.short_name, "trigger-phrase": "ada", "preset": "fast"}
    job = world.submit(world.drop("photos.zip", metadata=words))
    assert (job.status, job.application) == (Status.SUBMITTED, trainer.application), job.problems
    return to_its_end(world, job)


@pytest.mark.parametrize("trainer", TRAINERS.values(), ids=lambda each: each.short_name)
def test_a_zip_becomes_a_lora_that_can_be_gone_on_from_where_the_trainer_can(
    world: World, sim: ControlClient, trainer: Trainer
) -> None:
    done = trained(world, trainer)

    files = {stored.name: stored for stored in done.files}
    assert done.status is Status.SUCCEEDED
    assert set(files) == {"lora.safetensors", "config.json"}
    assert world.results.files[files["lora.safetensors"].key][8:9] == b"{"
    [post] = [row for row in sim.ledger()["submissions"] if row["accepted"]]
    assert post["endpoint_id"] == trainer.application
    assert "ada" in post["arguments"].values()
    if trainer.resumes:
        new = world.retry_service.retry(done.job_id, resume=True, by=ADA)
        assert new.resume_from == done.job_id
    else:
        with pytest.raises(ActionNotAllowedError, match="cannot go on from a LoRA"):
            world.retry_service.retry(done.job_id, resume=True, by=ADA)

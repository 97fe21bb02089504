"""A ZIP for each trainer, through our own services and the real fal_client, to its stored LoRA."""

import ssl
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from local.fal.running import ControlClient
from shared.adapters.download import CdnFiles
from shared.adapters.fal import FalTrainer
from shared.domain.budget import Limits
from shared.domain.errors import NothingToDecide
from shared.domain.facts import Fact, Finished
from shared.domain.jobs import DatasetVersion, Job, Status
from shared.domain.trainers.table import TRAINERS
from shared.domain.trainers.trainer import Trainer
from shared.ports import Submission
from tests.local.conftest import PointFalClient
from tests.local.fal_calls import Calls, until
from tests.local.receiver import Receiver
from tests.memory import MemoryDatasets, MemoryTrainer
from tests.world import World

ADA = "arn:aws:iam::123456789012:user/ada"


@dataclass
class UploadedDatasets(MemoryDatasets):
    """Datasets whose addresses the simulator can fetch."""

    calls: Calls | None = None

    def url(self, dataset: DatasetVersion) -> str:
        assert self.calls
        [data] = [each.data for each in self.objects[dataset.key]]
        return self.calls.stored(data or b"")


@dataclass
class TrainerAtFal(MemoryTrainer):
    """The real one."""

    fal: FalTrainer = field(default_factory=lambda: FalTrainer(lambda: ""))
    webhook_url: str = ""

    def submit(self, application: str, arguments: Any, *, webhook_url: str) -> Submission:
        assert webhook_url
        self.posts.append((application, arguments, webhook_url))
        return self.fal.submit(application, arguments, webhook_url=self.webhook_url)

    def ask(self, application: str, request_id: str) -> Fact:
        return self.fal.ask(application, request_id)


@pytest.fixture
def world(
    sim: ControlClient,
    calls: Calls,
    receiver: Receiver,
    point_fal_client: PointFalClient,
) -> World:
    point_fal_client(sim)
    trust = ssl.create_default_context(cafile=sim.ca_file)
    fal = FalTrainer(lambda: sim.key, wire=lambda: httpx.HTTPTransport(verify=trust))
    return World(
        datasets=UploadedDatasets(calls=calls),
        trainer=TrainerAtFal(fal=fal, webhook_url=f"{receiver.url}/hook"),
        source=CdnFiles([urlsplit(sim.base_url).netloc]),  # type: ignore[arg-type]  # the real one
        limits=Limits(2),  # the price of some is not known
    )


def trained(world: World, trainer: Trainer) -> Job:
    """The job of a dataset that chooses this trainer, at its end."""
    words = {"trainer": trainer.short_name, "trigger-phrase": "ada", "preset": "fast"}
    job = world.submit(world.drop("photos.zip", metadata=words))
    assert (job.status, job.application) == (Status.SUBMITTED, trainer.application), job.problems

    def ended() -> Fact | None:
        fact = world.trainer.ask(job.application, job.request_id or "")
        return fact if isinstance(fact, Finished) else None

    fact = until(ended)
    assert fact
    world.receiver.receive(job.job_id, fact)
    return world.keeper.store_result(job.job_id)


@pytest.mark.parametrize("trainer", TRAINERS.values(), ids=lambda each: each.short_name)
def test_a_zip_becomes_a_lora_that_can_be_gone_on_from_where_the_trainer_can(
    world: World, sim: ControlClient, trainer: Trainer
) -> None:
    done = trained(world, trainer)

    files = {stored.name: stored for stored in done.files}
    assert done.status is Status.SUCCEEDED
    assert len(files) == len(trainer.outputs)
    assert {"lora.safetensors", "config.json"} <= set(files)
    assert world.results.files[files["lora.safetensors"].key][8:9] == b"{"
    [post] = [row for row in sim.ledger()["submissions"] if row["accepted"]]
    assert post["endpoint_id"] == trainer.application
    assert "ada" in post["arguments"].values()
    if trainer.resumes:
        new = world.repeater.retry(done.job_id, resume=True, by=ADA)
        assert new.resume_from == done.job_id
    else:
        with pytest.raises(NothingToDecide, match="cannot go on from a LoRA"):
            world.repeater.retry(done.job_id, resume=True, by=ADA)

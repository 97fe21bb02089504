"""Our own services over doubles whose files the simulator can fetch, and the real fal_client."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import httpx

from lora_drop.adapters.checked_network import CheckedNetwork
from lora_drop.adapters.download import CdnFiles
from lora_drop.adapters.fal import FalQueueClient
from lora_drop.adapters.fal_history import FalHistory
from lora_drop.fal.status import FalStatus, Finished, RequestLog
from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.budget import Limits
from lora_drop.jobs.job import DatasetVersion, Job
from lora_drop.jobs.status import Status
from lora_drop.ports import Submission
from tests.simulator.fal_calls import Calls, Received, until
from tests.support.memory import MemoryDatasets, MemoryFal
from tests.support.memory_files import MemoryResults
from tests.support.wire import FixedKey
from tests.support.world import World

PREFIX = "x-fal-webhook-"


@dataclass
class UploadedDatasets(MemoryDatasets):
    """Datasets whose addresses the simulator can fetch."""

    calls: Calls | None = None

    def url(self, dataset: DatasetVersion) -> str:
        assert self.calls
        [data] = [each.data for each in self.objects[dataset.key]]
        return self.calls.stored(data or b"")


@dataclass
class UploadedResults(MemoryResults):
    """A models bucket whose addresses the simulator can fetch."""

    calls: Calls | None = None

    def url(self, stored: StoredFile, seconds: int) -> str:
        assert seconds > 0
        assert self.calls
        return self.calls.stored(self.files[stored.key])


@dataclass
class TrainerAtFal(MemoryFal):
    """The real one."""

    fal: FalQueueClient = field(default_factory=lambda: FalQueueClient(FixedKey("")))
    webhook_url: str = ""
    history: FalHistory | None = None

    def requests_for(self, job: Job, *, since: datetime) -> Sequence[str]:
        assert self.history
        return self.history.requests_for(job, since=since)

    def stored_result(self, application: str, request_id: str) -> Finished | None:
        assert self.history
        return self.history.stored_result(application, request_id)

    def cancel(self, application: str, request_id: str) -> bool:
        return self.fal.cancel(application, request_id)

    def submit(self, application: str, arguments: Any, *, webhook_url: str) -> Submission:
        assert webhook_url
        self.posts.append((application, arguments, webhook_url))
        return self.fal.submit(application, arguments, webhook_url=self.webhook_url)

    def ask(self, application: str, request_id: str) -> FalStatus:
        return self.fal.ask(application, request_id)

    def log(self, application: str, request_id: str) -> RequestLog:
        return self.fal.log(application, request_id)


def world_at(calls: Calls, webhook_url: str, **parts: Any) -> World:
    """A world that pays this simulator."""
    sim = calls.sim
    trust = ssl.create_default_context(cafile=sim.ca_file)
    fal = FalQueueClient(FixedKey(sim.key), wire=lambda: httpx.HTTPTransport(verify=trust))
    history = FalHistory(FixedKey(sim.key), f"{sim.base_url}/v1", httpx.HTTPTransport(verify=trust))
    return World(
        datasets=UploadedDatasets(calls=calls),
        results=UploadedResults(calls=calls),
        fal=TrainerAtFal(fal=fal, webhook_url=webhook_url, history=history),
        source=CdnFiles([urlsplit(sim.base_url).netloc], network=CheckedNetwork(private=True)),  # type: ignore[arg-type]  # the real one
        limits=Limits(2),  # the price of some is not known
        **parts,
    )


def to_its_end(world: World, job: Job) -> Job:
    """The job once fal has trained it and its files are stored."""

    def ended() -> Finished | None:
        status = world.fal.ask(job.application, job.request_id or "")
        return status if isinstance(status, Finished) else None

    status = until(ended)
    assert status
    world.fal_updates.receive(job.job_id, status)
    return world.result_storer.store_result(job.job_id)


def submitted(world: World) -> Job:
    """A job that is at fal."""
    job = world.submit(world.drop("portrait/ada.zip"))
    assert job.status is Status.SUBMITTED, job.problems
    return job


def deliver(world: World, job: Job, received: Received) -> Job:
    """What was received, at this job's address. The signing keys are fetched over TLS."""
    headers = {name: [value] for name, value in received.headers.items() if name.startswith(PREFIX)}
    return world.webhook_handler.deliver(
        job.job_id, world.token(job.job_id), headers, received.body
    )

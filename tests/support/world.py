"""The real services over the doubles: one small house, put together as the bootstrap does it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

from lora_drop.adapters.signing_keys import verify_signature
from lora_drop.datasets.images.pictures import Pictures
from lora_drop.fal.status import Finished
from lora_drop.jobs.budget import Limits
from lora_drop.jobs.delivery import Way
from lora_drop.jobs.job import DatasetVersion, Job
from lora_drop.jobs.tokens import webhook_token
from lora_drop.ports import Submission
from lora_drop.services.check import Checker
from lora_drop.services.checkpoints import check_checkpoint
from lora_drop.services.dataset_urls import Addresses
from lora_drop.services.dispatch import Dispatcher, Line
from lora_drop.services.evidence import Evidence
from lora_drop.services.fal_updates import Receiver
from lora_drop.services.forget import Forgetter
from lora_drop.services.manual_actions import Resolver
from lora_drop.services.mend import Mender
from lora_drop.services.reconcile import Reconciler
from lora_drop.services.record import Record
from lora_drop.services.retry import Repeater
from lora_drop.services.store import DENIAL_STANDS, Keeper
from lora_drop.services.submit import Submitter
from lora_drop.services.sweep import Sweep
from lora_drop.services.webhook import Doorkeeper
from tests.support.builders import APPLICATION, ARTIFACTS, KEY, SECRET, USER_ID, make_archive
from tests.support.memory import (
    ManualClock,
    MemoryDatasets,
    MemoryDeliveries,
    MemoryEvents,
    MemoryInquiry,
    MemoryKeys,
    MemoryPayloads,
    MemoryQueue,
    MemoryStorage,
    MemoryTrainer,
)
from tests.support.memory_files import MemoryResults, MemorySource
from tests.support.memory_jobs import MemoryJobs
from tests.support.pictures import BlindPictures

LATE_AFTER = timedelta(minutes=5)
BASE_URL = "https://api.example/live"


@dataclass
class World:
    """Everything outside, and the services on top of it."""

    jobs: MemoryJobs = field(default_factory=MemoryJobs)
    datasets: MemoryDatasets = field(default_factory=MemoryDatasets)
    results: MemoryResults = field(default_factory=MemoryResults)
    source: MemorySource = field(default_factory=MemorySource)
    trainer: MemoryTrainer = field(default_factory=MemoryTrainer)
    queue: MemoryQueue = field(default_factory=MemoryQueue)
    deliveries: MemoryDeliveries = field(default_factory=MemoryDeliveries)
    inquiry: MemoryInquiry = field(default_factory=MemoryInquiry)
    events: MemoryEvents = field(default_factory=MemoryEvents)
    keys: MemoryKeys = field(default_factory=lambda: MemoryKeys(known=[bytes(KEY.verify_key)]))
    payloads: MemoryPayloads = field(default_factory=MemoryPayloads)
    storage: MemoryStorage = field(default_factory=MemoryStorage)
    way: Way = Way.PRESIGNED
    clock: ManualClock = field(default_factory=ManualClock)
    pictures: Pictures = field(default_factory=BlindPictures)
    webhook_secret: Callable[[], bytes] = lambda: SECRET
    fal_user_id: str = USER_ID
    limits: Limits = field(default_factory=lambda: Limits(2, monthly_usd=100.0, job_usd=25.0))

    @property
    def record(self) -> Record:
        return Record(self.jobs, self.results, self.events, self.clock)

    @property
    def receiver(self) -> Receiver:
        return Receiver(self.record, self.queue, self.line)

    @property
    def line(self) -> Line:
        return Line(self.jobs, self.queue)

    @property
    def dispatcher(self) -> Dispatcher:
        return Dispatcher(
            record=self.record,
            datasets=self.datasets,
            trainer=self.trainer,
            inbox=self.queue,
            limits=self.limits,
            addresses=Addresses(
                datasets=self.datasets,
                results=self.results,
                storage=self.storage,
                clock=self.clock,
                way=self.way,
                seconds=3600,
            ),
            webhook_base_url=BASE_URL,
            webhook_secret=self.webhook_secret,
        )

    @property
    def submitter(self) -> Submitter:
        return Submitter(
            record=self.record,
            datasets=self.datasets,
            dispatcher=self.dispatcher,
            checker=Checker(
                self.pictures, self.trainer, partial(check_checkpoint, record=self.record)
            ),
            mender=Mender(self.pictures),
            application=APPLICATION,
        )

    @property
    def doorkeeper(self) -> Doorkeeper:
        return Doorkeeper(
            receiver=self.receiver,
            deliveries=self.deliveries,
            signing_keys=self.keys,
            verify_signature=verify_signature,
            webhook_secret=self.webhook_secret,
            fal_user_id=self.fal_user_id,
            inquiry=self.inquiry,
            clock=self.clock,
        )

    @property
    def resolver(self) -> Resolver:
        return Resolver(self.record, self.queue, self.trainer, self.receiver)

    @property
    def repeater(self) -> Repeater:
        return Repeater(self.record, self.receiver, self.deliveries, self.queue, self.trainer)

    @property
    def forgetter(self) -> Forgetter:
        return Forgetter(
            jobs=self.jobs,
            erasures=self.jobs,
            datasets=self.datasets,
            results=self.results,
            payloads=self.payloads,
            clock=self.clock,
        )

    @property
    def keeper(self) -> Keeper:
        return Keeper(self.record, self.results, self.source, self.trainer)

    @property
    def reconciler(self) -> Reconciler:
        return Reconciler(
            record=self.record,
            receiver=self.receiver,
            trainer=self.trainer,
            evidence=Evidence(self.jobs, self.trainer),
            inbox=self.queue,
            handover=self.queue,
            line=self.line,
            sweep=self.sweep,
            limits=self.limits,
            late_after=LATE_AFTER,
        )

    @property
    def sweep(self) -> Sweep:
        return Sweep(
            jobs=self.jobs,
            shelf=self.datasets,
            bookmarks=self.jobs,
            inbox=self.queue,
            results=self.results,
        )

    def holds(self, job: Job) -> Job:
        """This job, kept as if it had come this far here."""
        self.jobs.rows[job.job_id] = job
        return job

    def drop(
        self,
        key: str = "portrait/ada.zip",
        *,
        data: bytes | None = None,
        metadata: Mapping[str, str] | None = None,
        **archive: Any,
    ) -> DatasetVersion:
        """A dataset in the bucket, and what S3 says of it."""
        return self.datasets.put(key, make_archive(**archive) if data is None else data, metadata)

    def submit(self, dataset: DatasetVersion) -> Job:
        """The submit function's work for this dataset."""
        return self.submitter.submit_dataset(dataset).job

    def work(self) -> None:
        """The submit function takes everything out of the inbox."""
        while self.queue.datasets:
            self.submit(self.queue.datasets.pop(0))

    def train(self, job: Job) -> Job:
        """fal trains what it has for this job and calls back, and the files are stored."""
        request_id = self.job(job.job_id).request_id
        assert request_id
        self.receiver.receive(job.job_id, Finished(request_id, ARTIFACTS))
        return self.keeper.store_result(job.job_id)

    def store_twice(self, job: Job) -> Job:
        """The store worker, and again when it may believe that fal has nothing."""
        self.keeper.store_result(job.job_id)
        self.clock.now += DENIAL_STANDS
        return self.keeper.store_result(job.job_id)

    @property
    def paid(self) -> list[str]:
        """The jobs that were sent, in the order of the POSTs."""
        return [webhook_url.split("/")[-2] for _, _, webhook_url in self.trainer.posts]

    def answer(self, outcome: Callable[[], Submission] | Exception) -> None:
        """What fal does with the next POSTs."""
        if isinstance(outcome, Exception):
            error = outcome

            def outcome() -> Submission:
                raise error

        self.trainer.outcome = outcome

    def job(self, job_id: str) -> Job:
        """The job as it is kept."""
        return self.jobs.rows[job_id]

    def token(self, job_id: str) -> str:
        """The secret part of this job's webhook address."""
        return webhook_token(SECRET, job_id)

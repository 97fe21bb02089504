"""The real services over the fakes, put together as the bootstrap does it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property, partial
from typing import Any, cast

from lora_drop.adapters.signing_keys import verify_signature
from lora_drop.datasets.images.pictures import Pictures
from lora_drop.fal.hosts import AllowedHosts
from lora_drop.fal.proof_prompts import PICTURES
from lora_drop.fal.status import Finished
from lora_drop.jobs.budget import Limits
from lora_drop.jobs.delivery import DeliveryMethod
from lora_drop.jobs.ids import webhook_token
from lora_drop.jobs.job import DatasetVersion, Job
from lora_drop.ports import Submission
from lora_drop.services.account_balance import AccountBalance
from lora_drop.services.check import Checker
from lora_drop.services.checkpoint import check_checkpoint
from lora_drop.services.dataset_urls import DatasetUrls
from lora_drop.services.dispatch import Dispatcher
from lora_drop.services.evidence import Evidence
from lora_drop.services.fal_updates import FalUpdateHandler
from lora_drop.services.fetch import Fetcher
from lora_drop.services.forget import ForgetService
from lora_drop.services.intake import Intake
from lora_drop.services.latest import LatestLoras
from lora_drop.services.manual_actions import ManualActions
from lora_drop.services.mend import Mender
from lora_drop.services.progress import ProgressRecord
from lora_drop.services.proof_sheets import ProofOrders, ProofSheets
from lora_drop.services.reconcile import Reconciler
from lora_drop.services.record import Record
from lora_drop.services.retry import RetryService
from lora_drop.services.store import RESULT_KEPT, ResultStorer
from lora_drop.services.submit import Submitter
from lora_drop.services.sweep import Sweep
from lora_drop.services.training_log import TrainingLogs
from lora_drop.services.waiting_queue import WaitingQueue
from lora_drop.services.webhook import WebhookHandler
from tests.support.builders import APPLICATION, ARTIFACTS, KEY, SECRET, USER_ID, make_archive
from tests.support.memory import (
    ManualClock,
    MemoryBalances,
    MemoryDatasetCopies,
    MemoryDatasets,
    MemoryEvents,
    MemoryFal,
    MemoryKeys,
    MemoryPayloads,
    MemoryProofs,
    MemoryQueue,
    MemoryStatusCheck,
    MemoryStorage,
    MemoryWebhookArchive,
)
from tests.support.memory_files import MemoryResults, MemorySource
from tests.support.memory_jobs import MemoryJobs, MemoryTrainingTimes
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
    times: MemoryTrainingTimes = field(default_factory=MemoryTrainingTimes)
    fal: MemoryFal = field(default_factory=MemoryFal)
    queue: MemoryQueue = field(default_factory=MemoryQueue)
    fetches: MemoryQueue = field(default_factory=MemoryQueue)
    deliveries: MemoryWebhookArchive = field(default_factory=MemoryWebhookArchive)
    status_check: MemoryStatusCheck = field(default_factory=MemoryStatusCheck)
    events: MemoryEvents = field(default_factory=MemoryEvents)
    keys: MemoryKeys = field(default_factory=lambda: MemoryKeys(known=[bytes(KEY.verify_key)]))
    payloads: MemoryPayloads = field(default_factory=MemoryPayloads)
    storage: MemoryStorage = field(default_factory=MemoryStorage)
    balances: MemoryBalances = field(default_factory=MemoryBalances)
    proofs: MemoryProofs = field(default_factory=MemoryProofs)
    proof_sheet: bool = False
    pictures_of_a_sheet: int = PICTURES
    way: DeliveryMethod = DeliveryMethod.PRESIGNED
    clock: ManualClock = field(default_factory=ManualClock)
    pictures: Pictures = field(default_factory=BlindPictures)
    webhook_secret: Callable[[], bytes] = lambda: SECRET
    fal_user_id: str = USER_ID
    limits: Limits = field(default_factory=lambda: Limits(2, monthly_usd=100.0, job_usd=25.0))

    @property
    def record(self) -> Record:
        return Record(self.jobs, self.results, self.events, self.clock, latest=self.latest)

    @property
    def latest(self) -> LatestLoras:
        return LatestLoras(self.results)

    @property
    def fal_updates(self) -> FalUpdateHandler:
        return FalUpdateHandler(self.record, self.queue, self.waiting_queue)

    @property
    def waiting_queue(self) -> WaitingQueue:
        return WaitingQueue(self.jobs, self.queue)

    @property
    def dispatcher(self) -> Dispatcher:
        return Dispatcher(
            record=self.record,
            datasets=self.datasets,
            fal=self.fal,
            inbox=self.queue,
            limits=self.limits,
            balance=AccountBalance(self.balances, self.jobs),
            addresses=DatasetUrls(
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
            checker=Checker(self.pictures, self.fal, partial(check_checkpoint, record=self.record)),
            mender=Mender(self.pictures),
            application=APPLICATION,
            proofs=self.proof_orders,
            proof_sheet=self.proof_sheet,
            notify_hosts=AllowedHosts(["customer.example"]),
        )

    @property
    def proof_orders(self) -> ProofOrders:
        return ProofOrders(self.record, self.queue, self.pictures_of_a_sheet)

    @property
    def proof_sheets(self) -> ProofSheets:
        return ProofSheets(self.record, self.proofs)

    @property
    def webhook_handler(self) -> WebhookHandler:
        return WebhookHandler(
            fal_updates=self.fal_updates,
            deliveries=self.deliveries,
            signing_keys=self.keys,
            verify_signature=verify_signature,
            webhook_secret=self.webhook_secret,
            fal_user_id=self.fal_user_id,
            status_check=self.status_check,
            clock=self.clock,
        )

    @property
    def manual_actions(self) -> ManualActions:
        return ManualActions(self.record, self.queue, self.fal, self.fal_updates)

    @property
    def retry_service(self) -> RetryService:
        return RetryService(self.record, self.fal_updates, self.deliveries, self.queue, self.fal)

    @property
    def forget_service(self) -> ForgetService:
        return ForgetService(
            jobs=self.jobs,
            erasures=self.jobs,
            datasets=self.datasets,
            results=self.results,
            payloads=self.payloads,
            latest=self.latest,
            clock=self.clock,
        )

    @property
    def progress(self) -> ProgressRecord:
        return ProgressRecord(self.record, self.times)

    @property
    def training_logs(self) -> TrainingLogs:
        return TrainingLogs(self.record, self.fal, self.progress)

    @property
    def evidence(self) -> Evidence:
        return Evidence(self.jobs, self.fal)

    @property
    def result_storer(self) -> ResultStorer:
        return ResultStorer(
            self.record, self.results, self.source, self.fal, self.evidence, self.proof_orders
        )

    def intake(self, *hosts: str) -> Intake:
        """Takes orders of datasets that lie on these hosts."""
        return Intake(
            record=self.record,
            uploads=cast("Any", None),
            bucket="datasets",
            inbox=self.queue,
            clock=self.clock,
            application=APPLICATION,
            notify_hosts=AllowedHosts(["customer.example"]),
            fetches=self.fetches,
            dataset_hosts=AllowedHosts(hosts),
        )

    @property
    def fetcher(self) -> Fetcher:
        return Fetcher(
            record=self.record,
            copies=self.copies,
            datasets=self.datasets,
            source=self.source,
            part=1000,
            pause=lambda _: None,
        )

    @cached_property
    def copies(self) -> MemoryDatasetCopies:
        """The datasets bucket, as the fetch worker writes into it."""
        return MemoryDatasetCopies(datasets=self.datasets, bucket="datasets")

    @property
    def reconciler(self) -> Reconciler:
        return Reconciler(
            record=self.record,
            fal_updates=self.fal_updates,
            fal=self.fal,
            progress=self.progress,
            evidence=self.evidence,
            inbox=self.queue,
            handover=self.queue,
            fetches=self.fetches,
            waiting_queue=self.waiting_queue,
            proofs=self.proof_orders,
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
        while self.queue.datasets or self.queue.proofs:
            while self.queue.datasets:
                self.submit(self.queue.datasets.pop(0))
            while self.queue.proofs:
                self.proof_sheets.finish(self.queue.proofs.pop(0))

    def train(self, job: Job) -> Job:
        """fal trains what it has for this job and calls back, and the files are stored."""
        request_id = self.job(job.job_id).request_id
        assert request_id
        self.fal_updates.receive(job.job_id, Finished(request_id, ARTIFACTS))
        return self.result_storer.store_result(job.job_id)

    def store_twice(self, job: Job) -> Job:
        """The store worker, and again when it may believe that fal has nothing."""
        self.result_storer.store_result(job.job_id)
        self.clock.now += 2 * RESULT_KEPT
        return self.result_storer.store_result(job.job_id)

    @property
    def paid(self) -> list[str]:
        """The jobs that were sent, in the order of the POSTs."""
        return [webhook_url.split("/")[-2] for _, _, webhook_url in self.fal.posts]

    def answer(self, outcome: Callable[[], Submission] | Exception) -> None:
        """What fal does with the next POSTs."""
        if isinstance(outcome, Exception):
            error = outcome

            def outcome() -> Submission:
                raise error

        self.fal.outcome = outcome

    def job(self, job_id: str) -> Job:
        return self.jobs.rows[job_id]

    def token(self, job_id: str) -> str:
        """The secret part of this job's webhook address."""
        return webhook_token(SECRET, job_id)

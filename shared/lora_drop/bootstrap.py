"""The composition root: settings in, services out, each part of the world connected on first use."""

from datetime import UTC, datetime, timedelta
from functools import cached_property, partial
from typing import TYPE_CHECKING

from lora_drop.datasets.images.pictures import Pictures
from lora_drop.ports import (
    ArtifactSource,
    DatasetStore,
    DeadLetters,
    Deliveries,
    FalClient,
    Handover,
    Inbox,
    JobStore,
    Prices,
    RequestHistory,
    ResultStore,
    SigningKeys,
    StatusCheckTrigger,
)
from lora_drop.settings import (
    FalSettings,
    ForgetSettings,
    JobsSettings,
    ReconcileSettings,
    Settings,
    StoreSettings,
    SubmitSettings,
    WebhookSettings,
)

if TYPE_CHECKING:
    from lora_drop.adapters.dynamodb import DynamoJobs
    from lora_drop.adapters.secrets import FalKey
    from lora_drop.services.dataset_urls import DatasetUrls
    from lora_drop.services.dispatch import WaitingQueue
    from lora_drop.services.fal_updates import FalUpdateHandler
    from lora_drop.services.forget import ForgetService
    from lora_drop.services.manual_actions import ManualActions
    from lora_drop.services.reconcile import Reconciler
    from lora_drop.services.record import Record
    from lora_drop.services.retry import RetryService
    from lora_drop.services.store import ResultStorer
    from lora_drop.services.submit import Submitter
    from lora_drop.services.webhook import WebhookHandler


def utc_now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


class Bootstrap[S: Settings]:
    """What every function has."""

    def __init__(self, settings: S) -> None:
        self.settings = settings

    @cached_property
    def jobs(self) -> JobStore:
        """The jobs table."""
        return self._table

    @cached_property
    def _table(self) -> "DynamoJobs":
        import boto3

        from lora_drop.adapters.dynamodb import DynamoJobs

        return DynamoJobs(boto3.client("dynamodb"), self.settings.jobs_table)

    def _results(self, bucket: str) -> ResultStore:
        from lora_drop.adapters.s3_client import s3_client
        from lora_drop.adapters.s3_results import S3Results

        return S3Results(s3_client(), bucket)

    def _record(self, results: ResultStore) -> "Record":
        from lora_drop.adapters.eventbridge import bus_events
        from lora_drop.services.record import Record

        return Record(self.jobs, results, bus_events(), utc_now)

    @staticmethod
    def _deliveries(bucket: str) -> Deliveries:
        from lora_drop.adapters.s3_client import s3_client
        from lora_drop.adapters.s3_deliveries import S3Deliveries

        return S3Deliveries(s3_client(), bucket)

    def _waiting_queue(self, inbox_url: str) -> "WaitingQueue":
        from lora_drop.services.dispatch import WaitingQueue

        return WaitingQueue(self.jobs, self._inbox(inbox_url))

    def _fal_updates(
        self, record: "Record", results_url: str, inbox_url: str
    ) -> "FalUpdateHandler":
        from lora_drop.services.fal_updates import FalUpdateHandler

        return FalUpdateHandler(record, self._handover(results_url), self._waiting_queue(inbox_url))

    def _handover(self, url: str) -> Handover:
        import boto3

        from lora_drop.adapters.sqs import SqsHandover

        return SqsHandover(boto3.client("sqs"), url)

    @staticmethod
    def _inbox(url: str) -> Inbox:
        import boto3

        from lora_drop.adapters.sqs import SqsInbox

        return SqsInbox(boto3.client("sqs"), url)

    @staticmethod
    def _webhook_secret(name: str) -> bytes:
        from lora_drop.adapters.secrets import secret_text

        return secret_text(name).encode()


class FalBootstrap[S: FalSettings](Bootstrap[S]):
    """What every function has that asks fal."""

    @cached_property
    def _key(self) -> "FalKey":
        """One for all that ask: whoever learns that it is old has it read again for everybody."""
        from lora_drop.adapters.secrets import FalKey

        return FalKey(self.settings.fal_key_secret)

    def _fal(self) -> FalClient:
        from lora_drop.adapters.fal import FalQueueClient

        return FalQueueClient(self._key)

    def _prices(self, api_url: str) -> Prices:
        from lora_drop.adapters.fal_prices import FalPrices

        return FalPrices(self._key, api_url)


class SubmitBootstrap(FalBootstrap[SubmitSettings]):
    """The submit function."""

    @cached_property
    def datasets(self) -> DatasetStore:
        """The datasets bucket."""
        from lora_drop.adapters.s3_client import s3_client
        from lora_drop.adapters.s3_datasets import S3Datasets

        return S3Datasets(s3_client(), url_seconds=self.settings.dataset_url_seconds)

    @cached_property
    def pictures(self) -> Pictures:
        """Decodes and mends images."""
        from lora_drop.adapters.pillow import PillowPictures

        return PillowPictures()

    def _dataset_urls(self, results: ResultStore) -> "DatasetUrls":
        from lora_drop.adapters.fal_storage import FalStorage
        from lora_drop.services.dataset_urls import DatasetUrls

        settings = self.settings
        return DatasetUrls(
            datasets=self.datasets,
            results=results,
            storage=FalStorage(self._key, settings.fal_rest_url, settings.fal_cdn_url),
            clock=utc_now,
            way=settings.dataset_delivery,
            seconds=settings.dataset_url_seconds,
        )

    @cached_property
    def submitter(self) -> "Submitter":
        """The door that datasets come in by."""
        from lora_drop.services.check import Checker, check_checkpoint
        from lora_drop.services.dispatch import Dispatcher
        from lora_drop.services.mend import Mender
        from lora_drop.services.submit import Submitter

        settings = self.settings
        record = self._record(self._results(settings.models_bucket))
        dispatcher = Dispatcher(
            record=record,
            datasets=self.datasets,
            fal=self._fal(),
            inbox=self._inbox(settings.inbox_queue_url),
            limits=settings.limits,
            addresses=self._dataset_urls(record.results),
            webhook_base_url=settings.webhook_base_url,
            webhook_secret=lambda: self._webhook_secret(settings.webhook_secret),
        )
        return Submitter(
            record=record,
            datasets=self.datasets,
            dispatcher=dispatcher,
            checker=Checker(
                self.pictures,
                self._prices(settings.fal_api_url),
                partial(check_checkpoint, record=record),
                keep_metadata=not settings.remove_metadata,
            ),
            mender=Mender(self.pictures),
            application=settings.fal_application,
        )


class WebhookBootstrap(Bootstrap[WebhookSettings]):
    """The webhook function."""

    @cached_property
    def signing_keys(self) -> SigningKeys:
        """Fal's public keys."""
        from lora_drop.adapters.signing_keys import JwksKeys

        return JwksKeys(self.settings.fal_jwks_url)

    @property
    def _status_check(self) -> StatusCheckTrigger:
        import boto3

        from lora_drop.adapters.status_check import LambdaStatusCheck

        return LambdaStatusCheck(partial(boto3.client, "lambda"), self.settings.reconcile_function)

    @cached_property
    def webhook_handler(self) -> "WebhookHandler":
        """The receiver of webhooks."""
        from lora_drop.adapters.signing_keys import verify_signature
        from lora_drop.services.webhook import WebhookHandler

        settings = self.settings
        record = self._record(self._results(settings.models_bucket))
        return WebhookHandler(
            fal_updates=self._fal_updates(
                record, settings.results_queue_url, settings.inbox_queue_url
            ),
            deliveries=self._deliveries(settings.models_bucket),
            signing_keys=self.signing_keys,
            verify_signature=verify_signature,
            webhook_secret=lambda: self._webhook_secret(settings.webhook_secret),
            fal_user_id=settings.fal_user_id,
            status_check=self._status_check,
            clock=utc_now,
        )


class StoreBootstrap(FalBootstrap[StoreSettings]):
    """The store function."""

    @cached_property
    def source(self) -> ArtifactSource:
        """Fal's CDN."""
        from lora_drop.adapters.checked_network import CheckedNetwork
        from lora_drop.adapters.download import CdnFiles

        hosts = [host.strip() for host in self.settings.artifact_hosts.split(",")]
        network = CheckedNetwork(private=self.settings.allow_private_artifact_hosts)
        return CdnFiles([host for host in hosts if host], network=network)

    @cached_property
    def result_storer(self) -> "ResultStorer":
        """The worker that ends a job."""
        from lora_drop.adapters.s3_client import s3_client
        from lora_drop.adapters.s3_copies import S3Copies
        from lora_drop.services.store import ResultStorer

        results = S3Copies(s3_client(), self.settings.models_bucket)
        return ResultStorer(self._record(results), results, self.source, self._fal())


class ReconcileBootstrap(FalBootstrap[ReconcileSettings]):
    """The reconcile function."""

    @cached_property
    def history(self) -> RequestHistory:
        """Fal's list of our requests."""
        from lora_drop.adapters.fal_history import FalHistory

        return FalHistory(self._key, self.settings.fal_api_url)

    @cached_property
    def reconciler(self) -> "Reconciler":
        """The round that makes sure no job is ever stuck."""
        from lora_drop.adapters.s3_client import s3_client
        from lora_drop.adapters.s3_shelf import S3Shelf
        from lora_drop.services.evidence import Evidence
        from lora_drop.services.reconcile import Reconciler
        from lora_drop.services.sweep import Sweep

        settings = self.settings
        results, inbox = (
            self._results(settings.models_bucket),
            self._inbox(settings.inbox_queue_url),
        )
        record = self._record(results)
        shelf = S3Shelf(s3_client(), settings.datasets_bucket)
        return Reconciler(
            record=record,
            fal_updates=self._fal_updates(
                record, settings.results_queue_url, settings.inbox_queue_url
            ),
            fal=self._fal(),
            evidence=Evidence(self.jobs, self.history),
            inbox=inbox,
            handover=self._handover(settings.results_queue_url),
            waiting_queue=self._waiting_queue(settings.inbox_queue_url),
            sweep=Sweep(self.jobs, shelf, self._table, inbox, results),
            limits=settings.limits,
            late_after=timedelta(seconds=settings.late_after_seconds),
        )


class ForgetBootstrap(Bootstrap[ForgetSettings]):
    """The forget function."""

    @cached_property
    def forget_service(self) -> "ForgetService":
        """What erases."""
        from lora_drop.adapters.fal_payloads import FalPayloads
        from lora_drop.adapters.s3_client import s3_client
        from lora_drop.adapters.s3_eraser import S3Eraser
        from lora_drop.adapters.secrets import FalKey
        from lora_drop.services.forget import ForgetService

        settings = self.settings
        return ForgetService(
            jobs=self.jobs,
            erasures=self._table,
            datasets=S3Eraser(s3_client(), settings.datasets_bucket),
            results=S3Eraser(s3_client(), settings.models_bucket),
            payloads=FalPayloads(FalKey(settings.fal_key_secret), settings.fal_api_url),
            clock=utc_now,
        )


class JobsBootstrap(FalBootstrap[JobsSettings]):
    """The jobs function."""

    @cached_property
    def record(self) -> "Record":
        """The jobs and what is published of them."""
        return self._record(self._results(self.settings.models_bucket))

    @cached_property
    def fal_updates(self) -> "FalUpdateHandler":
        """What is done with what fal says."""
        settings = self.settings
        return self._fal_updates(self.record, settings.results_queue_url, settings.inbox_queue_url)

    @cached_property
    def manual_actions(self) -> "ManualActions":
        """What a person decides."""
        from lora_drop.services.manual_actions import ManualActions

        inbox = self._inbox(self.settings.inbox_queue_url)
        return ManualActions(self.record, inbox, self._fal(), self.fal_updates)

    @cached_property
    def retry_service(self) -> "RetryService":
        """Retries and replays."""
        from lora_drop.services.retry import RetryService

        settings = self.settings
        deliveries = self._deliveries(settings.models_bucket)
        inbox = self._inbox(settings.inbox_queue_url)
        return RetryService(
            self.record, self.fal_updates, deliveries, inbox, self._prices(settings.fal_api_url)
        )

    @cached_property
    def dead_letters(self) -> DeadLetters:
        """What was given up, by queue."""
        import boto3

        from lora_drop.adapters.sqs import SqsDeadLetters

        settings = self.settings
        queues = {
            "inbox": (settings.inbox_dead_letters_url, settings.inbox_queue_url),
            "results": (settings.results_dead_letters_url, settings.results_queue_url),
        }
        return SqsDeadLetters(boto3.client("sqs"), queues)

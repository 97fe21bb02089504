"""The composition root: settings in, services out, each part of the world connected on first use."""

from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from shared.ports import (
    ArtifactSource,
    DatasetStore,
    Handover,
    Inbox,
    JobStore,
    RequestHistory,
    ResultStore,
    SigningKeys,
    Trainer,
)
from shared.settings import (
    FalSettings,
    JobsSettings,
    ReconcileSettings,
    Settings,
    StoreSettings,
    SubmitSettings,
    WebhookSettings,
)

if TYPE_CHECKING:
    from shared.services.deliver import Doorkeeper
    from shared.services.reconcile import Reconciler
    from shared.services.record import Record
    from shared.services.resolve import Resolver
    from shared.services.store import Keeper
    from shared.services.submit import Submitter


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
        import boto3

        from shared.adapters.dynamodb import DynamoJobs

        return DynamoJobs(boto3.client("dynamodb"), self.settings.jobs_table)

    def _results(self, bucket: str) -> ResultStore:
        import boto3

        from shared.adapters.s3 import S3Results

        return S3Results(boto3.client("s3"), bucket)

    def _record(self, results: ResultStore) -> "Record":
        from shared.services.record import Record

        return Record(self.jobs, results, utc_now)

    def _trainer(self, settings: FalSettings) -> Trainer:
        from shared.adapters.fal import FalTrainer
        from shared.adapters.secrets import fal_key

        return FalTrainer(lambda: fal_key(settings.fal_key_secret))

    def _handover(self, url: str) -> Handover:
        import boto3

        from shared.adapters.sqs import SqsHandover

        return SqsHandover(boto3.client("sqs"), url)

    @staticmethod
    def _inbox(url: str) -> Inbox:
        import boto3

        from shared.adapters.sqs import SqsInbox

        return SqsInbox(boto3.client("sqs"), url)

    @staticmethod
    def _webhook_secret(name: str) -> bytes:
        from shared.adapters.secrets import secret_text

        return secret_text(name).encode()


class SubmitBootstrap(Bootstrap[SubmitSettings]):
    """The submit function."""

    @cached_property
    def datasets(self) -> DatasetStore:
        """The datasets bucket."""
        from shared.adapters.s3 import S3Datasets, presigning_client

        return S3Datasets(presigning_client(), url_seconds=self.settings.dataset_url_seconds)

    @cached_property
    def submitter(self) -> "Submitter":
        """The door that datasets come in by."""
        from shared.services.submit import Submitter

        settings = self.settings
        return Submitter(
            record=self._record(self._results(settings.models_bucket)),
            datasets=self.datasets,
            trainer=self._trainer(settings),
            application=settings.fal_application,
            webhook_base_url=settings.webhook_base_url,
            webhook_secret=lambda: self._webhook_secret(settings.webhook_secret),
        )


class WebhookBootstrap(Bootstrap[WebhookSettings]):
    """The webhook function."""

    @cached_property
    def signing_keys(self) -> SigningKeys:
        """Fal's public keys."""
        from shared.adapters.keys import JwksKeys

        return JwksKeys(self.settings.fal_jwks_url)

    @cached_property
    def doorkeeper(self) -> "Doorkeeper":
        """The receiver of webhooks."""
        from shared.adapters.keys import verify_signature
        from shared.services.deliver import Doorkeeper
        from shared.services.receive import Receiver

        settings = self.settings
        record = self._record(self._results(settings.models_bucket))
        return Doorkeeper(
            receiver=Receiver(record, self._handover(settings.results_queue_url)),
            signing_keys=self.signing_keys,
            verify_signature=verify_signature,
            webhook_secret=lambda: self._webhook_secret(settings.webhook_secret),
            fal_user_id=settings.fal_user_id,
            clock=utc_now,
        )


class StoreBootstrap(Bootstrap[StoreSettings]):
    """The store function."""

    @cached_property
    def source(self) -> ArtifactSource:
        """Fal's CDN."""
        from shared.adapters.download import CdnFiles

        hosts = [host.strip() for host in self.settings.artifact_hosts.split(",")]
        return CdnFiles([host for host in hosts if host])

    @cached_property
    def keeper(self) -> "Keeper":
        """The worker that ends a job."""
        from shared.services.store import Keeper

        results = self._results(self.settings.models_bucket)
        return Keeper(self._record(results), results, self.source, self._trainer(self.settings))


class ReconcileBootstrap(Bootstrap[ReconcileSettings]):
    """The reconcile function."""

    @cached_property
    def inbox(self) -> Inbox:
        """The inbox queue."""
        return self._inbox(self.settings.inbox_queue_url)

    @cached_property
    def history(self) -> RequestHistory:
        """Fal's list of our requests."""
        from shared.adapters.fal_history import FalHistory
        from shared.adapters.secrets import fal_key

        settings = self.settings
        return FalHistory(lambda: fal_key(settings.fal_key_secret), settings.fal_api_url)

    @cached_property
    def reconciler(self) -> "Reconciler":
        """The round that makes sure no job is ever stuck."""
        from shared.services.receive import Receiver
        from shared.services.reconcile import Reconciler

        settings = self.settings
        record = self._record(self._results(settings.models_bucket))
        handover = self._handover(settings.results_queue_url)
        receiver: Receiver = Receiver(record, handover)
        return Reconciler(
            record=record,
            receiver=receiver,
            trainer=self._trainer(settings),
            history=self.history,
            inbox=self.inbox,
            handover=handover,
            late_after=timedelta(seconds=settings.late_after_seconds),
        )


class JobsBootstrap(Bootstrap[JobsSettings]):
    """The jobs function."""

    @cached_property
    def resolver(self) -> "Resolver":
        """What a person decides."""
        from shared.services.resolve import Resolver

        settings = self.settings
        record = self._record(self._results(settings.models_bucket))
        return Resolver(record, self._inbox(settings.inbox_queue_url))

"""What the functions have in common: the clock, the table, the record, the fal key."""

from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from lora_drop.ports import (
    Balances,
    Clock,
    Deliveries,
    FalClient,
    Handover,
    Inbox,
    JobStore,
    Prices,
    RequestHistory,
    ResultStore,
)
from lora_drop.settings import FalSettings, Settings

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sqs import SQSClient

    from lora_drop.adapters.dynamodb import DynamoJobs
    from lora_drop.adapters.secrets import FalKey
    from lora_drop.services.evidence import Evidence
    from lora_drop.services.fal_updates import FalUpdateHandler
    from lora_drop.services.latest import LatestLoras
    from lora_drop.services.progress import ProgressRecord
    from lora_drop.services.proof_sheets import ProofOrders
    from lora_drop.services.record import Record
    from lora_drop.services.waiting_queue import WaitingQueue


def utc_now() -> datetime:
    """Return the time, in UTC."""
    return datetime.now(UTC)


class Bootstrap[S: Settings]:
    """What every function has. One client of each service serves all: to make one takes longer than a call."""

    clock: ClassVar[Clock] = staticmethod(utc_now)

    def __init__(self, settings: S) -> None:
        self.settings = settings

    @cached_property
    def jobs(self) -> JobStore:
        """Return the jobs table."""
        return self._table

    @cached_property
    def _table(self) -> "DynamoJobs":
        from lora_drop.adapters.dynamodb import DynamoJobs

        return DynamoJobs(self._dynamodb, self.settings.jobs_table)

    @cached_property
    def _dynamodb(self) -> "DynamoDBClient":
        import boto3

        return boto3.client("dynamodb")

    @cached_property
    def _sqs(self) -> "SQSClient":
        import boto3

        return boto3.client("sqs")

    @cached_property
    def _s3(self) -> "S3Client":
        from lora_drop.adapters.s3_client import s3_client

        return s3_client()

    def _progress(self, record: "Record") -> "ProgressRecord":
        from lora_drop.adapters.dynamodb_times import DynamoTrainingTimes
        from lora_drop.services.progress import ProgressRecord

        times = DynamoTrainingTimes(self._dynamodb, self.settings.jobs_table)
        return ProgressRecord(record, times)

    def _results(self, bucket: str) -> ResultStore:
        from lora_drop.adapters.s3_results import S3Results

        return S3Results(self._s3, bucket)

    def _record(self, results: ResultStore, latest: "LatestLoras | None" = None) -> "Record":
        """Return the record; ``latest`` in the functions that may write ``latest.json``."""
        from lora_drop.adapters.eventbridge import bus_events
        from lora_drop.services.record import Record

        reference = self.settings.reference_in_events
        return Record(self.jobs, results, bus_events(), self.clock, reference, latest)

    def _latest(self, bucket: str) -> "LatestLoras":
        from lora_drop.adapters.s3_texts import S3Texts
        from lora_drop.services.latest import LatestLoras

        return LatestLoras(S3Texts(self._s3, bucket))

    def _deliveries(self, bucket: str) -> Deliveries:
        from lora_drop.adapters.s3_results import S3Deliveries

        return S3Deliveries(self._s3, bucket)

    def _waiting_queue(self, inbox_url: str) -> "WaitingQueue":
        from lora_drop.services.waiting_queue import WaitingQueue

        return WaitingQueue(self.jobs, self._inbox(inbox_url))

    def _proof_orders(self, record: "Record", inbox_url: str) -> "ProofOrders":
        from lora_drop.services.proof_sheets import ProofOrders

        return ProofOrders(record, self._inbox(inbox_url))

    def _fal_updates(
        self, record: "Record", results_url: str, inbox_url: str
    ) -> "FalUpdateHandler":
        from lora_drop.services.fal_updates import FalUpdateHandler

        return FalUpdateHandler(record, self._handover(results_url), self._waiting_queue(inbox_url))

    def _handover(self, url: str) -> Handover:
        from lora_drop.adapters.sqs import SqsHandover

        return SqsHandover(self._sqs, url)

    def _inbox(self, url: str) -> Inbox:
        from lora_drop.adapters.sqs import SqsInbox

        return SqsInbox(self._sqs, url)

    @staticmethod
    def _webhook_secret(name: str) -> bytes:
        from lora_drop.adapters.secrets import secret_text

        return secret_text(name).encode()


class FalBootstrap[S: FalSettings](Bootstrap[S]):
    """What every function has that asks fal."""

    @cached_property
    def _key(self) -> "FalKey":
        """Return one key for all callers: the first that fal refuses reads it again for all of them."""
        from lora_drop.adapters.secrets import FalKey

        return FalKey(self.settings.fal_key_secret)

    def _fal(self, *, file_days: int = 0) -> FalClient:
        from lora_drop.adapters.fal import FalQueueClient

        return FalQueueClient(self._key, file_days=file_days)

    def _prices(self, api_url: str) -> Prices:
        from lora_drop.adapters.fal_prices import FalPrices

        return FalPrices(self._key, api_url)

    def _balances(self, api_url: str) -> Balances:
        """Return what our account at fal has left."""
        from lora_drop.adapters.fal_balance import FalBalance

        return FalBalance(self._key, api_url)

    def _history(self, api_url: str) -> RequestHistory:
        """Return fal's list of our requests."""
        from lora_drop.adapters.fal_history import FalHistory

        return FalHistory(self._key, api_url)

    def _evidence(self, api_url: str) -> "Evidence":
        from lora_drop.services.evidence import Evidence

        return Evidence(self.jobs, self._history(api_url))

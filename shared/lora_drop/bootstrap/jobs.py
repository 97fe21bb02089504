"""The services of the jobs function."""

from functools import cached_property
from typing import TYPE_CHECKING

from lora_drop.bootstrap.base import FalBootstrap
from lora_drop.ports import DeadLetters, ResultStore
from lora_drop.settings import JobsSettings

if TYPE_CHECKING:
    from lora_drop.services.fal_updates import FalUpdateHandler
    from lora_drop.services.intake import Intake
    from lora_drop.services.manual_actions import ManualActions
    from lora_drop.services.record import Record
    from lora_drop.services.retry import RetryService
    from lora_drop.services.training_log import TrainingLogs


class JobsBootstrap(FalBootstrap[JobsSettings]):
    """The jobs function."""

    @cached_property
    def record(self) -> "Record":
        """Return the jobs and what is published of them."""
        return self._record(self.results)

    @cached_property
    def results(self) -> ResultStore:
        """Return the models bucket."""
        return self._results(self.settings.models_bucket)

    @cached_property
    def intake(self) -> "Intake":
        """Return what takes datasets in."""
        from lora_drop.adapters.s3_uploads import S3Uploads
        from lora_drop.services.intake import Intake

        settings = self.settings
        return Intake(
            record=self.record,
            uploads=S3Uploads(self._s3, settings.datasets_bucket),
            bucket=settings.datasets_bucket,
            inbox=self._inbox(settings.inbox_queue_url),
            fetches=self._handover(settings.fetch_queue_url),
            dataset_hosts=settings.allowed_dataset_hosts,
            clock=self.clock,
            application=settings.fal_application,
            notify_hosts=settings.allowed_notify_hosts,
        )

    @cached_property
    def fal_updates(self) -> "FalUpdateHandler":
        """Return what is done with what fal says."""
        settings = self.settings
        return self._fal_updates(self.record, settings.results_queue_url, settings.inbox_queue_url)

    @cached_property
    def manual_actions(self) -> "ManualActions":
        """Return what a person decides."""
        from lora_drop.services.manual_actions import ManualActions

        inbox = self._inbox(self.settings.inbox_queue_url)
        return ManualActions(self.record, inbox, self._fal(), self.fal_updates)

    @cached_property
    def retry_service(self) -> "RetryService":
        """Return the service of retries and replays."""
        from lora_drop.services.retry import RetryService

        settings = self.settings
        deliveries = self._deliveries(settings.models_bucket)
        inbox = self._inbox(settings.inbox_queue_url)
        return RetryService(
            self.record, self.fal_updates, deliveries, inbox, self._prices(settings.fal_api_url)
        )

    @cached_property
    def training_logs(self) -> "TrainingLogs":
        """Return the logs of trainings at fal."""
        from lora_drop.services.training_log import TrainingLogs

        return TrainingLogs(self.record, self._fal(), self._progress(self.record))

    @cached_property
    def dead_letters(self) -> DeadLetters:
        """Return the dead letter queues."""
        from lora_drop.adapters.sqs import SqsDeadLetters

        settings = self.settings
        queues = {
            "inbox": (settings.inbox_dead_letters_url, settings.inbox_queue_url),
            "results": (settings.results_dead_letters_url, settings.results_queue_url),
            "fetch": (settings.fetch_dead_letters_url, settings.fetch_queue_url),
            "notify": (settings.notify_dead_letters_url, settings.notify_queue_url),
        }
        return SqsDeadLetters(self._sqs, queues)

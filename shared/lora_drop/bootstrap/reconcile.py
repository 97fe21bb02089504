"""The services of the reconcile function."""

from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from lora_drop.bootstrap.base import FalBootstrap
from lora_drop.settings import ReconcileSettings

if TYPE_CHECKING:
    from lora_drop.services.drift import DriftCheck
    from lora_drop.services.reconcile import Reconciler


class ReconcileBootstrap(FalBootstrap[ReconcileSettings]):
    """The reconcile function."""

    @cached_property
    def drift_check(self) -> "DriftCheck":
        """Return the daily comparison of our table of trainers with fal's."""
        from lora_drop.adapters.fal_models import FalModels
        from lora_drop.services.drift import DriftCheck

        url = self.settings.fal_api_url
        published, prices = FalModels(self._key, url), self._prices(url)
        return DriftCheck(self.jobs, published, prices, self.settings.fal_application)

    @cached_property
    def reconciler(self) -> "Reconciler":
        """Return the round that makes sure no job is ever stuck."""
        from lora_drop.adapters.s3_datasets import S3DatasetListing
        from lora_drop.services.reconcile import Reconciler
        from lora_drop.services.sweep import Sweep

        settings = self.settings
        results, inbox = (
            self._results(settings.models_bucket),
            self._inbox(settings.inbox_queue_url),
        )
        record = self._record(results, self._latest(settings.models_bucket))
        shelf = S3DatasetListing(self._s3, settings.datasets_bucket)
        return Reconciler(
            record=record,
            fal_updates=self._fal_updates(
                record, settings.results_queue_url, settings.inbox_queue_url
            ),
            fal=self._fal(),
            progress=self._progress(record),
            evidence=self._evidence(settings.fal_api_url),
            inbox=inbox,
            handover=self._handover(settings.results_queue_url),
            fetches=self._handover(settings.fetch_queue_url),
            waiting_queue=self._waiting_queue(settings.inbox_queue_url),
            proofs=self._proof_orders(record, settings.inbox_queue_url),
            sweep=Sweep(self.jobs, shelf, self._table, inbox, results),
            limits=settings.limits,
            late_after=timedelta(seconds=settings.late_after_seconds),
        )

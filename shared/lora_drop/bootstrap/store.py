"""The services of the store function."""

from functools import cached_property
from typing import TYPE_CHECKING

from lora_drop.bootstrap.base import FalBootstrap
from lora_drop.fal.hosts import hosts_in
from lora_drop.ports import ArtifactSource
from lora_drop.settings import StoreSettings

if TYPE_CHECKING:
    from lora_drop.services.store import ResultStorer


class StoreBootstrap(FalBootstrap[StoreSettings]):
    """The store function."""

    @cached_property
    def source(self) -> ArtifactSource:
        """Return fal's CDN."""
        from lora_drop.adapters.checked_network import CheckedNetwork
        from lora_drop.adapters.download import CdnFiles

        network = CheckedNetwork(private=self.settings.allow_private_artifact_hosts)
        return CdnFiles(hosts_in(self.settings.artifact_hosts), network=network)

    @cached_property
    def result_storer(self) -> "ResultStorer":
        """Return the worker that ends a job."""
        from lora_drop.adapters.s3_copies import S3Copies
        from lora_drop.services.store import ResultStorer

        results = S3Copies(self._s3, self.settings.models_bucket)
        record = self._record(results, self._latest(self.settings.models_bucket))
        return ResultStorer(
            record=record,
            proofs=self._proof_orders(record, self.settings.inbox_queue_url),
            results=results,
            source=self.source,
            fal=self._fal(),
            evidence=self._evidence(self.settings.fal_api_url),
        )

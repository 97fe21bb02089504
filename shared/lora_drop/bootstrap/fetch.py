"""The services of the fetch function."""

from functools import cached_property
from typing import TYPE_CHECKING

from lora_drop.api_requests import MAX_ARCHIVE
from lora_drop.bootstrap.base import Bootstrap
from lora_drop.fal.hosts import hosts_in
from lora_drop.ports import ArtifactSource
from lora_drop.settings import FetchSettings

if TYPE_CHECKING:
    from lora_drop.services.fetch import Fetcher


class FetchBootstrap(Bootstrap[FetchSettings]):
    """The fetch function."""

    @cached_property
    def source(self) -> ArtifactSource:
        """Return the hosts that datasets are fetched from."""
        from lora_drop.adapters.checked_network import CheckedNetwork
        from lora_drop.adapters.download import CdnFiles

        network = CheckedNetwork(private=self.settings.allow_private_dataset_hosts)
        return CdnFiles(hosts_in(self.settings.dataset_hosts), network=network, most=MAX_ARCHIVE)

    @cached_property
    def fetcher(self) -> "Fetcher":
        """Return the worker that fetches datasets."""
        from lora_drop.adapters.s3_copies import S3Copies
        from lora_drop.adapters.s3_datasets import S3Datasets
        from lora_drop.datasets.owner_metadata import FETCHED_FROM
        from lora_drop.services.fetch import Fetcher

        settings, client = self.settings, self._s3
        return Fetcher(
            record=self._record(self._results(settings.models_bucket)),
            copies=S3Copies(client, settings.datasets_bucket, source=FETCHED_FROM),
            datasets=S3Datasets(client, url_seconds=1),
            source=self.source,
        )

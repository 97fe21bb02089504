"""The services of the forget function."""

from functools import cached_property
from typing import TYPE_CHECKING

from lora_drop.bootstrap.base import Bootstrap
from lora_drop.settings import ForgetSettings

if TYPE_CHECKING:
    from lora_drop.services.forget import ForgetService


class ForgetBootstrap(Bootstrap[ForgetSettings]):
    """The forget function."""

    @cached_property
    def forget_service(self) -> "ForgetService":
        """Return the service that erases jobs."""
        from lora_drop.adapters.fal_payloads import FalPayloads
        from lora_drop.adapters.s3_eraser import S3Eraser
        from lora_drop.adapters.secrets import FalKey
        from lora_drop.services.forget import ForgetService

        settings = self.settings
        return ForgetService(
            jobs=self.jobs,
            erasures=self._table,
            datasets=S3Eraser(self._s3, settings.datasets_bucket),
            results=S3Eraser(self._s3, settings.models_bucket),
            payloads=FalPayloads(FalKey(settings.fal_key_secret), settings.fal_api_url),
            latest=self._latest(settings.models_bucket),
            clock=self.clock,
        )

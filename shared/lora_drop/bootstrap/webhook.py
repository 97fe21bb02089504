"""The services of the webhook function."""

from functools import cached_property, partial
from typing import TYPE_CHECKING

from lora_drop.bootstrap.base import Bootstrap
from lora_drop.ports import SigningKeys, StatusCheckTrigger
from lora_drop.settings import WebhookSettings

if TYPE_CHECKING:
    from lora_drop.services.webhook import WebhookHandler


class WebhookBootstrap(Bootstrap[WebhookSettings]):
    """The webhook function."""

    @cached_property
    def signing_keys(self) -> SigningKeys:
        """Return fal's public keys."""
        from lora_drop.adapters.signing_keys import JwksKeys

        return JwksKeys(self.settings.fal_jwks_url)

    @property
    def _status_check(self) -> StatusCheckTrigger:
        import boto3

        from lora_drop.adapters.sqs import LambdaStatusCheck

        return LambdaStatusCheck(partial(boto3.client, "lambda"), self.settings.reconcile_function)

    @cached_property
    def webhook_handler(self) -> "WebhookHandler":
        """Return the receiver of webhooks."""
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
            clock=self.clock,
        )

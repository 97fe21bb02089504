"""The services of the notify function."""

from functools import cached_property
from typing import TYPE_CHECKING

from lora_drop.bootstrap.base import Bootstrap
from lora_drop.settings import NotifySettings

if TYPE_CHECKING:
    from lora_drop.services.notify import Notifier


class NotifyBootstrap(Bootstrap[NotifySettings]):
    """The notify function."""

    @cached_property
    def notifier(self) -> "Notifier":
        """Return the sender of notifications."""
        import boto3

        from lora_drop.adapters.receivers import HttpReceiver
        from lora_drop.adapters.signing_secret import SigningSecret
        from lora_drop.adapters.sqs import SqsLaterMessages
        from lora_drop.services.notify import Notifier

        settings = self.settings
        client = boto3.client("secretsmanager")
        return Notifier(
            jobs=self.jobs,
            receiver=HttpReceiver(private=settings.allow_private_notify_hosts),
            queue=SqsLaterMessages(
                self._sqs, settings.notify_queue_url, settings.notify_dead_letters_url
            ),
            secrets=SigningSecret(client, settings.notify_secret, clock=self.clock),
            url=settings.notify_url,
            hosts=settings.allowed_notify_hosts,
            bucket=settings.models_bucket,
            with_reference=settings.reference_in_events,
            clock=self.clock,
        )

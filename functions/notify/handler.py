"""A job has changed: the customer's own address gets it."""

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from lora_drop.bootstrap.notify import NotifyBootstrap
from lora_drop.observability import Metric, about
from lora_drop.services.notify import Notified, NotifyOutcome, QueuedChange
from lora_drop.settings import NotifySettings, load

logger, metrics = Logger(), Metrics()


@cache
def bootstrap() -> NotifyBootstrap:
    """Return the function's world, built on first use."""
    return NotifyBootstrap(load(NotifySettings))


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001  # Lambda's shape
    """Send every change of a batch; those that no receiver has taken come back alone, later."""
    found = [counted(each) for each in bootstrap().notifier.notify(messages_of(event))]
    later = [each.message_id for each in found if each.outcome is NotifyOutcome.LATER]
    return {"batchItemFailures": [{"itemIdentifier": each} for each in later]}


def messages_of(event: dict[str, Any]) -> list[QueuedChange]:
    """Return the messages of SQS's event."""
    return [
        QueuedChange(
            message_id=record["messageId"],
            body=record["body"],
            tries=int(record["attributes"]["ApproximateReceiveCount"]),
            receipt=record["receiptHandle"],
        )
        for record in event["Records"]
    ]


def counted(notified: Notified) -> Notified:
    """Count and log what became of one message; a receiver's address is in no log."""
    about(notified.job_id, logger)
    if notified.outcome is NotifyOutcome.UNWANTED:
        return notified
    delivered = notified.outcome is NotifyOutcome.DELIVERED
    metric = Metric.NOTIFICATION_DELIVERED if delivered else Metric.NOTIFICATION_FAILED
    metrics.add_metric(metric, MetricUnit.Count, 1)
    said: dict[str, object] = {"outcome": notified.outcome, "version": notified.version}
    if delivered:
        logger.info("notification sent", extra=said)
    else:
        said |= {"reason": notified.reason, "retry_in": notified.retry_in}
        logger.warning("notification not taken", extra=said)
    return notified

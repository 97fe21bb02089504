"""Messages of a queue, one by one: a message that fails comes back alone, and the log says why."""

from collections.abc import Callable
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord
from aws_lambda_powertools.utilities.typing import LambdaContext

from lora_drop.observability import Metric, about


def process_messages(
    event: dict[str, Any],
    context: LambdaContext,
    process: Callable[[str], None],
    failed: Metric,
    observers: tuple[Logger, Metrics],
    *,
    again: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Call ``process`` with the body of each message; return the failed ones, in Lambda's form.

    ``failed`` counts the messages that fail; their errors are logged. ``again`` is called in its place with a message that was
    delivered before: who had it has failed, or died.
    """
    logger, metrics = observers
    processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)

    def process_record(record: SQSRecord) -> None:
        about("", logger)
        try:
            (again if again and _came_before(record) else process)(record.body)
        except Exception:
            metrics.add_metric(failed, MetricUnit.Count, 1)
            logger.exception("message failed", message_id=record.message_id)
            raise

    answer = process_partial_response(
        event=event, record_handler=process_record, processor=processor, context=context
    )
    return dict(answer)


def _came_before(record: SQSRecord) -> bool:
    attributes = record.raw_event.get("attributes", {})
    return int(attributes.get("ApproximateReceiveCount", 1)) > 1

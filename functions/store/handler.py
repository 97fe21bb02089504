"""A result is ready: copy its files into the models bucket and end the job."""

from functools import cache
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

from lora_drop.bootstrap.store import StoreBootstrap
from lora_drop.jobs.errors import JobForgottenError
from lora_drop.jobs.ids import digest_of
from lora_drop.jobs.status import Status
from lora_drop.messages import StoreRequest
from lora_drop.observability import Metric, about, make_tracer, training_seconds
from lora_drop.settings import StoreSettings, load

logger = Logger()
tracer = make_tracer()
metrics = Metrics()
processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)


@cache
def bootstrap() -> StoreBootstrap:
    """Return the function's world, built on first use."""
    return StoreBootstrap(load(StoreSettings))


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler(capture_response=False, capture_error=False)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Store each job's result; a message that fails comes back alone."""
    answer = process_partial_response(
        event=event, record_handler=store_message, processor=processor, context=context
    )
    return dict(answer)


def store_message(record: SQSRecord) -> None:
    """Handle one message of the results queue; the log says why one comes back."""
    about("", logger, tracer)
    try:
        request = StoreRequest.model_validate_json(record.body)
        about(request.job_id, logger, tracer)
        job = bootstrap().result_storer.store_result(request.job_id)
    except JobForgottenError as forgotten:
        about("", logger, tracer)
        logger.info("result of a forgotten job dropped", digest=digest_of(str(forgotten)))
        return
    except Exception:
        metrics.add_metric(Metric.RESULT_FAILED, MetricUnit.Count, 1)
        logger.exception("message failed", message_id=record.message_id)
        raise
    about(job, logger, tracer)
    if job.status is Status.SUCCEEDED:
        metrics.add_metric(Metric.RESULT_STORED, MetricUnit.Count, 1)
        if (took := training_seconds(job)) is not None:
            metrics.add_metric(Metric.TRAINING_SECONDS, MetricUnit.Seconds, took)
    logger.info("result handled", status=job.status)

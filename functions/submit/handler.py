"""A dataset has arrived: S3's event, in the inbox queue or bare."""

import json
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
from aws_lambda_powertools.utilities.parser import parse
from aws_lambda_powertools.utilities.typing import LambdaContext

from lora_drop.bootstrap.submit import SubmitBootstrap
from lora_drop.jobs.errors import JobForgottenError
from lora_drop.jobs.ids import digest_of, job_id_for
from lora_drop.jobs.status import Status
from lora_drop.messages import S3Notice
from lora_drop.observability import Metric, about, make_tracer
from lora_drop.settings import SubmitSettings, load

logger = Logger()
tracer = make_tracer()
metrics = Metrics()
processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)
COUNTED = {
    Status.REJECTED: Metric.DATASET_REJECTED,
    Status.SUBMITTED: Metric.TRAINING_SUBMITTED,
    Status.SUBMIT_UNKNOWN: Metric.SUBMIT_UNKNOWN,
}


@cache
def bootstrap() -> SubmitBootstrap:
    """Return the function's world, built on first use."""
    return SubmitBootstrap(load(SubmitSettings))


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler(capture_response=False, capture_error=False)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Submit each dataset once; a message that fails comes back alone."""
    if any("s3" in record for record in event.get("Records", [])) or "Event" in event:
        submit_all(event)
        return {"batchItemFailures": []}
    answer = process_partial_response(
        event=event, record_handler=submit_message, processor=processor, context=context
    )
    return dict(answer)


def submit_message(record: SQSRecord) -> None:
    """Handle one message of the inbox queue; the log says why one comes back."""
    about("", logger, tracer)
    try:
        submit_all(json.loads(record.body))
    except Exception:
        metrics.add_metric(Metric.DATASET_FAILED, MetricUnit.Count, 1)
        logger.exception("message failed", message_id=record.message_id)
        raise


def submit_all(notice: dict[str, Any]) -> None:
    """Submit every dataset that the notification names; ``s3:TestEvent`` names none."""
    for dataset in parse(event=notice, model=S3Notice).datasets():
        about(job_id_for(dataset.bucket, dataset.key, dataset.version_id), logger, tracer)
        try:
            handled = bootstrap().submitter.submit_dataset(dataset)
        except JobForgottenError as forgotten:
            about("", logger, tracer)
            logger.info("dataset of a forgotten job dropped", digest=digest_of(str(forgotten)))
            continue
        job = handled.job
        rejected = [job] if job.status is Status.REJECTED else []
        for each in (*rejected, *handled.sent):
            if each.status in COUNTED:
                metrics.add_metric(COUNTED[each.status], MetricUnit.Count, 1)
        about(job, logger, tracer)
        logger.info("dataset received", status=job.status)
        for each in handled.sent:
            about(each, logger, tracer)
            logger.info("job sent", status=each.status)

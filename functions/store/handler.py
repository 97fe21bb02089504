"""A result is ready: copy its files into the models bucket and end the job."""

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from lora_drop.batch import process_messages
from lora_drop.bootstrap.store import StoreBootstrap
from lora_drop.jobs.errors import JobForgottenError
from lora_drop.jobs.ids import digest_of
from lora_drop.jobs.status import Status
from lora_drop.messages import StoreRequest
from lora_drop.observability import Metric, about, training_seconds
from lora_drop.settings import StoreSettings, load

logger, metrics = Logger(), Metrics()


@cache
def bootstrap() -> StoreBootstrap:
    """Return the function's world, built on first use."""
    return StoreBootstrap(load(StoreSettings))


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Store each job's result; a message that fails comes back alone."""
    observers = (logger, metrics)
    return process_messages(event, context, store, Metric.RESULT_FAILED, observers)


def store(message: str) -> None:
    """Store the result of one job, and count and log what became of it."""
    job_id = StoreRequest.model_validate_json(message).job_id
    about(job_id, logger)
    try:
        job = bootstrap().result_storer.store_result(job_id)
    except JobForgottenError as forgotten:
        about("", logger)
        logger.info("result of a forgotten job dropped", digest=digest_of(str(forgotten)))
        return
    about(job, logger)
    if job.status is Status.SUCCEEDED:
        metrics.add_metric(Metric.RESULT_STORED, MetricUnit.Count, 1)
        if job.picture is None and (took := training_seconds(job)) is not None:
            metrics.add_metric(Metric.TRAINING_SECONDS, MetricUnit.Seconds, took)
    logger.info("result handled", status=job.status)

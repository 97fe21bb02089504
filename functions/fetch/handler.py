"""A dataset is to be fetched from its address: into the datasets bucket, where S3's event takes over."""

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from lora_drop.batch import process_messages
from lora_drop.bootstrap.fetch import FetchBootstrap
from lora_drop.jobs.errors import JobForgottenError
from lora_drop.jobs.ids import digest_of
from lora_drop.jobs.problems import codes_of
from lora_drop.jobs.status import Status
from lora_drop.messages import StoreRequest
from lora_drop.observability import Metric, about
from lora_drop.settings import FetchSettings, load

logger, metrics = Logger(), Metrics()


@cache
def bootstrap() -> FetchBootstrap:
    """Return the function's world, built on first use."""
    return FetchBootstrap(load(FetchSettings))


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Fetch each job's dataset; a message that fails comes back alone."""
    return process_messages(event, context, fetch, Metric.FETCH_FAILED, (logger, metrics))


def fetch(message: str) -> None:
    """Fetch the dataset of one job, and count and log what became of it; an address is in no log."""
    job_id = StoreRequest.model_validate_json(message).job_id
    about(job_id, logger)
    try:
        job = bootstrap().fetcher.fetch(job_id)
    except JobForgottenError as forgotten:
        about("", logger)
        logger.info("order of a forgotten job dropped", digest=digest_of(str(forgotten)))
        return
    if job.status is Status.REJECTED:
        metrics.add_metric(Metric.DATASET_REJECTED, MetricUnit.Count, 1)
    elif job.fetching and job.problems:
        metrics.add_metric(Metric.FETCH_FAILED, MetricUnit.Count, 1)
    elif not job.fetching:
        metrics.add_metric(Metric.DATASET_FETCHED, MetricUnit.Count, 1)
    about(job, logger)
    logger.info("order handled", status=job.status, problems=codes_of(job.problems))

"""Every few minutes: no job is stuck."""

from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from lora_drop.bootstrap.reconcile import ReconcileBootstrap
from lora_drop.jobs.errors import JobForgottenError, LoraDropError
from lora_drop.jobs.ids import digest_of
from lora_drop.messages import StatusCheckRequest
from lora_drop.observability import Metric, count_drift, count_round
from lora_drop.services.round_counts import RoundCounts, RoundIncompleteError
from lora_drop.settings import ReconcileSettings, load

logger, metrics = Logger(), Metrics()


@cache
def bootstrap() -> ReconcileBootstrap:
    """Return the function's world, built on first use."""
    return ReconcileBootstrap(load(ReconcileSettings))


@logger.inject_lambda_context(clear_state=True)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001  # Lambda's shape
    """Run one round over the open jobs, check one job, or compare the trainers with fal's.

    The metrics are written also after an error, so that alarms ring.
    """
    if event.get("compare") == "trainers":
        return count_drift(bootstrap().drift_check.compare(), logger, metrics)
    if "job_id" in event:
        return asked(StatusCheckRequest.model_validate(event))
    try:
        return counted(bootstrap().reconciler.reconcile())
    except RoundIncompleteError as incomplete:
        counted(incomplete.counts)
        raise


def asked(question: StatusCheckRequest) -> dict[str, Any]:
    """Return what fal says of this job now; where it does not answer, the next round asks again."""
    job_id, status = question.job_id, None
    try:
        status = bootstrap().reconciler.request_status_check(job_id).status
        logger.info("question answered", job_id=job_id, status=status)
    except JobForgottenError as forgotten:
        logger.info("question about a forgotten job dropped", digest=digest_of(str(forgotten)))
    except LoraDropError as error:
        metrics.add_metric(Metric.JOBS_UNANSWERED, MetricUnit.Count, 1)
        logger.warning("question not answered", job_id=job_id, reason=str(error))
    return {"job_id": job_id, "status": status}


def counted(counts: RoundCounts) -> dict[str, Any]:
    """Return the round's numbers, as metrics and in the log."""
    numbers = count_round(counts, metrics)
    logger.info("round done", **numbers)
    return numbers

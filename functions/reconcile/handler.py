"""Every few minutes: no job is stuck."""

from dataclasses import asdict
from functools import cache
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext

from lora_drop.bootstrap.reconcile import ReconcileBootstrap
from lora_drop.jobs.errors import JobForgottenError, LoraDropError
from lora_drop.jobs.ids import digest_of
from lora_drop.messages import StatusCheckRequest
from lora_drop.observability import OUTCOMES, Metric, make_tracer
from lora_drop.services.reconcile import RoundCounts, RoundIncompleteError
from lora_drop.settings import ReconcileSettings, load

logger = Logger()
tracer = make_tracer()
metrics = Metrics()


@cache
def bootstrap() -> ReconcileBootstrap:
    """Return the function's world, built on first use."""
    return ReconcileBootstrap(load(ReconcileSettings))


@logger.inject_lambda_context(clear_state=True)
@tracer.capture_lambda_handler(capture_response=False, capture_error=False)
@metrics.log_metrics
def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:  # noqa: ARG001  # Lambda's shape
    """Run one round over the open jobs, or check one job.

    The metrics are written also after an error, so that alarms ring.
    """
    if "job_id" in event:
        return asked(StatusCheckRequest.model_validate(event))
    try:
        return counted(bootstrap().reconciler.reconcile())
    except RoundIncompleteError as incomplete:
        counted(incomplete.counts)
        raise


def asked(question: StatusCheckRequest) -> dict[str, Any]:
    """Return what fal says of this job now; where it does not answer, the next round asks again."""
    job_id = question.job_id
    try:
        status = bootstrap().reconciler.request_status_check(job_id).status
    except JobForgottenError as forgotten:
        logger.info("question about a forgotten job dropped", digest=digest_of(str(forgotten)))
        return {"job_id": job_id, "status": None}
    except LoraDropError as error:
        metrics.add_metric(Metric.JOBS_UNANSWERED, MetricUnit.Count, 1)
        logger.warning("question not answered", job_id=job_id, reason=str(error))
        return {"job_id": job_id, "status": None}
    logger.info("question answered", job_id=job_id, status=status)
    return {"job_id": job_id, "status": status}


def counted(counts: RoundCounts) -> dict[str, Any]:
    """Return the round's numbers, as metrics and in the log."""
    metrics.add_metric(Metric.JOBS_OPEN, MetricUnit.Count, counts.open)
    metrics.add_metric(Metric.JOBS_LATE, MetricUnit.Count, counts.late)
    metrics.add_metric(Metric.JOBS_UNANSWERED, MetricUnit.Count, counts.unanswered)
    metrics.add_metric(Metric.SUBMISSIONS_IN_DOUBT, MetricUnit.Count, counts.doubtful)
    metrics.add_metric(Metric.JOBS_OVERDUE, MetricUnit.Count, counts.overdue)
    metrics.add_metric(Metric.JOBS_HELD, MetricUnit.Count, counts.held)
    metrics.add_metric(Metric.JOBS_AT_FAL, MetricUnit.Count, counts.at_fal)
    metrics.add_metric(Metric.JOBS_WAITING, MetricUnit.Count, counts.waiting)
    metrics.add_metric(Metric.OLDEST_JOB_SECONDS, MetricUnit.Seconds, counts.oldest_seconds)
    metrics.add_metric(Metric.BUDGET_PERCENT, MetricUnit.Percent, counts.budget_percent)
    metrics.add_metric(Metric.EVENTS_UNTOLD, MetricUnit.Count, counts.untold)
    for status, outcome in OUTCOMES.items():
        metrics.add_metric(outcome, MetricUnit.Count, counts.ended.get(status, 0))
    metrics.add_metric(Metric.DATASETS_FOUND, MetricUnit.Count, counts.swept.datasets)
    metrics.add_metric(Metric.UPLOADS_ENDED, MetricUnit.Count, counts.swept.uploads)
    logger.info("round done", **asdict(counts))
    return asdict(counts)

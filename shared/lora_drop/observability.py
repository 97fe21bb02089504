"""The names of what is counted, and what log lines say of a job, in one place."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status

if TYPE_CHECKING:  # only the reconciler pays for its import
    from lora_drop.fal.drift import Difference
    from lora_drop.jobs.erasures import Erasure
    from lora_drop.services.round_counts import RoundCounts


class Metric(StrEnum):
    """What is counted; docs/runbook.md and the dashboard say it in a sentence each."""

    DATASET_REJECTED = "DatasetRejected"
    DATASET_FAILED = "DatasetFailed"
    FACES_UNAVAILABLE = "FacesUnavailable"
    TRAINING_SUBMITTED = "TrainingSubmitted"
    SUBMIT_UNKNOWN = "SubmitUnknown"
    DELIVERY_ACCEPTED = "DeliveryAccepted"
    DELIVERY_REFUSED = "DeliveryRefused"
    DELIVERY_STALE = "DeliveryStale"
    RESULT_STORED = "ResultStored"
    RESULT_FAILED = "ResultFailed"
    JOBS_OPEN = "JobsOpen"
    JOBS_LATE = "JobsLate"
    JOBS_UNANSWERED = "JobsUnanswered"
    SUBMISSIONS_IN_DOUBT = "SubmissionsInDoubt"
    DATASETS_FOUND = "DatasetsFound"
    UPLOADS_ENDED = "UploadsEnded"
    JOBS_OVERDUE = "JobsOverdue"
    JOBS_HELD = "JobsHeld"
    ERASURES_OPEN = "ErasuresOpen"
    OLDEST_ERASURE_SECONDS = "OldestErasureSeconds"
    JOBS_AT_FAL = "JobsAtFal"
    JOBS_WAITING = "JobsWaiting"
    JOBS_SUCCEEDED = "JobsSucceeded"
    JOBS_FAILED = "JobsFailed"
    JOBS_REJECTED = "JobsRejected"
    JOBS_CANCELLED = "JobsCancelled"
    JOBS_EXPIRED = "JobsExpired"
    OLDEST_JOB_SECONDS = "OldestJobSeconds"
    TRAINING_SECONDS = "TrainingSeconds"
    BUDGET_PERCENT = "BudgetPercent"
    EVENTS_UNTOLD = "EventsUntold"
    TRAINER_DRIFT = "TrainerDrift"
    DATASET_FETCHED = "DatasetFetched"
    FETCH_FAILED = "FetchFailed"
    NOTIFICATION_DELIVERED = "NotificationDelivered"
    NOTIFICATION_FAILED = "NotificationFailed"


OUTCOMES: Mapping[Status, Metric] = {
    Status.SUCCEEDED: Metric.JOBS_SUCCEEDED,
    Status.FAILED: Metric.JOBS_FAILED,
    Status.REJECTED: Metric.JOBS_REJECTED,
    Status.CANCELLED: Metric.JOBS_CANCELLED,
    Status.EXPIRED: Metric.JOBS_EXPIRED,
}
SUBMIT_OUTCOMES: Mapping[Status, Metric] = {
    Status.REJECTED: Metric.DATASET_REJECTED,
    Status.SUBMITTED: Metric.TRAINING_SUBMITTED,
    Status.SUBMIT_UNKNOWN: Metric.SUBMIT_UNKNOWN,
}
# All that is said of a job: neither its key nor its photos are for logs.
JOB_ID, REQUEST_ID = "job_id", "request_id"


def about(job: Job | str, logger: Logger) -> None:
    """Make the following log lines name this job and its request at fal.

    ``job``: its id where no more is known, empty where not even that is, or is to be said no more.
    What was said of another job before is over.
    """
    said = {JOB_ID: job} if isinstance(job, str) else {JOB_ID: job.job_id}
    if isinstance(job, Job) and job.request_id:
        said[REQUEST_ID] = job.request_id
    logger.remove_keys([JOB_ID, REQUEST_ID])
    logger.append_keys(**{name: value for name, value in said.items() if value})


def log_erasure(erasure: "Erasure", logger: Logger) -> None:
    """Log the erasure by its digest: the job's id begins with the name of the ZIP."""
    logger.info("erasing", digest=erasure.digest, done=bool(erasure.done_at))


def training_seconds(job: Job) -> float | None:
    """Return how long fal took for what is stored now; None where it did not train, or was never seen to."""
    since = {step.status: step.at for step in job.history}
    begun, done = since.get(Status.SUBMITTED), since.get(Status.STORING)
    return (done - begun).total_seconds() if begun and done and done >= begun else None


def count_drift(found: "Sequence[Difference]", logger: Logger, metrics: Metrics) -> dict[str, Any]:
    """Write a log line for each difference between our table of trainers and fal's, and count them."""
    for each in found:
        logger.warning("trainer differs", **asdict(each))
    if found:
        metrics.add_metric(Metric.TRAINER_DRIFT, MetricUnit.Count, len(found))
    logger.info("trainers compared", differences=len(found))
    return {"differences": len(found)}


def count_round(counts: "RoundCounts", metrics: Metrics) -> dict[str, Any]:
    """Return the numbers of one round of the reconciler, and write as metrics those that count something.

    CloudWatch charges for a metric that is always 0. The open jobs are written by each round: an alarm
    rings when rounds are missing.
    """
    for metric, count in (
        (Metric.JOBS_LATE, counts.late),
        (Metric.JOBS_UNANSWERED, counts.unanswered),
        (Metric.SUBMISSIONS_IN_DOUBT, counts.doubtful),
        (Metric.JOBS_OVERDUE, counts.overdue),
        (Metric.JOBS_HELD, counts.held),
        (Metric.JOBS_AT_FAL, counts.at_fal),
        (Metric.JOBS_WAITING, counts.waiting),
        (Metric.EVENTS_UNTOLD, counts.untold),
        *((outcome, counts.ended.get(status, 0)) for status, outcome in OUTCOMES.items()),
        (Metric.DATASETS_FOUND, counts.swept.datasets),
        (Metric.UPLOADS_ENDED, counts.swept.uploads),
    ):
        if count:
            metrics.add_metric(metric, MetricUnit.Count, count)
    metrics.add_metric(Metric.JOBS_OPEN, MetricUnit.Count, counts.open)
    if counts.oldest_seconds:
        metrics.add_metric(Metric.OLDEST_JOB_SECONDS, MetricUnit.Seconds, counts.oldest_seconds)
    if counts.budget_percent:
        metrics.add_metric(Metric.BUDGET_PERCENT, MetricUnit.Percent, counts.budget_percent)
    return asdict(counts)

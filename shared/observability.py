"""The names of the metrics, in one place, and what traces may hold."""

from enum import StrEnum

from aws_lambda_powertools import Tracer
from aws_xray_sdk.ext import boto_utils


class Metric(StrEnum):
    """What is counted; one sentence each, for the dashboard's reader."""

    DATASET_REJECTED = "DatasetRejected"
    TRAINING_SUBMITTED = "TrainingSubmitted"
    SUBMIT_UNKNOWN = "SubmitUnknown"
    DELIVERY_ACCEPTED = "DeliveryAccepted"
    DELIVERY_REFUSED = "DeliveryRefused"
    DELIVERY_STALE = "DeliveryStale"
    RESULT_STORED = "ResultStored"
    JOBS_OPEN = "JobsOpen"
    JOBS_LATE = "JobsLate"
    JOBS_UNANSWERED = "JobsUnanswered"
    SUBMISSIONS_IN_DOUBT = "SubmissionsInDoubt"
    DATASETS_FOUND = "DatasetsFound"
    UPLOADS_ENDED = "UploadsEnded"
    JOBS_OVERDUE = "JobsOverdue"
    JOBS_HELD = "JobsHeld"
    ERASURES_OPEN = "ErasuresOpen"


def make_tracer() -> Tracer:
    """Traces the function and its calls to AWS, without what must not be in a trace.

    X-Ray's SDK would note the key of every object, which people name their photos by, and the
    address of every HTTP call: whoever has fal's has the LoRA.
    """
    boto_utils.whitelist["services"].pop("s3", None)
    return Tracer(patch_modules=("botocore",))

"""The names of the metrics, in one place."""

from enum import StrEnum


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

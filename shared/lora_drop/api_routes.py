"""Every route of the jobs API with its models and its errors; ``lora_drop.openapi`` makes the document from it."""

from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import BaseModel

from lora_drop import api_answers as answers
from lora_drop.api_requests import DatasetRequest, FetchedDatasetRequest, StoredDatasetRequest
from lora_drop.jobs.public_job import PublicJob
from lora_drop.messages import ForgetRequest, JobsQuery, LogsQuery, ResolveRequest, RetryRequest

# Each code of an error: its status, and what it means.
ERRORS: Mapping[str, tuple[int, str]] = {
    "query_invalid": (400, "the query or the body is not of its form; the message names the field"),
    "job_unknown": (404, "no job has this id"),
    "route_unknown": (404, "no route has this path; a job's id has letters, digits and hyphens"),
    "dataset_unknown": (404, "nothing lies under this key, or it has no such version"),
    "nothing_to_decide": (409, "the job does not wait for this decision, or changed meanwhile"),
    "dataset_unreadable": (409, "the dataset is there, and the stack may not read it"),
    "job_shared": (409, "others share files with the job; `jobs` are their ids"),
    "not_forgotten": (409, "the job has not ended, or S3 does not let go of it"),
    "job_forgotten": (410, "the job was erased"),
    "idempotency_key_reused": (422, "the Idempotency-Key stands for an order with another body"),
    "dataset_rejected": (422, "parameters are wrong; `problems` has each with its code"),
    "fal_unavailable": (503, "fal did not answer; ask again in a minute"),
    "try_again": (503, "another request changed the job, or fal did not answer; ask again"),
}
OF_A_JOB = ("job_unknown", "route_unknown", "job_forgotten")
DECIDES = (*OF_A_JOB, "nothing_to_decide")


@dataclass(frozen=True, slots=True)
class Route:
    """One operation; ``answer`` may be several models, one of which it is; ``idempotent`` takes an Idempotency-Key."""

    method: str
    path: str
    name: str
    summary: str
    answer: tuple[type[BaseModel], ...]
    errors: tuple[str, ...] = ()
    body: type[BaseModel] | None = None
    other_body: type[BaseModel] | None = None
    body_required: bool = False
    idempotent: bool = False
    query: type[BaseModel] | None = None
    status: int = 200


JOB = "/jobs/{job_id}"
ROUTES = (
    Route(
        "POST",
        "/datasets",
        "createDataset",
        "Get a signed form to upload a dataset with; the upload is ordered as a training",
        (answers.DatasetForm,),
        ("query_invalid", "dataset_rejected"),
        DatasetRequest,
    ),
    Route(
        "GET",
        "/jobs",
        "listJobs",
        "List jobs, newest first",
        (answers.JobPage,),
        ("query_invalid",),
        query=JobsQuery,
    ),
    Route(
        "POST",
        "/jobs",
        "createJob",
        "Order the training of a dataset that was uploaded, or that is fetched from an address; the same order is the same job",
        (PublicJob,),
        (
            "query_invalid",
            "dataset_unknown",
            "dataset_unreadable",
            "nothing_to_decide",
            "job_forgotten",
            "dataset_rejected",
            "idempotency_key_reused",
        ),
        StoredDatasetRequest,
        FetchedDatasetRequest,
        body_required=True,
        idempotent=True,
        status=202,
    ),
    Route("GET", JOB, "getJob", "Show a job as it stands", (answers.JobItem,), OF_A_JOB),
    Route(
        "GET",
        f"{JOB}/files",
        "listFiles",
        "List a job's files with addresses to download them from",
        (answers.JobFiles,),
        OF_A_JOB,
    ),
    Route(
        "GET",
        f"{JOB}/logs",
        "readLogs",
        "Read the training's log and progress, as fal has them now",
        (answers.TrainingLog,),
        ("query_invalid", *OF_A_JOB),
        query=LogsQuery,
    ),
    Route(
        "POST",
        f"{JOB}/approve",
        "approveJob",
        "Let a held job go on, whatever it costs",
        (PublicJob,),
        DECIDES,
    ),
    Route(
        "POST",
        f"{JOB}/cancel",
        "cancelJob",
        "Stop a job: for free before it is at fal",
        (PublicJob,),
        (*DECIDES, "fal_unavailable"),
    ),
    Route(
        "POST",
        f"{JOB}/retry",
        "retryJob",
        "Pay for an ended job's dataset once more, as a new job",
        (PublicJob,),
        ("query_invalid", *DECIDES, "fal_unavailable"),
        RetryRequest,
    ),
    Route(
        "POST",
        f"{JOB}/resolve",
        "resolveJob",
        "Settle a submission in doubt",
        (PublicJob,),
        ("query_invalid", *DECIDES, "fal_unavailable"),
        ResolveRequest,
        body_required=True,
    ),
    Route(
        "POST",
        f"{JOB}/replay",
        "replayJob",
        "Take in once more what fal has delivered",
        (PublicJob,),
        DECIDES,
    ),
    Route(
        "POST",
        f"{JOB}/forget",
        "forgetJob",
        "Erase a job for good; ask again until it is done",
        (answers.ErasureAnswer, answers.ErasureLook),
        (
            "query_invalid",
            "job_unknown",
            "route_unknown",
            "job_shared",
            "not_forgotten",
            "try_again",
        ),
        ForgetRequest,
    ),
    Route(
        "GET", "/budget", "showBudget", "Show the month's dollars and the slots", (answers.Budget,)
    ),
    Route(
        "POST",
        "/redrive",
        "redrive",
        "Send the dead letters of both queues back",
        (answers.Redrive,),
    ),
    Route("GET", "/openapi.json", "describe", "This document", (), ()),
)

# What callers with a key may ask: nothing that lifts a limit, settles a doubt or erases. The template has the same list.
BY_KEY = frozenset(
    {
        *(("GET", "/jobs"), ("POST", "/jobs"), ("POST", "/datasets")),
        *(("GET", JOB), ("GET", f"{JOB}/files"), ("GET", f"{JOB}/logs")),
        *(("POST", f"{JOB}/cancel"), ("POST", f"{JOB}/retry")),
        *(("GET", "/budget"), ("GET", "/openapi.json")),
    }
)

"""What the jobs API answers besides a job itself; the OpenAPI document is made from these models."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from lora_drop.jobs.erasures import Found
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.progress import PublicProgress
from lora_drop.jobs.public_job import PublicJob
from lora_drop.jobs.status import Status


class ApiAnswer(BaseModel):
    """A JSON document that the API answers; clients must take fields that are added later."""

    model_config = ConfigDict(frozen=True)


class SlotWait(ApiAnswer):
    """What a READY job waits for."""

    slots_taken: int
    slots: int = Field(description="how many jobs the stack may have at fal at once")
    jobs_before: int = Field(description="how many READY jobs come first")


class JobItem(PublicJob):
    """One job as it stands."""

    waiting: SlotWait | None = Field(description="null where the job waits for no slot")


class JobPage(ApiAnswer):
    """Some jobs, newest first."""

    jobs: tuple[PublicJob, ...]
    next: str | None = Field(description="the cursor of the next page; null at the end")


class JobFile(ApiAnswer):
    """A file of a job, and an address to download it from without credentials."""

    name: str
    size: int = Field(description="bytes")
    sha256: str = Field(description="SHA-256 in hex of the file's bytes")
    url: str
    expires_at: datetime = Field(description="the address works no longer than that, UTC")


class JobFiles(ApiAnswer):
    """What is stored of a job's result; empty before it has succeeded."""

    files: tuple[JobFile, ...]


class LogLine(ApiAnswer):
    """One line of a training's log."""

    message: str
    at: datetime | None = Field(description="when fal wrote it, UTC; null where fal does not say")


class TrainingLog(ApiAnswer):
    """What fal's log of a training says after the lines that the caller has."""

    job_id: str
    status: Status
    lines: tuple[LogLine, ...]
    next: int = Field(description="what to ask for as `after` the next time")
    progress: PublicProgress | None
    queue_position: int | None = Field(description="how many requests come first in fal's queue")


class DatasetForm(ApiAnswer):
    """A signed form: POST multipart/form-data to the url with all fields, then the ZIP as ``file``."""

    url: str
    fields: dict[str, str] = Field(description="in any order, but before the file")
    key: str = Field(description="where the dataset will lie; for POST /jobs")
    expires_at: datetime = Field(description="the form works no longer than that, UTC")
    advice: tuple[Problem, ...] = Field(description="what to think over in the parameters")


class BudgetLimits(ApiAnswer):
    """What the stack may have at fal at once, and pay."""

    max_in_flight: int
    monthly_usd: float | None
    job_usd: float | None


class Budget(ApiAnswer):
    """The month's dollars, and which jobs hold a slot."""

    month: str
    reserved_usd: float
    spent_usd: float
    wasted_usd: float
    in_flight: tuple[str, ...] = Field(description="ids of the jobs at fal")
    left_usd: float
    limits: BudgetLimits


class Redrive(ApiAnswer):
    """How many dead letters were sent back, by queue."""

    moved: dict[str, int]


class ErasableJob(ApiAnswer):
    """A job that an order would erase."""

    job_id: str
    status: Status
    paid_usd: float | None


class ErasureLook(ApiAnswer):
    """The answer to ``look``; no jobs when the erasing is begun already."""

    jobs: tuple[ErasableJob, ...]


class ErasureProof(ApiAnswer):
    """What was, or is being, erased of one job; it contains no name."""

    digest: str = Field(description="the 10 hex digits at the end of the job's id")
    begun_at: datetime
    erased_at: datetime | None
    done_at: datetime | None
    found: Found | None
    fal_requests: int
    fal_files: int
    left: tuple[str, ...] = Field(description="what fal has kept, and why")
    beside: tuple[str, ...] = Field(description="digests of the jobs that are erased with it")


class ErasureAnswer(ApiAnswer):
    """How far an erasing has come; to be asked again until ``done``."""

    done: bool
    last_look_at: datetime
    erasures: tuple[ErasureProof, ...]


class GatewayError(ApiAnswer):
    """What API Gateway itself answers: no access, too many requests, no answer in time."""

    message: str | None

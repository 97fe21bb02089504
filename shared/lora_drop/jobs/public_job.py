"""What leaves the stack about a job: the one allowlist of the fields that people and programs see.

A field of ``Job`` is private until it stands here. ``docs/job.schema.json`` is generated from it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field

from lora_drop.fal.trainers.parameters import ParameterSource, TrainingParameters
from lora_drop.jobs.artifacts import LoraFacts, StoredFile
from lora_drop.jobs.budget import Charge
from lora_drop.jobs.delivery import DeliveryMethod
from lora_drop.jobs.job import DatasetVersion, Job, Step
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.progress import PublicProgress
from lora_drop.jobs.proof import Likeness
from lora_drop.jobs.status import Status


class PublicDelivery(BaseModel):
    """How the dataset was sent to fal; the URL stays private, because it gives access to the photos."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    way: DeliveryMethod = Field(description="where fal downloads the dataset from")
    expires_at: datetime | None = Field(description="when that URL stops working, UTC")


class PublicProof(BaseModel):
    """A proof sheet, without what the stack alone needs to know whether it is up to date."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    pictures: tuple[str, ...] = Field(description="the jobs of its pictures, by their numbers")
    note: str = Field(description="why there is no picture, or no number; empty where there are")
    done_at: datetime | None = Field(description="when all pictures had ended and were compared")
    paid_usd: float | None = Field(
        default=None,
        description="what its pictures were charged, in US dollars; null until it is done",
    )
    likeness: Likeness | None = Field(description="how much the pictures look like the photos")


class PublicJob(BaseModel):
    """A job as the API serves it, the command prints it with ``--json`` and ``status.json`` holds it."""

    model_config = ConfigDict(frozen=True, from_attributes=True)

    job_id: str
    status: Status
    version: int = Field(description="grows with every write of the job but those of its progress")
    dataset: DatasetVersion = Field(description="the object version in the datasets bucket")
    clean: StoredFile | None = Field(description="the clean copy that was trained on instead")
    delivery: PublicDelivery | None
    reference: str | None = Field(description="the owner's own name for the job, from the metadata")
    application: str = Field(description="fal's name of the trainer")
    created_at: datetime
    updated_at: datetime
    history: tuple[Step, ...] = Field(description="every status until now, and who caused it")
    preset: str | None
    parameters: TrainingParameters | None
    parameter_sources: Mapping[str, ParameterSource] | None
    images: int | None = Field(description="how many photos are trained on")
    estimated_cost_usd: float | None
    charge: Charge | None = Field(description="the money of the present submission")
    past_charges: tuple[Charge, ...] = Field(description="the money of earlier submissions")
    approved: bool = Field(description="whether a person approved the cost")
    intents: int = Field(description="how many submissions were begun")
    refetched: bool = Field(description="whether fal got a second URL of the dataset")
    attempt: int = Field(description="the number of this job for its dataset version")
    retry_of: str | None
    resume_from: str | None = Field(description="the job whose LoRA this training continues")
    content_digest: str | None = Field(description="equal for equal photos, captions, parameters")
    duplicate_of: str | None = Field(description="the job whose files are this job's files")
    supersedes: str | None = Field(description="the job that had the same content before")
    force_retrain: bool = Field(description="whether earlier jobs of the same content are ignored")
    earlier_requests: tuple[str, ...] = Field(description="requests at fal that are over")
    own_requests: tuple[str, ...] = Field(description="those of them that this job itself made")
    request_id: str | None = Field(description="the request at fal")
    cancel_by: str | None = Field(description="who asked to cancel it")
    progress: PublicProgress | None = Field(
        description="how far the training of this request is, as fal's log said when it was read last"
    )
    queue_position: int | None = Field(
        description="how many requests came first in fal's queue, when fal was asked last"
    )
    files: tuple[StoredFile, ...] = Field(description="what is stored in the models bucket")
    lora: LoraFacts | None = Field(description="what the stored LoRA's own header says")
    earlier: tuple[str, ...] = Field(
        description="the jobs that had a LoRA of this dataset before, newest first, 20 at the most"
    )
    problems: tuple[Problem, ...]
    proof: PublicProof | None = Field(
        description="the proof sheet: pictures made with the LoRA, and how much they look like the photos"
    )

    @classmethod
    def of(cls, job: Job) -> Self:
        """Return the public part of this job."""
        return cls.model_validate(job)


def public(job: Job) -> dict[str, Any]:
    """Return the public part of a job as a JSON document."""
    return PublicJob.of(job).model_dump(mode="json")

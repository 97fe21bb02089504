"""What a training without a stack takes, and where its request stands."""

from dataclasses import dataclass
from typing import TypedDict


class Parameters(TypedDict, total=False):
    """The portrait trainer's inputs (https://fal.ai/models/fal-ai/flux-lora-portrait-trainer/api)."""

    trigger_phrase: str
    learning_rate: float
    steps: int
    multiresolution_training: bool
    subject_crop: bool
    data_archive_format: str
    resume_from_checkpoint: str
    create_masks: bool
    preset: str


@dataclass(frozen=True, slots=True)
class Queued:
    """The request waits; ``position`` is how many come before it, None where fal does not say."""

    request_id: str
    position: int | None


@dataclass(frozen=True, slots=True)
class Training:
    """The request is being trained; ``logs`` are the trainer's lines so far."""

    request_id: str
    logs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FinishedRequest:
    """The request has a result."""

    request_id: str


@dataclass(frozen=True, slots=True)
class FailedRequest:
    """The request ended without a result, or fal keeps it no longer; ``message`` says why."""

    request_id: str
    message: str


type RequestStatus = Queued | Training | FinishedRequest | FailedRequest

"""What a training without a stack takes, where its request stands, and how fal is asked about it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypedDict

from lora_drop.client.direct_training import REQUESTS_PAGE, history, to_key_holders
from lora_drop.jobs.errors import FalUnavailableError, ResultGoneError

if TYPE_CHECKING:
    from lora_drop.adapters.fal_direct import FalDirectClient
    from lora_drop.client.direct_result import DirectResult
    from lora_drop.fal.status import FalStatus
    from lora_drop.jobs.progress import PublicProgress


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
    """The request is being trained; ``logs`` are the trainer's lines so far.

    ``progress`` is what they say of its steps, as a job of a stack has it; None before the first step.
    """

    request_id: str
    logs: tuple[str, ...] = field(repr=False)
    progress: "PublicProgress | None" = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class FinishedRequest:
    """The request has a result."""

    request_id: str


@dataclass(frozen=True, slots=True)
class FailedRequest:
    """The request ended without a result, or fal does not know it; ``message`` says why, and what to do."""

    request_id: str
    message: str


type RequestStatus = Queued | Training | FinishedRequest | FailedRequest


class DirectRequests:
    """The requests of one key, as fal's queue has them and, once that has forgotten them, fal's list."""

    def __init__(self, key: str, application: str) -> None:
        self._key = key
        self._application = application

    @property
    def client(self) -> "FalDirectClient":
        """Return a client of fal's queue."""
        from lora_drop.adapters.fal_direct import FalDirectClient  # noqa: PLC0415
        from lora_drop.adapters.fal_key import SingleKey  # noqa: PLC0415

        return FalDirectClient(SingleKey(self._key), advice=to_key_holders())

    def look(self, request_id: str, steps: int | None) -> "tuple[RequestStatus, FalStatus]":
        """Ask fal once: what a caller sees of it, and what fal said; ``steps`` is how many were ordered."""
        from lora_drop.client.direct_errors import again  # noqa: PLC0415
        from lora_drop.fal.status import Failed, Finished, RequestLog, Running  # noqa: PLC0415

        said = self.client.ask(self._application, request_id)
        match said:
            case Running(started=True, log=log):
                lines = tuple(line.message for line in (log or RequestLog()).lines)
                return Training(request_id, lines, progress_of(lines, steps)), said
            case Running(log=log):
                return Queued(request_id, log.queue_position if log else None), said
            case Finished():
                return FinishedRequest(request_id), said
            case Failed(problem=problem):
                return FailedRequest(request_id, again(problem.message)), said
            case _ if self._stored(request_id):
                return FinishedRequest(request_id), said
            case _:
                return FailedRequest(request_id, unknown(request_id)), said

    def result(
        self, request_id: str, said: "FalStatus", about: Mapping[str, Any]
    ) -> "DirectResult":
        """Return the files of a request of which fal has said this.

        Raises TrainingFailedError, ResultGoneError, and FalUnavailableError while there is none yet.
        """
        from lora_drop.client.direct_errors import training_failed  # noqa: PLC0415
        from lora_drop.client.direct_result import DirectResult  # noqa: PLC0415
        from lora_drop.fal.status import Failed, Finished, Gone  # noqa: PLC0415
        from lora_drop.webhooks import files_in  # noqa: PLC0415

        match said:
            case Finished():
                payload = self.client.payload(self._application, request_id)
                return DirectResult(request_id, "", tuple(files_in(payload)), about)
            case Failed(problem=problem, billed=billed):
                raise training_failed(problem, request_id=request_id, billed=billed)
            case Gone():
                if not (stored := self._stored(request_id)):
                    raise ResultGoneError(unknown(request_id))
                return DirectResult(request_id, "", tuple(files_in(stored)), about)
            case _:
                raise FalUnavailableError(f"request {request_id} is not done yet")

    def _stored(self, request_id: str) -> Mapping[str, Any] | None:
        """Return the result that fal's list still has of a request which its queue has forgotten."""
        return history(self._key).stored_output(self._application, request_id)


def progress_of(lines: tuple[str, ...], steps: int | None) -> "PublicProgress | None":
    """Return how far a training is by the lines of its log; None where they do not say."""
    from lora_drop.fal.progress import progress_in  # noqa: PLC0415
    from lora_drop.jobs.progress import PublicProgress  # noqa: PLC0415

    found = progress_in(lines, steps)
    if found is None:
        return None
    return PublicProgress(
        step=found.step,
        steps=found.steps,
        percent=found.percent,
        eta_seconds=found.seconds_left,
        at=datetime.now(UTC),
    )


def unknown(request_id: str) -> str:
    """Return what is true of a request that neither fal's queue nor its list has, and what to do."""
    from lora_drop.client.direct_errors import again  # noqa: PLC0415

    if server := os.environ.get("FAL_QUEUE_RUN_HOST"):
        return again(
            f"The server at {server} does not know request {request_id}. A simulator forgets its requests when it ends."
        )
    return again(
        f"fal does not know request {request_id}: it was sent with another key, or fal keeps it no longer. "
        f"Look at {REQUESTS_PAGE}."
    )

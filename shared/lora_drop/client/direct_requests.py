"""What a training without a stack takes, where its request stands, and how fal is asked about it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypedDict

from lora_drop.client.direct_errors import AGAIN
from lora_drop.client.direct_training import history, settled, to_key_holders
from lora_drop.fal.hosts import REQUESTS_PAGE
from lora_drop.jobs.errors import FalUnavailableError, ResultGoneError, ResultUnreadableError

if TYPE_CHECKING:
    from lora_drop.adapters.fal_direct import FalDirectClient
    from lora_drop.adapters.fal_history import ListedRequest
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
    """The request ended without a result; ``message`` says why, and what to do."""

    request_id: str
    message: str


@dataclass(frozen=True, slots=True)
class Unanswered:
    """fal says nothing of the request that can be used, or does not know it, which is no end of it.

    ``message`` says which.
    """

    request_id: str
    message: str


type RequestStatus = Queued | Training | FinishedRequest | FailedRequest | Unanswered


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
        """Ask fal once: what a caller sees of it, and what fal said; ``steps`` is how many were ordered.

        Raises FalUnavailableError.
        """
        from lora_drop.client.direct_errors import again  # noqa: PLC0415
        from lora_drop.fal.status import Failed, Finished, RequestLog, Running  # noqa: PLC0415

        said = self._asked(request_id)
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
            case _:
                return self._by_list(request_id, said)

    def has_ended(self, request_id: str, sent_at: datetime, *, seen: bool) -> bool:
        """Return whether another training may be paid: only where fal says that this one has ended.

        What neither fal's queue nor its list knows counts as ended an hour after it was sent; so does, with
        a person's word (``seen``), what the queue does not know while the list cannot be read.
        """
        from lora_drop.fal.status import Gone, Running  # noqa: PLC0415

        said = self._asked(request_id)
        if not isinstance(said, Gone):
            return not isinstance(said, Running)
        try:
            listed = self._listed(request_id)
        except FalUnavailableError:
            if seen and settled(sent_at):
                return True
            raise
        return settled(sent_at) if listed is None else listed.ended

    def has_failed(self, request_id: str) -> bool:
        """Return whether fal states that it has failed or was cancelled.

        Raises FalUnavailableError where fal does not say how it stands.
        """
        from lora_drop.fal.status import Failed, Gone  # noqa: PLC0415

        said = self._asked(request_id)
        if not isinstance(said, Gone):
            return isinstance(said, Failed)
        if (listed := self._listed(request_id)) is None:
            raise FalUnavailableError(unknown(request_id).removesuffix("."))
        return listed.ended and not listed.succeeded

    def _asked(self, request_id: str) -> "FalStatus":
        return self.client.ask(self._application, request_id)

    def _by_list(self, request_id: str, said: "FalStatus") -> "tuple[RequestStatus, FalStatus]":
        """Return what fal's list says of a request that its queue does not know."""
        from lora_drop.fal.status import Running  # noqa: PLC0415

        listed = self._listed(request_id)
        if listed is None:
            return Unanswered(request_id, unknown(request_id)), said
        if not listed.ended:
            return Training(request_id, ()), Running(request_id, started=True)
        if not listed.succeeded:
            return FailedRequest(request_id, ended_without_result(request_id)), said
        self._output(request_id, listed)
        return FinishedRequest(request_id), said

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
                if not (listed := self._listed(request_id)):
                    raise ResultGoneError(unknown(request_id))
                if not listed.succeeded:
                    raise ResultGoneError(ended_without_result(request_id))
                stored = self._output(request_id, listed)
                return DirectResult(request_id, "", tuple(files_in(stored)), about)
            case _:
                raise FalUnavailableError(f"request {request_id} is not done yet")

    def _listed(self, request_id: str) -> "ListedRequest | None":
        """Return what fal's list has of a request; it has a result for longer than the queue."""
        return history(self._key).listed(self._application, request_id)

    def _output(self, request_id: str, listed: "ListedRequest") -> Mapping[str, Any]:
        if listed.output is None:
            raise ResultUnreadableError(
                f"fal's list has request {request_id} as done, and not its result yet"
            )
        return listed.output


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
    later = f"{AGAIN[:-1]}, from an hour after it was sent on."
    if server := os.environ.get("FAL_QUEUE_RUN_HOST"):
        return (
            f"The server at {server} does not know request {request_id}. A simulator forgets its requests when it ends. "
            f"{later}"
        )
    return (
        f"fal does not know request {request_id}: it was sent with another key, or fal keeps it no longer. "
        f"Look at {REQUESTS_PAGE}. {later}"
    )


def ended_without_result(request_id: str) -> str:
    """Return what is true of a request that fal's list has as failed, and that its queue has forgotten."""
    from lora_drop.client.direct_errors import again  # noqa: PLC0415

    return again(
        f"fal's list shows that request {request_id} ended without a result. Why: {REQUESTS_PAGE}."
    )

"""A request at fal that is followed without a stack, as the same typed events as a job."""

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from lora_drop.client import direct_requests
from lora_drop.client.direct_patience import Patience
from lora_drop.client.events import Ended, JobEvent, Log, Queued, StatusChanged, Training
from lora_drop.client.following import is_further, pause_after
from lora_drop.fal.progress import progress_in
from lora_drop.jobs.errors import FalUnavailableError
from lora_drop.jobs.status import Status

if TYPE_CHECKING:
    from lora_drop.client.direct_result import DirectResult
    from lora_drop.client.portrait_trainer import PortraitTrainer


@dataclass(slots=True)
class RequestReader:
    """Looks at one request; ``result`` is there once it has ended. The percent never falls within one total.

    ``steps`` is how many were ordered. It never sleeps: its caller does, for ``pause`` seconds.
    """

    trainer: "PortraitTrainer"
    request_id: str
    steps: int | None = None
    ended: bool = False
    silence: str | None = None
    result: "DirectResult | None" = None
    _failures: int = 0
    _patience: Patience = field(init=False)
    _looked_at: float = 0.0
    _status: Status | None = None
    _position: Queued | None = None
    _lines: int = 0
    _training: Training | None = None

    def __post_init__(self) -> None:
        self._patience = Patience(self.request_id)

    @property
    def pause(self) -> float:
        """How many seconds to wait before the next look, which itself takes some."""
        return pause_after(self._failures, time.monotonic() - self._looked_at)

    def look(self) -> Iterator[JobEvent]:
        """Yield what is new since the last look; raises TrainingFailedError and ResultGoneError."""
        self._looked_at = time.monotonic()
        try:
            status, done = self.trainer.look(self.request_id)
        except FalUnavailableError as error:
            status, done = self._patience.looked(error), None
        else:
            status = self._patience.looked(status)
        if isinstance(status, direct_requests.Unanswered):
            self._failures, self.silence = self._failures + 1, status.message
            return
        self._failures, self.silence = 0, None
        match status:
            case direct_requests.Queued(position=position):
                yield from self._changed(Status.SUBMITTED)
                if self._position != (queued := Queued(position)):
                    self._position = queued
                    yield queued
            case direct_requests.Training(logs=logs):
                yield from self._changed(Status.TRAINING)
                yield from self._trainers(logs)
        if done:
            steps = self._training.steps if self._training else self.steps or 0
            yield from self._trained(Training(steps, steps, 100.0, timedelta(0)))
            self.result, self.ended = done, True
            yield from self._changed(Status.SUCCEEDED)
            yield Ended(Status.SUCCEEDED)

    def _trainers(self, logs: tuple[str, ...]) -> Iterator[JobEvent]:
        yield from (Log(line, None) for line in logs[self._lines :])
        self._lines = len(logs)
        if progress := progress_in(logs, self.steps):
            left = progress.seconds_left
            eta = None if left is None else timedelta(seconds=left)
            yield from self._trained(Training(progress.step, progress.steps, progress.percent, eta))

    def _trained(self, training: Training) -> Iterator[JobEvent]:
        if is_further(training, self._training):
            self._training = training
            yield training

    def _changed(self, status: Status) -> Iterator[JobEvent]:
        if status is not self._status:
            self._status = status
            yield StatusChanged(status, datetime.now(UTC))

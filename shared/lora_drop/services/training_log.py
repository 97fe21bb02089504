"""The log of a job's training as fal has it now, for a person or a program that watches it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lora_drop.fal.progress import visible
from lora_drop.fal.status import LogEntry
from lora_drop.jobs.errors import FalUnavailableError
from lora_drop.jobs.problems import shortened
from lora_drop.jobs.progress import PublicProgress, TrainingProgress
from lora_drop.jobs.status import Status
from lora_drop.ports import FalClient
from lora_drop.services.progress import ProgressRecord
from lora_drop.services.record import Record

# In these states fal has a log of the job's request, or is about to.
LOGGED = frozenset({Status.SUBMITTED, Status.TRAINING, Status.STORING})
AT_ONCE = 1000  # lines of one answer; the caller asks for the rest
MAX_MESSAGE = 2000  # characters of a line


@dataclass(frozen=True, slots=True)
class TrainingLogs:
    """What a person or a program that watches a job is answered."""

    record: Record
    fal: FalClient
    progress: ProgressRecord

    def read(self, job_id: str, *, after: int = 0) -> dict[str, Any]:
        """Return the lines after the first ``after`` ones, and the progress; raises JobNotFoundError.

        Where fal does not answer there are no lines, and the progress is the one that was kept. A caller
        that has more lines than there are has those of an earlier request: it gets all of the new one's.
        """
        job, lines = self.record.known(job_id), list[LogEntry]()
        if job.request_id and job.status in LOGGED:
            try:
                log = self.fal.log(job.application, job.request_id)
            except FalUnavailableError:
                log = None
            if log is not None:
                job, lines = self.progress.learn(job, log), shown(log.lines)
                after = after if after <= len(lines) else 0
        given = lines[after : after + AT_ONCE]
        return {
            "job_id": job.job_id,
            "status": job.status,
            "lines": [{"message": line.message, "at": _text(line.at)} for line in given],
            "next": after + len(given),
            "progress": _public(job.progress),
            "queue_position": job.queue_position,
        }


def shown(lines: Sequence[LogEntry]) -> list[LogEntry]:
    """Return the log as a terminal shows it: one line each, without what was overwritten in it."""
    return [
        LogEntry(shortened(text, MAX_MESSAGE), line.at)
        for line in lines
        for part in line.message.split("\n")
        if (text := visible(part))
    ]


def _public(progress: TrainingProgress | None) -> dict[str, Any] | None:
    return (
        None
        if progress is None
        else PublicProgress.model_validate(progress).model_dump(mode="json")
    )


def _text(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()

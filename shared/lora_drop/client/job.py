"""A job of a stack, and what can be done with it."""

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from lora_drop.client.download import fetch
from lora_drop.client.errors import (
    CommandError,
    DatasetRejectedError,
    JobHeldError,
    OverBudgetError,
    TrainingFailedError,
)
from lora_drop.client.events import JobEvent, Log, StackAnswers, StackUnreachable
from lora_drop.client.following import STOPS, EventReader, Watch, log_of
from lora_drop.client.job_view import JobView, public_job
from lora_drop.client.method_advice import in_python, method_advice
from lora_drop.client.stack_client import StackClient
from lora_drop.datasets.report import Report, Verdict
from lora_drop.jobs.artifacts import CONFIGURATION, StoredFile, holds_weights
from lora_drop.jobs.job_problems import BUDGET_EXHAUSTED, JOB_OVER_LIMIT, PRICE_UNKNOWN
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status

LOG = logging.getLogger(__name__)
NOT_PAYABLE = frozenset({BUDGET_EXHAUSTED, JOB_OVER_LIMIT, PRICE_UNKNOWN})
AGAIN = "To pay for another training of the same dataset: job.retry()"


@dataclass(frozen=True, slots=True)
class JobFile:
    """A file of a job, with an address that anybody can fetch it from until ``expires_at``."""

    name: str
    size: int
    sha256: str
    url: str
    expires_at: datetime

    @classmethod
    def of(cls, file: Mapping[str, Any]) -> Self:
        """Return a file of the API."""
        name, size, sha256, url = (file[each] for each in ("name", "size", "sha256", "url"))
        return cls(name, size, sha256, url, datetime.fromisoformat(file["expires_at"]))


@dataclass(frozen=True, slots=True)
class JobResult:
    """What a job has brought."""

    job: "Job"

    @property
    def files(self) -> tuple[StoredFile, ...]:
        """The files in the models bucket, each with its SHA-256."""
        return self.job.stored

    @property
    def lora(self) -> StoredFile | None:
        """The trained weights."""
        return next((each for each in self.files if holds_weights(each.name)), None)

    @property
    def config(self) -> StoredFile | None:
        """The configuration that the training ran with."""
        return next((each for each in self.files if each.name == CONFIGURATION), None)

    @property
    def trigger_phrase(self) -> str | None:
        """The word that calls up what was learnt."""
        return self.job.trigger_phrase

    def download(self, folder: Path | str) -> tuple[Path, ...]:
        """Fetch the files, and those about the job, into a folder; a file that is there already is kept.

        Every file of the result is held against its SHA-256, and goes on from where an earlier try broke off.
        Raises CommandError: another file of that name is there, or it is not what was stored.
        """
        return self.job.download(folder)


@dataclass(frozen=True, slots=True, repr=False)
class Job(JobView):
    """A job of a stack. It stays as it stood: ``refresh`` and ``wait`` return it as it stands then."""

    _client: StackClient = field(kw_only=True, compare=False)

    @classmethod
    def of(
        cls, client: StackClient, job_id: str, document: Mapping[str, Any] | None = None
    ) -> Self:
        """Return a job as the API gives it, or one that the stack has not seen yet."""
        public = public_job(document) if document else None
        location = document["location"] if document else None
        return cls(job_id, public, location, _client=client)

    @method_advice()
    def refresh(self) -> Self:
        """Return the job as it stands now; raises JobNotFoundError where the stack has not seen it yet."""
        return self._with(self._client.job(self.id))

    @method_advice()
    def wait(self, timeout: float | None = None, *, patience: float | None = None) -> Self:
        """Wait for its end, or until it is HELD, and return it.

        Raises JobTimeoutError after so many seconds, and StackUnreachableError as ``events`` does; where the stack
        stops to answer, and where it answers again, a warning is logged.
        """
        watch = self.watch(timeout, patience)
        while (job := self.look(watch)) is None:
            time.sleep(watch.pause)
        return job

    def events(
        self, timeout: float | None = None, *, patience: float | None = None
    ) -> Iterator[JobEvent]:
        """Yield what happens from its beginning on; the last is Ended, or Held where it waits for a decision.

        Raises JobTimeoutError after so many seconds. StackUnreachable says that the stack has stopped to answer; it
        is asked again for ``patience`` seconds, by default 30 where it refuses connections, 20 where it has never
        answered and 300 else, and then StackUnreachableError is raised. Another call begins from the beginning.
        """
        reader = EventReader(self.watch(timeout, patience))
        while not reader.ended:
            with method_advice():
                yield from reader.look()
            if not reader.ended:
                time.sleep(reader.pause)

    @method_advice()
    def logs(self) -> tuple[Log, ...]:
        """Return the trainer's lines so far; fal keeps them while it trains."""
        return tuple(log_of(line) for line in self._client.logs(self.id)["lines"])

    @method_advice()
    def files(self) -> tuple[JobFile, ...]:
        """Return the files of the result, each with an address that needs no credentials for a while.

        There are none before it has succeeded.
        """
        return tuple(JobFile.of(each) for each in self._client.files(self.id))

    @method_advice()
    def result(self, timeout: float | None = None, *, patience: float | None = None) -> JobResult:
        """Wait for the end and return what it has brought.

        Raises DatasetRejectedError, TrainingFailedError, OverBudgetError and JobHeldError where it comes to
        nothing or waits for a decision, and what ``wait`` raises.
        """
        return result_of(self.wait(timeout, patience=patience))

    @method_advice()
    def download(self, folder: Path | str) -> tuple[Path, ...]:
        """Fetch what there is of the job, as JobResult.download does; a rejected one has its report.

        The pictures of its proof sheet and the sheet itself come into the folder ``proof`` within it.
        """
        shown = self.public.model_dump(mode="json") if self.public else {}
        proof = shown.get("proof")
        if self.ended and (proof is None or proof["done_at"] is not None):
            document = {**shown, "location": self.location}
        else:
            document = self._client.job(self.id)
        return tuple(fetch(self._client.stack, document, Path(folder), self._client.job))

    @method_advice()
    def cancel(self) -> Self:
        """Stop the job: for free before it is sent, as far as fal can afterwards."""
        return self._with(self._client.cancel(self.id))

    @method_advice()
    def approve(self) -> Self:
        """Let a HELD job go on; where it was HELD for its cost, this pays. It is asked once."""
        return self._with(self._client.approve(self.id))

    @method_advice()
    def retry(self, *, resume: bool = False) -> Self:
        """Return the new job that pays for the same dataset once more; ``resume``: from the LoRA there is.

        It is asked once.
        """
        return self._with(self._client.retry(self.id, resume=resume))

    def watch(self, timeout: float | None, patience: float | None) -> Watch:
        """Return what looks at the job again and again; its caller sleeps in between."""
        local = self._client.stack.endpoint_url is not None
        return Watch(self._client, self.id, timeout, patience, local=local)

    @method_advice()
    def look(self, watch: Watch) -> Self | None:
        """Return the job once it is done, as far as one look shows; raises what ``wait`` raises."""
        document = watch.look()
        for turn in watch.turns():
            LOG.warning("%s: %s", self.id, _said_of(turn))
        done = document is not None and Status(document["status"]) in STOPS
        return self._with(document) if document is not None and done else None

    def _with(self, document: Mapping[str, Any]) -> Self:
        return self.of(self._client, document["job_id"], document)


def _said_of(turn: StackUnreachable | StackAnswers) -> str:
    if isinstance(turn, StackUnreachable):
        return f"{turn.reason.rstrip('.')}. The stack is asked again."
    return f"The stack answers again, after {turn.after.total_seconds():.0f} s."


def result_of(job: Job) -> JobResult:
    """Return what a job that is done has brought; raises what Job.result raises."""
    if job.status is not Status.SUCCEEDED:
        raise _nothing(job)
    return JobResult(job)


def _nothing(job: Job) -> CommandError | DatasetRejectedError | TrainingFailedError:
    """The error that says why there is no result."""
    said = in_python(" ".join(each.message for each in job.problems))
    view = JobView(
        job.id, job.public, job.location
    )  # an error goes to other processes, a client does not
    if job.status is Status.REJECTED:
        report = Report(
            file=job.dataset or "",
            verdict=Verdict.REJECTED,
            errors=job.problems,
            job_id=job.id,
        )
        return DatasetRejectedError(report)
    if job.status is Status.HELD:
        message = f"{job.id} waits for a decision. {said}"
        if NOT_PAYABLE & {each.code for each in job.problems}:
            return OverBudgetError(message, view, job.estimate)
        return JobHeldError(message, view)
    then = "" if "retry(" in said else AGAIN
    problem = Problem(
        code="job_ended", message=" ".join((f"{job.id} is {job.status}.", said, then)).strip()
    )
    if job.problems:
        problem = job.problems[0].model_copy(update={"message": problem.message})
    return TrainingFailedError(problem, request_id=job.request_id, billed=job.billed, job=view)

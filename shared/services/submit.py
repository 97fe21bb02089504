"""From a dataset in the bucket to one request at fal: checked for free, paid for once."""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shared.domain.costs import estimated_cost_usd
from shared.domain.datasets import inspect
from shared.domain.errors import (
    Conflict,
    NotSubmitted,
    RejectedDataset,
    SubmissionRefused,
    SubmissionUnknown,
)
from shared.domain.jobs import TRANSITIONS, DatasetVersion, Job, Status
from shared.domain.parameters import resolve
from shared.domain.problems import Problem
from shared.domain.tokens import webhook_token
from shared.ports import DatasetStore, OpenDataset, Trainer
from shared.services.record import Record

SETTLE_ATTEMPTS = 5
# What a mistake in the check looks like. Trouble with S3 is none of these: it is tried again.
OUR_MISTAKES = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
UNKNOWN = Problem(
    code="submit_unknown",
    message="The connection to fal broke while the training was being submitted. fal's webhook or "
    "its list of requests will tell. If neither does, look for the request in fal's dashboard and "
    "say so: lora-drop resolve JOB --request-id ID, or --not-submitted to pay for it once more.",
)


@dataclass(frozen=True, slots=True)
class Submitter:
    """The door that datasets come in by."""

    record: Record
    datasets: DatasetStore
    trainer: Trainer
    application: str
    webhook_base_url: str
    webhook_secret: Callable[[], bytes]

    def submit_dataset(self, dataset: DatasetVersion) -> Job:
        """The job of this dataset, as far on as it can go now.

        The same event twice is the same job: every step is taken only from the state before it. A
        job that is being submitted is left alone, whoever asks and however long ago that was.
        Raises Conflict, NotSubmitted and TrainerUnavailable (no secret to make the webhook's
        address with), after each of which the same event may be handed in again.
        """
        found = self._open(dataset)
        version = found.version if isinstance(found, OpenDataset) else dataset
        new = Job.receive(version, application=self.application, now=self.record.clock())
        job = self.record.open(new)
        if job.status is Status.RECEIVED:
            job = self._check(job, found)
        if job.status is Status.READY and isinstance(found, RejectedDataset):
            # Whoever deletes a dataset that has not been sent wants no training of it.
            return self.record.move(job, Status.CANCELLED, problems=found.problems)
        if job.status is Status.READY:
            return self._pay(job)
        self.record.publish(job)
        return job

    def _open(self, dataset: DatasetVersion) -> OpenDataset | RejectedDataset:
        try:
            return self.datasets.open(dataset)
        except RejectedDataset as rejected:
            return rejected

    def _check(self, job: Job, found: OpenDataset | RejectedDataset) -> Job:
        try:
            if isinstance(found, RejectedDataset):
                raise found
            dataset = inspect(found.archive)
            resolved = resolve(
                key=job.dataset.key,
                training_json=dataset.training_json,
                metadata=found.metadata,
                trigger_seed=job.job_id[-10:],
            )
        except RejectedDataset as rejected:
            return self.record.move(job, Status.REJECTED, problems=rejected.problems)
        except OUR_MISTAKES as mistake:
            # The same dataset would fail the same way for ever; a verdict, at least, for free.
            return self.record.move(job, Status.REJECTED, problems=(_mistaken(mistake),))
        return self.record.move(
            job,
            Status.READY,
            images=len(dataset.images),
            preset=resolved.preset,
            parameters=resolved.values,
            parameter_sources=resolved.sources,
            estimated_cost_usd=estimated_cost_usd(resolved.values.steps),
        )

    def _pay(self, job: Job) -> Job:
        """Write the intent, POST once, write what came of it.

        Whoever dies in between leaves a SUBMITTING job that nobody sends again.
        """
        arguments = self._arguments(job)
        webhook_url = self._webhook_url(job)
        intent = self.record.intend(job, Status.SUBMITTING, problems=())
        try:
            receipt = self.trainer.submit(job.application, arguments, webhook_url=webhook_url)
        except NotSubmitted as unsent:
            unsent.add_note(f"{job.job_id} waits to be sent")
            self._settle(intent, Status.READY)
            raise
        except SubmissionRefused as refused:
            to = Status.HELD if refused.held else Status.FAILED
            return self._settle(intent, to, problems=(refused.problem,))
        except SubmissionUnknown:
            return self._settle(intent, Status.SUBMIT_UNKNOWN, problems=(UNKNOWN,))
        return self._settle(intent, Status.SUBMITTED, request_id=receipt.request_id, problems=())

    def _settle(self, intent: Job, to: Status, **changes: Any) -> Job:
        """Write what came of the POST, even where a fact from fal was faster than this write.

        fal's webhook may come before the answer to the POST was written down; it then has adopted
        the request, and what it wrote says more than what is known here.
        """
        job = intent
        for _ in range(SETTLE_ATTEMPTS):
            try:
                return self.record.move(job, to, **changes)
            except Conflict:
                job = self.record.jobs.get(intent.job_id) or intent
                if to not in TRANSITIONS[job.status]:
                    return job
        raise Conflict(f"{intent.job_id} keeps changing")

    def _arguments(self, job: Job) -> dict[str, object]:
        if job.parameters is None:
            raise ValueError(f"{job.job_id} is {job.status} without parameters")
        return job.parameters.arguments(self.datasets.url(job.dataset))

    def _webhook_url(self, job: Job) -> str:
        token = webhook_token(self.webhook_secret(), job.job_id)
        return f"{self.webhook_base_url.rstrip('/')}/webhooks/fal/{job.job_id}/{token}"


def _mistaken(mistake: Exception) -> Problem:
    """Where the check broke, without a word of what the dataset holds."""
    trace = mistake.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}" if trace else "nowhere"
    return Problem(
        code="dataset_check_failed",
        message="The check itself broke on this dataset, which is our mistake, not yours "
        f"({type(mistake).__name__} in {where}). Please report it; a ZIP made anew may pass.",
    )

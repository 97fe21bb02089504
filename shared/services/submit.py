"""A dataset has come: checked for free, told from its like, and put into the line."""

import struct
import zlib
from dataclasses import dataclass

from shared.domain.content import content_digest, forced
from shared.domain.costs import estimated_cost_usd
from shared.domain.datasets import MIN_IMAGES, Dataset, inspect
from shared.domain.errors import DatasetUnreadable, RejectedDataset
from shared.domain.jobs import DatasetVersion, Job, Status
from shared.domain.notices import JOB_FILE, job_text
from shared.domain.parameters import TrainingParameters, resolve
from shared.domain.problems import Problem
from shared.domain.trainers.demands import unmet_demands
from shared.domain.trainers.table import TRAINERS
from shared.domain.verdicts import DATASET_UNREADABLE, waits_for
from shared.ports import Claim, DatasetStore, OpenDataset, Prices
from shared.services.checkpoints import check_checkpoint
from shared.services.dispatch import Dispatcher
from shared.services.earlier import Earlier
from shared.services.record import Record

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


@dataclass(frozen=True, slots=True)
class Handled:
    """The job of a dataset that has come, and what became of whoever's turn it was then."""

    job: Job
    sent: tuple[Job, ...]


@dataclass(frozen=True, slots=True)
class Submitter:
    """The door that datasets come in by."""

    record: Record
    datasets: DatasetStore
    dispatcher: Dispatcher
    prices: Prices
    application: str

    def submit_dataset(self, dataset: DatasetVersion) -> Handled:
        """The job of this dataset, as far on as it can go now; then whoever waits is sent.

        The same event twice is the same job: every step is taken only from the state before it. A
        job that is being submitted is left alone, whoever asks and however long ago that was.
        Raises Conflict and TrainerUnavailable (no secret to make the webhook's address with), after
        each of which the same event may be handed in again.
        """
        began = self.record.clock()
        found = self._open(dataset)
        version = found.version if isinstance(found, OpenDataset) else dataset
        new = Job.receive(version, application=self.application, now=self.record.clock())
        job = self.record.open(new)
        if job.status is Status.RECEIVED:
            job = self._check(job, found)
        sent = self.dispatcher.dispatch(began=began)
        now = self.record.jobs.get(job.job_id) or job
        if now.version == job.version:
            # What an earlier run has written and died before it published.
            self.record.publish(now)
        return Handled(now, sent)

    def _open(self, dataset: DatasetVersion) -> OpenDataset | RejectedDataset:
        try:
            return self.datasets.open(dataset)
        except RejectedDataset as rejected:
            return rejected
        except DatasetUnreadable as unreadable:
            message = f"{unreadable}. Make it readable, then drop it again."
            return RejectedDataset([Problem(code=DATASET_UNREADABLE.code, message=message)])

    def _check(self, job: Job, found: OpenDataset | RejectedDataset) -> Job:
        try:
            if isinstance(found, RejectedDataset):
                raise found
            ready = self._ready(job, found)
            trained = not forced(found.metadata)
        except RejectedDataset as rejected:
            return self.record.move(job, Status.REJECTED, problems=rejected.problems)
        except OUR_MISTAKES as mistake:
            # The same dataset would fail the same way for ever; a verdict, at least, for free.
            return self.record.move(job, Status.REJECTED, problems=(_mistaken(mistake),))
        return self._placed(job, ready, earlier=trained)

    def _ready(self, job: Job, found: OpenDataset) -> Job:
        """The job as it would wait to be sent; raises RejectedDataset."""
        dataset = inspect(found.archive)
        resolved = resolve(
            key=job.dataset.key,
            training_json=dataset.training_json,
            metadata=found.metadata,
            trigger_seed=job.job_id[-10:],
            application=job.application,
        )
        _check_demands(dataset, resolved.values)
        check_checkpoint(resolved, self.record)
        trainer = resolved.values.trainer
        return job.move(
            Status.READY,
            now=self.record.clock(),
            application=trainer,
            images=len(dataset.images),
            preset=resolved.preset,
            parameters=resolved.values,
            parameter_sources=resolved.sources,
            resume_from=resolved.resume_from,
            content_digest=content_digest(dataset, resolved),
            estimated_cost_usd=estimated_cost_usd(
                trainer, resolved.values.steps, self.prices.price(trainer)
            ),
            problems=(),
        )

    def _placed(self, job: Job, ready: Job, *, earlier: bool) -> Job:
        """In the line; or with the result of the job that had the same content, where there is one.

        Raises Conflict when another job claims the content at the same moment.
        """
        owner = self.record.jobs.owner(ready.content_digest or "")
        same = Earlier(self.record).standing_for(owner) if earlier else None
        if same is None:
            claimed = ready.model_copy(update={"instead_of": owner, "anew": not earlier})
            return self.record.write(job, claimed, claim=Claim(owner))
        if not same.terminal:
            return self._waiting(job, same)
        return self._given(job, ready, same)

    def _given(self, job: Job, ready: Job, same: Job) -> Job:
        """The end of a job that had been trained before: the earlier files, and nothing to pay."""
        done = job.move(
            Status.SUCCEEDED,
            now=self.record.clock(),
            application=ready.application,
            images=ready.images,
            preset=ready.preset,
            resume_from=ready.resume_from,
            content_digest=ready.content_digest,
            parameters=same.parameters,
            parameter_sources=same.parameter_sources,
            duplicate_of=same.job_id,
            request_id=same.request_id,
            files=same.files,
            problems=(),
        )
        self.record.results.write(done.prefix + JOB_FILE, job_text(done), "application/json")
        return self.record.write(job, done)

    def _waiting(self, job: Job, same: Job) -> Job:
        """Where it stands: the reconciler announces it every round until the other has ended."""
        problem = waits_for(same.job_id, held=same.status is Status.HELD)
        if problem in job.problems:
            self.record.publish(job)
            return job
        return self.record.note(job, problem)


def _check_demands(dataset: Dataset, parameters: TrainingParameters) -> None:
    """Raises RejectedDataset where this trainer would fail on these very files."""
    unmet = unmet_demands(
        TRAINERS[parameters.trainer],
        parameters.values,
        images=[image.name for image in dataset.images],
        captions=[caption.name for caption in dataset.captions],
        min_images=MIN_IMAGES,
    )
    if unmet:
        raise RejectedDataset(unmet)


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

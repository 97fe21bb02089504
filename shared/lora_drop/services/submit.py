"""A dataset has come: it is checked for free, deduplicated, and put into the waiting queue."""

from dataclasses import dataclass, field

from lora_drop.datasets.dataset import content_digest
from lora_drop.datasets.owner_metadata import forced, kept_owner_fields, owner_fields, proof_wanted
from lora_drop.datasets.reports import html_text, json_text
from lora_drop.fal.hosts import AllowedHosts
from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.errors import ConflictError, DatasetRejectedError, DatasetUnreadableError
from lora_drop.jobs.job import DatasetVersion, Job
from lora_drop.jobs.job_files import CLEAN_COPY, JOB_FILE, REPORT_FILE, REPORT_PAGE, job_text
from lora_drop.jobs.job_problems import DATASET_UNREADABLE, waits_for
from lora_drop.jobs.problems import Problem, first_of
from lora_drop.jobs.status import Status
from lora_drop.ports import Claim, DatasetStore, OpenDataset
from lora_drop.services.check import Checked, Checker, DatasetInput, ValidDataset
from lora_drop.services.deduplication import Deduplication
from lora_drop.services.dispatch import Dispatcher
from lora_drop.services.internal_errors import INTERNAL_ERRORS, internal_error
from lora_drop.services.mend import Mender
from lora_drop.services.proof_sheets import ProofOrders, ordered_sheet, sheet_of_earlier
from lora_drop.services.record import Record
from lora_drop.services.result_page import write_result_page


@dataclass(frozen=True, slots=True)
class SubmitResult:
    """The job of a dataset that has come, and the jobs that were sent after it."""

    job: Job
    sent: tuple[Job, ...]


@dataclass(frozen=True, slots=True)
class Submitter:
    """Takes datasets in: checks, deduplicates, mends them and sends what waits.

    ``proof_sheet``: whether one is made of a LoRA whose dataset says nothing of that.
    """

    record: Record
    datasets: DatasetStore
    dispatcher: Dispatcher
    checker: Checker
    mender: Mender
    application: str
    proofs: ProofOrders
    proof_sheet: bool = False
    notify_hosts: AllowedHosts = field(default_factory=lambda: AllowedHosts(()))

    def submit_dataset(self, dataset: DatasetVersion) -> SubmitResult:
        """Return the job of this dataset, as far on as it can go now; then the waiting jobs are sent.

        The same event twice is the same job: every step is taken only from the state before it. A
        job that is being submitted is left alone, however long ago that began.
        Raises ConflictError and FalUnavailableError (no secret to make the webhook's address with), after
        each of which the same event may be handed in again; and Forgotten, after which it may not.
        """
        began = self.record.clock()
        found = self._open(dataset)
        version = found.version if isinstance(found, OpenDataset) else dataset
        new = Job.receive(version, application=self.application, now=self.record.clock())
        if isinstance(found, OpenDataset):
            kept = kept_owner_fields(found.metadata, self.notify_hosts)
            new = new.model_copy(update=kept)
        job = self.record.open(new)
        if job.fetching and isinstance(found, OpenDataset):
            # S3's event is often faster than the worker that has fetched it.
            job = self.record.write(job, job.arrived(version, now=self.record.clock()))
        if job.status is Status.RECEIVED and not job.fetching:
            job = self._still_waiting(job, found) or self._check(job, found)
        sent = self.dispatcher.submit_waiting(began=began, fresh=job)
        now = next((each for each in sent if each.job_id == job.job_id), None)
        now = now or self.record.jobs.get(job.job_id) or job
        if now.version == job.version:
            # What an earlier run has written and died before it published.
            self.record.publish_again(now)
        return SubmitResult(now, sent)

    def _open(self, dataset: DatasetVersion) -> OpenDataset | DatasetRejectedError:
        try:
            return self.datasets.open(dataset)
        except DatasetRejectedError as rejected:
            return rejected
        except DatasetUnreadableError as unreadable:
            message = f"{unreadable}. Make it readable, then drop it again."
            return DatasetRejectedError([Problem(code=DATASET_UNREADABLE.code, message=message)])

    def _check(self, job: Job, found: OpenDataset | DatasetRejectedError) -> Job:
        try:
            if isinstance(found, DatasetRejectedError):
                raise found
            trained = not forced(found.metadata)
            owner_fields(found.metadata, self.notify_hosts)
            checked = self._reported(job, self.checker.check(self._drop(job, found)))
        except DatasetRejectedError as rejected:
            return self._refused(job, *rejected.problems)
        except INTERNAL_ERRORS as mistake:
            # The same dataset would fail the same way for ever; a verdict, at least, for free.
            return self._refused(job, internal_error(mistake))
        if checked.good is None:
            return self._refused(job, *checked.report.errors)
        try:
            return self._placed(job, found, checked.good, earlier=trained)
        except DatasetRejectedError as rejected:
            problems = rejected.problems
        except INTERNAL_ERRORS as mistake:
            problems = (internal_error(mistake),)
        self._reported(job, checked.refused(problems))
        return self._refused(job, *problems)

    def _refused(self, job: Job, *problems: Problem) -> Job:
        # The report has all of them; a row holds 400 KB.
        return self.record.move(job, Status.REJECTED, problems=first_of(problems))

    def _reported(self, job: Job, checked: Checked) -> Checked:
        """Write the report before the verdict: after a crash in between the same is checked and written again."""
        results = self.record.results
        results.write(
            job.prefix + REPORT_PAGE, html_text(checked.report), "text/html", expires=True
        )
        results.write(job.prefix + REPORT_FILE, json_text(checked.report), "application/json")
        return checked

    def _drop(self, job: Job, found: OpenDataset) -> DatasetInput:
        return DatasetInput(
            archive=found.archive,
            file=job.dataset.key.rsplit("/", 1)[-1],
            key=job.dataset.key,
            metadata=found.metadata,
            trigger_seed=job.job_id[-10:],
            application=job.application,
            job_id=job.job_id,
        )

    def _ready(self, job: Job, found: OpenDataset, good: ValidDataset) -> Job:
        """Return the job as it would wait to be sent."""
        resolved, now = good.resolved, self.record.clock()
        said = proof_wanted(found.metadata)
        wanted = self.proof_sheet if said is None else said
        return job.move(
            Status.READY,
            now=now,
            application=resolved.values.trainer,
            proof=ordered_sheet(resolved.values.trainer, wanted=wanted, now=now),
            images=len(good.dataset.images),
            preset=resolved.preset,
            parameters=resolved.values,
            parameter_sources=resolved.sources,
            resume_from=resolved.resume_from,
            content_digest=content_digest(good.dataset, resolved),
            estimated_cost_usd=good.cost_usd,
            problems=(),
        )

    def _placed(self, job: Job, found: OpenDataset, good: ValidDataset, *, earlier: bool) -> Job:
        """Put the job into the waiting queue, or give it the result of the job with the same content, where there is one.

        Raises ConflictError when another job claims the content at the same moment.
        """
        ready = self._ready(job, found, good)
        owner = self.record.jobs.owner(ready.content_digest or "")
        same = self._same(job, owner, earlier=earlier)
        if same is None:
            claimed = ready.model_copy(
                update={
                    "clean": self._mended(job, found, good),
                    "supersedes": owner,
                    "force_retrain": not earlier,
                }
            )
            return self.record.write(job, claimed, claim=Claim(owner))
        if not same.terminal:
            return self._waiting(job, same, ready.content_digest)
        return self._given(job, ready, self._with_sheet(same, found), found)

    def _with_sheet(self, same: Job, found: OpenDataset) -> Job:
        """Return the earlier job, with a proof sheet where this dataset orders one and that LoRA has none.

        It is ordered there, so however often the same comes it is one sheet. What the stack does by itself for a new LoRA
        is not reason enough: the same dataset once more costs nothing unless it says so.
        """
        if not proof_wanted(found.metadata):
            return same
        if same.proof is None:
            now = self.record.clock()
            sheet = ordered_sheet(same.application, wanted=True, now=now)
            known = {"proof": sheet, "version": same.version + 1, "updated_at": now}
            same = self.record.write(same, same.model_copy(update=known))
        return self.proofs.begin(same)

    def _same(self, job: Job, owner: str | None, *, earlier: bool) -> Job | None:
        """Return the job that stands for a content; raises ConflictError when this one has become it meanwhile."""
        found = Deduplication(self.record)
        same = found.find_duplicate(owner) if earlier else found.same_order(job, owner)
        if same is not None and same.job_id == job.job_id:
            raise ConflictError(f"{job.job_id} has moved on")
        return same

    def _mended(self, job: Job, found: OpenDataset, good: ValidDataset) -> StoredFile | None:
        """Return the clean copy, where one is needed; raises DatasetRejectedError."""
        if not good.plan:
            return None
        pieces = self.mender.mended(
            found.archive, good.structure, good.plan, good.prepared, spent=good.seconds
        )
        key = job.prefix + CLEAN_COPY
        return self.record.results.write_pieces(key, pieces, "application/zip", expires=True)

    def _given(self, job: Job, ready: Job, same: Job, found: OpenDataset) -> Job:
        """Return the end of a job that had been trained before: the earlier files, and no training to pay."""
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
            lora=same.lora,
            proof=sheet_of_earlier(same) if proof_wanted(found.metadata) else None,
            earlier=self.record.earlier(job),
            problems=(),
        )
        self.record.results.write(done.prefix + JOB_FILE, job_text(done), "application/json")
        write_result_page(self.record.results, done)
        # If the other job is forgotten at this moment, these files go with it.
        return self.record.write(job, done, unchanged=(same,))

    def _still_waiting(self, job: Job, found: OpenDataset | DatasetRejectedError) -> Job | None:
        """Return the job, where another with its content is still at work; its photos need no second look."""
        if job.content_digest is None or isinstance(found, DatasetRejectedError):
            return None
        owner = self.record.jobs.owner(job.content_digest)
        same = self._same(job, owner, earlier=not forced(found.metadata))
        return (
            None if same is None or same.terminal else self._waiting(job, same, job.content_digest)
        )

    def _waiting(self, job: Job, same: Job, content_digest: str | None) -> Job:
        """Return where it stands: the reconciler announces it every round until the other has ended."""
        problem = waits_for(same.job_id, held=same.status is Status.HELD)
        if problem in job.problems:
            self.record.publish_again(job)
            return job
        return self.record.set_problems(job, problem, content_digest=content_digest)

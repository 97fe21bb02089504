"""A dataset has come: it is checked for free, deduplicated, and put into the waiting queue."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from lora_drop.datasets.archives import WINDOW, HeldReader
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

CHECKED_SOON = (
    64 * 1024**2
)  # bytes; a larger dataset is checked for longer than nothing may be seen of it


# Its head may be read without a right, or a key, that its bytes need. A mistake of ours would come back each time that the
# same dataset is tried: a verdict, at least, for free.
REFUSED = (DatasetRejectedError, DatasetUnreadableError, *INTERNAL_ERRORS)


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
        job, added = self.record.add(new)
        # What is published with the verdict, where that comes at once.
        states: tuple[Job, ...] = (job,) if added else ()
        if added and version.size > CHECKED_SOON:
            self.record.publish(job, *states)
            states = ()
        if job.fetching and isinstance(found, OpenDataset):
            # S3's event is often faster than the worker that has fetched it.
            job = self.record.write(job, job.arrived(version, now=self.record.clock()))
        if job.status is Status.RECEIVED and not job.fetching:
            job, states = self._checked(job, found, states)
        sent = self.dispatcher.submit_waiting(began=began, fresh=job, states=states)
        now = next((each for each in sent if each.job_id == job.job_id), None)
        if now is None:
            now = self.record.jobs.get(job.job_id) or job
            if now.version == job.version and not states:
                # What an earlier run has written and died before it published.
                self.record.publish_again(now)
        return SubmitResult(now, sent)

    def _checked(
        self, job: Job, found: OpenDataset | DatasetRejectedError, states: tuple[Job, ...]
    ) -> tuple[Job, tuple[Job, ...]]:
        """Return the job after its check, and what of it is not published yet.

        A job that waits to be sent is published with what comes of that, which is known a moment later.
        """
        after = self._still_waiting(job, found, states) or self._check(job, found, states)
        ready = after.status is Status.READY
        return after, ((*states, after) if ready else ())

    def _open(self, dataset: DatasetVersion) -> OpenDataset | DatasetRejectedError:
        try:
            found = self.datasets.open(dataset)
            small = found.version.size <= WINDOW
            return replace(found, archive=HeldReader(found.archive)) if small else found
        except (DatasetRejectedError, DatasetUnreadableError) as refused:
            return DatasetRejectedError(_problems_of(refused))

    def _check(
        self, job: Job, found: OpenDataset | DatasetRejectedError, states: Sequence[Job]
    ) -> Job:
        try:
            if isinstance(found, DatasetRejectedError):
                raise found
            trained = not forced(found.metadata)
            owner_fields(found.metadata, self.notify_hosts)
            checked = self._reported(job, self.checker.check(self._drop(job, found)))
        except REFUSED as refused:
            return self._refused(job, states, *_problems_of(refused))
        if checked.good is None:
            return self._refused(job, states, *checked.report.errors)
        try:
            return self._placed(job, found, checked.good, states, earlier=trained)
        except REFUSED as refused:
            problems = _problems_of(refused)
        self._reported(job, checked.refused(problems))
        return self._refused(job, states, *problems)

    def _refused(self, job: Job, states: Sequence[Job], *problems: Problem) -> Job:
        # The report has all of them; a row holds 400 KB.
        return self.record.move(job, Status.REJECTED, states=states, problems=first_of(problems))

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

    def _placed(
        self,
        job: Job,
        found: OpenDataset,
        good: ValidDataset,
        states: Sequence[Job],
        *,
        earlier: bool,
    ) -> Job:
        """Put the job into the waiting queue, unpublished, or give it the result of the job with the same content, where there is one.

        Raises ConflictError when another job claims the content at the same moment.
        """
        ready = self._ready(job, found, good)
        if not good.plan:
            # Most contents are new: that is seen by the write, and only read where it is not so.
            with suppress(ConflictError):
                return self._claimed(job, ready, None, earlier=earlier)
        owner = self.record.jobs.owner(ready.content_digest or "")
        same = self._same(job, owner, earlier=earlier)
        if same is None:
            clean = self._mended(job, found, good)
            return self._claimed(job, ready, owner, clean=clean, earlier=earlier)
        if not same.terminal:
            return self._waiting(job, same, ready.content_digest, states)
        return self._given(job, ready, self._with_sheet(same, found), found, states)

    def _claimed(
        self,
        job: Job,
        ready: Job,
        owner: str | None,
        *,
        clean: StoredFile | None = None,
        earlier: bool,
    ) -> Job:
        """Return the job as the one for its content, in the place of this one; it is not published yet. Raises ConflictError."""
        update = {"clean": clean, "supersedes": owner, "force_retrain": not earlier}
        claimed = ready.model_copy(update=update)
        self.record.jobs.replace(job, claimed, claim=Claim(owner))
        return claimed

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

    def _given(
        self, job: Job, ready: Job, same: Job, found: OpenDataset, states: Sequence[Job]
    ) -> Job:
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
        return self.record.write(job, done, unchanged=(same,), states=states)

    def _still_waiting(
        self, job: Job, found: OpenDataset | DatasetRejectedError, states: Sequence[Job]
    ) -> Job | None:
        """Return the job, where another with its content is still at work; its photos need no second look."""
        if job.content_digest is None or isinstance(found, DatasetRejectedError):
            return None
        owner = self.record.jobs.owner(job.content_digest)
        same = self._same(job, owner, earlier=not forced(found.metadata))
        if same is None or same.terminal:
            return None
        return self._waiting(job, same, job.content_digest, states)

    def _waiting(
        self, job: Job, same: Job, content_digest: str | None, states: Sequence[Job]
    ) -> Job:
        """Return where it stands: the reconciler announces it every round until the other has ended."""
        problem = waits_for(same.job_id, held=same.status is Status.HELD)
        if problem in job.problems:
            self.record.publish_again(job)
            return job
        known = {"content_digest": content_digest}
        return self.record.set_problems(job, problem, states=states, **known)


def _problems_of(error: Exception) -> Sequence[Problem]:
    """Return what a dataset is refused for, by one of the errors in REFUSED."""
    if isinstance(error, DatasetRejectedError):
        return error.problems
    if isinstance(error, DatasetUnreadableError):
        message = f"{error}. Make it readable, then drop it again."
        return (Problem(code=DATASET_UNREADABLE.code, message=message),)
    return (internal_error(error),)

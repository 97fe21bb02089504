"""A finished job's files, from fal into our bucket."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from time import monotonic
from typing import Any

from lora_drop.fal.status import Failed, FalStatus, Finished, Gone
from lora_drop.jobs.artifacts import INVALID_SUFFIX, WEIGHTS, Artifact, is_essential, of_kind
from lora_drop.jobs.errors import (
    ConflictError,
    DownloadInterruptedError,
    FalUnavailableError,
    HostNotAllowedError,
    ResultGoneError,
    ResultInvalidError,
    ResultUnusableError,
)
from lora_drop.jobs.job import Job
from lora_drop.jobs.job_files import JOB_FILE, job_text
from lora_drop.jobs.job_problems import DENIED, RESULT_INVALID
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from lora_drop.jobs.time_limits import (
    DENIAL_STANDS,
    STORE_LEASE,
    STORE_PATIENCE,
    STORE_PATIENCE_WHOLE,
)
from lora_drop.ports import ArtifactSource, CopyStore, FalClient
from lora_drop.results.validation import IS_YAML, TOO_LARGE
from lora_drop.services.copy import PART, Copier
from lora_drop.services.copy_attempt import CopyRequest
from lora_drop.services.evidence import Evidence
from lora_drop.services.lease import JobLease, new_owner
from lora_drop.services.lora_header import read_lora_facts
from lora_drop.services.proof_sheets import ProofOrders, report_picture
from lora_drop.services.record import Record
from lora_drop.services.result_page import write_result_page
from lora_drop.services.result_problems import (
    not_copied,
    result_gone,
    result_invalid,
    said_of,
    without_files,
)

# A file that is of another size than fal says is taken for one that is not there yet; so long. A server that says a wrong size for ever must not keep a job from its end.
SETTLED_AFTER = timedelta(minutes=30)
# What is not what its name says may be a page that a server shows for a moment.
INVALID_STANDS = timedelta(minutes=10)
# What no server shows in the place of a configuration for a moment.
NO_PAGE = frozenset({IS_YAML, TOO_LARGE})
# fal keeps a result for about an hour (https://fal.ai/docs/inference-api/queue/result). Until then one
# that names no file is taken for one that cannot be read yet.
RESULT_KEPT = timedelta(hours=1)
# How often one delivery begins, where others change the job meanwhile.
BEGINNINGS = 3
type Bad = dict[str, ResultGoneError | ResultInvalidError | HostNotAllowedError]


@dataclass(frozen=True, slots=True)
class ResultStorer:
    """The worker that ends a job.

    ``patience`` is how long one run reads what the next can go on with; ``patience_whole``, for a file
    without ranges, is shorter than the function can live: it ends by itself, and says so, before it would be
    ended. ``lease`` is longer than ``patience``, and renewed with every part. ``kept`` is how long fal keeps a
    result at least.
    """

    record: Record
    results: CopyStore
    source: ArtifactSource
    fal: FalClient
    evidence: Evidence
    proofs: ProofOrders
    lease: timedelta = STORE_LEASE
    patience: timedelta = STORE_PATIENCE
    patience_whole: timedelta = STORE_PATIENCE_WHOLE
    kept: timedelta = RESULT_KEPT
    part: int = PART
    owner: Callable[[], str] = new_owner
    now: Callable[[], float] = monotonic

    def store_result(self, job_id: str) -> Job:
        """Return the job with every result file in the models bucket; a second call changes nothing.

        While another worker copies the files it is left to that worker; where fal says for the first time that
        it has none it is left alone for a while. Raises JobNotFoundError, and to be called
        again DownloadInterruptedError, HostNotAllowedError, FalUnavailableError, or ConflictError where others write
        the job all the time.
        """
        owner, until = self.owner(), self.now() + self.patience.total_seconds()
        for _ in range(BEGINNINGS - 1):
            # fal's answer may have changed the job meanwhile: begin again with that, and go on with what is stored.
            # The message would come back only after 18 minutes.
            with suppress(ConflictError):
                return self._stored(job_id, owner, until)
        return self._stored(job_id, owner, until)

    def _stored(self, job_id: str, owner: str, until: float) -> Job:
        job = self.record.known(job_id)
        if job.status is not Status.STORING:
            if job.terminal:
                self._abort_uploads(job)
            self.record.publish_again(job)
            return self._followed(job)
        job_lease = JobLease.take(self.record, job, owner=owner, length=self.lease)
        if job_lease is None:
            return job
        try:
            return self._followed(self._end(job_lease, until))
        except (DownloadInterruptedError, HostNotAllowedError) as trouble:
            # Once is enough: a person need not read the same in other words every few minutes.
            job_lease.give_back(None if job_lease.job.problems else not_copied(trouble))
            raise
        except Exception:
            with suppress(Exception):  # it runs out by itself, and this must not hide the cause
                job_lease.give_back()
            raise

    def _followed(self, job: Job) -> Job:
        """Return the job after what its end begins: a training's proof sheet, or the end of one."""
        report_picture(self.proofs.inbox, job)
        return self.proofs.begin(job)

    @property
    def _copier(self) -> Copier:
        return Copier(self.results, self.source, self.part, self.now)

    def _end(self, job_lease: JobLease, until: float) -> Job:
        problems: tuple[Problem, ...] = ()
        artifacts: tuple[Artifact, ...] = ()
        try:
            artifacts, problems = self._store(job_lease, until)
            lost = any(problem.code == RESULT_INVALID for problem in problems)
            to = Status.FAILED if lost else Status.SUCCEEDED
        except ResultGoneError:
            denied = DENIED in job_lease.job.problems
            if not denied or self._early(job_lease.job):
                return self._denied(job_lease, None if denied else DENIED)
            to, problems = Status.EXPIRED, (result_gone(job_lease.job),)
        except ResultUnusableError as unusable:
            to, problems = Status.FAILED, (unusable.problem,)
        self._abort_uploads(job_lease.job)
        known: dict[str, Any] = {
            "artifacts": artifacts or job_lease.job.artifacts,
            "problems": problems,
        }
        if to is Status.SUCCEEDED and job_lease.job.picture is None:
            job = job_lease.job
            known["lora"] = read_lora_facts(self.results, job.weights)
            known["earlier"] = self.record.earlier(job)
            done = job.model_copy(update=known)
            self.results.write(done.prefix + JOB_FILE, job_text(done), "application/json")
            write_result_page(self.results, done)
        return job_lease.end(to, **known)

    def _denied(self, job_lease: JobLease, problem: Problem | None) -> Job:
        """Return the job as it waits: it may be a slip of fal's, and the reconciler hands it over again in some minutes."""
        try:
            return job_lease.give_back(problem, rest=DENIAL_STANDS)
        except ConflictError:
            # Not to begin again now, for that would ask fal at once. The lease runs out by itself.
            return self.record.known(job_lease.job.job_id)

    def _abort_uploads(self, job: Job) -> None:
        for upload in job.uploads:
            self.results.abort(job.prefix + upload.name, upload.upload_id)

    def _store(
        self, job_lease: JobLease, until: float
    ) -> tuple[tuple[Artifact, ...], tuple[Problem, ...]]:
        """Copy every file of the result; the artifacts as they were named last, and what is wrong.

        A CDN that says 404, or sends something else, says nothing of the result: fal is asked for
        the addresses once more, and only its own word that there is none ends the job.
        """
        artifacts = job_lease.job.artifacts
        if not any(map(is_essential, artifacts)):
            artifacts = self._artifacts(job_lease)
            # Kept before anything is copied: fal may have forgotten them by the next try.
            job_lease.name(artifacts)
        bad = self._copy(job_lease, artifacts, until)
        if not bad:
            return artifacts, said_of(artifacts)
        over: ResultGoneError | ResultUnusableError | None = None
        try:
            artifacts = self._artifacts(job_lease)
            if artifacts != job_lease.job.artifacts:
                job_lease.name(artifacts)
        except (ResultGoneError, ResultUnusableError) as said:
            over = said  # and yet the files that are there may be whole now
        bad = self._copy(job_lease, artifacts, until)
        self._wait_for(job_lease.job, bad)
        problems = self._set_aside(job_lease, artifacts, bad, until)
        if missing := [name for name, why in bad.items() if isinstance(why, ResultGoneError)]:
            raise over or DownloadInterruptedError(
                f"fal still names {', '.join(missing)}, and has it not"
            )
        return artifacts, problems

    def _copy(self, job_lease: JobLease, artifacts: Sequence[Artifact], until: float) -> Bad:
        """Copy what is not copied yet, the weights first; what could not be had, and why."""
        bad: Bad = {}
        settled = self.record.clock() - job_lease.job.since >= SETTLED_AFTER
        for artifact in sorted(artifacts, key=lambda each: each.name != WEIGHTS):
            stored = job_lease.file(artifact.name)
            if stored and self.results.has(stored):
                continue
            wanted = artifact.model_copy(update={"size": None}) if settled else artifact
            job = job_lease.job
            request = CopyRequest(wanted, job.prefix, job_lease, until, order=job.picture)
            try:
                job_lease.store(self._copier.copy(self._patient(request)))
            except (ResultGoneError, ResultInvalidError, HostNotAllowedError) as why:
                bad[artifact.name] = why
        return bad

    def _wait_for(self, job: Job, bad: Bad) -> None:
        """Raise what is to be tried again: a host that may be allowed, a page that stands in a file's place for a while."""
        for name, why in bad.items():
            if isinstance(why, HostNotAllowedError):
                raise why
            early = self.record.clock() - job.since < INVALID_STANDS
            if isinstance(why, ResultInvalidError) and early and why.flaw not in NO_PAGE:
                raise DownloadInterruptedError(
                    f"{name} is not what its name says ({why.flaw})"
                ) from why

    def _patient(self, request: CopyRequest) -> CopyRequest:
        """Return the request with the longer time for a file that can only be read in one go."""
        longer = (self.patience_whole - self.patience).total_seconds()
        return replace(request, until_whole=request.until + longer)

    def _set_aside(
        self, job_lease: JobLease, artifacts: Sequence[Artifact], bad: Bad, until: float
    ) -> tuple[Problem, ...]:
        """Keep what is not what its name says as well: it was paid for, and may be mended.

        A configuration that is larger than one can be is not kept: what is wanted of the result is its LoRA.
        """
        problems = []
        usable = not any(is_essential(each) and each.name in bad for each in artifacts)
        for artifact in artifacts:
            why = bad.get(artifact.name)
            if not isinstance(why, ResultInvalidError):
                continue
            stored = None
            if why.flaw != TOO_LARGE:
                name = artifact.name + INVALID_SUFFIX
                aside = artifact.model_copy(update={"name": name, "size": None})
                request = CopyRequest(aside, job_lease.job.prefix, job_lease, until, checked=False)
                stored = self._copier.copy(self._patient(request))
                job_lease.store(stored)
            problems.append(result_invalid(artifact, why, stored, usable=usable))
        return tuple(problems)

    def _artifacts(self, job_lease: JobLease) -> tuple[Artifact, ...]:
        """Return the result as fal keeps it, for a webhook that came without one."""
        job = job_lease.job
        match self._fact(job_lease):
            case Finished(artifacts=artifacts) if any(map(is_essential, artifacts)):
                return artifacts
            case Finished(request_id=request_id) if not self._early(job):
                raise ResultUnusableError(
                    without_files(request_id, picture=job.picture is not None)
                )
            case Failed(problem=problem):
                raise ResultUnusableError(problem)
            case Gone():
                raise ResultGoneError(job.job_id)
            case _:
                what = "picture" if job.picture else "LoRA"
                raise FalUnavailableError(f"fal names no {what} for {job.job_id} yet")

    def _early(self, job: Job) -> bool:
        """Return whether fal must still have the result: it keeps one for so long."""
        return self.record.clock() - job.since < self.kept

    def _fact(self, job_lease: JobLease) -> FalStatus:
        """Return what fal says of the request now; its list has results that its queue has forgotten.

        fal has signed that the training succeeded, so its first word against that raises ResultGoneError, and it
        is asked again minutes later.
        """
        job = job_lease.job
        if job.request_id is None:
            raise FalUnavailableError(f"{job.job_id} has no request to ask about")
        fact = self.fal.ask(job.application, job.request_id)
        if isinstance(fact, Gone | Failed) and DENIED not in job.problems:
            raise ResultGoneError(job.job_id)
        if isinstance(fact, Gone):
            now = self.record.clock()
            fact = self.evidence.stored_result(job, job.request_id, now) or fact
        if not isinstance(fact, Gone | Failed):
            job_lease.forget(DENIED)
        if isinstance(fact, Finished):
            kept = of_kind(fact.artifacts, picture=job.picture is not None)
            fact = replace(fact, artifacts=kept)
        return fact

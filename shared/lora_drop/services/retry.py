"""A job that has ended, once more: a new training, or what fal had said of the old one."""

from contextlib import suppress
from dataclasses import dataclass

from lora_drop.datasets.owner_metadata import FIELDS
from lora_drop.datasets.parameters import CHECKPOINT
from lora_drop.fal.trainers.table import TRAINERS, estimated_cost_usd
from lora_drop.jobs.errors import ActionNotAllowedError, ForeignRequestError, InvalidWebhookError
from lora_drop.jobs.ids import job_id_for
from lora_drop.jobs.job import DatasetVersion, Job
from lora_drop.jobs.job_files import of_job
from lora_drop.jobs.status import Status
from lora_drop.messages import WebhookBody
from lora_drop.ports import Claim, Deliveries, Inbox, Prices
from lora_drop.services.deduplication import Deduplication
from lora_drop.services.fal_updates import FalUpdateHandler
from lora_drop.services.proof_sheets import ordered_sheet
from lora_drop.services.record import Record

WAYS_ON = {
    Status.HELD: "lora-drop approve JOB lets it go on, lora-drop cancel JOB ends it",
    Status.SUBMIT_UNKNOWN: "settle first whether fal has it: lora-drop resolve JOB",
}
NOT_RETRIED = {
    Status.REJECTED: "was rejected, and the same dataset would be again; mend it and drop it",
    Status.SUCCEEDED: "has its LoRA; go on from it with lora-drop retry JOB --resume, or drop the dataset with "
    "metadata force=true (lora-drop train PATH --force) to train it again",
}


@dataclass(frozen=True, slots=True)
class RetryService:
    """Retries jobs, and replays their webhook deliveries."""

    record: Record
    fal_updates: FalUpdateHandler
    deliveries: Deliveries
    inbox: Inbox
    prices: Prices

    def retry(self, job_id: str, *, resume: bool, by: str) -> Job:
        """Return a new job that pays for the same dataset once more; the same retry again is the same job.

        ``resume`` goes on from the last LoRA of this job or of those it is a retry of. Raises
        JobNotFoundError, ActionNotAllowedError and Conflict.
        """
        ended = self.record.known(job_id)
        self._check(ended, resume=resume)
        new = self._again(ended, by, self._trained(ended) if resume else _named_by_dataset(ended))
        kept = self.record.jobs.get(new.job_id)
        if kept is None:
            claim = self._claim(new, force_retrain=ended.force_retrain)
            if claim is not None:
                new = new.model_copy(update={"supersedes": claim.previous})
            kept = self.record.open(new, claim=claim, unchanged=(ended,))
        elif kept.terminal:
            raise ActionNotAllowedError(
                f"{job_id} was retried already, as {kept.job_id}, which is {kept.status}"
            )
        elif kept.resume_from != new.resume_from:
            how = "from a LoRA" if kept.resume_from else "from the start"
            raise ActionNotAllowedError(f"{job_id} was retried already, {how}: {kept.job_id}")
        if kept.status is Status.READY:
            self.inbox.announce(kept.dataset)
        return kept

    def replay(self, job_id: str) -> Job:
        """Return the job after everything that fal has ever delivered for it, in order.

        A job that has ended stays as it is, but for one that was given up before its result came.
        Raises JobNotFoundError, and ActionNotAllowedError when nothing was delivered.
        """
        job = self.record.known(job_id)
        bodies = self.deliveries.kept(job)
        if not bodies:
            raise ActionNotAllowedError(f"fal has delivered nothing for {job_id} so far")
        for body in bodies:
            # What was not for this job then is not for it now.
            with suppress(InvalidWebhookError, ForeignRequestError):
                job = self.fal_updates.receive(job_id, WebhookBody.parse(body).fact())
        return job

    def _check(self, job: Job, *, resume: bool) -> None:
        if job.picture is not None:
            raise ActionNotAllowedError(
                f"{job.job_id} is a picture of the proof sheet of {job.picture.proof_of}, and is made once"
            )
        if not job.terminal:
            way = WAYS_ON.get(job.status, "it goes on by itself")
            raise ActionNotAllowedError(f"{job.job_id} is {job.status}; {of_job(way, job.job_id)}")
        if job.status in NOT_RETRIED and not (resume and job.status is Status.SUCCEEDED):
            raise ActionNotAllowedError(
                f"{job.job_id} {of_job(NOT_RETRIED[job.status], job.job_id)}"
            )
        if job.parameters is None:
            raise ActionNotAllowedError(f"{job.job_id} was never checked; drop its dataset again")

    def _again(self, ended: Job, by: str, resume_from: str | None) -> Job:
        now, dataset, attempt = self.record.clock(), ended.dataset, ended.attempt + 1
        new = Job.receive(dataset, application=ended.application, now=now).model_copy(
            update={
                "job_id": _id_of(dataset, attempt),
                "attempt": attempt,
                "retry_of": ended.job_id,
                "resume_from": resume_from,
                "force_retrain": resume_from != _named_by_dataset(ended),
                "earlier_requests": _requests_of(ended),
            }
        )
        kept = {*FIELDS, "clean", "images", "preset", "parameters", "parameter_sources"}
        learnt = {name: getattr(ended, name) for name in kept}
        learnt["estimated_cost_usd"] = self._cost_of(ended)
        wanted = ended.proof is not None
        learnt["proof"] = ordered_sheet(ended.application, wanted=wanted, now=now)
        digest = None if new.force_retrain else ended.content_digest
        return new.move(Status.READY, now=now, by=by, content_digest=digest, **learnt)

    def _cost_of(self, ended: Job) -> float | None:
        """Return what it costs by today's price; by the old one where there is no other."""
        if ended.parameters is None:
            return ended.estimated_cost_usd
        price = self.prices.price(ended.application)
        cost = estimated_cost_usd(ended.application, ended.parameters.steps, price)
        return ended.estimated_cost_usd if cost is None else cost

    def _claim(self, new: Job, *, force_retrain: bool) -> Claim | None:
        if new.content_digest is None:
            return None
        owner = self.record.jobs.owner(new.content_digest)
        twin = Deduplication(self.record).find_duplicate(owner)
        if twin is not None and not twin.terminal:
            raise ActionNotAllowedError(
                f"{twin.job_id} is at work on the same content; wait for it: "
                f"lora-drop job {twin.job_id}"
            )
        if twin is not None and not force_retrain:
            raise ActionNotAllowedError(
                f"{twin.job_id} has trained the same photos, captions and parameters, and its LoRA is "
                "there; drop the dataset with metadata force=true to train it again"
            )
        return Claim(owner)

    def _trained(self, ended: Job) -> str:
        """Return the newest of the jobs that has a LoRA stored, for a trainer that can go on from one."""
        trainer = TRAINERS.get(ended.application)
        if trainer is None or not trainer.resumes:
            # fal would ignore the address, train from the start and bill it.
            raise ActionNotAllowedError(f"{ended.application} cannot go on from a LoRA")
        job: Job | None = ended
        while job is not None:
            if job.weights is not None:
                return job.job_id
            job = self.record.jobs.get(job.retry_of) if job.retry_of else None
        raise ActionNotAllowedError(
            f"{ended.job_id} has no LoRA to go on from; retry without --resume"
        )


def _id_of(dataset: DatasetVersion, attempt: int) -> str:
    return job_id_for(dataset.bucket, dataset.key, dataset.version_id, attempt)


def _named_by_dataset(ended: Job) -> str | None:
    """Return the job whose LoRA the dataset itself wants to go on from, not a person who retried it."""
    return ended.resume_from if CHECKPOINT in (ended.parameter_sources or {}) else None


def _requests_of(ended: Job) -> tuple[str, ...]:
    own = (ended.request_id,) if ended.request_id else ()
    return (*ended.earlier_requests, *own)

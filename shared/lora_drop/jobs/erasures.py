"""A job that is forgotten: what is still to be erased of it, and the proof that is left.

The proof contains no name: neither the dataset nor the job's id, which begins with the name of the ZIP. It goes by the digest at the end of that id, which is made from a random version id and
leads back to nothing.
"""

from datetime import datetime, timedelta
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from lora_drop.jobs.delivery import DeliveryMethod
from lora_drop.jobs.ids import digest_of
from lora_drop.jobs.job import Job
from lora_drop.jobs.time_limits import ALL_ENDED

# An invocation that read the job before it was forgotten, and may still write a file of it, has ended by then.
LAST_LOOK_AFTER = ALL_ENDED
# fal deletes the payloads of a request by itself after so long
# (https://fal.ai/docs/documentation/model-apis/media-expiration).
FAL_KEEPS = timedelta(days=30)
UNANSWERED = (
    "fal did not answer to the deletion for 30 days, after which it deletes input and output by itself; "
    "output files may be left"
)


class Found(BaseModel):
    """What there was of a job when its erasing began, in pieces; versions include delete markers."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    dataset_versions: int = 0
    result_versions: int = 0
    unfinished_uploads: int = 0


class Erasure(BaseModel):
    """One job's erasing: begun, erased, and done when the last look has found nothing.

    ``job`` and ``requests`` go with the last step, the rest stays for good. ``dropped_by``: when the
    job's dataset was there for certain; what has come under its key since is another drop.
    ``requests`` are those at fal whose payloads are still to be deleted. ``left`` says what fal has kept, and why, in sentences
    without names. ``beside`` are the digests of those that were forgotten with it, and
    ``ordered_with`` is the digest of the one that was named when that was ordered.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    digest: str
    version: int = 1
    begun_at: datetime
    dropped_by: datetime
    erased_at: datetime | None = None
    done_at: datetime | None = None
    found: Found | None = None
    fal_requests: int = 0
    fal_files: int = 0
    left: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    ordered_with: str | None = None
    job: Job | None = None
    requests: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        job: Job,
        *,
        now: datetime,
        dropped_by: datetime,
        beside: tuple[str, ...] = (),
        ordered_with: str | None = None,
    ) -> Self:
        """Return the beginning of a job's erasing."""
        requests = _requests_of(job)
        return cls(
            digest=digest_of(job.job_id),
            begun_at=now,
            dropped_by=dropped_by,
            beside=beside,
            ordered_with=ordered_with,
            job=job,
            requests=requests,
            fal_requests=len(requests),
            left=_copy_at_fal(job, now),
        )

    @property
    def last_look_at(self) -> datetime:
        """Return when no running function can still write a file of the job."""
        return self.begun_at + LAST_LOOK_AFTER

    def since(self, came: datetime | None) -> Self:
        """Return the erasure with the moment at which the dataset came, where that is still known."""
        return self.model_copy(update={"dropped_by": came or self.dropped_by})

    def counted(self, found: Found) -> Self:
        """Return the erasure with the counts of what there was."""
        return self._changed(found=found)

    def at_fal(self, request_id: str, *, files: int, left: tuple[str, ...]) -> Self:
        """Return the erasure after fal's answer to the deletion of one request's payloads."""
        rest = tuple(each for each in self.requests if each != request_id)
        # The same sentence for several requests says enough once.
        all_left = tuple(dict.fromkeys((*self.left, *left)))
        return self._changed(requests=rest, fal_files=self.fal_files + files, left=all_left)

    def erased(self, now: datetime) -> Self:
        """Return the erasure when nothing is left but the last look."""
        return self._changed(erased_at=now)

    def done(self, now: datetime) -> Self:
        """Return the proof alone."""
        return self._changed(done_at=now, job=None, requests=())

    def _changed(self, **changes: Any) -> Self:
        return self.model_copy(update={**changes, "version": self.version + 1})


def public(erasure: Erasure) -> dict[str, Any]:
    """Return the proof, as the API serves it."""
    kept = {"job", "requests", "version", "dropped_by", "ordered_with"}
    return erasure.model_dump(mode="json", exclude=kept)


def to_go(job: Job) -> dict[str, Any]:
    """Return a job that an order would erase, as the API serves it; ``paid_usd`` is null for none."""
    paid = sum(each.usd for each in job.charges) if job.charges else None
    return {"job_id": job.job_id, "status": job.status, "paid_usd": paid}


def _requests_of(job: Job) -> tuple[str, ...]:
    """Return the job's requests at fal; a duplicate has but its original's."""
    if job.duplicate_of:
        return ()
    own = (job.request_id,) if job.request_id else ()
    return tuple(dict.fromkeys((*job.earlier_requests, *own)))


def _copy_at_fal(job: Job, now: datetime) -> tuple[str, ...]:
    """Return what fal does not delete when it is asked to: inputs, which end by their own clock alone."""
    sent = job.delivery
    if (
        sent is None
        or sent.way is not DeliveryMethod.FAL
        or (sent.expires_at and sent.expires_at <= now)
    ):
        return ()
    until = f"until {sent.expires_at:%Y-%m-%d %H:%M} UTC" if sent.expires_at else "for good"
    return (
        f"fal keeps the dataset that was uploaded to its storage {until}: no key can delete it",
    )

"""The events that EventBridge gets: a job changes its state, or its proof sheet is ready."""

from datetime import datetime
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from lora_drop.jobs.job import TAKEN_BACK, Job
from lora_drop.jobs.problems import codes_of
from lora_drop.jobs.proof import ProofSheet
from lora_drop.jobs.status import Status

SOURCE = "lora-drop"
DETAIL_TYPE = "Training Job Status Changed"
PROOF_DETAIL_TYPE = "Proof Sheet Ready"


class _Published(BaseModel):
    model_config = ConfigDict(frozen=True)


class EarlierStep(_Published):
    """A state the job has been in."""

    status: Status
    at: datetime = Field(description="since when, UTC")


class StatusChange(_Published):
    """The event's ``detail``: a job as it stands after a change of its state.

    Every rule on the bus can read it, so it says no more than a log line: no folder and no name of a
    photo, no caption, no address, no person who decided something.
    """

    detail_type: ClassVar[str] = DETAIL_TYPE

    schema_version: Literal[1] = 1
    job_id: str
    version: int = Field(
        description="grows with every write of the job: the same one again is the same event, "
        "a smaller one than the last is an older state"
    )
    status: Status
    since: datetime = Field(description="since when the job is in this state, UTC")
    ended: bool = Field(description="whether nothing more is expected to happen")
    again: bool = Field(
        description="whether it is HELD for the same as before, after an automatic try: no news"
    )
    needs_person: bool = Field(description="whether an ERROR.txt says what a person has to do")
    problems: tuple[str, ...] = Field(description="codes of what is in the way or went wrong")
    history: tuple[EarlierStep, ...] = Field(
        description="every state until now, also those that had no event of their own"
    )
    application: str = Field(description="fal's name of the trainer")
    bucket: str = Field(description="the models bucket, which says whose stack this is")
    reference: str | None = Field(
        default=None,
        exclude_if=lambda value: value is None,
        description="the owner's own name for the job; only from a stack with ReferenceInEvents=true",
    )

    @classmethod
    def of(cls, job: Job, *, bucket: str, with_reference: bool = False) -> Self:
        """Return the event of this job; ``bucket`` is the models bucket."""
        return cls(
            job_id=job.job_id,
            version=job.version,
            status=job.status,
            since=job.since,
            ended=job.terminal,
            again=_held_again(job),
            needs_person=job.troubled,
            problems=codes_of(job.problems),
            history=tuple(EarlierStep(status=step.status, at=step.at) for step in job.history),
            application=job.application,
            bucket=bucket,
            reference=job.reference if with_reference else None,
        )


class ProofSheetReady(_Published):
    """The event's ``detail``: all pictures of a training's proof sheet have ended, and its page is written.

    It comes at least once. Like a change of a job it says no name of a photo and no prompt.
    """

    detail_type: ClassVar[str] = PROOF_DETAIL_TYPE

    schema_version: Literal[1] = 1
    job_id: str = Field(description="the training's job")
    ordered: int = Field(description="how many pictures were ordered")
    made: int = Field(description="how many of them were made")
    likeness: float | None = Field(
        description="the median cosine of the pictures' faces to the photos' centre; null where it is not known"
    )
    among_photos: float | None = Field(
        description="the same of each photo to the centre of the others"
    )
    copies: int = Field(description="how many pictures are nearly the same as a photo")
    application: str = Field(description="fal's name of the trainer")
    bucket: str = Field(description="the models bucket, which says whose stack this is")
    reference: str | None = Field(
        default=None,
        exclude_if=lambda value: value is None,
        description="the owner's own name for the job; only from a stack with ReferenceInEvents=true",
    )

    @classmethod
    def of(
        cls, job: Job, sheet: ProofSheet, *, made: int, bucket: str, with_reference: bool = False
    ) -> Self:
        """Return the event of this job's sheet; ``bucket`` is the models bucket."""
        found = sheet.likeness
        return cls(
            job_id=job.job_id,
            ordered=len(sheet.pictures),
            made=made,
            likeness=found.likeness if found else None,
            among_photos=found.among_photos if found else None,
            copies=sum(each.copy_of is not None for each in found.pictures) if found else 0,
            application=job.application,
            bucket=bucket,
            reference=job.reference if with_reference else None,
        )


class ChangeNotice(_Published):
    """What is taken of an event on the bus, where all of the account may put one: which change of which job it means."""

    job_id: str
    version: int
    status: Status
    since: datetime

    def agrees_with(self, job: Job) -> bool:
        """Return whether that job made this change, as its row says.

        A history loses states (``TAKEN_BACK``), so an older version may have been in one of these.
        """
        if self.version >= job.version:
            return (self.version, self.status) == (job.version, job.status)
        return self.status in TAKEN_BACK or self._step(job) is not None

    def change_of(
        self, job: Job, *, bucket: str, with_reference: bool = False
    ) -> StatusChange | None:
        """Return the change, written from the job's row; None where it came to nothing and the history lost it.

        Of a state that the job has left, the row no longer has the problems.
        """
        now = StatusChange.of(job, bucket=bucket, with_reference=with_reference)
        if self.version == job.version:
            return now
        if (step := self._step(job)) is None:
            return None
        said = {
            "version": self.version,
            "status": self.status,
            "since": self.since,
            "ended": self.status.terminal,
            "history": now.history[: step + 1],
            "again": False,
        }
        left = {} if step == len(job.history) - 1 else {"needs_person": False, "problems": ()}
        return now.model_copy(update=said | left)

    def _step(self, job: Job) -> int | None:
        """Return the place of this change in the job's history."""
        steps = [(step.status, step.at) for step in job.history]
        found = (self.status, self.since)
        return steps.index(found) if found in steps else None


def _held_again(job: Job) -> bool:
    """Return whether the clock alone has tried it once more, and it is held for just what it was held for."""
    codes = codes_of(job.problems)
    return job.status is Status.HELD and bool(codes) and job.held_for == codes

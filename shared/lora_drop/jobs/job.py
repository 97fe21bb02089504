"""A job: one dataset on its way to one LoRA, and the only moves it may make."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, model_validator

from lora_drop.fal.trainers.parameters import ParameterSource, TrainingParameters
from lora_drop.jobs.artifacts import Artifact, LoraFacts, StoredFile, Upload, holds_weights
from lora_drop.jobs.budget import Charge, ChargeState
from lora_drop.jobs.delivery import DatasetDelivery, Fetch
from lora_drop.jobs.ids import job_id_for, picture_prefix, result_prefix
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.progress import TrainingProgress, furthest
from lora_drop.jobs.proof import PictureOrder, ProofSheet
from lora_drop.jobs.status import AT_FAL, ENDED, TRANSITIONS, IllegalTransitionError, Status

# Back in one of these, a job trains once more, from its first step.
BEFORE_TRAINING = frozenset({Status.READY, Status.HELD, Status.SUBMITTING})
# What ``move`` may take out of a history again, where nothing came of it.
TAKEN_BACK = frozenset({Status.READY, Status.SUBMITTING})


class _Value(BaseModel):
    # The error about an unreadable row must not contain what is in the row.
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


class DatasetVersion(_Value):
    """One immutable version of one object in the datasets bucket; ``size`` in bytes."""

    bucket: str
    key: str
    version_id: str
    etag: str = ""
    size: int = 0

    @property
    def named_version(self) -> str:
        """Return the version as a request names it; empty for an object from before versioning."""
        return "" if self.version_id == "null" else self.version_id


class Lease(_Value):
    """The right to copy a job's files: its owner, and until when; ``fence`` grows with each lease."""

    owner: str
    fence: int
    until: datetime


class Step(_Value):
    """A status, since when, and the person who said so, where one did."""

    status: Status
    at: datetime
    by: str | None = None


# Old name of a stored field -> its name since version 0.2.
RENAMED_FIELDS = MappingProxyType({"instead_of": "supersedes", "anew": "force_retrain"})


class Job(_Value):
    """Everything that is known of one job.

    Stored as it stands here; what is served of it stands in ``public_job``. ``attempt`` counts the jobs for one dataset version,
    ``earlier_requests`` are those at fal that are over (``own_requests``: of this very job), and ``supersedes`` is the job that was
    the one for this content before. ``force_retrain``: a person wants it trained whatever came of an earlier one. ``held_for`` are
    the codes it was held for when the clock tried it once more. ``reference`` is the owner's own name for it. ``clean`` is the
    mended copy that a trainer gets, where one was needed; ``delivery`` is how the last submission sent it.
    """

    job_id: str
    status: Status
    version: int = 1
    dataset: DatasetVersion
    fetch: Fetch | None = None  # where the dataset comes from, if the stack fetches it; in no event
    clean: StoredFile | None = None
    delivery: DatasetDelivery | None = None
    reference: str | None = None
    notify_url: str | None = None  # the owner's own address for this job's changes; in no event
    application: str
    created_at: datetime
    updated_at: datetime
    history: tuple[Step, ...]
    preset: str | None = None
    parameters: TrainingParameters | None = None
    parameter_sources: Mapping[str, ParameterSource] | None = None
    images: int | None = None
    estimated_cost_usd: float | None = None
    charge: Charge | None = None
    past_charges: tuple[Charge, ...] = ()
    approved: bool = False
    intents: int = 0
    refetched: bool = False
    attempt: int = 1
    retry_of: str | None = None
    resume_from: str | None = None
    content_digest: str | None = None
    duplicate_of: str | None = None
    supersedes: str | None = None
    force_retrain: bool = False
    earlier_requests: tuple[str, ...] = ()
    own_requests: tuple[str, ...] = ()
    slot_released: bool = False  # in doubt for so long that another job has its slot
    request_id: str | None = None
    cancel_by: str | None = None
    progress: TrainingProgress | None = None
    queue_position: int | None = None  # at fal, as it was when fal was asked last
    lease: Lease | None = None
    uploads: tuple[Upload, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    files: tuple[StoredFile, ...] = ()
    lora: LoraFacts | None = None  # what the stored LoRA's own header says
    earlier: tuple[str, ...] = ()  # jobs with earlier LoRAs of the same dataset name, newest first
    problems: tuple[Problem, ...] = ()
    held_for: tuple[str, ...] = ()
    error_file: bool | None = None  # whether ERROR.txt was ever written; None: not known
    proof: ProofSheet | None = None  # of a training that one was ordered for
    picture: PictureOrder | None = None  # of a job that is one picture of a proof sheet

    @model_validator(mode="before")
    @classmethod
    def _read_old_names(cls, row: Any) -> Any:
        """Read the rows of earlier versions, whose fields had other names."""
        if not isinstance(row, Mapping) or not RENAMED_FIELDS.keys() & row.keys():
            return row
        return {RENAMED_FIELDS.get(name, name): value for name, value in row.items()}

    @classmethod
    def receive(cls, dataset: DatasetVersion, *, application: str, now: datetime) -> Self:
        """Return a new job for a dataset that has just arrived."""
        return cls(
            job_id=job_id_for(dataset.bucket, dataset.key, dataset.version_id),
            status=Status.RECEIVED,
            dataset=dataset,
            application=application,
            created_at=now,
            updated_at=now,
            history=(Step(status=Status.RECEIVED, at=now),),
            error_file=False,
        )

    def move(
        self,
        to: Status,
        *,
        now: datetime,
        by: str | None = None,
        billed: bool = True,
        **changes: Any,
    ) -> Self:
        """Return the job one step on, with what was learnt on the way; raises IllegalTransitionError.

        ``billed`` false: fal says that a training which came to nothing costs nothing.
        """
        if to not in TRANSITIONS[self.status]:
            raise IllegalTransitionError(f"{self.job_id}: {self.status} cannot become {to}")
        history = (*self.history, Step(status=to, at=now, by=by))
        if (self.status, to) == (Status.SUBMITTING, Status.READY):
            # Nothing has left, so nothing has happened; a long outage would fill the row with it.
            history = self.history[:-1]
        if to is Status.HELD:
            # Tried again by the clock and held again: a locked account would fill the row with it.
            history = _without_vain_tries(self.history) or history
        return self.model_copy(
            update={
                **self._money_in(to, now=now, billed=billed),
                **self._progress_in(to, now=now),
                "lease": None,
                "fetch": self.fetch and self.fetch.over,
                **changes,
                "status": to,
                "version": self.version + 1,
                "updated_at": now,
                "history": history,
            }
        )

    def arrived(self, dataset: DatasetVersion, *, now: datetime) -> Self:
        """Return the job with the file that was fetched for it: one like any other from now on."""
        over = {
            "fetch": self.fetch and self.fetch.over,
            "lease": None,
            "uploads": (),
            "problems": (),
        }
        return self.model_copy(
            update={**over, "dataset": dataset, "version": self.version + 1, "updated_at": now}
        )

    def _money_in(self, to: Status, *, now: datetime, billed: bool) -> dict[str, Any]:
        """Return what the job's charges become with a move; ``intents`` counts the submissions begun."""
        if to is Status.SUBMITTING:
            charge = Charge.reserve(self.estimated_cost_usd or 0.0, now=now)
            return {"charge": charge, "intents": self.intents + 1, "slot_released": False}
        if to is Status.STORING:
            # Without a charge: fal had said that it would not bill what it sends after all.
            paid = self.charge or Charge.reserve(self.estimated_cost_usd or 0.0, now=now)
            return {"charge": paid.become(ChargeState.SPENT)}
        if self.charge is None or to in AT_FAL | {Status.SUCCEEDED}:
            return {}
        # Nothing was accepted.
        if self.status in (Status.SUBMITTING, Status.SUBMIT_UNKNOWN):
            return {"charge": None}
        # It was accepted, so it stays in the job's books whatever fal bills for it.
        over = self.charge.become(ChargeState.WASTED if billed else ChargeState.FREE)
        if to in ENDED:
            return {"charge": over}
        # It may be paid for once more, and both count.
        return {"charge": None, "past_charges": (*self.past_charges, over)}

    def _progress_in(self, to: Status, *, now: datetime) -> dict[str, Any]:
        """Return what the progress becomes with a move: whole with a result, none with another submission."""
        if to is Status.STORING:
            steps = self.parameters.steps if self.parameters else None
            whole = self.progress.ended(now) if self.progress else None
            if whole is None and steps:
                whole = TrainingProgress(step=steps, steps=steps, percent=0, eta_seconds=0, at=now)
                whole = whole.ended(now)
            return {"progress": whole, "queue_position": None}
        if to in BEFORE_TRAINING:
            return {"progress": None, "queue_position": None}
        return {"queue_position": None}

    def with_progress_of(self, current: Self) -> Self:
        """Return this job with the progress that was kept while it was being changed."""
        if self.request_id != current.request_id or self.status in BEFORE_TRAINING:
            return self
        kept = current.progress
        if kept is not None and self.status is Status.STORING:
            kept = kept.ended(self.updated_at)
        return self.model_copy(update={"progress": furthest(kept, self.progress)})

    @property
    def fetching(self) -> bool:
        """Return whether the job's dataset is still to be fetched from its address."""
        return self.fetch is not None and self.fetch.url is not None

    @property
    def charges(self) -> tuple[Charge, ...]:
        """Return all the money this job has to do with."""
        return self.past_charges if self.charge is None else (*self.past_charges, self.charge)

    @property
    def terminal(self) -> bool:
        """Return whether the job has ended."""
        return self.status.terminal

    @property
    def at_fal(self) -> bool:
        """Return whether the job holds one of the stack's slots."""
        return self.status in AT_FAL and not self.slot_released

    @property
    def troubled(self) -> bool:
        """Return whether a person is needed, or should know."""
        return self.status.troubling or (self.status is Status.STORING and bool(self.problems))

    @property
    def since(self) -> datetime:
        """Return since when the job has been in its state."""
        return self.history[-1].at

    @property
    def intended_at(self) -> datetime | None:
        """Return when the last submission that may have left was begun."""
        steps = [step.at for step in self.history if step.status is Status.SUBMITTING]
        return steps[-1] if steps else None

    @property
    def sent(self) -> DatasetVersion:
        """Return what a trainer gets: the clean copy, which has no versions to speak of, or the dataset."""
        if self.clean is None:
            return self.dataset
        return DatasetVersion(bucket=self.clean.bucket, key=self.clean.key, version_id="null")

    @property
    def weights(self) -> StoredFile | None:
        """Return the stored LoRA; its name begins with a number where another file already had its name."""
        return next((stored for stored in self.files if holds_weights(stored.name)), None)

    @property
    def prefix(self) -> str:
        """Return where the job's files lie in the models bucket, with the closing slash."""
        if self.picture is None:
            return result_prefix(self.dataset.key, self.job_id)
        return picture_prefix(self.dataset.key, self.picture.proof_of, self.picture.number)

    @property
    def proof_open(self) -> bool:
        """Return whether the job has its LoRA, and a proof sheet of it was ordered and is not done."""
        return bool(self.proof and not self.proof.done_at) and self.status is Status.SUCCEEDED


def _without_vain_tries(history: tuple[Step, ...]) -> tuple[Step, ...]:
    """Return the history up to its last HELD if only the clock acted since then, else nothing."""
    for tried in ((Status.HELD, Status.READY, Status.SUBMITTING), (Status.HELD, Status.READY)):
        last = history[-len(tried) :]
        if tuple(step.status for step in last) == tried and last[1].by is None:
            return history[: 1 - len(tried)]
    return ()

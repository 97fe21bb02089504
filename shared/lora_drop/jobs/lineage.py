"""The LoRAs of one dataset name: ``latest.json`` beside the folders of its jobs has the newest, and those before it."""

from collections.abc import Iterable
from datetime import datetime
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from lora_drop.jobs.ids import dataset_prefix
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status

LATEST_FILE = "latest.json"
MAX_EARLIER = 20  # LoRAs of the same dataset that are kept in mind besides the newest one


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)


class DatasetLora(_Value):
    """A stored LoRA; ``dataset`` is the key of its dataset, ``created_at`` when its job was ordered, ``at`` when it had succeeded, both UTC."""

    job_id: str
    dataset: str
    bucket: str
    key: str
    size: int
    sha256: str
    created_at: datetime
    at: datetime

    @classmethod
    def of(cls, job: Job) -> Self | None:
        """Return the LoRA of a job; None for one that has none."""
        weights = job.weights
        if job.status is not Status.SUCCEEDED or weights is None:
            return None
        return cls(
            job_id=job.job_id,
            dataset=job.dataset.key,
            **weights.model_dump(include={"bucket", "key", "size", "sha256"}),
            created_at=job.created_at,
            at=next((step.at for step in job.history if step.status is job.status), job.updated_at),
        )


class LatestLora(DatasetLora):
    """``latest.json``: the LoRA of the job that was ordered last, and those before it, newest first."""

    earlier: tuple[DatasetLora, ...] = ()

    @classmethod
    def of_all(cls, loras: Iterable[DatasetLora]) -> Self | None:
        """Return the newest of these LoRAs with the others, each job once; None where there are none.

        The order of the jobs decides and not that of their ends, so an old job that ends late is never the newest.
        """
        each = {lora.job_id: lora for lora in loras}
        ordered = sorted(each.values(), key=lambda lora: (lora.created_at, lora.job_id))[::-1]
        if not ordered:
            return None
        newest, *earlier = ordered[: MAX_EARLIER + 1]
        return cls(**dict(newest), earlier=tuple(earlier))

    @classmethod
    def read(cls, text: str) -> Self | None:
        """Return what the file says; None where it is no such file."""
        try:
            return cls.model_validate_json(text)
        except ValidationError:
            return None

    @property
    def loras(self) -> tuple[DatasetLora, ...]:
        """Return all of them, newest first."""
        values = {name: getattr(self, name) for name in DatasetLora.model_fields}
        return (DatasetLora(**values), *self.earlier)

    def with_lora(self, lora: DatasetLora) -> Self:
        """Return the file with this LoRA in its place."""
        return self.of_all((*self.loras, lora)) or self

    def without(self, job: Job) -> Self | None:
        """Return the file without a job and without files of its folder; None where nothing is left."""
        return self.of_all(each for each in self.loras if not _names(each, job))

    def names(self, job: Job) -> bool:
        """Return whether a job, or a file of its folder, is in it."""
        return any(_names(each, job) for each in self.loras)

    def before(self, job: Job) -> tuple[str, ...]:
        """Return the ids of the jobs of LoRAs of the same key that were ordered before this job, newest first, 20 at the most.

        ``ada.zip`` and ``ada.ZIP`` share the file. A job of another key is forgotten alone, so none may keep its id.
        """
        mine = (job.created_at, job.job_id)
        same = (each for each in self.loras if each.dataset == job.dataset.key)
        found = (each.job_id for each in same if (each.created_at, each.job_id) < mine)
        return tuple(found)[:MAX_EARLIER]


def latest_key(dataset_key: str) -> str:
    """Return where ``latest.json`` of a dataset lies in the models bucket."""
    return dataset_prefix(dataset_key) + LATEST_FILE


def _names(lora: DatasetLora, job: Job) -> bool:
    return lora.job_id == job.job_id or lora.key.startswith(job.prefix)

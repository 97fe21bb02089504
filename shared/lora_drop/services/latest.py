"""``latest.json`` of a dataset: written when a job has its LoRA, corrected when a job is forgotten.

Each change reads the file and replaces exactly what it has read. So two functions at the same moment lose nothing
of each other, and each change can be repeated.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from lora_drop.jobs.errors import ConflictError
from lora_drop.jobs.job import Job
from lora_drop.jobs.lineage import DatasetLora, LatestLora, latest_key
from lora_drop.ports import Erasable, SharedTexts, StoredText

# Against other writers of the same file; each failed one means that another has succeeded.
ATTEMPTS = 10


@dataclass(frozen=True, slots=True)
class LatestLoras:
    """Keeps one ``latest.json`` for each dataset name.

    What ``before`` has read is what a change tries to replace first; S3 refuses that where it is not so any more.
    """

    texts: SharedTexts
    _read_last: dict[str, StoredText | None] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    def add(self, job: Job) -> None:
        """Put the LoRA of a job into the file of its dataset; do nothing where it is there, or there is no LoRA.

        Raises ConflictError when others change the file all the time.
        """
        lora = DatasetLora.of(job)
        if lora is not None and job.picture is None:
            self._change(job, lambda latest: _with_lora(latest, lora))

    def before(self, job: Job) -> tuple[str, ...]:
        """Return the jobs with a LoRA of the same dataset that were ordered before this one, newest first."""
        stored, latest = self._read(job)
        self._read_last.clear()
        self._read_last[latest_key(job.dataset.key)] = stored
        return latest.before(job) if latest else ()

    def remove(self, job: Job) -> None:
        """Take a job out of the file while other jobs are in it; a file that names no other is the eraser's to erase.

        Raises ConflictError when others change the file all the time.
        """
        self._change(job, lambda latest: latest and latest.without(job))

    def names_others_too(self, job: Job) -> bool:
        """Return whether the file names this job, and others that stay."""
        _, latest = self._read(job)
        return latest is not None and latest.names(job) and latest.without(job) is not None

    def erasable(self, job: Job) -> Callable[[Erasable], bool]:
        """Return which versions of the file go when a job is forgotten: all but the present one of other jobs.

        Versions that were written over may name the job, and say nothing that the present one does not.
        """
        stored, latest = self._read(job)
        stays = stored.version_id if stored and latest and latest.without(job) else None
        return lambda version: version.version_id != stays

    def _read(self, job: Job) -> tuple[StoredText | None, LatestLora | None]:
        stored = self.texts.read_text(latest_key(job.dataset.key))
        return stored, _parsed(stored)

    def _change(self, job: Job, change: Callable[[LatestLora | None], LatestLora | None]) -> None:
        key = latest_key(job.dataset.key)
        for _ in range(ATTEMPTS):
            guessed = key in self._read_last
            stored = self._read_last.pop(key) if guessed else self.texts.read_text(key)
            latest = _parsed(stored)
            after = change(latest)
            if after is None or after == latest:
                if guessed:
                    continue  # that there is nothing to change is no longer sure
                return
            if self.texts.replace_text(key, stored, after.model_dump_json(indent=2) + "\n"):
                return
        raise ConflictError(job.job_id)


def _parsed(stored: StoredText | None) -> LatestLora | None:
    return LatestLora.read(stored.text) if stored else None


def _with_lora(latest: LatestLora | None, lora: DatasetLora) -> LatestLora | None:
    return latest.with_lora(lora) if latest else LatestLora.of_all([lora])

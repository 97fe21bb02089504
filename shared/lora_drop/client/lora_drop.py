"""A stack for programs: datasets go in, jobs come out, all of it typed."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Self, Unpack

from pydantic import PrivateAttr

from lora_drop.client.api_client import CLOSED
from lora_drop.client.check import check_dataset
from lora_drop.client.comparison import Comparison
from lora_drop.client.errors import CommandError, DatasetRejectedError
from lora_drop.client.face_check import FaceCheck
from lora_drop.client.history import HistoryEntry, dataset_history
from lora_drop.client.inputs import Dataset, Inputs, fingerprint, given, local_dataset
from lora_drop.client.job import Job
from lora_drop.client.method_advice import method_advice
from lora_drop.client.parameters import metadata_of, of_options
from lora_drop.client.stack import Stack, find_stack
from lora_drop.client.stack_client import PAGE, Progress, StackClient
from lora_drop.datasets.owner_metadata import FORCE, NOTIFY_URL, PROOF, REFERENCE
from lora_drop.datasets.report import Report, Verdict
from lora_drop.fal.trainers.table import DEFAULT, trainer_of
from lora_drop.jobs import errors
from lora_drop.jobs.status import Status


class CheckedDataset(Report):
    """A report that knows its dataset, so that the same can be trained."""

    _dataset: Dataset = PrivateAttr(default=b"")
    _inputs: Inputs = PrivateAttr(default_factory=Inputs)
    _fingerprint: str | None = PrivateAttr(default=None)

    @classmethod
    def of(
        cls, report: Report, dataset: Dataset, inputs: Inputs, seen: str | None
    ) -> "CheckedDataset":
        """Return the report with what it is about; ``seen`` is the fingerprint of what was checked."""
        checked = cls.model_construct(**dict(report))
        checked._fingerprint = seen  # noqa: SLF001  # its own
        checked._dataset, checked._inputs = dataset, inputs  # noqa: SLF001  # its own
        return checked

    @property
    def subject(self) -> tuple[Dataset, Inputs]:
        """Return the dataset and the inputs that it was checked with."""
        return self._dataset, self._inputs

    def is_of(self, path: Path) -> bool:
        """Return whether the dataset is still the one that was checked."""
        return self._fingerprint is not None and self._fingerprint == fingerprint(path)


class LoraDrop:
    """One stack. It is looked for when it is first needed; ``close``, or the end of ``with``, closes it.

    ``stack`` is its name, "local" for the one on this machine; else LORA_DROP_STACK, else the one on this machine
    if it is up, else the CloudFormation stack lora-drop. ``profile`` and ``region`` are AWS's.
    Every error is a LoraDropError. Questions are asked again where the stack does not answer; what may cost
    money (train, retry, approve) never is: whether it was done after all is seen in ``jobs``.
    """

    def __init__(
        self, stack: str | None = None, *, profile: str | None = None, region: str | None = None
    ) -> None:
        self._named = (stack, profile, region)
        self._opening = Lock()
        self._opened: StackClient | None = None
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections to the stack, for good; another LoraDrop opens others."""
        with self._opening:
            self._closed = True
            if self._opened is not None:
                self._opened.close()

    @method_advice()
    def check(self, dataset: Dataset, *, faces: bool = True, **inputs: Unpack[Inputs]) -> Report:
        """Return the report of a dataset. It costs nothing, and a dataset of this machine stays on it.

        The stack is not asked: the trainer is the portrait trainer unless ``trainer`` names another. ``faces`` are
        looked for where lora-drop[faces] is installed; the report's ``faces_checked`` says whether they were. Raises
        CommandError for what cannot be read at all.
        """
        with self._here(dataset) as path:
            seen, asked = fingerprint(path), FaceCheck(wanted=faces)
            report = _report(path, inputs, application=DEFAULT.application, faces=asked)
        return CheckedDataset.of(report, dataset, inputs, seen)

    @method_advice()
    def train(
        self,
        dataset: Dataset | Report,
        *,
        reference: str | None = None,
        notify_url: str | None = None,
        force_retrain: bool = False,
        proof: bool | None = None,
        key: str | None = None,
        progress: Progress | None = None,
        faces: bool = True,
        **inputs: Unpack[Inputs],
    ) -> Job:
        """Upload a dataset and return the job that it becomes; the stack checks it and pays for it once.

        A report of ``check`` stands for its dataset and the inputs that it was checked with, where no others are given
        here; anything else, and what has changed since, is checked first. ``reference`` is the caller's own name for the job. ``notify_url`` gets the
        job's changes. ``force_retrain`` pays for what has a LoRA already. ``proof`` says whether a proof sheet is made
        with the LoRA, whose pictures are paid as well; None leaves it to the stack. ``key`` is the dataset's in the bucket;
        ``progress`` is called with the bytes sent and all bytes. ``faces`` as in ``check``, as far as the stack looks
        for them.

        Raises DatasetRejectedError before anything is sent. A CommandError of the upload says how to see whether it
        arrived: nothing is sent a second time, and the same dataset, sent again, is not paid for again.
        """
        if isinstance(dataset, Report) and not dataset.accepted:
            raise DatasetRejectedError(dataset)
        report: Report | None = None
        source, inputs = _subject(dataset, inputs)
        options = {
            REFERENCE: reference,
            NOTIFY_URL: notify_url,
            FORCE: force_retrain or None,
            PROOF: proof,
        }
        said = {name: value for name, value in options.items() if value is not None}
        with self._here(source) as path:
            stack = self._client.stack
            application, asked = stack.application, stack.faces.unless(no_faces=not faces)
            if isinstance(dataset, CheckedDataset) and dataset.is_of(path):
                report = dataset
            other = report is None or _trainer(inputs, application) != report.trainer
            if report is None or other or key or asked.one_person:
                report = _report(path, inputs, application=application, key=key, faces=asked)
            if not report.accepted:
                raise DatasetRejectedError(report)
            with _rejected_with_report(report):
                job_id = self._client.drop(
                    path,
                    key=key,
                    parameters={**given(inputs), **said},
                    progress=progress,
                    without=report.unused if path.is_dir() else (),
                )
        return Job.of(self._client, job_id)

    @method_advice()
    def job(self, job_id: str) -> Job:
        """Return the job of this id; raises JobNotFoundError."""
        return Job.of(self._client, job_id, self._client.job(job_id))

    def jobs(
        self,
        *,
        status: Status | None = None,
        reference: str | None = None,
        dataset: str | None = None,
    ) -> Iterator[Job]:
        """Yield the jobs, newest first, a page at a time as they are needed.

        ``dataset`` is a key in the datasets bucket, or a file's name.
        """
        cursor: str | None = None
        while True:
            with method_advice():
                page = self._client.jobs(
                    status=status, reference=reference, dataset=dataset, limit=PAGE, cursor=cursor
                )
            yield from (Job.of(self._client, each["job_id"], each) for each in page["jobs"])
            cursor = page["next"]
            if cursor is None:
                return

    @method_advice()
    def history(self, name: str, *, limit: int = PAGE) -> tuple[HistoryEntry, ...]:
        """Return the jobs of a dataset, newest first, each with what it has otherwise than the one before it.

        ``name`` is the dataset's key or its file's name, with or without .zip. Raises CommandError where there is
        no job of it, and where several datasets have this name.
        """
        found = dataset_history(self._client, name, limit)
        return tuple(
            HistoryEntry(Job.of(self._client, job["job_id"], job), changes)
            for job, changes in found
        )

    @method_advice()
    def compare(self, a: str, b: str) -> Comparison:
        """Return two jobs beside each other, by their ids; nothing is written.

        Raises JobNotFoundError, and CommandError for the same job twice and for a job without a LoRA.
        """
        return Comparison.of(self._client, a, b)

    @property
    def _client(self) -> StackClient:
        """The one client of all threads."""
        with self._opening:
            if self._closed:
                raise CommandError(CLOSED)
            if self._opened is None:
                name, profile, region = self._named
                self._opened = StackClient(find_stack(name, profile=profile, region=region))
            return self._opened

    @contextmanager
    def _here(self, dataset: Dataset) -> Iterator[Path]:
        """Yield the dataset on this machine for as long as the block lasts."""

        def stack() -> Stack:
            return self._client.stack

        with tempfile.TemporaryDirectory(prefix="lora-drop-") as folder:
            yield local_dataset(dataset, Path(folder), stack)


def _subject(dataset: Dataset | Report, inputs: Inputs) -> tuple[Dataset, Inputs]:
    """Return the dataset itself, and the inputs over those that it was checked with."""
    if not isinstance(dataset, Report):
        return dataset, inputs
    if not isinstance(dataset, CheckedDataset):
        raise CommandError(
            "This report does not say where its dataset is. Give the dataset, or the report of check."
        )
    source, checked_with = dataset.subject
    return source, {**checked_with, **inputs}


def _trainer(inputs: Inputs, application: str) -> str | None:
    """Return fal's name of the trainer that these inputs are for, None for one that is not known."""
    trainer = trainer_of(inputs.get("trainer") or application)
    return trainer.application if trainer else None


def _report(
    path: Path, inputs: Inputs, *, application: str, faces: FaceCheck, key: str | None = None
) -> Report:
    metadata = metadata_of(given(inputs))
    return check_dataset(path, metadata=metadata, key=key, application=application, faces=faces)


@contextmanager
def _rejected_with_report(report: Report) -> Iterator[None]:
    """Raise what the parameters are refused for as a rejected dataset, with its report."""
    try:
        yield
    except CommandError as error:
        rejected = error.__cause__
        if not isinstance(rejected, errors.DatasetRejectedError):
            raise
        problems = tuple(of_options(each) for each in rejected.problems)
        again = report.model_copy(update={"verdict": Verdict.REJECTED, "errors": problems})
        raise DatasetRejectedError(again) from error

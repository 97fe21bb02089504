"""A dataset's check: everything that can be known of it before a cent is paid, and what to mend."""

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic

from lora_drop.datasets.archives import (
    Member,
    MeteredReader,
    RangedReader,
    Structure,
    read_member,
    structure_of,
)
from lora_drop.datasets.clean_copy import Planned
from lora_drop.datasets.dataset import Dataset, size_problem
from lora_drop.datasets.evaluate import Evaluation, evaluate
from lora_drop.datasets.images.pictures import Pictures
from lora_drop.datasets.parameters import (
    CHECKPOINT,
    MAX_TRAINING_JSON,
    ResolvedParameters,
    advice,
    folder_advice,
    resolve,
)
from lora_drop.datasets.report import ParameterReport, Report, Verdict
from lora_drop.datasets.selection import select
from lora_drop.fal.prices import estimated_cost_usd
from lora_drop.fal.trainers.table import TRAINERS
from lora_drop.jobs.errors import DatasetRejectedError
from lora_drop.jobs.problems import Problem
from lora_drop.ports import Prices
from lora_drop.services.inspect import Inspector

# What a mistake in the check looks like. Trouble with S3 is none of these: it is tried again.
INTERNAL_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)


def internal_error(mistake: Exception) -> Problem:
    """Where the check broke, without a word of what the dataset holds."""
    trace = mistake.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}" if trace else "nowhere"
    return Problem(
        code="dataset_check_failed",
        message="The check itself broke on this dataset, which is our mistake, not yours "
        f"({type(mistake).__name__} in {where}). Please report it; a ZIP made anew may pass.",
    )


# The submitter lives five minutes, and what is good has to be mended and sent as well.
PATIENCE = 150.0  # seconds


@dataclass(frozen=True, slots=True)
class DatasetInput:
    """A dataset as somebody has dropped it: the file's name for people, its key, what came along.

    ``trigger_seed`` and ``application`` as in ``parameters.resolve``.
    """

    archive: RangedReader
    file: str
    key: str
    metadata: Mapping[str, str]
    trigger_seed: str
    application: str
    job_id: str | None = None


@dataclass(frozen=True, slots=True)
class ValidDataset:
    """A dataset that can be trained on; ``plan`` is the clean copy, empty where none is needed."""

    dataset: Dataset
    resolved: ResolvedParameters
    cost_usd: float | None
    structure: Structure
    plan: tuple[Planned, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """The report, and what to train with; None where the dataset is refused."""

    report: Report
    good: ValidDataset | None

    def refused(self, problems: Sequence[Problem]) -> "Checked":
        """The same for a dataset that had passed, and could not be mended after all."""
        report = self.report.model_copy(
            update={"verdict": Verdict.REJECTED, "errors": tuple(problems), "mended": False}
        )
        return Checked(report, None)


@dataclass(slots=True)
class _Notes:
    """What is known so far."""

    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    structure: Structure | None = None
    resolved: ResolvedParameters | None = None
    cost_usd: float | None = None
    judgement: Evaluation | None = None


@dataclass(frozen=True, slots=True)
class Checker:
    """Checks datasets. ``checkpoint`` raises DatasetRejectedError where there is no LoRA to go on from."""

    pictures: Pictures
    prices: Prices
    checkpoint: Callable[[ResolvedParameters], None]
    keep_metadata: bool = False
    patience: float = PATIENCE
    now: Callable[[], float] = monotonic

    def check(self, drop: DatasetInput) -> Checked:
        """The verdict on a dataset; it raises nothing but what its reader raises."""
        began, reader, notes = self.now(), MeteredReader(drop.archive), _Notes()
        try:
            self._through(drop, reader, notes, until=began + self.patience)
        except DatasetRejectedError as rejected:
            notes.errors += rejected.problems
        except INTERNAL_ERRORS as mistake:
            # The same dataset would fail the same way for ever.
            notes.errors.append(internal_error(mistake))
        report = _report(drop, notes).model_copy(
            update={
                "bytes_read": reader.bytes_read,
                "requests": reader.requests,
                "seconds": round(self.now() - began, 3),
            }
        )
        return Checked(report, None if report.errors else _good(notes))

    def _through(
        self, drop: DatasetInput, reader: MeteredReader, notes: _Notes, *, until: float
    ) -> None:
        structure = notes.structure = structure_of(reader)
        notes.warnings += structure.warnings
        selection = select(structure.members)
        notes.errors += selection.problems
        self._parameters(drop, reader, selection.training_json, notes)
        if problem := size_problem(selection.others):
            notes.errors.append(problem)
            return
        seen = Inspector(self.pictures, self.now, until).look(reader, structure, selection)
        values = notes.resolved.values if notes.resolved else None
        notes.judgement = evaluate(
            structure,
            selection,
            seen,
            trainer=TRAINERS[values.trainer] if values else None,
            values=values.values if values else {},
            keep_metadata=self.keep_metadata,
        )
        notes.errors += notes.judgement.errors
        notes.warnings += notes.judgement.warnings

    def _parameters(
        self, drop: DatasetInput, reader: RangedReader, file: Member | None, notes: _Notes
    ) -> None:
        try:
            resolved = notes.resolved = resolve(
                key=drop.key,
                training_json=read_member(reader, file, MAX_TRAINING_JSON) if file else None,
                metadata=drop.metadata,
                trigger_seed=drop.trigger_seed,
                application=drop.application,
            )
            price = self.prices.price(resolved.values.trainer)
            notes.cost_usd = estimated_cost_usd(
                resolved.values.trainer, resolved.values.steps, price
            )
            notes.warnings += advice(resolved, price)
            notes.warnings += () if resolved.preset else folder_advice(drop.key)
            self.checkpoint(resolved)
        except DatasetRejectedError as rejected:
            notes.errors += rejected.problems


def _good(notes: _Notes) -> ValidDataset | None:
    if notes.judgement is None or notes.resolved is None or notes.structure is None:
        return None
    judged = notes.judgement
    return ValidDataset(
        judged.dataset, notes.resolved, notes.cost_usd, notes.structure, judged.plan
    )


def _parameters(resolved: ResolvedParameters) -> Iterator[ParameterReport]:
    values = dict(resolved.values.values)
    if resolved.resume_from:
        values[CHECKPOINT] = resolved.resume_from  # the job, which stands apart from what fal gets
    for name, value in values.items():
        if name in resolved.sources:
            yield ParameterReport(name=name, value=value, source=resolved.sources[name])


def _report(drop: DatasetInput, notes: _Notes) -> Report:
    judged, resolved = notes.judgement, notes.resolved
    report = Report(
        file=drop.file,
        verdict=Verdict.REJECTED if notes.errors else Verdict.ACCEPTED,
        errors=tuple(notes.errors),
        warnings=tuple(notes.warnings),
        size=drop.archive.size,
        job_id=drop.job_id,
    )
    if judged is not None:
        report = report.model_copy(
            update={
                "images": len(judged.dataset.images),
                "photos": judged.photos,
                "changes": judged.changes,
                "mended": bool(judged.plan),
            }
        )
    if resolved is not None:
        report = report.model_copy(
            update={
                "trainer": resolved.values.trainer,
                "preset": resolved.preset,
                "parameters": tuple(_parameters(resolved)),
                "estimated_cost_usd": notes.cost_usd,
            }
        )
    return report

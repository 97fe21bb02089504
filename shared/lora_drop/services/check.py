"""A dataset's check: everything that can be known of it before a cent is paid, and what to mend."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from time import monotonic

from lora_drop.datasets.archives import (
    Member,
    MeteredReader,
    RangedReader,
    Structure,
    read_member,
    structure_of,
)
from lora_drop.datasets.auxiliary_images import leave_out
from lora_drop.datasets.clean_copy import Layout, Planned, layout_of
from lora_drop.datasets.dataset import Dataset, hopeless_problem, size_problem
from lora_drop.datasets.edits import Edits, selected
from lora_drop.datasets.evaluate import changes_made, image_reports, problems_of
from lora_drop.datasets.faces.face import FaceComparer
from lora_drop.datasets.faces.findings import (
    FaceFindings,
    findings_broken,
    findings_of,
    findings_unavailable,
    findings_without_time,
    shows_a_person,
)
from lora_drop.datasets.images.pictures import Pictures
from lora_drop.datasets.parameter_layers import metadata_advice
from lora_drop.datasets.parameters import (
    CHECKPOINT,
    MAX_TRAINING_JSON,
    ResolvedParameters,
    advice,
    folder_advice,
    resolve,
)
from lora_drop.datasets.report import ImageReport, ParameterReport, Report, ReportedChange, Verdict
from lora_drop.datasets.selection import InspectionResult
from lora_drop.datasets.trigger_phrase import is_made_up, with_trained_phrase
from lora_drop.fal.trainers.table import TRAINERS, estimated_cost_usd
from lora_drop.jobs.errors import DatasetRejectedError
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.time_limits import CHECK_PATIENCE
from lora_drop.ports import Prices
from lora_drop.services.inspect import Inspector
from lora_drop.services.internal_errors import INTERNAL_ERRORS, internal_error, place_of
from lora_drop.services.prepared import PreparedPhotos

PATIENCE = CHECK_PATIENCE.total_seconds()


@dataclass(frozen=True, slots=True)
class DatasetInput:
    """A dataset as it was dropped: the file's name for people, its key, its metadata.

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
    prepared: PreparedPhotos | None = None
    seconds: float = 0.0  # that the check took


@dataclass(frozen=True, slots=True)
class Checked:
    """The report, and what to train with; None where the dataset is refused."""

    report: Report
    good: ValidDataset | None

    def refused(self, problems: Sequence[Problem]) -> "Checked":
        """Return the same for a dataset that had passed, and could not be mended after all."""
        report = self.report.model_copy(
            update={"verdict": Verdict.REJECTED, "errors": tuple(problems), "mended": False}
        )
        return Checked(report, None)


@dataclass(slots=True)
class _CheckState:
    """What one check has found so far; it outlives the exception that ends the check early."""

    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    structure: Structure | None = None
    resolved: ResolvedParameters | None = None
    cost_usd: float | None = None
    layout: Layout | None = None
    prepared: PreparedPhotos | None = None
    photos: tuple[ImageReport, ...] = ()
    changes: tuple[ReportedChange, ...] = ()
    faces_checked: bool = False
    faces_broken: bool = False


@dataclass(frozen=True, slots=True)
class Checker:
    """Checks datasets. ``checkpoint`` returns why there is no LoRA to go on from, None where there is one.

    ``prepares``: a clean copy is made after the check, so photos are mended while they are decoded.
    ``refuse_misspelled_folder``: a folder that is nearly called like a preset is an error.
    ``faces``: compares the faces that ``pictures`` has found; without it nothing is said of whose they are.
    ``faces_unavailable``: they are to be looked for, and cannot be; the report says so.
    ``require_one_person``: photos of other people, or of no one, are errors. ``pictures_of_style`` look for no faces, and
    take the place of ``pictures`` where a training is not of a person, where there is no time to look for faces, and where
    looking for them broke; ``faces_failed`` is called with that mistake.
    ``threads``: as for Inspector.
    """

    pictures: Pictures
    prices: Prices
    checkpoint: Callable[[ResolvedParameters], Problem | None]
    keep_metadata: bool = False
    prepares: bool = False
    refuse_misspelled_folder: bool = False
    faces: FaceComparer | None = None
    faces_unavailable: bool = False
    require_one_person: bool = False
    pictures_of_style: Pictures | None = None
    faces_failed: Callable[[Exception], None] = lambda _: None
    threads: Callable[[], Executor] | None = None
    patience: float = PATIENCE
    now: Callable[[], float] = monotonic

    def check(self, dataset: DatasetInput) -> Checked:
        """Return the report on a dataset; it raises nothing but what the dataset's reader raises."""
        began, reader, state = self.now(), MeteredReader(dataset.archive), _CheckState()
        try:
            self._check_archive(dataset, reader, state, until=began + self.patience)
        except DatasetRejectedError as rejected:
            state.errors += rejected.problems
        except INTERNAL_ERRORS as mistake:
            # The same dataset would fail the same way for ever.
            state.errors.append(internal_error(mistake))
        report = _report(dataset, state).model_copy(
            update={
                "bytes_read": reader.bytes_read,
                "requests": reader.requests,
                "seconds": round(self.now() - began, 3),
            }
        )
        good = None if report.errors else _valid_dataset(state)
        return Checked(report, replace(good, seconds=report.seconds) if good else None)

    def _check_archive(
        self, dataset: DatasetInput, reader: MeteredReader, state: _CheckState, *, until: float
    ) -> None:
        structure = state.structure = structure_of(reader, hopeless=hopeless_problem)
        state.warnings += structure.warnings
        selection, edits = selected(reader, structure.members)
        state.errors += selection.problems
        self._check_parameters(dataset, reader, selection.training_json, state)
        if problem := size_problem(selection.others):
            state.errors.append(problem)
            return
        state.prepared = PreparedPhotos() if self.prepares else None
        pictures = self.pictures if _shows_a_person(state) else self.pictures_of_style
        inspector = Inspector(
            *(pictures or self.pictures, self.now, until, state.prepared, self.keep_metadata),
            without_faces=self.pictures_of_style,
            threads=self.threads,
        )
        inspection = inspector.inspect(reader, structure, selection)
        self._evaluate(inspection, edits, state, until=until)

    def _check_parameters(
        self, dataset: DatasetInput, reader: RangedReader, file: Member | None, state: _CheckState
    ) -> None:
        try:
            resolved = state.resolved = resolve(
                key=dataset.key,
                training_json=read_member(reader, file, MAX_TRAINING_JSON) if file else None,
                metadata=dataset.metadata,
                trigger_seed=dataset.trigger_seed,
                application=dataset.application,
            )
        except DatasetRejectedError as rejected:
            state.errors += rejected.problems
            return
        state.warnings += metadata_advice(dataset.metadata)
        price = self.prices.price(resolved.values.trainer)
        state.cost_usd = estimated_cost_usd(resolved.values.trainer, resolved.values.steps, price)
        state.warnings += advice(resolved, price)
        if not resolved.preset:
            refuse = self.refuse_misspelled_folder
            found = state.errors if refuse else state.warnings
            found += folder_advice(dataset.key, refuse=refuse)
        if problem := self.checkpoint(resolved):
            state.errors.append(problem)

    def _evaluate(
        self,
        inspection: InspectionResult,
        edits: Edits | None,
        state: _CheckState,
        *,
        until: float,
    ) -> None:
        parameters = state.resolved.values if state.resolved else None
        trainer = TRAINERS[parameters.trainer] if parameters else None
        values = parameters.values if parameters else {}
        leave_out(inspection, trainer)
        layout = layout_of(
            inspection, trainer=trainer, values=values, keep_metadata=self.keep_metadata
        )
        made = state.resolved is not None and is_made_up(state.resolved)
        faces = self._faces(inspection, layout, state, until=until)
        errors, warnings = problems_of(
            inspection, layout, trainer=trainer, values=values, made=made, faces=faces
        )
        if state.resolved:
            shown = [photo.member.name for photo in layout.photos]
            state.resolved = with_trained_phrase(state.resolved, layout.texts, shown)
        changes = changes_made(inspection, layout, edits=edits, keep_metadata=self.keep_metadata)
        state.photos = image_reports(inspection, layout, changes, warnings, faces)
        unasked = inspection.faces_left_out or self.faces_unavailable or state.faces_broken
        state.faces_checked = faces is not None and not unasked
        state.changes, state.layout = changes, layout
        state.errors += errors
        state.warnings += warnings

    def _faces(
        self, inspection: InspectionResult, layout: Layout, state: _CheckState, *, until: float
    ) -> FaceFindings | None:
        """Return what is known of the faces; None where they are not asked about."""
        if not _shows_a_person(state):
            return None
        if self.faces_unavailable:
            return findings_unavailable(
                len(layout.photos), require_one_person=self.require_one_person
            )
        if inspection.faces_broken:
            return self._without_faces(inspection.faces_broken, layout, state)
        if inspection.faces_left_out:
            return findings_without_time(
                len(layout.photos), require_one_person=self.require_one_person
            )
        try:
            return findings_of(
                [inspection.photos[photo.member.name] for photo in layout.photos],
                self.faces,
                seconds=until - self.now(),
                alike=layout.alike,
                require_one_person=self.require_one_person,
            )
        except Exception as mistake:  # noqa: BLE001  # onnxruntime's derive from it alone, and nothing else is asked there
            return self._without_faces(mistake, layout, state)

    def _without_faces(
        self, mistake: Exception, layout: Layout, state: _CheckState
    ) -> FaceFindings:
        """Return that our own mistake keeps anything from being known of the faces."""
        self.faces_failed(mistake)
        state.faces_broken = True
        return findings_broken(
            len(layout.photos), place_of(mistake), require_one_person=self.require_one_person
        )


def _shows_a_person(state: _CheckState) -> bool:
    """Return whether a person is trained; not where parameters are refused: it may be a style."""
    return state.resolved is not None and shows_a_person(state.resolved)


def _valid_dataset(state: _CheckState) -> ValidDataset | None:
    layout, resolved, structure = state.layout, state.resolved, state.structure
    if layout is None or resolved is None or structure is None:
        return None
    return ValidDataset(
        layout.dataset, resolved, state.cost_usd, structure, layout.plan, state.prepared
    )


def _parameters(resolved: ResolvedParameters) -> Iterator[ParameterReport]:
    values = dict(resolved.values.values)
    if resolved.resume_from:
        values[CHECKPOINT] = resolved.resume_from  # the job, which stands apart from what fal gets
    for name, value in values.items():
        if name in resolved.sources:
            yield ParameterReport(name=name, value=value, source=resolved.sources[name])


def _report(dataset: DatasetInput, state: _CheckState) -> Report:
    layout, resolved = state.layout, state.resolved
    return Report(
        file=dataset.file,
        verdict=Verdict.REJECTED if state.errors else Verdict.ACCEPTED,
        errors=tuple(state.errors),
        warnings=tuple(state.warnings),
        images=len(layout.dataset.images) if layout else 0,
        photos=state.photos,
        changes=state.changes,
        mended=bool(layout and layout.plan),
        size=dataset.archive.size,
        job_id=dataset.job_id,
        trainer=resolved.values.trainer if resolved else None,
        preset=resolved.preset if resolved else None,
        parameters=tuple(_parameters(resolved)) if resolved else (),
        estimated_cost_usd=state.cost_usd,
        faces_checked=state.faces_checked,
    )

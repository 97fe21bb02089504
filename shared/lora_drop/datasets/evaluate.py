"""What becomes of each file of a dataset and of the dataset as a whole, and what was changed, in words."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lora_drop.datasets.archives import Member, Structure
from lora_drop.datasets.captions import caption_warnings
from lora_drop.datasets.clean_copy import Layout, Planned, layout_of
from lora_drop.datasets.dataset import Dataset, count_problem, count_warning
from lora_drop.datasets.images import hints
from lora_drop.datasets.images.pictures import told
from lora_drop.datasets.report import ImageOutcome, ImageReport, ReportedChange
from lora_drop.datasets.selection import InspectionResult, Selection
from lora_drop.fal.trainers.demands import mask_warnings, stem, unmet_demands
from lora_drop.fal.trainers.fields import Value
from lora_drop.fal.trainers.trainer import TRIGGER_PHRASE, Trainer
from lora_drop.jobs.problems import Problem

# Said by an error as well, and better.
SAID_TWICE = {"caption_missing": "dataset_no_captions"}


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The verdict's parts; ``plan`` is empty where the archive is good as it is."""

    dataset: Dataset
    plan: tuple[Planned, ...]
    photos: tuple[ImageReport, ...]
    changes: tuple[ReportedChange, ...]
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def evaluate(
    structure: Structure,
    selection: Selection,
    seen: InspectionResult,
    *,
    trainer: Trainer | None,
    values: Mapping[str, Value],
    keep_metadata: bool,
) -> Evaluation:
    """Judge what was seen; without a ``trainer`` (its parameters are refused) as far as one can."""
    found = layout_of(
        structure, selection, seen, trainer=trainer, values=values, keep_metadata=keep_metadata
    )
    errors = tuple(_errors(seen, found, trainer, values))
    needless = {SAID_TWICE.get(error.code) for error in errors}
    warnings = tuple(
        each for each in _warnings(seen, found, trainer, values) if each.code not in needless
    )
    changes = changes_made(structure, selection, seen, found, keep_metadata=keep_metadata)
    return Evaluation(
        dataset=_dataset(selection, found),
        plan=found.plan,
        photos=tuple(
            _reported(member, seen, found, changes, warnings) for member in selection.others
        ),
        changes=changes,
        errors=errors,
        warnings=warnings,
    )


def _dataset(selection: Selection, found: Layout) -> Dataset:
    captions = {member.name: member for member in selection.captions}
    return Dataset(
        images=tuple(photo.member for photo in found.photos),
        captions={name: captions[found.pairs[name]] for name in found.texts},
        masks={found.owners[name]: photo.member for name, photo in found.masks.items()},
    )


def _warnings(
    seen: InspectionResult, found: Layout, trainer: Trainer | None, values: Mapping[str, Value]
) -> Iterator[Problem]:
    shown = [photo.member.name for photo in found.photos]
    own = {*shown, *found.twice}  # masks are looked at by nobody but a trainer
    photos = [photo for name, photo in seen.photos.items() if name in own]
    phrase = str(values.get(TRIGGER_PHRASE) or "") if trainer else None
    yield from seen.left_out.values()
    for photo in photos:
        yield from hints.hints_for(photo)
    yield from hints.hints_for_set(photos, found.twice)
    yield from caption_warnings(seen.captions, found.pairs, shown, trigger_phrase=phrase)
    if trainer is not None:
        sizes = {name: photo.header.upright for name, photo in seen.photos.items()}
        yield from mask_warnings(trainer, sizes, found.owners)
    if enough := count_warning(len(shown)):
        yield enough


def _errors(
    seen: InspectionResult, found: Layout, trainer: Trainer | None, values: Mapping[str, Value]
) -> Iterator[Problem]:
    yield from seen.refused.values()
    yield from seen.errors
    if few := count_problem(len(found.photos), masks=len(found.masks)):
        yield few
    elif trainer is not None:
        bare = [photo.member.name for photo in found.photos if photo.member.name not in found.texts]
        yield from unmet_demands(trainer, values, bare=bare)


def _reported(
    member: Member,
    seen: InspectionResult,
    found: Layout,
    changes: Sequence[ReportedChange],
    warnings: Sequence[Problem],
) -> ImageReport:
    name = member.name
    photo = seen.photos.get(name)
    width, height = photo.header.upright if photo else (None, None)
    own = tuple(change for change in changes if change.member == name)
    return ImageReport(
        member=name,
        fate=_fate(name, seen, found, own),
        name=found.names.get(name),
        format=photo.header.format if photo else None,
        width=width,
        height=height,
        size=member.size,
        caption=name in found.texts,
        caption_text=found.texts.get(name, ""),
        errors=(seen.refused[name],) if name in seen.refused else (),
        warnings=tuple(warning for warning in warnings if warning.member == name),
        changes=own,
        thumbnail=photo.look.thumbnail if photo else b"",
    )


def _fate(
    name: str, seen: InspectionResult, found: Layout, changes: Sequence[ReportedChange]
) -> ImageOutcome:
    if name in seen.refused:
        return ImageOutcome.REFUSED
    if name in found.names:
        touched = any(change.code != "dataset_flattened" for change in changes)
        return ImageOutcome.MENDED if touched else ImageOutcome.KEPT
    if name in seen.left_out or name in seen.photos:
        return ImageOutcome.DROPPED
    return ImageOutcome.REFUSED  # nobody got so far


type Said = tuple[str, str, str]


def changes_made(
    structure: Structure,
    selection: Selection,
    seen: InspectionResult,
    found: Layout,
    *,
    keep_metadata: bool,
) -> tuple[ReportedChange, ...]:
    """Everything that the clean copy has otherwise; nothing where there is no clean copy."""
    if not found.plan:
        return ()
    said = [
        *_photos(found),
        *_captions(seen, found),
        *_left_out(selection, seen, found),
        *_archive(structure, keep_metadata=keep_metadata),
    ]
    if not said:
        said = [
            ("dataset_repacked", "", "The ZIP was packed anew, so that every program reads it.")
        ]
    return tuple(
        ReportedChange(code=code, member=member, message=f"{member} {what}".strip())
        for code, member, what in said
    )


def _photos(found: Layout) -> Iterator[Said]:
    for photo in (*found.photos, *found.masks.values()):
        name = photo.member.name
        for change in photo.changes:
            yield change, name, told(change, photo.header)
        if found.names[name] != name:
            yield "dataset_flattened", name, f"is called {found.names[name]} now."


def _captions(seen: InspectionResult, found: Layout) -> Iterator[Said]:
    for photo, text in found.texts.items():
        caption = seen.captions[found.pairs[photo]]
        name, new = found.pairs[photo], f"{stem(found.names[photo])}.txt"
        if name != f"{stem(photo)}.txt":
            yield "caption_renamed", name, f"belongs to {photo} and is called {new} now."
        if caption.rewritten:
            yield "caption_encoding", name, "was in an old encoding and is UTF-8 now."
        if caption.text != text:
            yield "caption_trigger_filled", name, "has the trigger phrase where it said [trigger]."


def _left_out(selection: Selection, seen: InspectionResult, found: Layout) -> Iterator[Said]:
    for name, problem in seen.left_out.items():
        yield problem.code, name, "is left out."
    used = {found.pairs[photo] for photo in found.texts}
    for name in seen.captions:
        if name not in used:
            yield "caption_left_out", name, "is no used photo's caption, or empty; it is left out."
    for member in selection.junk:
        yield "dataset_junk_dropped", member.name, "is what a computer put there; it is left out."
    for name, first in found.twice.items():
        yield "image_exact_duplicate", name, f"is the same file as {first}, and is left out."


def _archive(structure: Structure, *, keep_metadata: bool) -> Iterator[Said]:
    if structure.told and not keep_metadata:
        yield (
            "archive_metadata_removed",
            "",
            "The ZIP told more than its files (times, owners, comments); that was removed.",
        )

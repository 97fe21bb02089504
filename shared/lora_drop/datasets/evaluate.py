"""What becomes of each file of a dataset and of the dataset as a whole, and what was changed, in words."""

from collections.abc import Iterator, Mapping, Sequence

from lora_drop.datasets.archives import Member, Structure
from lora_drop.datasets.captions import caption_warnings
from lora_drop.datasets.clean_copy import Layout
from lora_drop.datasets.dataset import count_problem, count_warning
from lora_drop.datasets.edits import Edits
from lora_drop.datasets.faces.findings import FaceFindings
from lora_drop.datasets.images import hints
from lora_drop.datasets.images.pictures import change_sentence
from lora_drop.datasets.report import ImageOutcome, ImageReport, ReportedChange
from lora_drop.datasets.selection import EDITS_JSON, InspectionResult
from lora_drop.datasets.trigger_phrase import phrase_warnings
from lora_drop.fal.trainers.demands import mask_warnings, stem, unmet_demands
from lora_drop.fal.trainers.fields import Value
from lora_drop.fal.trainers.trainer import TRIGGER_PHRASE, Trainer
from lora_drop.jobs.problems import MAX_NAME, Problem, shortened

ON_THE_PAGE = ", on the page of lora-drop ui"
# What says nothing about a photo's own bytes.
BESIDES = frozenset({"dataset_flattened", "caption_edited"})
# An error with the key as its code says the same as the warning, and better.
SAID_TWICE = {"caption_missing": "dataset_no_captions"}
type ChangeText = tuple[str, str, str]
"""A code, the file's name (empty: the archive), and the rest of a sentence that begins with the name."""


def problems_of(
    inspection: InspectionResult,
    layout: Layout,
    *,
    trainer: Trainer | None,
    values: Mapping[str, Value],
    made: bool = False,
    faces: FaceFindings | None = None,
) -> tuple[tuple[Problem, ...], tuple[Problem, ...]]:
    """Return the errors and the warnings about a dataset's files.

    Without a ``trainer`` (its parameters are refused) only what holds for every trainer is found.
    ``made``: lora-drop made the trigger phrase up. ``faces``: what is known of the faces, None where nothing is.
    """
    faces = faces or FaceFindings()
    errors = (*_errors(inspection, layout, trainer, values), *faces.errors)
    needless = {SAID_TWICE.get(error.code) for error in errors}
    warnings = (*_warnings(inspection, layout, trainer, values, made=made), *faces.warnings)
    return errors, tuple(each for each in warnings if each.code not in needless)


def image_reports(
    inspection: InspectionResult,
    layout: Layout,
    changes: Sequence[ReportedChange],
    warnings: Sequence[Problem],
    faces: FaceFindings | None = None,
) -> tuple[ImageReport, ...]:
    """Return a report on each file that may be a photo, in the order of the archive."""
    origins = {inspection.captions[name].origin for name in inspection.elsewhere.values()}
    return tuple(
        _with_faces(_image_report(member, inspection, layout, changes, warnings), faces)
        for member in inspection.selection.others
        if member.name not in origins
    )


def _warnings(
    inspection: InspectionResult,
    layout: Layout,
    trainer: Trainer | None,
    values: Mapping[str, Value],
    *,
    made: bool,
) -> Iterator[Problem]:
    shown = [photo.member.name for photo in layout.photos]
    own = {*shown, *layout.twice}  # a mask is for the trainer alone
    photos = [photo for name, photo in inspection.photos.items() if name in own]
    phrase = str(values.get(TRIGGER_PHRASE) or "") if trainer else None
    yield from inspection.left_out.values()
    for photo in photos:
        yield from hints.hints_for(photo)
    yield from hints.hints_for_set(photos, layout.twice, layout.alike)
    yield from caption_warnings(inspection.captions, layout.pairs, shown, trigger_phrase=phrase)
    if trainer is not None and trainer.makes_trigger:
        yield from phrase_warnings(phrase or "", layout.texts, shown, made=made)
    if trainer is not None:
        sizes = {name: photo.header.upright for name, photo in inspection.photos.items()}
        yield from mask_warnings(trainer, sizes, layout.owners)
    if enough := count_warning(len(shown)):
        yield enough


def _errors(
    inspection: InspectionResult,
    layout: Layout,
    trainer: Trainer | None,
    values: Mapping[str, Value],
) -> Iterator[Problem]:
    yield from inspection.refused.values()
    yield from inspection.errors
    for name in dict.fromkeys(layout.pairs.values()):
        if problem := inspection.captions[name].problem:
            yield problem
    if few := count_problem(len(layout.photos), masks=len(layout.masks)):
        yield few
    elif trainer is not None:
        bare = [
            photo.member.name for photo in layout.photos if photo.member.name not in layout.texts
        ]
        yield from unmet_demands(trainer, values, bare=bare)


def _image_report(
    member: Member,
    inspection: InspectionResult,
    layout: Layout,
    changes: Sequence[ReportedChange],
    warnings: Sequence[Problem],
) -> ImageReport:
    name = member.name
    photo = inspection.photos.get(name)
    width, height = photo.header.upright if photo else (None, None)
    own = tuple(change for change in changes if change.member == name)
    return ImageReport(
        member=name,
        fate=_outcome(name, inspection, layout, own),
        name=layout.names.get(name),
        format=photo.header.format if photo else None,
        width=width,
        height=height,
        size=member.size,
        caption=name in layout.texts,
        caption_text=layout.texts.get(name, ""),
        errors=(inspection.refused[name],) if name in inspection.refused else (),
        warnings=tuple(warning for warning in warnings if warning.member == name),
        changes=own,
        similar_to=layout.twice.get(name) or layout.alike.get(name),
        sha256=photo.digest if photo else None,
        thumbnail=photo.look.thumbnail if photo else b"",
    )


def _with_faces(report: ImageReport, faces: FaceFindings | None) -> ImageReport:
    """Return the report on a photo with its faces; it is refused where they are why the dataset is."""
    if faces is None or report.member not in faces.reports:
        return report
    update: dict[str, object] = {"faces": faces.reports[report.member]}
    if errors := faces.errors_of(report.member):
        update |= {"fate": ImageOutcome.REFUSED, "errors": (*report.errors, *errors)}
    return report.model_copy(update=update)


def _outcome(
    name: str, inspection: InspectionResult, layout: Layout, changes: Sequence[ReportedChange]
) -> ImageOutcome:
    if name in inspection.refused:
        return ImageOutcome.REFUSED
    if name in layout.names:
        touched = any(change.code not in BESIDES for change in changes)
        return ImageOutcome.MENDED if touched else ImageOutcome.KEPT
    if name in inspection.left_out or name in inspection.photos:
        return ImageOutcome.DROPPED
    return ImageOutcome.REFUSED  # the check ended before it


def changes_made(
    inspection: InspectionResult,
    layout: Layout,
    *,
    edits: Edits | None,
    keep_metadata: bool,
) -> tuple[ReportedChange, ...]:
    """Return everything that differs in the clean copy; nothing where there is no clean copy.

    ``edits`` were made before the dataset was packed.
    """
    if not layout.plan:
        return ()
    made = [
        *(_edits_changes(inspection, layout, edits) if edits else ()),
        *_photos_changes(layout),
        *_captions_changes(inspection, layout),
        *_left_out_changes(inspection, layout),
        *_archive_changes(inspection.structure, keep_metadata=keep_metadata),
    ]
    if not made:
        made = [
            ("dataset_repacked", "", "The ZIP was packed again, so that every program reads it.")
        ]
    return tuple(
        ReportedChange(code=code, member=member, message=f"{member} {what}".strip())
        for code, member, what in made
    )


def _edits_changes(
    inspection: InspectionResult, layout: Layout, edits: Edits
) -> Iterator[ChangeText]:
    """Yield what can be true of the edits: a photo that was left out is not there, an edited one is used."""
    file = inspection.selection.edits
    # A ZIP that was unpacked may have been packed again in a folder.
    folder = file.name.removesuffix(EDITS_JSON) if file else ""

    def as_edited(member: Member) -> str:
        return shortened(member.name.removeprefix(folder), MAX_NAME)

    there = set(map(as_edited, inspection.structure.members))
    for name in edits.rejected:
        if name not in there:
            yield "image_rejected", name, f"was left out by you{ON_THE_PAGE}."
    written = set(edits.captions)
    for photo in layout.photos:
        if as_edited(photo.member) in written:
            name = photo.member.name
            text = "a caption that you wrote or changed"
            if name not in layout.texts:
                text = "no caption any more: you emptied it"
            yield "caption_edited", name, f"has {text}{ON_THE_PAGE}."


def _photos_changes(layout: Layout) -> Iterator[ChangeText]:
    for photo in (*layout.photos, *layout.masks.values()):
        name = photo.member.name
        for change in photo.changes:
            yield change, name, change_sentence(change, photo.header)
        if layout.names[name] != name:
            yield "dataset_flattened", name, f"is called {layout.names[name]} now."


def _captions_changes(inspection: InspectionResult, layout: Layout) -> Iterator[ChangeText]:
    for photo, text in layout.texts.items():
        caption = inspection.captions[layout.pairs[photo]]
        name, new = layout.pairs[photo], f"{stem(layout.names[photo])}.txt"
        if caption.embedded:
            yield (
                "caption_collected",
                photo,
                f"has a caption in its own {caption.embedded} data: {new} has it now.",
            )
            continue
        if caption.origin:
            yield (
                "caption_collected",
                caption.origin,
                f"holds the caption of {photo}: {new} has it now.",
            )
            continue
        if name != f"{stem(photo)}.txt":
            yield "caption_renamed", name, f"belongs to {photo} and is called {new} now."
        if caption.soft_breaks:
            yield "caption_line_breaks", name, "has ordinary line breaks in place of soft ones."
        elif caption.rewritten:
            yield "caption_encoding", name, "was in an old encoding and is UTF-8 now."
        if caption.text != text:
            yield "caption_trigger_filled", name, "has the trigger phrase where it said [trigger]."


def _left_out_changes(inspection: InspectionResult, layout: Layout) -> Iterator[ChangeText]:
    for name, problem in inspection.left_out.items():
        yield problem.code, name, "is left out."
    used = {layout.pairs[photo] for photo in layout.texts}
    for name, caption in inspection.captions.items():
        if name not in used and not caption.origin:
            yield "caption_left_out", name, "is no used photo's caption, or empty; it is left out."
    for member in inspection.selection.junk:
        yield "dataset_junk_dropped", member.name, "is what a computer put there; it is left out."
    for name, first in layout.twice.items():
        yield "image_exact_duplicate", name, f"is the same file as {first}, and is left out."


def _archive_changes(structure: Structure, *, keep_metadata: bool) -> Iterator[ChangeText]:
    if structure.has_metadata and not keep_metadata:
        yield (
            "archive_metadata_removed",
            "",
            "The ZIP held more than its files (times, owners, comments); that was removed.",
        )

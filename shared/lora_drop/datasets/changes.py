"""What was changed about a dataset, in words: nothing is done to anybody's photos in silence."""

from collections.abc import Iterator

from lora_drop.datasets.archives import Structure
from lora_drop.datasets.images.mending import told
from lora_drop.datasets.inspection import InspectionResult
from lora_drop.datasets.layout import Layout
from lora_drop.datasets.report import ReportedChange
from lora_drop.datasets.selection import Selection
from lora_drop.fal.trainers.demands import stem

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

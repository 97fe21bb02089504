"""What becomes of each file of a dataset, and of the dataset as a whole."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from shared.domain.archives import Member
from shared.domain.captions import caption_warnings
from shared.domain.clean_copy import Photo, Planned, is_needed, names_for
from shared.domain.datasets import MIN_IMAGES, Dataset, count_problem, count_warning
from shared.domain.images import hints
from shared.domain.images.mending import changes_for, told
from shared.domain.problems import Problem
from shared.domain.report import ChangeMade, Fate, ImageReport
from shared.domain.seen import Seen
from shared.domain.selection import Selection
from shared.domain.trainers.demands import masks_in, stem, unmet_demands
from shared.domain.trainers.fields import Value
from shared.domain.trainers.trainer import TRIGGER_PHRASE, Trainer


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict's parts; ``plan`` is empty where the archive is good as it is."""

    dataset: Dataset
    plan: tuple[Planned, ...]
    photos: tuple[ImageReport, ...]
    changes: tuple[ChangeMade, ...]
    errors: tuple[Problem, ...]
    warnings: tuple[Problem, ...]


def judge(
    selection: Selection,
    seen: Seen,
    *,
    trainer: Trainer | None,
    values: Mapping[str, Value],
    keep_metadata: bool,
) -> Judgement:
    """Judge what was seen; without a ``trainer`` (its parameters are refused) as far as one can."""
    masks = masks_in(trainer, list(seen.photos)) if trainer else {}
    photos = [each for name, each in seen.photos.items() if name not in masks]
    twice = hints.exact_duplicates(photos)
    used = [
        _photo(member, seen.photos[member.name], keep_metadata=keep_metadata)
        for member in selection.others
        if member.name in seen.photos and member.name not in twice
    ]
    names = names_for(used, masks, (trainer and trainer.mask_suffix) or "")
    plan = _plan(selection, seen, used, names, twice)
    warnings = _warnings(seen, used, masks, values)
    changes = _changes(selection, seen, used, names if plan else {}, twice)
    captions = {stem(name) for name, caption in seen.captions.items() if caption.text.strip()}
    return Judgement(
        dataset=Dataset(tuple(photo.member for photo in used), selection.captions),
        plan=plan,
        photos=tuple(
            _reported(member, seen, twice, names, changes, warnings, captions)
            for member in selection.others
        ),
        changes=changes,
        errors=tuple(_errors(seen, used, trainer, values, captions)),
        warnings=warnings,
    )


def _photo(member: Member, seen: hints.Photo, *, keep_metadata: bool) -> Photo:
    changes = changes_for(
        seen.header, transparent=seen.look.transparent, keep_metadata=keep_metadata
    )
    return Photo(member, seen.header, changes)


def _warnings(
    seen: Seen, used: Sequence[Photo], masks: Mapping[str, str], values: Mapping[str, Value]
) -> tuple[Problem, ...]:
    photos = [photo for name, photo in seen.photos.items() if name not in masks]
    shown = [photo.member.name for photo in used if photo.member.name not in masks]
    phrase = values.get(TRIGGER_PHRASE)
    enough = count_warning(len(shown))
    return (
        *seen.left_out.values(),
        *(hint for photo in photos for hint in hints.hints_for(photo)),
        *hints.hints_for_set(photos),
        *caption_warnings(seen.captions, shown, trigger_phrase=str(phrase) if phrase else None),
        *((enough,) if enough else ()),
    )


def _errors(
    seen: Seen,
    used: Sequence[Photo],
    trainer: Trainer | None,
    values: Mapping[str, Value],
    captions: set[str],
) -> Iterator[Problem]:
    yield from seen.refused.values()
    yield from seen.errors
    few = count_problem(len(used))
    if few:
        yield few
    elif trainer is not None:
        yield from unmet_demands(
            trainer,
            values,
            images=[photo.member.name for photo in used],
            captions=[f"{name}.txt" for name in captions],
            min_images=MIN_IMAGES,
        )


def _plan(
    selection: Selection,
    seen: Seen,
    used: Sequence[Photo],
    names: Mapping[str, str],
    twice: Mapping[str, str],
) -> tuple[Planned, ...]:
    dropped = [
        each for each in selection.others if each.name in seen.left_out or each.name in twice
    ]
    if not is_needed(used, names, [*selection.junk, *dropped]) and not _rewritten(seen):
        return ()
    texts = {stem(name): caption.text for name, caption in seen.captions.items()}
    return tuple(
        Planned(names[photo.member.name], photo, texts.get(stem(photo.member.name)))
        for photo in used
    )


def _rewritten(seen: Seen) -> list[str]:
    return [name for name, caption in seen.captions.items() if caption.rewritten]


def _changes(
    selection: Selection,
    seen: Seen,
    used: Sequence[Photo],
    names: Mapping[str, str],
    twice: Mapping[str, str],
) -> tuple[ChangeMade, ...]:
    says: list[tuple[str, str, str]] = [
        (change, photo.member.name, told(change, photo.header))
        for photo in used
        for change in photo.changes
    ]
    says += [
        ("dataset_flattened", old, f"is called {new} now.")
        for old, new in names.items()
        if new != old
    ]
    says += [(problem.code, name, "is left out.") for name, problem in seen.left_out.items()]
    says += [
        ("caption_encoding", name, "was in an old encoding and is UTF-8 now.")
        for name in _rewritten(seen)
    ]
    says += [
        ("dataset_junk_dropped", each.name, "is what a computer put there; it is left out.")
        for each in selection.junk
    ]
    says += [
        ("image_exact_duplicate", name, f"is the same file as {first}, and is left out.")
        for name, first in twice.items()
    ]
    return tuple(
        ChangeMade(code=code, member=member, message=f"{member} {what}")
        for code, member, what in says
    )


def _reported(
    member: Member,
    seen: Seen,
    twice: Mapping[str, str],
    names: Mapping[str, str],
    changes: Sequence[ChangeMade],
    warnings: Sequence[Problem],
    captions: set[str],
) -> ImageReport:
    name = member.name
    photo = seen.photos.get(name)
    width, height = photo.header.upright if photo else (None, None)
    own = tuple(change for change in changes if change.member == name)
    return ImageReport(
        member=name,
        fate=_fate(name, seen, twice, own),
        name=names.get(name),
        format=photo.header.format if photo else None,
        width=width,
        height=height,
        size=member.size,
        caption=stem(name) in captions,
        errors=(seen.refused[name],) if name in seen.refused else (),
        warnings=tuple(warning for warning in warnings if warning.member == name),
        changes=own,
        thumbnail=photo.look.thumbnail if photo else b"",
    )


def _fate(name: str, seen: Seen, twice: Mapping[str, str], changes: Sequence[ChangeMade]) -> Fate:
    if name in seen.refused:
        return Fate.REFUSED
    if name in seen.left_out or name in twice:
        return Fate.DROPPED
    if name not in seen.photos:
        return Fate.REFUSED  # nobody got so far
    return Fate.MENDED if changes else Fate.KEPT

"""A check's report: its lines in a terminal."""

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

from lora_drop.client.proof_words import order_words
from lora_drop.datasets.images.formats import PHOTO_SUFFIXES
from lora_drop.datasets.problem_codes import MEANINGS
from lora_drop.datasets.report import Report, ReportedChange, Verdict
from lora_drop.datasets.reports.face_words import face_words, is_about_faces, is_of_others
from lora_drop.datasets.reports.markup import counted, dollars, visible
from lora_drop.datasets.reports.sections import Group, by_importance, groups_of
from lora_drop.datasets.selection import suffix_of
from lora_drop.datasets.trigger_phrase import UNTRAINED
from lora_drop.fal.trainers.parameters import ParameterSource
from lora_drop.fal.trainers.trainer import TRIGGER_PHRASE
from lora_drop.jobs.problems import Problem

SEVERAL = 2  # files of one code of which one sentence is said, where it is the same
FACE_LINES = 5  # before an upload
ABOUT_PHRASES = (UNTRAINED, "caption_trigger_unlike")
SHOWN = {"error": 10, "warning": 3}  # names of those in one line
TIMES = "\N{MULTIPLICATION SIGN}"
EMBEDDED_CAPTION = "caption taken from the photo's own data"
CHANGED: Mapping[str, str] = {  # where the code itself does not say it well
    "archive_metadata_removed": "hidden data of the ZIP removed",
    "caption_collected": "caption taken from a list",
    "caption_edited": "caption written by you",
    "caption_encoding": "caption in UTF-8",
    "caption_renamed": "caption renamed",
    "caption_left_out": "text of no photo left out",
    "dataset_flattened": "taken out of folders or renamed",
    "dataset_junk_dropped": "computer's own file left out",
    "dataset_other_file": "other file left out",
    "image_exact_duplicate": "duplicate left out",
    "image_flattened": "transparency filled",
    "image_metadata_removed": "hidden data of a photo removed",
    "image_mask_unused": "mask left out",
    "image_regularization_unused": "regularization photo left out",
    "image_rejected": "left out by you",
    "image_srgb": "colours in sRGB",
    "image_turned": "turned upright",
}


def findings(report: Report, *, all_of_them: str) -> Iterator[str]:
    """A line for each error and warning, those of one code together.

    ``all_of_them`` says what shows the names for which a line has no room.
    """
    for kind, problems in (("error", report.errors), ("warning", report.warnings)):
        yield from (f"{kind}: {line}" for line in problem_lines(problems, SHOWN[kind], all_of_them))


def problem_lines(problems: Iterable[Problem], shown: int, all_of_them: str) -> Iterator[str]:
    """These problems, with at most so many names in a line."""
    for group in by_importance(groups_of(problems)):
        if names_of(group) is None:
            yield from (visible(f"{case.message} ({group.code})") for case in group.cases)
            continue
        names = listed(group, shown, all_of_them)
        yield visible(f"{len(group.cases):,} files: {of_all(group)} ({names}) ({group.code})")


def names_of(group: Group) -> Sequence[str] | None:
    """The names of the files of which one sentence can be said; None where each needs its own."""
    names = [case.member for case in group.cases if case.member is not None]
    apart = len(names) < len(group.cases) or group.code not in MEANINGS
    alone = len(names) < SEVERAL or (len(names) == SEVERAL and not is_same(group))
    return None if apart or alone else names


def listed(group: Group, shown: int, all_of_them: str) -> str:
    """So many of the names, and how many more there are."""
    names = names_of(group) or ()
    # One more than is shown takes as much room as the word that there is one more.
    cut = shown if len(names) > shown + 1 else len(names)
    rest = f" and {len(names) - cut:,} more; {all_of_them}" if names[cut:] else ""
    return f"{', '.join(names[:cut])}{rest}"


def is_same(group: Group) -> bool:
    """Whether the same is said of each of its files."""
    return len({case.message.removeprefix(case.member or "") for case in group.cases}) == 1


def urgent_lines(warnings: Sequence[Problem], all_of_them: str) -> Iterator[str]:
    """What to read before a training is paid for: what is wrong with its trigger phrase, then with the faces."""
    phrases = [each for each in warnings if each.code in ABOUT_PHRASES]
    for line in problem_lines(phrases, SHOWN["warning"], all_of_them):
        yield f"warning: {line}"
    yield from _face_lines(warnings, all_of_them)


def _face_lines(warnings: Iterable[Problem], all_of_them: str) -> Iterator[str]:
    """What is wrong with the faces, in a few lines: first that there are others than the person."""
    found = [each for each in warnings if is_about_faces(each)]
    whose = [each for each in found if is_of_others(each)]
    rest = [each for each in found if not is_of_others(each)]
    lines = [
        line
        for part in (whose, rest)
        for line in problem_lines(part, SHOWN["warning"], all_of_them)
    ]
    yield from (f"warning: {line}" for line in lines[:FACE_LINES])
    if len(lines) > FACE_LINES:
        yield f"and {len(lines) - FACE_LINES:,} more about faces"


def summary(report: Report, *, proof: bool = False) -> str:
    """The verdict, how many images there are, and what comes of them; all of it in a line.

    ``proof``: a proof sheet is ordered with the training.
    """
    images = counted(report.images, "image") if report.images else "0 images"
    words = [report.verdict.value, images]
    if report.verdict is Verdict.REJECTED:
        return ", ".join(words) + found_instead(report)
    if report.estimated_cost_usd is not None:
        words.append(f"about {dollars(report.estimated_cost_usd)}")
    if proof and report.trainer:
        words.append(order_words(report.trainer))
    if faces := face_words(report):
        words.append(f"faces: {faces}")
    if trigger := trigger_of(report):
        words.append(trigger)
    if report.mended:
        words.append(f"a mended copy is trained on ({_changes(report.changes)})")
    return ", ".join(words)


def of_all(group: Group) -> str:
    """What all of them say of their files, or what their code means."""
    said = {case.message.removeprefix(case.member or "") for case in group.cases}
    if len(said) == 1 and (of_each := said.pop()).startswith(" "):
        return f"each{of_each}"
    return f"{group.heading}. {MEANINGS[group.code].do}"


def found_instead(report: Report) -> str:
    """What there is where there are no photos: “12 .cr3 files”."""
    if report.images:
        return ""
    suffixes = (suffix_of(photo.member) for photo in report.photos)
    kinds = Counter(suffix for suffix in suffixes if suffix not in PHOTO_SUFFIXES)
    found = [
        counted(number, f".{suffix} file") if suffix else f"{number} without an ending"
        for suffix, number in kinds.most_common(SHOWN["warning"])
    ]
    return visible(f" (found instead: {', '.join(found)})") if found else ""


def trigger_of(report: Report) -> str | None:
    """The trigger phrase that a training would have; None for none."""
    if any(each.code == UNTRAINED for each in report.warnings):
        return None
    for each in report.parameters:
        if each.name == TRIGGER_PHRASE:
            made = each.source is ParameterSource.GENERATED
            return f"trigger phrase {'made for the job' if made else f'“{each.value}”'}"
    return None


def _changes(changes: Sequence[ReportedChange]) -> str:
    words = changes_by_kind(changes)
    files = len({each.member or each.message for each in changes})
    return f"{counted(files, 'file')} changed: {', '.join(words)}"


def changes_by_kind(changes: Iterable[ReportedChange]) -> Iterator[str]:
    """How often what was changed, the most frequent first."""
    made = tuple(changes)
    converted = {change.member for change in made if change.code == "image_converted"}
    kinds = Counter(_words(each) for each in made if not _follows(each, converted))
    return (f"{number:,}{TIMES} {words}" for words, number in kinds.most_common())


def _follows(change: ReportedChange, converted: Container[str | None]) -> bool:
    """Whether it is the new name of a converted photo, in the same folder: that goes without saying."""
    member = change.member or ""
    return change.code == "dataset_flattened" and member in converted and "/" not in member


def _words(change: ReportedChange) -> str:
    code = change.code
    # Such a change names the photo where it held the caption itself, else the file that did.
    if code == "caption_collected" and suffix_of(change.member) in PHOTO_SUFFIXES:
        return EMBEDDED_CAPTION
    return CHANGED.get(code) or code.partition("_")[2].replace("_", " ")

"""What each file of an archive is for, by its name alone, and what its bytes say later."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from lora_drop.datasets.archives import Member, Structure, is_junk, path_of
from lora_drop.datasets.caption_text import Caption
from lora_drop.datasets.images.embedded_captions import EmbeddedCaption
from lora_drop.datasets.images.hints import Photo
from lora_drop.datasets.parameter_layers import MAX_TRAINING_JSON, TRAINING_JSON
from lora_drop.jobs.problems import Problem

# A photo's name with .txt is what fal's trainers read; kohya's tools write .caption.
CAPTIONS = frozenset({"txt", "caption"})
EDITS_JSON = "edits.json"
BACKUP = "_original"


@dataclass(frozen=True, slots=True)
class Selection:
    """The files of an archive, each in one place; ``others`` are photos if their bytes say so.

    ``edits`` is what may say what a person left out and wrote on the page.
    """

    others: tuple[Member, ...]
    captions: tuple[Member, ...]
    junk: tuple[Member, ...]
    training_json: Member | None
    edits: Member | None
    problems: tuple[Problem, ...]


def select(members: Sequence[Member], *, edited: bool = True) -> Selection:
    """Sort the files; ``problems`` says what is wrong with parameters in the wrong place.

    Unless ``edited``, a file that is called ``edits.json`` is one like any other.
    """
    names = {member.name for member in members}
    junk, rest = list[Member](), list[Member]()
    for member in members:
        (junk if is_junk(member.name) or _backup(member, names) else rest).append(member)
    root = _root(rest)
    used, misplaced, problems = _training_json(rest, root)
    edits = _edits(rest, root) if edited else None
    elsewhere = (used, edits, *misplaced)
    named = [member for member in rest if member not in elsewhere]
    return Selection(
        others=tuple(member for member in named if suffix_of(member.name) not in CAPTIONS),
        captions=tuple(member for member in named if suffix_of(member.name) in CAPTIONS),
        junk=tuple(junk),
        training_json=used,
        edits=edits,
        problems=tuple(problems),
    )


def _backup(member: Member, names: Collection[str]) -> bool:
    """Return whether this is what exiftool kept of a photo that lies beside it (exiftool.org, -overwrite_original)."""
    return member.name.endswith(BACKUP) and member.name.removesuffix(BACKUP) in names


def suffix_of(name: str) -> str:
    """Return the end of a file name behind its last dot, in lower case; empty for a name without one."""
    return name.rsplit(".", 1)[-1].lower() if "." in name.rsplit("/", 1)[-1] else ""


def _root(members: Sequence[Member]) -> str:
    """Return the one folder that holds everything, with a slash; empty where there is none such.

    The page puts ``edits.json`` beside such a folder.
    """
    paths = [path for member in members if (path := path_of(member.name)) != EDITS_JSON]
    tops = {path.partition("/")[0] for path in paths}
    flat = any("/" not in path for path in paths)
    return "" if flat or len(tops) != 1 else f"{tops.pop()}/"


def _edits(members: Sequence[Member], root: str) -> Member | None:
    paths = {path_of(member.name): member for member in members}
    return paths.get(EDITS_JSON) or paths.get(root + EDITS_JSON)


def _training_json(
    members: Sequence[Member], root: str
) -> tuple[Member | None, Sequence[Member], Sequence[Problem]]:
    """Return the file in the root; what is wrong with others.

    One that lies elsewhere is not passed over: its parameters would be missing, and billed.
    """
    paths = {path_of(member.name): member for member in members}
    used: Member | None = None
    misplaced, problems = [], []
    for path, member in paths.items():
        if path.lower() == root.lower() + TRAINING_JSON:
            used = member
            if member.size > MAX_TRAINING_JSON:
                problems.append(_too_long(member))
        elif path.lower().rsplit("/", 1)[-1] == TRAINING_JSON:
            misplaced.append(member)
            problems.append(_misplaced(member))
        elif path.lower().rsplit("/", 1)[-1] == f"{TRAINING_JSON}.txt":
            misplaced.append(member)
            problems.append(_misnamed(member))
    return used, misplaced, problems


def _too_long(member: Member) -> Problem:
    return Problem(
        code="parameter_file_too_large",
        message=f"{member.name} has {member.size} bytes; {MAX_TRAINING_JSON} are the most. It "
        'holds parameters alone, like {"steps": 1500}.',
        member=member.name,
    )


def _misnamed(member: Member) -> Problem:
    return Problem(
        code="parameter_file_misnamed",
        message=f"{member.name} would not be read: it has to be called {TRAINING_JSON}. Windows hides "
        "the ending .txt until file name extensions are shown. Rename it, or take it out.",
        member=member.name,
    )


def _misplaced(member: Member) -> Problem:
    return Problem(
        code="parameter_file_misplaced",
        message=f"{member.name} is not in the ZIP's root, so its parameters would not be used. "
        "Move it there, or take it out.",
        member=member.name,
    )


@dataclass(slots=True)
class InspectionResult:
    """The one value between the archive and its report: all that was found in it.

    ``structure`` and ``selection`` come from the directory alone, everything else from the files' bytes,
    by the files' names in the order in which they lie. ``refused`` and ``left_out`` are files that may be
    photos; ``errors`` are about captions or the dataset as a whole. ``raw_captions`` and ``sources`` are
    what captions and files of captions say, byte for byte; ``elsewhere`` has the caption of each photo that
    has none of its own, ``embedded`` what photos carry in their metadata. ``faces_left_out``: there was no
    time to look for faces in all of the photos.
    """

    structure: Structure
    selection: Selection
    photos: dict[str, Photo] = field(default_factory=dict)
    refused: dict[str, Problem] = field(default_factory=dict)
    captions: dict[str, Caption] = field(default_factory=dict)
    left_out: dict[str, Problem] = field(default_factory=dict)
    errors: list[Problem] = field(default_factory=list)
    raw_captions: dict[str, bytes] = field(default_factory=dict)
    sources: dict[str, bytes] = field(default_factory=dict)
    elsewhere: dict[str, str] = field(default_factory=dict)
    embedded: dict[str, EmbeddedCaption] = field(default_factory=dict)
    faces_left_out: bool = False
    faces_broken: Exception | None = None

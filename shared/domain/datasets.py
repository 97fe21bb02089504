"""What a dataset must be before a cent is paid for it."""

from dataclasses import dataclass

from shared.domain.archives import (
    Member,
    RangedReader,
    is_junk,
    members_of,
    path_of,
    read_member,
)
from shared.domain.errors import RejectedDataset
from shared.domain.parameters import MAX_TRAINING_JSON
from shared.domain.problems import Problem

MIN_IMAGES = 10  # fal: "Try to use at least 10 images"
# Each image is looked at, and a thousand looks end well before the function does. fal's own
# maximum (archive_file_count_exceeds_maximum) is not published.
MAX_IMAGES = 1000
IMAGE_SUFFIXES = frozenset({"jpg", "jpeg", "png", "webp"})
# Photos that fal's trainers do not name among their formats.
OTHER_IMAGE_SUFFIXES = frozenset(
    {"heic", "heif", "avif", "bmp", "gif", "tif", "tiff", "dng", "cr2", "nef", "arw", "jxl"}
)
TRAINING_JSON = "training.json"
MAX_IMAGE_BYTES = 200 * 1024**2


@dataclass(frozen=True, slots=True)
class Dataset:
    """What an archive holds for a trainer; ``training_json`` is the raw file, if there is one."""

    images: tuple[Member, ...]
    captions: tuple[Member, ...]
    training_json: bytes | None


def inspect(archive: RangedReader) -> Dataset:
    """The dataset in this archive; raises RejectedDataset with every problem that was found."""
    members = [member for member in members_of(archive) if not is_junk(member.name)]
    images = tuple(member for member in members if _suffix(member.name) in IMAGE_SUFFIXES)
    if len(images) > MAX_IMAGES:
        raise RejectedDataset([_too_many(len(images))])
    problems = [
        problem for member in members if (problem := _unreadable(archive, member)) is not None
    ]
    parameters, wrong = _training_json(members)
    problems += wrong
    if len(images) < MIN_IMAGES:
        problems.append(
            Problem(
                code="dataset_insufficient_images",
                message=f"The archive holds {_count(len(images))} in a format fal trains on; at "
                f"least {MIN_IMAGES} are needed, 20 to 50 are best. Add photos and drop it again.",
            )
        )
    if problems:
        raise RejectedDataset(problems)
    return Dataset(
        images=images,
        captions=tuple(member for member in members if _suffix(member.name) == "txt"),
        training_json=read_member(archive, parameters, MAX_TRAINING_JSON) if parameters else None,
    )


def _too_many(images: int) -> Problem:
    return Problem(
        code="dataset_too_many_images",
        message=f"The archive holds {images} images; {MAX_IMAGES} are the most, 20 to 50 are best. "
        "Choose the best ones and drop it again.",
    )


def _unreadable(archive: RangedReader, member: Member) -> Problem | None:
    """Why an image cannot be trained on; None for a good one and for every other kind of file."""
    suffix = _suffix(member.name)
    if suffix in OTHER_IMAGE_SUFFIXES:
        return Problem(
            code="image_unsupported_format",
            message=f"{member.name} is a {suffix.upper()} file. Convert it to JPEG or PNG.",
            member=member.name,
        )
    if suffix not in IMAGE_SUFFIXES:
        return None
    if member.size > MAX_IMAGE_BYTES:
        return Problem(
            code="image_too_large",
            message=f"{member.name} has {member.size} bytes. Make it smaller than 200 MiB.",
            member=member.name,
        )
    if _is_image(read_member(archive, member, 16)):
        return None
    return Problem(
        code="image_invalid_format",
        message=f"{member.name} is not a JPEG, PNG or WEBP image, whatever its name says. "
        "Open it in an image program and save it as JPEG.",
        member=member.name,
    )


def _is_image(head: bytes) -> bool:
    """By magic: JPEG (ITU T.81 B.1.1.3), PNG (RFC 2083 3.1), WEBP (RFC 9649 2.4)."""
    return (
        head.startswith((b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"))
        or (head[:4], head[8:12]) == (b"RIFF", b"WEBP")
    )  # fmt: skip


def _training_json(members: list[Member]) -> tuple[Member | None, list[Problem]]:
    """The file in the root, or in the one folder that holds everything; what is wrong with others.

    One that lies elsewhere is not passed over: its parameters would be missing, and billed.
    """
    paths = {path_of(member.name): member for member in members}
    tops = {path.partition("/")[0] for path in paths if "/" in path}
    flat = any("/" not in path for path in paths)
    root = "" if flat or len(tops) != 1 else f"{tops.pop()}/"
    used: Member | None = None
    problems = []
    for path, member in paths.items():
        if path.lower() == root.lower() + TRAINING_JSON:
            used = member
            if member.size > MAX_TRAINING_JSON:
                problems.append(_too_long(member))
        elif path.lower().endswith(f"/{TRAINING_JSON}") or path.lower() == TRAINING_JSON:
            problems.append(_misplaced(member))
    return used, problems


def _too_long(member: Member) -> Problem:
    return Problem(
        code="parameter_file_too_large",
        message=f"{member.name} has {member.size} bytes; {MAX_TRAINING_JSON} are the most. It "
        'holds parameters alone, like {"steps": 1500}.',
        member=member.name,
    )


def _misplaced(member: Member) -> Problem:
    return Problem(
        code="parameter_file_misplaced",
        message=f"{member.name} is not in the ZIP's root, so its parameters would not be used. "
        "Move it there, or take it out.",
        member=member.name,
    )


def _suffix(name: str) -> str:
    return name.rsplit(".", 1)[-1].lower() if "." in name.rsplit("/", 1)[-1] else ""


def _count(images: int) -> str:
    return "one image" if images == 1 else f"{images or 'no'} images"

"""The files of a dataset that is looked through: their names, what a ZIP holds, and what is packed once it was edited."""

import re
import zipfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lora_drop.adapters.local_files import open_range
from lora_drop.client.errors import CommandError
from lora_drop.datasets.archives import Content, Member, contents_of, is_junk, structure_of
from lora_drop.datasets.auxiliary_images import named_masks
from lora_drop.datasets.caption_text import MAX_CAPTION, read_captions
from lora_drop.datasets.captions import paired
from lora_drop.datasets.dataset import MAX_DATASET_BYTES
from lora_drop.datasets.edits import Edits
from lora_drop.datasets.images.formats import PHOTO_SUFFIXES
from lora_drop.datasets.selection import CAPTIONS, EDITS_JSON, Selection, select, suffix_of
from lora_drop.fal.trainers.demands import stem
from lora_drop.jobs.errors import DatasetRejectedError
from lora_drop.ui.draft_state import DraftFile, DraftState

MAX_SEGMENT = 255  # bytes, as file systems have it
DRIVE = re.compile(r"[A-Za-z]:/")
ZIP_MAGIC = b"PK"


def relative_name(name: str) -> str:
    """Return a file's path within what was dropped, with "/" between its parts; raises CommandError.

    What stands for a place outside (a drive, a slash at the beginning) is left away. A path that leads upwards, and
    a name that no file can have, is refused.
    """
    slashed = name.replace("\\", "/")
    plain = DRIVE.sub("", slashed, count=1) if DRIVE.match(slashed) else slashed
    parts = [part for part in plain.split("/") if part not in ("", ".")]
    if not parts:
        raise CommandError("A file without a name was dropped. Drop the folder or the ZIP again.")
    try:
        longest = max(len(part.encode()) for part in parts)
    except UnicodeEncodeError as error:
        raise CommandError(f"{name!a} is not UTF-8. Rename the file, and drop it again.") from error
    if ".." in parts or "\0" in plain:
        raise CommandError(
            f"{name!a} is no name of a file in a folder. Rename it, and drop it again."
        )
    if longest > MAX_SEGMENT:
        raise CommandError(
            f"The name {parts[-1][:60]}… has more than {MAX_SEGMENT} bytes. Rename the file, and drop it again."
        )
    return "/".join(parts)


def is_zip(files: Sequence[DraftFile], folder: Path) -> bool:
    """Return whether one ZIP was dropped and nothing else."""
    if len(files) != 1:
        return False
    with (folder / str(files[0].number)).open("rb") as file:
        return files[0].name.lower().endswith(".zip") or file.read(len(ZIP_MAGIC)) == ZIP_MAGIC


def unpack(archive: Path, folder: Path, first: int) -> tuple[list[DraftFile], bool]:
    """Unpack a ZIP into files with numbers from ``first`` on; whether everything in it could be unpacked.

    What is damaged or too large is left to the check, which says it. Junk is left out. Raises OSError.
    """
    files: list[DraftFile] = []
    whole, room = True, MAX_DATASET_BYTES
    try:
        with open_range(archive) as opened:
            for content in contents_of(opened, structure_of(opened)):
                member = content.member
                if is_junk(member.name):
                    continue
                number = first + len(files)
                if member.size <= room and _unpacked(content, folder / str(number)):
                    files.append(DraftFile(number=number, name=member.name, size=member.size))
                    room -= member.size
                else:
                    whole = False
    except DatasetRejectedError:
        whole = False
    return files, whole


def _unpacked(content: Content, target: Path) -> bool:
    """Write one file of a ZIP; False for a damaged one, which is not kept."""
    try:
        with target.open("wb") as file:
            file.writelines(content)
    except DatasetRejectedError:
        target.unlink()
        return False
    return True


def photos_of(state: DraftState) -> int:
    """Return how many files may be photos that are checked."""
    rejected = state.rejected
    return sum(
        suffix_of(file.name) in PHOTO_SUFFIXES and file.name not in rejected for file in state.files
    )


@dataclass(frozen=True, slots=True)
class Contents:
    """What an archive is packed of, by the names in it; ``masks`` go as well where they are grey."""

    files: Mapping[str, Path | bytes]
    masks: frozenset[str] = frozenset()


def contents(state: DraftState, folder: Path) -> Contents:
    """Return what the archive of a dataset is packed of, in order, as a person has edited it."""
    files: dict[str, Path | bytes] = {file.name: folder / str(file.number) for file in state.files}
    if not state.edited:
        return Contents(dict(sorted(files.items())))
    chosen = selection(state)
    photos = [member.name for member in chosen.others]
    captions = [member.name for member in chosen.captions]
    pairs = paired(captions, photos)
    # A computer's own files, and what exiftool has kept of a photo, would be photos without it.
    gone = state.rejected | {each.name for each in chosen.junk}
    gone |= _captions_gone(state, captions, pairs) | _beside(state, photos)
    files = {name: file for name, file in files.items() if name not in gone}
    for photo, text in state.captions.items():
        # Also a blank one: else a caption from elsewhere would take its place.
        if photo not in state.rejected:
            files[f"{stem(photo)}.txt"] = text.encode()
    kept = [photo for photo in photos if photo in files]
    while strays := _strays(state, files, kept, pairs):
        files = {name: file for name, file in files.items() if name not in strays}
    edits = Edits(rejected=tuple(sorted(state.rejected)), captions=tuple(sorted(state.captions)))
    files[EDITS_JSON] = edits.written()
    masks = frozenset(
        mask for photo in state.rejected for mask in named_masks(photo, photos) if mask in files
    )
    return Contents(dict(sorted(files.items())), masks)


def _strays(
    state: DraftState, others: Collection[str], photos: Sequence[str], pairs: Mapping[str, str]
) -> set[str]:
    """Return captions that were no photo's, and that an edit of one photo would make another one's.

    captions/ada.txt may be meant for each of two photos called ada.jpg, so it is neither's, until one has its own.
    """
    captions = [name for name in others if suffix_of(name) in CAPTIONS]
    now, known = paired(captions, photos), {*pairs.values()}
    return {
        caption
        for photo, caption in now.items()
        if photo not in state.captions and caption not in known
    }


def _captions_gone(
    state: DraftState, captions: Sequence[str], pairs: Mapping[str, str]
) -> set[str]:
    """Return the files of captions that were replaced, or whose photo was left out."""

    def of(photos: Collection[str]) -> set[str]:
        stems, own = {stem(photo) for photo in photos}, {pairs.get(photo) for photo in photos}
        return {name for name in captions if name in own or stem(name) in stems}

    # A caption of two photos stays with the one that stays.
    kept = {caption for photo, caption in pairs.items() if photo not in state.rejected}
    return of(state.captions) | (of(state.rejected) - kept)


def _beside(state: DraftState, photos: Sequence[str]) -> set[str]:
    """Return what lies beside photos that were left out, and is called like them: the raw photo, the clip."""
    stems = {
        stem(name).casefold() for name in state.rejected if suffix_of(name) in PHOTO_SUFFIXES
    } - {
        stem(name).casefold()
        for name in photos
        if name not in state.rejected and suffix_of(name) in PHOTO_SUFFIXES
    }
    return {
        name
        for name in photos
        if suffix_of(name) not in {"", *PHOTO_SUFFIXES} and stem(name).casefold() in stems
    }


def selection(state: DraftState) -> Selection:
    """Return what each file is for, by its name."""
    return select(
        [Member(file.name, zipfile.ZIP_STORED, 0, file.size, file.size) for file in state.files]
    )


def caption_of(state: DraftState, photo: str, folder: Path) -> str:
    """Return a photo's caption as it lies beside it; empty where there is none, or none that can be read."""
    chosen = selection(state)
    files = {file.name: file for file in state.files}
    pairs = paired([each.name for each in chosen.captions], [each.name for each in chosen.others])
    file = files.get(pairs.get(photo, ""))
    if file is None or file.size > MAX_CAPTION:
        return ""
    data = (folder / str(file.number)).read_bytes()
    return read_captions({file.name: data})[file.name].text

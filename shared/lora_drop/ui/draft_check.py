"""The check of a dataset that is looked through, as a process for pictures does it: the command's, with what it saw kept."""

import hashlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from lora_drop.adapters.local_files import open_range, sha256_of
from lora_drop.client.face_check import FaceCheck
from lora_drop.datasets.dataset import MAX_IMAGE_BYTES
from lora_drop.datasets.images.describe import describe
from lora_drop.datasets.images.header import Flaw, ImageHeader, InvalidImageError, check_size
from lora_drop.datasets.images.pictures import Change, ImageInspection, Mended, Pictures, Prepared
from lora_drop.datasets.images.reading import WholeImage
from lora_drop.datasets.parameters import NO_JOB_YET
from lora_drop.datasets.report import Report, Verdict
from lora_drop.jobs.errors import DatasetRejectedError, DatasetUnreadableError

if TYPE_CHECKING:
    from lora_drop.services.check import Checker


@dataclass(frozen=True, slots=True)
class CheckTask:
    """A dataset to be checked, as ``name`` and under ``key``.

    ``archive`` is the ZIP that is checked; it is packed first where ``files`` are given, by their names in it, in
    this order, without those of ``masks`` that are grey, as masks are. ``sha256`` is the archive's where it is known.
    ``looks`` is the folder of what was seen. ``folder``: a person dropped a folder, no ZIP. ``faces`` as for
    ``check_dataset``.
    """

    archive: Path
    looks: Path
    name: str
    key: str
    folder: bool
    metadata: Mapping[str, str]
    application: str
    faces: FaceCheck | None = None
    sha256: str | None = None
    files: Mapping[str, Path | bytes] | None = None
    masks: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Looking:
    """A photo is decoded next, or read from what was seen before; ``sha256`` of its bytes."""

    sha256: str


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What was found, without small pictures, and the SHA-256 of the archive; None where there is none to send."""

    report: Report
    sha256: str | None


@dataclass(frozen=True, slots=True)
class CheckProblem:
    """Why a dataset cannot be checked at all, in words with what to do."""

    problem: str


class KeptLooks:
    """Pictures whose looks are kept in a folder by the SHA-256 of their bytes, so that none is decoded twice.

    A look is kept without its small picture: the page makes its own. Changes of a picture are not kept. ``faces``:
    the pictures look for faces. What is kept of them is where they are, and the aligned pixels that are compared once
    in each check: a part of the photo, deleted with it, and no embedding.
    """

    def __init__(
        self,
        pictures: Pictures,
        folder: Path,
        say: Callable[[Looking], None],
        *,
        faces: bool = False,
    ) -> None:
        self._pictures = pictures
        self._folder = folder
        self._say = say
        self._faces = faces

    def look(self, data: bytes, header: ImageHeader) -> ImageInspection:
        """Return how an image looks, decoded now or before; raises InvalidImageError when it cannot be."""
        sha256 = hashlib.sha256(data).hexdigest()
        self._say(Looking(sha256))
        file = self._folder / f"{sha256}.json"
        if (kept := _kept(file)) is not None:
            look = kept.seen
            if not self._faces:
                return replace(look, faces=None)
            if kept.faces:
                return look
        try:
            look = replace(self._pictures.look(data, header), thumbnail=b"")
        except InvalidImageError as invalid:
            keep_refusal(file, invalid)
            raise
        _write(file, _Kept(look=look, faces=self._faces))
        return look

    def look_and_mend(
        self, data: bytes, header: ImageHeader, *, keep_metadata: bool
    ) -> tuple[ImageInspection, Prepared | None]:
        """Return the same as ``look``, and nothing mended."""
        del keep_metadata
        return self.look(data, header), None

    def mend(
        self,
        data: bytes,
        header: ImageHeader,
        changes: Collection[Change],
        *,
        lossless: bool = False,
    ) -> Mended:
        """Return the image with these changes made, as the pictures below make it."""
        return self._pictures.mend(data, header, changes, lossless=lossless)


class _Kept(BaseModel):
    """What is kept of a picture: how it looks, or why it cannot be decoded. ``faces`` were looked for in it."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    look: ImageInspection | None = None
    flaw: Flaw = Flaw.DAMAGED
    says: str = ""
    faces: bool = False  # an earlier version looked for none

    @property
    def seen(self) -> ImageInspection:
        """Return how it looks; raises InvalidImageError where it cannot be decoded."""
        if self.look is None:
            raise InvalidImageError(self.flaw, self.says)
        return self.look


def keep_refusal(file: Path, invalid: InvalidImageError) -> None:
    """Keep that a picture cannot be decoded, for every check that comes."""
    _write(file, _Kept(flaw=invalid.flaw, says=invalid.says))


def _kept(file: Path) -> _Kept | None:
    """Return what is known of a picture; None where nothing is."""
    try:
        return _Kept.model_validate_json(file.read_bytes())
    except (FileNotFoundError, ValidationError):  # of another version, or cut off by a crash
        return None


def _write(file: Path, kept: _Kept) -> None:
    temporary = file.with_suffix(".new")
    temporary.write_text(kept.model_dump_json(), encoding="utf-8")
    temporary.replace(file)


def run_check(task: CheckTask, say: Callable[[Looking], None]) -> CheckResult | CheckProblem:
    """Pack a dataset where it has to be, and check it as the command does; ``say`` is called before each photo."""
    # Pillow and the check take longer to load than a server takes to start.
    from lora_drop.client.check import local_checker, said_here  # noqa: PLC0415

    checker = local_checker(faces=task.faces)
    looks = KeptLooks(checker.pictures, task.looks, say, faces=checker.faces is not None)
    of_style = KeptLooks(checker.pictures_of_style or checker.pictures, task.looks, say)
    sha256 = None
    try:
        if task.files is not None:
            _pack(task, looks)
        sha256 = task.sha256 or sha256_of(task.archive)
        # One photo at a time, so that the one is known that ends the process.
        one_by_one = replace(checker, pictures=looks, pictures_of_style=of_style, threads=None)
        report = _report(task, one_by_one)
    except DatasetRejectedError as rejected:  # too much, so it is not packed
        errors = tuple(rejected.problems)
        report = Report(file=task.name, verdict=Verdict.REJECTED, errors=errors)
    except (OSError, DatasetUnreadableError) as error:
        return CheckProblem(f"The photos cannot be checked: {error}. Drop them again.")
    return CheckResult(_without_pictures(said_here(report, folder=task.folder)), sha256)


def _pack(task: CheckTask, looks: KeptLooks) -> None:
    """Write the archive, whole or not at all; raises DatasetRejectedError for more than a dataset may hold."""
    from lora_drop.client.archive import refuse_too_much, write_archive  # noqa: PLC0415  # as above

    files = {
        name: file
        for name, file in (task.files or {}).items()
        if not (name in task.masks and isinstance(file, Path) and _is_grey(file, looks))
    }
    refuse_too_much(
        {
            name: len(file) if isinstance(file, bytes) else file.stat().st_size
            for name, file in files.items()
        }
    )
    temporary = task.archive.with_suffix(".new")
    write_archive(files, temporary)
    temporary.replace(task.archive)


def _is_grey(file: Path, looks: KeptLooks) -> bool:
    if file.stat().st_size > MAX_IMAGE_BYTES:
        return False
    data = file.read_bytes()
    try:
        header = describe(WholeImage(data))
        check_size(header)
        return looks.look(data, header).grey
    except InvalidImageError:
        return False


def _report(task: CheckTask, checker: "Checker") -> Report:
    from lora_drop.services.check import DatasetInput  # noqa: PLC0415  # as above

    with open_range(task.archive) as file:
        drop = DatasetInput(
            archive=file,
            file=task.name,
            key=task.key,
            metadata=task.metadata,
            trigger_seed=NO_JOB_YET,
            application=task.application,
        )
        return checker.check(drop).report


def _without_pictures(report: Report) -> Report:
    """Return the report without small pictures: the page makes its own, and keeps them apart."""
    photos = tuple(photo.model_copy(update={"thumbnail": b""}) for photo in report.photos)
    return report.model_copy(update={"photos": photos})

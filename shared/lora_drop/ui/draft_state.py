"""A dataset that is looked through: what the page sees of it, and what lies on the disk.

::

    <id>/draft.json           everything that a person has done, and of which archive the newest check is
    <id>/report-<n>.json      what the check of revision n has found
    <id>/files/<number>       the files; their names stand in draft.json alone
    <id>/thumbnails/          small pictures, by the file's number
    <id>/looks/               how photos look, by the SHA-256 of their bytes
    <id>/dataset.zip          the archive that was packed for the newest check
    <id>/incoming/            what is being uploaded
    <id>/lock                 locked while it is changed; so are checking and ordering while that goes on
"""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import BaseModel, JsonValue

from lora_drop.client.errors import CommandError
from lora_drop.client.face_check import FaceCheck
from lora_drop.datasets.report import Report

FILES, THUMBNAILS, LOOKS, INCOMING = "files", "thumbnails", "looks", "incoming"


class UnknownDraftError(CommandError):
    """Raised when there is no dataset of this id, or it was discarded."""


@dataclass(frozen=True, slots=True)
class DraftFile:
    """One file; ``number`` names it in addresses, ``name`` is its path in what was dropped, ``size`` in bytes.

    The number 0 is of no file: what was dropped is hidden or a computer's own, and is left out.
    """

    number: int
    name: str
    size: int


@dataclass(frozen=True, slots=True)
class CheckProgress:
    """How many photos a check has looked at, of how many."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Order:
    """A training that a person has ordered; ``sent`` and ``total`` are bytes of the archive.

    ``problem`` says why it has not become a job, and what to do. ``backend`` is the name of where it was sent; None
    where an earlier version has sent it. ``proof`` says whether a proof sheet was ordered with it, None where nothing
    was said of one.
    """

    at: datetime
    sent: int
    total: int
    running: bool
    job_id: str | None
    problem: str | None
    backend: str | None = None
    proof: bool | None = None

    def elsewhere(self, backend: str) -> str | None:
        """Return what to do where it was sent over another backend than this one; None where it was not."""
        return sent_elsewhere(self.backend, backend)


@dataclass(frozen=True, slots=True)
class Draft:
    """A dataset as it is at one moment.

    ``name`` is that of the folder or the ZIP. ``complete``: all files are there. ``rejected`` are the photos that
    a person leaves out, ``captions`` what was written on the page, both by the photos' names. ``revision`` grows
    with each change of files, rejected, captions and parameters; ``report`` is the newest check that has ended,
    without small pictures, and ``report_revision`` what it is of. ``problem`` says why it cannot be checked.
    """

    id: str
    name: str
    created_at: datetime
    zipped: bool
    complete: bool
    files: tuple[DraftFile, ...]
    rejected: frozenset[str]
    captions: Mapping[str, str]
    parameters: Mapping[str, object]
    revision: int
    report: Report | None
    report_revision: int | None
    checking: CheckProgress | None
    problem: str | None
    order: Order | None

    @property
    def current(self) -> bool:
        """Whether the report is of what is shown."""
        return self.report_revision == self.revision and self.checking is None


class WrittenOrder(BaseModel):
    """What is written of an order before anything is sent."""

    at: datetime
    total: int
    job_id: str | None = None
    problem: str | None = None
    backend: str | None = None
    proof: bool | None = None


class DraftState(BaseModel):
    """``draft.json``. ``content`` grows with each change but those of parameters.

    ``archive`` is the number of the ZIP that was dropped, among the files; ``whole``: everything in it could be
    unpacked. ``application`` is fal's name of the trainer that this revision is checked for where it names none; None
    in a file of an earlier version; ``faces`` is what its check does about faces. ``packed`` says of which content the archive is that was checked last, and
    ``sha256`` is its own. ``found`` is the caption from elsewhere (metadata, another folder) that counts for a photo
    without what was written on the page; a photo that was never written for is not in it.
    """

    name: str
    created_at: datetime
    application: str | None = None
    faces: FaceCheck | None = None
    archive: int | None = None
    complete: bool = False
    whole: bool = True
    next_number: int = 1
    files: list[DraftFile] = []
    rejected: set[str] = set()
    captions: dict[str, str] = {}
    found: dict[str, str] = {}
    parameters: dict[str, JsonValue] = {}
    revision: int = 1
    content: int = 1
    packed: int | None = None
    sha256: str | None = None
    report_revision: int | None = None
    problem: str | None = None
    problem_revision: int | None = None
    order: WrittenOrder | None = None

    @property
    def edited(self) -> bool:
        """Whether a person has left photos out or written captions."""
        return bool(self.rejected or self.captions)

    @property
    def sent(self) -> str:
        """Where the archive lies that is checked and sent: the ZIP as it was dropped, or one that is packed."""
        as_dropped = self.archive is not None and not self.edited
        return f"{FILES}/{self.archive}" if as_dropped else "dataset.zip"

    @property
    def checked(self) -> bool:
        """Whether the newest check, or the reason why there is none, is of this revision."""
        return self.revision in (self.report_revision, self.problem_revision)

    def change(self, *, content: bool = True) -> None:
        """Count a change, which makes the newest check one of something else."""
        self.revision += 1
        self.content += content

    def file(self, number: int) -> DraftFile:
        """Return the file of this number; raises CommandError."""
        for file in self.files:
            if file.number == number:
                return file
        raise CommandError("There is no such file any more. Load the page again.")


def sent_elsewhere(sent_over: str | None, backend: str) -> str | None:
    """Return what to do with an order that was sent over another backend; None where it was sent over this one."""
    if sent_over in (None, backend):
        return None
    return (
        f"This was sent over {sent_over}, and may be paid there. Start lora-drop ui over that one: it goes on there. To "
        f"train over this one, {backend}, begin again with these photos."
    )


def write_durably(file: Path, content: bytes) -> None:
    """Write a file, whole or not at all, so that it is on the disk when this returns."""
    temporary = file.with_suffix(".new")
    with temporary.open("wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
    temporary.replace(file)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """Hold the lock of this file, against every thread and process; it is free when its holder ends in any way."""
    with file.open("ab") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield


def is_locked(file: Path) -> bool:
    """Return whether some thread or process holds the lock of this file."""
    try:
        with file.open("rb") as opened:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False

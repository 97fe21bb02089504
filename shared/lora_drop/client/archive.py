"""A dataset on this machine: a ZIP as it is, or a folder that becomes one."""

import io
import re
import tempfile
import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from lora_drop.client.errors import CommandError
from lora_drop.datasets.archives import Member, is_junk
from lora_drop.datasets.dataset import size_problem
from lora_drop.datasets.selection import select
from lora_drop.jobs.errors import DatasetRejectedError

WHEN = (1980, 1, 1, 0, 0, 0)  # the same photos make the same archive
SHOWN = 3  # names in a sentence


@dataclass(frozen=True, slots=True)
class Archive:
    """A ZIP file to drop, and the key it is dropped under unless another is asked for.

    ``links`` in a folder lead out of it, or nowhere, and are not followed.
    """

    path: Path
    key: str
    links: tuple[str, ...] = ()


@contextmanager
def archive_of(path: Path, *, without: Collection[str] = ()) -> Iterator[Archive]:
    """The dataset as a ZIP, for as long as the block lasts.

    A folder's has everything that a person has put there, but for the files ``without`` which it
    is to be made. Raises CommandError; DatasetRejectedError for a folder with more than a dataset may
    hold, which is refused before it is copied.
    """
    if path.is_file():
        yield Archive(path, key_of(path.name))
        return
    if not path.is_dir():
        raise CommandError(f"There is no file or folder {path}.")
    with tempfile.TemporaryDirectory(prefix="lora-drop-") as temporary:
        target = Path(temporary) / "dataset.zip"
        links = _pack(path, target, without)
        yield Archive(target, key_of(path.resolve().name), links)


def key_of(name: str) -> str:
    """Return the key that a ZIP or a folder of this name is dropped under unless another is asked for."""
    return f"{_plain(name[:-4] if name.lower().endswith('.zip') else name)}.zip"


def _pack(folder: Path, target: Path, without: Collection[str]) -> tuple[str, ...]:
    """The files of the folder and of those below it, in order; the links that lead out of it."""
    try:
        names = sorted(_names(folder))
        kept = [name for name in names if not is_junk(name)]
        links = tuple(name for name in kept if _leads_out(folder, name))
        files = {
            name: folder / name
            for name in kept
            if name not in links and name not in without and (folder / name).is_file()
        }
        if not files:
            raise CommandError(
                _nothing_in(folder, links, [each for each in names if is_junk(each)])
            )
        refuse_too_much({name: path.stat().st_size for name, path in files.items()})
        write_archive(files, target)
    except OSError as error:
        raise CommandError(f"{folder} cannot be packed: {error}.") from error
    except UnicodeEncodeError as error:
        raise CommandError(
            f"{folder} holds a file whose name is not UTF-8: {error.object!a}. Rename it."
        ) from error
    return links


def _names(folder: Path) -> Iterator[str]:
    """Every file by its path from the folder; a folder that cannot be read raises OSError."""

    def unreadable(error: OSError) -> None:
        raise error

    for parent, folders, files in folder.walk(on_error=unreadable):
        inside = parent.relative_to(folder)
        # Hidden files may be large, and are no photos.
        folders[:] = [name for name in folders if not is_junk((inside / name / "x").as_posix())]
        yield from ((inside / name).as_posix() for name in files)


def _leads_out(folder: Path, name: str) -> bool:
    """Whether this is a link to something elsewhere, or to nothing."""
    path = folder / name
    if not path.is_symlink():
        return False
    target = path.resolve()
    return not (target.exists() and target.is_relative_to(folder.resolve()))


def refuse_too_much(sizes: Mapping[str, int]) -> None:
    """Raise DatasetRejectedError where a ZIP of files of these sizes would be refused by its directory alone."""
    members = [Member(name, zipfile.ZIP_STORED, 0, size, size) for name, size in sizes.items()]
    if problem := size_problem(select(members).others):
        raise DatasetRejectedError([problem])


def write_archive(files: Mapping[str, Path | bytes], target: Path) -> None:
    """Write a ZIP of these files, in this order; the same files make the same bytes. Raises OSError."""
    with zipfile.ZipFile(target, "w") as archive:  # stored: photos do not shrink
        for name, file in files.items():
            entry = zipfile.ZipInfo(name, WHEN)
            entry.external_attr = 0o644 << 16
            entry.file_size = len(file) if isinstance(file, bytes) else file.stat().st_size
            opened = io.BytesIO(file) if isinstance(file, bytes) else file.open("rb")
            with opened as source, archive.open(entry, "w") as member:
                while chunk := source.read(1 << 20):
                    member.write(chunk)


def _nothing_in(folder: Path, links: Collection[str], junk: Collection[str]) -> str:
    found = [
        f"{what} ({', '.join([*names][:SHOWN])}{', …' if len(names) > SHOWN else ''})"
        for what, names in (
            ("links that lead out of it and are not followed", links),
            ("hidden files, or a computer's own", junk),
        )
        if names
    ]
    only = f", only {' and '.join(found)}" if found else ": it is empty"
    return f"{folder} holds no photos{only}. Name a folder with at least 10 of them."


def _plain(stem: str) -> str:
    """A key that reads well wherever it stands: S3 would take more."""
    return re.sub(r"[^\w.() -]+", "-", stem).strip(" .-") or "dataset"

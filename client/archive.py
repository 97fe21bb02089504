"""A dataset on this machine: a ZIP as it is, or a folder that becomes one."""

import re
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from client.errors import CommandFailed

KEPT = frozenset(
    {".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".avif", ".bmp", ".gif", ".tif", ".tiff"}
    | {".txt"}
)
TRAINING_JSON = "training.json"
WHEN = (1980, 1, 1, 0, 0, 0)  # the same photos make the same archive


@dataclass(frozen=True, slots=True)
class Archive:
    """A ZIP file to drop, and the key it is dropped under unless another is asked for."""

    path: Path
    key: str


@contextmanager
def archive_of(path: Path) -> Iterator[Archive]:
    """The dataset as a ZIP, for as long as the block lasts; raises CommandFailed."""
    if path.is_file():
        stem = path.name[:-4] if path.name.lower().endswith(".zip") else path.name
        yield Archive(path, f"{_plain(stem)}.zip")
        return
    if not path.is_dir():
        raise CommandFailed(f"There is no file or folder {path}.")
    with tempfile.TemporaryDirectory(prefix="lora-drop-") as temporary:
        target = Path(temporary) / "dataset.zip"
        _pack(path, target)
        yield Archive(target, f"{_plain(path.resolve().name)}.zip")


def _pack(folder: Path, target: Path) -> None:
    """Photos, captions and training.json of the folder and those below it, in order."""
    files = sorted(file for file in folder.rglob("*") if _is_part(file, folder))
    if not files:
        raise CommandFailed(f"{folder} holds no photos. Name a folder with at least 10 of them.")
    with zipfile.ZipFile(target, "w") as archive:  # stored: photos do not shrink
        for file in files:
            entry = zipfile.ZipInfo(file.relative_to(folder).as_posix(), WHEN)
            entry.external_attr = 0o644 << 16
            entry.file_size = file.stat().st_size
            with file.open("rb") as source, archive.open(entry, "w") as member:
                while chunk := source.read(1 << 20):
                    member.write(chunk)


def _is_part(file: Path, folder: Path) -> bool:
    inside = file.relative_to(folder)
    if any(part.startswith(".") or part == "__MACOSX" for part in inside.parts):
        return False
    return file.is_file() and (file.suffix.lower() in KEPT or inside.name == TRAINING_JSON)


def _plain(stem: str) -> str:
    """A key that reads well wherever it stands: S3 would take more."""
    return re.sub(r"[^\w.() -]+", "-", stem).strip(" .-") or "dataset"

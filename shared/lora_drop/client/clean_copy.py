"""The clean copy of a dataset on this machine: the ZIP that fal would get, or its files in a folder."""

import tempfile
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from lora_drop.client.errors import CommandError
from lora_drop.datasets.reports.markup import counted, visible

SHOWN = 3  # names in a sentence

type Agreed = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class CleanCopy:
    """Where the copy is to lie: a ZIP where the name ends in ``.zip``, else a folder.

    ``agreed`` answers whether files that are there already may be replaced.
    """

    target: Path
    agreed: Agreed

    @property
    def packed(self) -> bool:
        """Whether it is to be one ZIP."""
        return self.target.suffix.lower() == ".zip"

    def refuse_unusable(self, dataset: Path) -> None:
        """Raise CommandError before anything is checked where the copy could not lie there, or would hit the dataset."""
        here, source = self.target.resolve(), dataset.resolve()
        if here == source or source in here.parents or here in source.parents:
            raise CommandError(
                f"The copy cannot lie in the dataset itself, nor around it ({self.target}). Nothing was checked: "
                "name another place with --fix."
            )
        if self.target.exists() and self.target.is_dir() is self.packed:
            kind = "a folder" if self.packed else "a file"
            raise CommandError(
                f"{self.target} is {kind}. Nothing was checked: name another place with --fix."
            )

    def write(self, pieces: Iterable[bytes]) -> None:
        """Write the copy, whole or not at all; raises CommandError where a file there is not to be replaced."""
        try:
            self.target.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.target.parent, prefix=".lora-drop-") as made:
                copy = Path(made) / "copy.zip"
                with copy.open("wb") as file:
                    file.writelines(pieces)
                if self.packed:
                    self._replace({self.target: copy})
                else:
                    self._replace(_unpacked(copy, self.target))
        except OSError as unwritable:
            raise CommandError(f"The copy cannot be written: {unwritable}.") from unwritable

    def _replace(self, files: dict[Path, Path]) -> None:
        """Move each file to its place, once every one there may be replaced."""
        others = [] if self.packed else _others(self.target, files)
        if others:
            names = ", ".join(visible(each.name) for each in others[:SHOWN])
            more = ", …" if len(others) > SHOWN else ""
            raise CommandError(
                f"{self.target} has other files ({names}{more}), which would be trained on as well. Nothing was "
                "written: name an empty folder, or a new one, with --fix."
            )
        there = [each for each in files if each.exists()]
        if there and not self.agreed(f"Replace {counted(len(there), 'file')} in {self.target}?"):
            raise CommandError(
                f"{self.target} is there already, so nothing was written. Name another place with --fix, or "
                "replace it with --yes."
            )
        for target, source in files.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            source.replace(target)


def _unpacked(copy: Path, folder: Path) -> dict[Path, Path]:
    """The copy's files, unpacked beside it, by where they are to lie; a clean copy has plain names alone."""
    unpacked = copy.with_name("files")
    with zipfile.ZipFile(copy) as archive:
        archive.extractall(unpacked)
        return {folder / name: unpacked / name for name in archive.namelist()}


def _others(folder: Path, files: Iterable[Path]) -> list[Path]:
    """What lies in the folder and is none of these."""
    if not folder.is_dir():
        return []
    known = set(files)
    return sorted(path for path in folder.rglob("*") if path.is_file() and path not in known)

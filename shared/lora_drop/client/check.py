"""A dataset is checked on this machine, as the stack would check it, before anything is uploaded."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from lora_drop.adapters.local_files import open_range
from lora_drop.client.archive import archive_of
from lora_drop.client.errors import CommandError
from lora_drop.client.face_check import FaceCheck, local_faces
from lora_drop.client.parameters import of_options
from lora_drop.datasets.archives import RangedReader
from lora_drop.datasets.owner_metadata import DROPPING
from lora_drop.datasets.parameters import NO_JOB_YET, ResolvedParameters
from lora_drop.datasets.report import Report, Verdict
from lora_drop.datasets.reports.markup import counted, visible
from lora_drop.fal.trainers.table import DEFAULT
from lora_drop.fal.trainers.trainer import Price
from lora_drop.jobs.errors import DatasetRejectedError, DatasetUnreadableError
from lora_drop.jobs.problems import Problem
from lora_drop.services.check import Checked, Checker, DatasetInput, ValidDataset
from lora_drop.services.mend import Mender

NAMES_SHOWN = 3
# What problems say of a ZIP, and the same of a folder.
OF_FOLDER: Mapping[str, str] = {
    "The archive holds": "The folder holds",
    "the ZIP's root": "the folder itself",
    **dict.fromkeys(DROPPING, ""),
    ", and make the ZIP again": "",
    ", then make the ZIP again": "",
}

type Say = Callable[[str], None]
type Write = Callable[[Iterable[bytes]], None]


class NoPrices:
    """Prices without fal: those of the table of trainers stand."""

    def price(self, application: str) -> Price | None:  # noqa: ARG002  # of no trainer
        """None: fal's own price is not known here."""
        return None


def _silent(_: str) -> None:
    """Say nothing."""


def check_dataset(
    path: Path,
    *,
    metadata: Mapping[str, str] | None = None,
    key: str | None = None,
    application: str = DEFAULT.application,
    say: Say = _silent,
    copy: Write | None = None,
    faces: FaceCheck | None = None,
) -> Report:
    """The report on a ZIP, or on a folder as one; raises CommandError when it cannot be read.

    ``metadata`` and ``key`` are those that it would be dropped with, ``application`` the stack's
    trainer. ``say`` is called for links that are not followed. An earlier job that the training is to
    go on from is not looked for: only the stack knows it. ``copy`` is called with the clean copy, a ZIP in
    pieces, where the dataset needs one and is accepted. ``faces`` are looked for unless it says otherwise.
    """
    checker = local_checker(prepares=copy is not None, faces=faces)
    name = path.name or path.resolve().name
    try:
        with archive_of(path) as archive, open_range(archive.path) as file:
            if archive.links:
                say(_not_followed(path, archive.links))
            drop = DatasetInput(
                archive=file,
                file=name,
                key=key or archive.key,
                metadata=metadata or {},
                trigger_seed=NO_JOB_YET,
                application=application,
            )
            checked = checker.check(drop)
            if copy and checked.good and checked.good.plan:
                mender = Mender(checker.pictures, math.inf)
                checked = _copied(checked, checked.good, mender, file, copy)
            return said_here(checked.report, folder=path.is_dir())
    except DatasetRejectedError as rejected:
        report = Report(file=name, verdict=Verdict.REJECTED, errors=tuple(rejected.problems))
        return said_here(report, folder=path.is_dir())
    except (OSError, DatasetUnreadableError) as unreadable:
        raise CommandError(f"{path} cannot be read: {unreadable}.") from unreadable


def _copied(
    checked: Checked, good: ValidDataset, mender: Mender, file: RangedReader, copy: Write
) -> Checked:
    """Hand over the clean copy; what was checked, or refused where a photo could not be mended after all."""
    try:
        copy(mender.mended(file, good.structure, good.plan, good.prepared))
    except DatasetRejectedError as rejected:
        return checked.refused(rejected.problems)
    return checked


def local_checker(*, prepares: bool = False, faces: FaceCheck | None = None) -> Checker:
    """Return the check of this machine, which may be slow, and has the time; ``prepares`` as Checker has it.

    ``faces`` are looked for unless it says otherwise, where onnxruntime is installed.
    """
    # Pillow takes longer to load than any other command to run.
    from lora_drop.adapters.decoding_threads import DecodingThreads  # noqa: PLC0415
    from lora_drop.adapters.pillow import PillowPictures  # noqa: PLC0415

    asked = faces or FaceCheck()
    found = local_faces(asked)
    # How long the stack takes follows from the photos.
    return Checker(
        PillowPictures(found),
        NoPrices(),
        _any_checkpoint,
        faces=found,
        require_one_person=asked.one_person,
        pictures_of_style=PillowPictures(),
        prepares=prepares,
        threads=DecodingThreads,
        patience=math.inf,
    )


def said_here(report: Report, *, folder: bool) -> Report:
    """Return the report with what it says of a drop's metadata said of the options, and of a ZIP that was a folder of it."""
    errors = tuple(of_options(each) for each in report.errors)
    found = report.model_copy(update={"errors": errors})
    if not folder:
        return found
    of_folder = {
        kind: tuple(map(said_of_folder, problems))
        for kind, problems in (("errors", errors), ("warnings", report.warnings))
    }
    return found.model_copy(update=of_folder)


def said_of_folder(problem: Problem) -> Problem:
    """Return what is wrong with the ZIP that a folder has become, said of the folder."""
    message = problem.message
    for words, instead in OF_FOLDER.items():
        message = message.replace(words, instead)
    return problem.model_copy(update={"message": message})


def _not_followed(path: Path, links: Sequence[str]) -> str:
    names = ", ".join(links[:NAMES_SHOWN]) + (", …" if len(links) > NAMES_SHOWN else "")
    return (
        f"{path}: {counted(len(links), 'link')} out of the folder not followed ({visible(names)}). "
        "Copy the files themselves into it."
    )


def _any_checkpoint(_: ResolvedParameters) -> None:
    """Accept every checkpoint: only the stack knows whether it is there."""

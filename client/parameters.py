"""A drop's parameters, looked at by the stack's own rules before a byte is sent."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from client.errors import CommandFailed
from shared.domain.content import forced
from shared.domain.datasets import inspect
from shared.domain.errors import RejectedDataset
from shared.domain.parameters import ResolvedParameters, resolve

NO_JOB_YET = "0" * 10  # what a trigger phrase would be made from


@dataclass(frozen=True, slots=True)
class _LocalFile:
    """A RangedReader."""

    path: Path

    @property
    def size(self) -> int:
        return self.path.stat().st_size

    def read(self, offset: int, length: int) -> bytes:
        with self.path.open("rb") as file:
            file.seek(offset)
            return file.read(length)


def check_parameters(
    archive: Path, *, key: str, metadata: Mapping[str, str], application: str
) -> ResolvedParameters | None:
    """What a job of this archive would train with, but for a trigger phrase that is made for it.

    ``metadata`` is what is sent along, ``application`` the stack's trainer. Raises CommandFailed for
    what is wrong with ``metadata``. What is wrong with the archive is left to the stack, whose
    verdict lies beside the dataset then: None.
    """
    try:
        forced(metadata)
        training_json = _training_json(archive)
        return resolve(
            key=key,
            training_json=training_json,
            metadata=metadata,
            trigger_seed=NO_JOB_YET,
            application=application,
        )
    except RejectedDataset as rejected:
        said_here = [problem.message for problem in rejected.problems if problem.member is None]
        if said_here:
            raise CommandFailed("\n".join(("Nothing was uploaded.", *said_here))) from rejected
        return None


def _training_json(archive: Path) -> bytes | None:
    """The parameters in the archive; none of them where the archive is refused as it is."""
    try:
        return inspect(_LocalFile(archive)).training_json
    except RejectedDataset:
        return None

"""What a person left out and wrote on the page of ``lora-drop ui``, as the file ``edits.json`` of the ZIP.

It is for the report alone: fal never gets it, and a training with it is the same as without.
"""

from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from lora_drop.datasets.archives import Member, RangedReader, read_member
from lora_drop.datasets.dataset import MAX_IMAGES
from lora_drop.datasets.selection import Selection, select
from lora_drop.jobs.errors import DatasetRejectedError
from lora_drop.jobs.problems import MAX_NAME, shortened

MAX_EDITS = 256 * 1024  # bytes


def _bounded(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names as a report has them, each once, and no more than there can be photos."""
    return tuple(dict.fromkeys(shortened(name, MAX_NAME) for name in names))[:MAX_IMAGES]


type Names = Annotated[tuple[str, ...], AfterValidator(_bounded)]


class Edits(BaseModel):
    """The photos that were left out, and those whose caption was written or changed, by their names in the ZIP.

    Of more than 1,000 names the first ones are kept; a name has at most 200 characters.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rejected: Names
    captions: Names

    def written(self) -> bytes:
        """Return the file, of at most 256 KiB; the last names are not in it where there is no room for all."""
        data = self.model_dump_json().encode()
        if len(data) <= MAX_EDITS:
            return data
        rejected, captions = (each[: len(each) // 2] for each in (self.rejected, self.captions))
        return Edits(rejected=rejected, captions=captions).written()


def read_edits(data: bytes) -> Edits | None:
    """Return what such a file says; None for any other file, which may only be called like it."""
    try:
        return Edits.model_validate_json(data) if len(data) <= MAX_EDITS else None
    except ValidationError:
        return None


def selected(archive: RangedReader, members: Sequence[Member]) -> tuple[Selection, Edits | None]:
    """Sort the files as ``select`` does, and return the edits; another file of their name is one like any other."""
    selection = select(members)
    if selection.edits is None:
        return selection, None
    edits = _edits(archive, selection.edits)
    return (selection if edits else select(members, edited=False)), edits


def _edits(archive: RangedReader, file: Member) -> Edits | None:
    if file.size > MAX_EDITS:
        return None
    try:
        return read_edits(read_member(archive, file, MAX_EDITS))
    except DatasetRejectedError:
        # Raised again by the pass through all files, with everything else that is damaged.
        return None

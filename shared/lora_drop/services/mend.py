"""The clean copy of a dataset: what a trainer gets in place of what was dropped."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import monotonic

from lora_drop.datasets.archives import RangedReader, Structure, contents_of
from lora_drop.datasets.archives.records import ArchiveTooLargeError, zip_of
from lora_drop.datasets.clean_copy import Photo, Planned
from lora_drop.datasets.dataset import too_large_mended, took_too_long
from lora_drop.datasets.images.header import InvalidImageError
from lora_drop.datasets.images.pictures import Pictures
from lora_drop.jobs.errors import DatasetRejectedError
from lora_drop.jobs.time_limits import MEND_PATIENCE
from lora_drop.services.prepared import PreparedPhotos

PATIENCE = MEND_PATIENCE.total_seconds()


@dataclass(frozen=True, slots=True)
class Mender:
    """Makes clean copies; the same dataset makes the same bytes."""

    pictures: Pictures
    patience: float = PATIENCE
    now: Callable[[], float] = monotonic

    def mended(
        self,
        archive: RangedReader,
        structure: Structure,
        plan: Sequence[Planned],
        prepared: PreparedPhotos | None = None,
        *,
        spent: float = 0.0,
    ) -> Iterator[bytes]:
        """Yield the copy, a ZIP, in pieces; never more than one photo is in memory.

        Raises DatasetRejectedError, on the way as well, when the archive is not what was checked, when a
        photo that could be looked at cannot be mended, or when it takes longer than ``patience``, of which
        the check has ``spent`` some seconds.
        """
        try:
            until = self.now() + self.patience - spent
            files = self._files(archive, structure, plan, prepared or PreparedPhotos(), until)
            yield from zip_of(files)
        except ArchiveTooLargeError as large:
            raise DatasetRejectedError([too_large_mended()]) from large

    def _files(
        self,
        archive: RangedReader,
        structure: Structure,
        plan: Sequence[Planned],
        prepared: PreparedPhotos,
        until: float,
    ) -> Iterator[tuple[str, bytes]]:
        planned = {each.photo.member.name: each for each in plan}
        made = 0
        for content in contents_of(archive, structure):
            if content.member.name not in planned:
                continue
            if self.now() > until:
                raise DatasetRejectedError([took_too_long(made, len(plan))])
            made += 1
            each = planned[content.member.name]
            data = content.read()  # all of it, so that its checksum is compared
            mended = prepared.take(content.member.name, each.photo.changes)
            if mended is None or each.photo.lossless:
                mended = self._photo(data, each.photo)
            yield each.name, mended
            if each.caption is not None:
                yield each.caption_name, each.caption.encode()

    def _photo(self, data: bytes, photo: Photo) -> bytes:
        if not photo.changes:
            return data
        try:
            return self.pictures.mend(
                data, photo.header, photo.changes, lossless=photo.lossless
            ).data
        except InvalidImageError as invalid:
            raise DatasetRejectedError([invalid.problem(photo.member.name)]) from invalid

"""Photos that were mended while the check had them decoded, until the clean copy is made."""

import tempfile
from collections.abc import Sequence
from contextlib import suppress
from weakref import finalize

from lora_drop.datasets.images.pictures import Change, Prepared

# Bytes of all of them, below the EphemeralStorage of the submitter.
MOST = 1900 * 1024**2


class PreparedPhotos:
    """Mended photos by the name in the archive; what finds no room is decoded a second time.

    They lie in a temporary file without a name: it is gone with this object, and with the process,
    however that ends.
    """

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._end = 0
        self._file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  # closed with this object
        finalize(self, self._file.close)
        self._photos: dict[str, tuple[int, int, tuple[Change, ...]]] = {}

    def put(self, name: str, photo: Prepared) -> None:
        """Keep a photo, where there is room."""
        size = len(photo.data)
        if self._end + size > self._most:
            return
        with suppress(OSError):  # the disk is full
            self._file.seek(self._end)
            if self._file.write(photo.data) == size:
                self._photos[name] = (self._end, size, photo.changes)
                self._end += size

    def take(self, name: str, changes: Sequence[Change]) -> bytes | None:
        """Return the photo with exactly these changes, once; None where it is not here."""
        offset, size, made = self._photos.pop(name, (0, 0, None))
        if made != tuple(changes):
            return None
        self._file.seek(offset)
        return self._file.read(size)

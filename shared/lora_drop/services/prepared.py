"""Photos that were mended while the check had them decoded, until the clean copy is made."""

from collections.abc import Sequence

from lora_drop.datasets.images.pictures import Change, Prepared

# Bytes of all of them: beside these and the largest picture a function has memory left.
MOST = 384 * 1024**2


class PreparedPhotos:
    """Mended photos by the name in the archive; what finds no room is decoded a second time."""

    def __init__(self, most: int = MOST) -> None:
        self._left = most
        self._photos: dict[str, Prepared] = {}

    def put(self, name: str, photo: Prepared) -> None:
        """Keep a photo, where there is room."""
        if len(photo.data) <= self._left:
            self._left -= len(photo.data)
            self._photos[name] = photo

    def take(self, name: str, changes: Sequence[Change]) -> bytes | None:
        """Return the photo with exactly these changes, once; None where it is not here."""
        photo = self._photos.pop(name, None)
        return photo.data if photo is not None and photo.changes == tuple(changes) else None

"""Whether the picture of a proof sheet is one, and of the size that was ordered, judged from its bytes."""

from lora_drop.datasets.images.describe import describe
from lora_drop.datasets.images.formats import ImageFormat
from lora_drop.datasets.images.header import InvalidImageError
from lora_drop.datasets.images.reading import WholeImage
from lora_drop.jobs.artifacts import Artifact, is_picture
from lora_drop.jobs.errors import ResultInvalidError
from lora_drop.jobs.proof import PictureOrder
from lora_drop.results import validation
from lora_drop.results.validation import Check

# A PNG of a megapixel has 4 MB at most; what is larger is none that was asked for.
MAX_PICTURE = 32 * 1024**2
TOO_LARGE, OTHER_FORMAT, OTHER_SIZE, CUT = (
    "picture_too_large",
    "picture_other_format",
    "picture_other_size",
    "picture_cut",
)
# What a whole file ends with (ITU T.81, B.1.1.3; ISO 15948, 11.2.5: length, name and checksum of the last chunk).
ENDS = {ImageFormat.JPEG: b"\xff\xd9", ImageFormat.PNG: b"IEND\xaeB`\x82"}
# Pixels of a side. FLUX makes sides of whole blocks of 16 pixels, so an endpoint may round what was ordered.
ROUNDED = 32
TAIL = 64  # bytes that may follow the end


class PictureCheck(Check):
    """A JPEG or PNG, whole, of the size that was ordered, and of the one that fal says where it says one."""

    def __init__(self, artifact: Artifact, size: int | None, order: PictureOrder | None) -> None:
        super().__init__(size)
        self._artifact, self._order = artifact, order

    def _wanted(self) -> int:
        most = MAX_PICTURE + 1  # one more than that is all it takes to know
        return most if self._size is None else min(most, self._size)

    def _judge(self, size: int) -> None:
        if size > MAX_PICTURE:
            raise ResultInvalidError(TOO_LARGE, f"It has {size:,} bytes.")
        try:
            header = describe(WholeImage(bytes(self._seen)))
        except InvalidImageError as error:
            raise ResultInvalidError(error.flaw, str(error)) from error
        if header.format not in ENDS:
            raise ResultInvalidError(OTHER_FORMAT, f"It is {header.format.label}.")
        if ENDS[header.format] not in self._seen[-TAIL:]:
            raise ResultInvalidError(CUT, "It ends too early.")
        self._judge_sides(header.width, header.height)

    def _judge_sides(self, width: int, height: int) -> None:
        found, said = f"It has {width} by {height} pixels, and ", self._artifact
        if None not in (said.width, said.height) and (width, height) != (said.width, said.height):
            message = f"{found}fal says {said.width} by {said.height}."
            raise ResultInvalidError(OTHER_SIZE, message)
        order = self._order
        if order and max(abs(width - order.width), abs(height - order.height)) > ROUNDED:
            message = f"{found}{order.width} by {order.height} were ordered."
            raise ResultInvalidError(OTHER_SIZE, message)


def check_for(artifact: Artifact, size: int | None, order: PictureOrder | None = None) -> Check:
    """Return the check that a result file of this name and kind has to pass; ``order`` is what a picture is made of."""
    if is_picture(artifact):
        return PictureCheck(artifact, size, order)
    return validation.check_for(artifact, size)

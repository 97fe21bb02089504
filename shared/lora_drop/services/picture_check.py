"""Whether the picture of a proof sheet is one, and of the size that fal says, judged from its bytes."""

from lora_drop.datasets.images.describe import describe
from lora_drop.datasets.images.formats import ImageFormat
from lora_drop.datasets.images.header import InvalidImageError
from lora_drop.datasets.images.reading import WholeImage
from lora_drop.jobs.artifacts import Artifact, is_picture
from lora_drop.jobs.errors import ResultInvalidError
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
TAIL = 64  # bytes that may follow the end


class PictureCheck(Check):
    """A JPEG or PNG, whole, of the width and height that fal says where it says them."""

    def __init__(self, artifact: Artifact, size: int | None) -> None:
        super().__init__(size)
        self._artifact = artifact

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
        found, said = (header.width, header.height), (self._artifact.width, self._artifact.height)
        if None not in said and found != said:
            message = (
                f"It has {found[0]} by {found[1]} pixels, and fal says {said[0]} by {said[1]}."
            )
            raise ResultInvalidError(OTHER_SIZE, message)


def check_for(artifact: Artifact, size: int | None) -> Check:
    """Return the check that a result file of this name and kind has to pass."""
    if is_picture(artifact):
        return PictureCheck(artifact, size)
    return validation.check_for(artifact, size)

"""Our own mistakes: what they look like, and what is said of one."""

import struct
import traceback
import zlib
from collections.abc import Sequence

from lora_drop.datasets.faces.face import FaceComparer, Similarities
from lora_drop.jobs.errors import FacesBrokenError
from lora_drop.jobs.problems import Problem

# Trouble with S3 is none of these: it is tried again.
INTERNAL_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
    FacesBrokenError,
    struct.error,
    zlib.error,
)


def internal_error(mistake: Exception) -> Problem:
    """Return where the check broke, without a word of what the dataset holds."""
    return Problem(
        code="dataset_check_failed",
        message="The check itself broke on this dataset, which is our mistake, not yours "
        f"({place_of(mistake)}). Please report it; a ZIP that is made again may pass.",
    )


def place_of(mistake: Exception) -> str:
    """Return the kind of a mistake and the line that made it."""
    mistake = _made_by(mistake)
    trace = mistake.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}" if trace else "nowhere"
    return f"{type(mistake).__name__} in {where}"


def frames_of(mistake: Exception) -> Sequence[str]:
    """Return the lines of code that led to a mistake, without its text, which may have values of a photo."""
    return traceback.format_tb(_made_by(mistake).__traceback__)


def similarities_of(faces: FaceComparer, crops: Sequence[bytes]) -> Similarities:
    """Return how similar these faces are; raises FacesBrokenError for whatever goes wrong.

    onnxruntime's errors derive from Exception alone.
    """
    try:
        return faces.similarities(crops)
    except Exception as mistake:
        raise FacesBrokenError from mistake


def _made_by(mistake: Exception) -> Exception:
    cause = mistake.__cause__ if isinstance(mistake, FacesBrokenError) else None
    return cause if isinstance(cause, Exception) else mistake

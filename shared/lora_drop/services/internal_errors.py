"""Our own mistakes: what they look like, and what is said of one."""

import struct
import zlib

from lora_drop.jobs.problems import Problem

# Trouble with S3 is none of these: it is tried again.
INTERNAL_ERRORS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    RecursionError,
    TypeError,
    ValueError,
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
    trace = mistake.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = f"{trace.tb_frame.f_code.co_qualname}:{trace.tb_lineno}" if trace else "nowhere"
    return f"{type(mistake).__name__} in {where}"

"""What the processes that decode pictures are asked, and what they answer."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lora_drop.datasets.images.header import InvalidImageError
from lora_drop.ui.draft_check import CheckProblem, CheckResult, CheckTask, Looking, run_check

SMALL, LARGE = 320, 1600  # pixels along the longest side


@dataclass(frozen=True, slots=True)
class PreviewTask:
    """A photo to be made smaller: at most ``side`` pixels a side."""

    path: Path
    side: int


@dataclass(frozen=True, slots=True)
class NoPreview:
    """The answer for a photo that has no preview; ``why`` is the rest of a sentence."""

    why: str


type Task = PreviewTask | CheckTask
type Answer = bytes | NoPreview | CheckResult | CheckProblem
"""A preview's JPEG, or what a check has found, or why there is neither."""


def answer(task: Task, say: Callable[[Looking], None]) -> Answer:
    """Do one task; ``say`` is called before each photo of a check."""
    if isinstance(task, CheckTask):
        return run_check(task, say)
    from lora_drop.adapters.previews import preview  # noqa: PLC0415  # the server needs no Pillow

    try:
        return preview(task.path, task.side)
    except InvalidImageError as invalid:
        return NoPreview(invalid.says)
    except OSError as error:
        return NoPreview(f"cannot be read: {error.strerror}.")

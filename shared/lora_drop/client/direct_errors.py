"""The two errors of a dataset that users of fal's trainer know by name, each with the sentence that helps."""

from collections.abc import Sequence

from lora_drop.datasets.dataset import MIN_IMAGES
from lora_drop.jobs.errors import DatasetRejectedError
from lora_drop.jobs.problems import Problem


class InsufficientImagesError(DatasetRejectedError):
    """Raised for "insufficient images": nothing was sent, and nothing is paid."""

    def __str__(self) -> str:
        """Return what is needed."""
        return f"At least {MIN_IMAGES} images are needed."


class InvalidArchiveError(DatasetRejectedError):
    """Raised for "invalid format": nothing was sent, and nothing is paid."""

    def __str__(self) -> str:
        """Return what is needed."""
        return "The archive must be a ZIP."


KNOWN: dict[str, type[DatasetRejectedError]] = {
    "dataset_insufficient_images": InsufficientImagesError,
    "archive_invalid_format": InvalidArchiveError,
}


def rejected(problems: Sequence[Problem]) -> DatasetRejectedError:
    """Return the error of a dataset with these problems; one of the two known where it is among them."""
    kinds = (KNOWN[problem.code] for problem in problems if problem.code in KNOWN)
    return next(kinds, DatasetRejectedError)(problems)

"""The two errors of a dataset that every user of the trainer meets, as types: from our check, or from fal itself."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lora_drop.client.errors import CommandError, DatasetRejectedError, TrainingFailedError
from lora_drop.fal.hosts import KEYS_PAGE
from lora_drop.jobs.errors import (
    FalUnavailableError,
    KeyRefusedError,
    NotSubmittedError,
    SubmissionRefusedError,
)
from lora_drop.jobs.problems import Problem

AGAIN = "To pay for another training of the same dataset: again=True."
# What fal's errors advise the user of a stack, who drops a dataset into a bucket.
DROP_AGAIN = re.compile(r"\b([Dd])rop (?:the dataset|the ZIP|it|them) again")
# Advice that ends in this is said once, with how.
ENDS_IN_AGAIN = re.compile(r"\bTrain it again(?: in a while| to train it)?\.$")
TRAIN_AGAIN = {"D": "Train it again", "d": "train it again"}
PAY_AGAIN = "lora-drop train PATH --direct --force"
SET_KEY = f"Set a valid FAL_KEY: {KEYS_PAGE}"

if TYPE_CHECKING:
    from lora_drop.datasets.report import Report


class KnownDatasetError(DatasetRejectedError, TrainingFailedError):
    """The base of both. ``problem`` is the one that counts, ``report`` has all.

    Where fal has refused what was sent, the report has fal's reason alone, there is a ``request_id``, and
    ``billed`` is None where fal does not say whether it costs money.
    """

    sentence = ""

    def __init__(
        self,
        problem: Problem,
        report: "Report",
        *,
        request_id: str = "",
        billed: bool | None = False,
    ) -> None:
        TrainingFailedError.__init__(self, problem, request_id=request_id, billed=billed)
        self.problems = report.errors
        self.report = report

    def __str__(self) -> str:
        """Return the sentence alone where nothing was sent, else with what fal says."""
        return f"{self.sentence} {self.problem.message}" if self.request_id else self.sentence


class InsufficientImagesError(KnownDatasetError):
    """Raised when a dataset has too few images."""

    sentence = "At least 10 images are needed."


class InvalidArchiveError(KnownDatasetError):
    """Raised when a dataset is no ZIP."""

    sentence = "The archive must be a ZIP."


# Our codes, fal's types (https://docs.fal.ai/errors), and what fal's trainers have answered in words.
KNOWN: Sequence[tuple[type[KnownDatasetError], frozenset[str], re.Pattern[str]]] = (
    (
        InsufficientImagesError,
        frozenset({"dataset_insufficient_images", "fal_archive_file_count_below_minimum"}),
        re.compile(r"insufficient images|not enough images|at least \d+ images", re.IGNORECASE),
    ),
    (
        InvalidArchiveError,
        frozenset({"archive_invalid_format", "archive_empty", "fal_invalid_archive"}),
        re.compile(r"invalid (archive )?format|not a (valid )?zip", re.IGNORECASE),
    ),
)


class EarlierRequestWarning(UserWarning):
    """Given where ``webhook_url`` is not called, because an earlier request is returned."""


@contextmanager
def advised() -> Iterator[None]:
    """Say beside an error of the block, for its caller, what it means for the training and what to do."""
    try:
        yield
    except (FalUnavailableError, NotSubmittedError) as error:
        then = "Nothing changes at fal by that: ask again later."
        if isinstance(error, NotSubmittedError):
            then = "Nothing was sent, and nothing was paid: run the same again."
        if isinstance(error, KeyRefusedError):
            then = f"Nothing changes at fal by that. {SET_KEY}"
        error.args = (f"{error}. {then}",)
        raise


def rejected(report: "Report") -> DatasetRejectedError:
    """Return the error of a dataset that our check refuses; nothing was paid."""
    for kind, codes, _ in KNOWN:
        for problem in report.errors:
            if problem.code in codes:
                return kind(problem, report)
    return DatasetRejectedError(report)


def training_failed(
    problem: Problem, *, request_id: str, billed: bool | None
) -> TrainingFailedError:
    """Return the error of a training that fal has ended."""
    from lora_drop.datasets.report import Report, Verdict  # noqa: PLC0415

    problem = problem.model_copy(update={"message": without_drop(problem.message)})
    for kind, codes, words in KNOWN:
        if problem.code in codes or words.search(problem.message):
            report = Report(file="", verdict=Verdict.REJECTED, errors=(problem,))
            return kind(problem, report, request_id=request_id, billed=billed)
    advised = problem.model_copy(update={"message": again(problem.message)})
    return TrainingFailedError(advised, request_id=request_id, billed=billed)


def again(message: str) -> str:
    """Return what is said of a training that has ended without a LoRA, with how to pay for another one."""
    said = without_drop(message)
    if ENDS_IN_AGAIN.search(said):
        return ENDS_IN_AGAIN.sub("Train it again: again=True.", said)
    return f"{said} {AGAIN}"


def without_drop(message: str) -> str:
    """Return fal's advice for a training without a stack, where there is no bucket to drop a dataset into."""
    said = DROP_AGAIN.sub(lambda found: TRAIN_AGAIN[found[1]], message)
    return said.replace("the object's metadata", "your options")


def sentence(error: Exception, pay: str = PAY_AGAIN) -> str:
    """What an error of the direct mode says, in the words of the command line; ``pay`` orders another training."""
    match error:
        case SubmissionRefusedError(problem=problem):
            return str(problem.message)
        case FalUnavailableError() if "did not answer" in str(error):
            return "fal does not answer now. Run the same command again."
    words = str(error).replace("order it with again=True", "pay for it with --force")
    words = words.replace("Make the same call again", "Run the same command again")
    words = words.replace(
        'order it with again="seen"',
        'pay for it from Python: PortraitTrainer().train(…, again="seen")',
    )
    words = words.replace("again=True", pay).replace(f"{pay}.", pay)
    begun = words.startswith("fal") or isinstance(error, CommandError)
    return words if begun else f"{words[:1].upper()}{words[1:]}"

"""One training without a stack, from the checked dataset to the request that it becomes at fal."""

import hashlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lora_drop.client.errors import CommandError
from lora_drop.fal.hosts import API_URL
from lora_drop.jobs.errors import FalUnavailableError, SubmissionUnknownError

if TYPE_CHECKING:
    from lora_drop.client.direct_dataset import PreparedDataset
    from lora_drop.client.submissions import SentTraining

# Inputs that the stack does not take: a job goes on from a job, and an archive's format is seen.
FORMAT, CHECKPOINT = "data_archive_format", "resume_from_checkpoint"
REQUESTS_PAGE = "https://fal.ai/dashboard/requests"


@dataclass(frozen=True, slots=True)
class PreparedTraining:
    """A dataset that is checked, and all that is to be done with it; nothing is paid yet.

    ``passed_on`` are the inputs that our check does not know, ``fingerprint`` says which training it is, and
    ``earlier`` is the same one, where this machine has sent it before.
    """

    dataset: "PreparedDataset"
    application: str
    passed_on: dict[str, Any]
    fingerprint: str
    earlier: "SentTraining | None"

    def arguments(self, address: str) -> dict[str, Any]:
        """Return what fal gets, with the dataset at this address."""
        return {**self.dataset.parameters.arguments(address), **self.passed_on}


def passed_on(given: dict[str, Any]) -> dict[str, Any]:
    """Take the inputs that are passed on as they are out of the others; raises CommandError for what cannot be."""
    taken = {name: given.pop(name) for name in (FORMAT, CHECKPOINT) if name in given}
    taken = {name: value for name, value in taken.items() if value}
    if str(taken.get(FORMAT, "zip")).lower() != "zip":
        raise CommandError(f"The archive must be a ZIP: leave {FORMAT} out, or write zip.")
    if not str(taken.get(CHECKPOINT, "https://")).startswith("https://"):
        raise CommandError(
            f"{CHECKPOINT} is the https:// address of an earlier LoRA; a job of a stack has one in its files."
        )
    return taken


def fingerprint(
    key: str, application: str, dataset: "PreparedDataset", passed: dict[str, Any]
) -> str:
    """Return what makes two trainings the same: the server, the key, what fal gets and what it is to do with it."""
    what = {
        "server": os.environ.get("FAL_QUEUE_RUN_HOST", ""),
        "key": hashlib.sha256(key.strip().encode()).hexdigest(),
        "application": application,
        "dataset": dataset.sha256,
        **dataset.parameters.arguments(""),
        **passed,
    }
    return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()


def lost_request(key: str, training: "SentTraining") -> str:
    """Return the request of a submission whose answer was lost, by fal's own list.

    Raises SubmissionUnknownError where the list does not show exactly one.
    """
    from lora_drop.adapters.fal_history import FalHistory  # noqa: PLC0415
    from lora_drop.adapters.fal_key import SingleKey  # noqa: PLC0415
    from lora_drop.services.evidence import SKEW  # noqa: PLC0415

    host = os.environ.get("FAL_API_URL") or API_URL
    lost = f"this dataset was sent at {training.intended_at:%Y-%m-%d %H:%M} UTC and fal's answer was lost"
    try:
        found = FalHistory(SingleKey(key), host).requests_with(
            training.application,
            lambda url: url == training.address,
            since=training.intended_at - SKEW,
        )
    except FalUnavailableError as error:
        raise SubmissionUnknownError(
            f"{lost}; {error}, so it is not known yet. Nothing was sent now: try again later"
        ) from error
    if len(found) != 1:
        raise SubmissionUnknownError(
            f"{lost}; fal's list shows {len(found) or 'no'} requests for it. Nothing was sent now. Look at "
            f"{REQUESTS_PAGE}: if it is not there, order it with again=True"
        )
    return found[0]

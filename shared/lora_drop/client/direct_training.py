"""One training without a stack, from the checked dataset to the request that it becomes at fal."""

import hashlib
import json
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from lora_drop.client.direct_addresses import unreachable
from lora_drop.client.direct_choice import NEEDS_STACK
from lora_drop.client.direct_errors import SET_KEY, advised
from lora_drop.client.errors import CommandError
from lora_drop.datasets.owner_metadata import PROOF
from lora_drop.fal.hosts import API_URL, CDN_URL, KEYS_PAGE, REQUESTS_PAGE, REST_URL
from lora_drop.jobs.errors import (
    DatasetUnreadableError,
    FalUnavailableError,
    KeyRefusedError,
    NotSubmittedError,
    SubmissionRefusedError,
    SubmissionUnknownError,
)

if TYPE_CHECKING:
    from lora_drop.adapters.fal_history import FalHistory
    from lora_drop.adapters.fal_transport import Advice
    from lora_drop.client.direct_dataset import PreparedDataset
    from lora_drop.client.submissions import SentTraining, Submissions

# Inputs that the stack does not take: a job goes on from a job, and an archive's format is seen.
FORMAT, CHECKPOINT = "data_archive_format", "resume_from_checkpoint"
UNSAID: Mapping[str, object] = {FORMAT: "zip", "create_masks": False}
SKEW = timedelta(hours=1)  # fal's clock and this machine's may differ
# The furthest that fal's list goes (https://fal.ai/docs/platform-apis/v1/models/requests/by-endpoint).
UPLOADED_SKEW = timedelta(days=90)
LISTED_WITHIN = timedelta(days=2)  # a request waits, trains and ends; both clocks may be wrong
SETTLED_AFTER = timedelta(hours=1)
INTENT_HOLDS = 300.0  # seconds from the intent to its POST; a program that was stopped in between does not send
UPLOAD_KEPT = timedelta(days=1)
STORAGE_HOSTS = (("FAL_REST_URL", REST_URL), ("FAL_CDN_URL", CDN_URL))
IN_DOUBT = (
    ", so it is not known whether the training was accepted. It may be paid. Make the same call again: it looks for it "
    "at fal first, and pays nothing for what is there."
)


@dataclass(frozen=True, slots=True)
class PreparedTraining:
    """A dataset that is checked, and all that is to be done with it; nothing is paid yet.

    ``passed_on`` are the inputs that our check does not know, ``fingerprint`` says which training it is (``former`` as
    earlier versions wrote it), and ``earlier`` is the same one, where this machine has sent it before.
    """

    dataset: "PreparedDataset"
    application: str
    passed_on: dict[str, Any]
    fingerprint: str
    former: str
    earlier: "SentTraining | None"

    def arguments(self, address: str) -> dict[str, Any]:
        """Return what fal gets, with the dataset at this address."""
        return {**self.dataset.parameters.arguments(address), **self.passed_on}

    def about(self) -> dict[str, Any]:
        """Return what is kept of it; the dataset's address is not, which may open the photos, nor its content."""
        sent, chosen = self.arguments(""), self.dataset.parameters
        return {
            "application": self.application,
            "dataset": {"name": self.dataset.report.file, "sha256": self.dataset.sha256},
            "reference": None,
            "parameters": {name: value for name, value in sent.items() if value != ""},
            "trigger_phrase": chosen.trigger_phrase,
            "steps": chosen.steps,
            "estimated_cost_usd": self.dataset.report.estimated_cost_usd,
        }


def passed_on(given: dict[str, Any]) -> dict[str, Any]:
    """Take the inputs that are passed on as they are out of the others; raises CommandError for what cannot be."""
    if str(given.get(PROOF, "")).strip().lower() == "true":
        raise CommandError(f"{NEEDS_STACK} Nothing was sent.")
    taken = {name: given.pop(name) for name in (FORMAT, CHECKPOINT) if name in given}
    taken = {name: value for name, value in taken.items() if value}
    if str(taken.get(FORMAT, "zip")).lower() != "zip":
        raise CommandError(f"The archive must be a ZIP: leave {FORMAT} out, or write zip.")
    taken |= {FORMAT: "zip"} if FORMAT in taken else {}
    if CHECKPOINT in taken and (why := unreachable(taken[CHECKPOINT])):
        raise CommandError(
            f"fal cannot read {CHECKPOINT}: {why}. Give the https:// address of an earlier LoRA, as a job.json has it "
            "beside the LoRA's name. Nothing was sent."
        )
    return taken


def fingerprint(
    key: str, application: str, dataset: "PreparedDataset", passed: dict[str, Any]
) -> str:
    """Return what makes two trainings the same: the server, the key, what fal gets and what it is to do with it.

    Photos and captions count, and neither their archive nor their names: as a stack has it.
    """
    return _digest(key, application, passed, {"content": dataset.content})


def former_fingerprint(
    key: str, application: str, dataset: "PreparedDataset", passed: dict[str, Any]
) -> str:
    """Return the same as earlier versions wrote it, by the archive's bytes."""
    sent = dataset.parameters.arguments("")
    return _digest(key, application, passed, {"dataset": dataset.sha256, **sent})


def _digest(key: str, application: str, passed: dict[str, Any], what: dict[str, Any]) -> str:
    whole = {
        "server": os.environ.get("FAL_QUEUE_RUN_HOST", "").strip().rstrip("/").lower(),
        "key": hashlib.sha256(key.strip().encode()).hexdigest(),
        "application": application,
        **what,
        **{name: value for name, value in passed.items() if name != FORMAT},
    }
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def given_key(key: str | None) -> str:
    """Return the fal key that is given or in FAL_KEY; raises CommandError for none, and where fal cannot be asked."""
    given = (key or os.environ.get("FAL_KEY", "")).strip()
    if not given:
        raise CommandError(f"There is no fal key. Set FAL_KEY; {KEYS_PAGE} has yours.")
    if not re.fullmatch(r"[!-~]+", given):
        raise CommandError(f"The fal key holds what no key can. {SET_KEY}")
    if (certificates := os.environ.get("SSL_CERT_FILE")) and not Path(certificates).is_file():
        raise CommandError(
            f"SSL_CERT_FILE names {certificates}, which is not there. A simulator deletes its own when it ends: start "
            "it again and take the settings that it prints, or unset SSL_CERT_FILE. Nothing was sent."
        )
    return given


def history(key: str) -> "FalHistory":
    """Return fal's list of this key's requests."""
    from lora_drop.adapters.fal_history import FalHistory  # noqa: PLC0415
    from lora_drop.adapters.fal_key import SingleKey  # noqa: PLC0415

    return FalHistory(SingleKey(key), os.environ.get("FAL_API_URL") or API_URL)


def to_key_holders() -> "Advice":
    """Return what a person without a stack can do after a refusal."""
    from lora_drop.adapters.fal_transport import KEY_REFUSED, Advice  # noqa: PLC0415

    return Advice({KEY_REFUSED: f". {SET_KEY}"}, unknown=IN_DOUBT, to_caller=True)


def uploaded(key: str, path: Path, *, sha256: str | None = None) -> str:
    """Return the address of a copy at fal; see PortraitTrainer.upload."""
    from lora_drop.adapters.fal_key import SingleKey  # noqa: PLC0415
    from lora_drop.adapters.fal_storage import FalStorage  # noqa: PLC0415
    from lora_drop.adapters.local_files import open_range  # noqa: PLC0415
    from lora_drop.client.direct_dataset import DatasetReader  # noqa: PLC0415

    hosts = [os.environ.get(name) or host for name, host in STORAGE_HOSTS]
    storage = FalStorage(SingleKey(key), *hosts, advice=to_key_holders())
    try:
        with advised(), open_range(path) as file:
            read = DatasetReader(file)
            address = storage.upload(read, path.name, int(UPLOAD_KEPT.total_seconds()))
    except SubmissionRefusedError as refused:
        said = {"message": f"{refused.problem.message} Nothing was sent."}
        problem = refused.problem.model_copy(update=said)
        raise SubmissionRefusedError(problem, held=refused.held, to_caller=True) from refused
    except (OSError, DatasetUnreadableError) as error:
        raise CommandError(f"{path} cannot be read: {error}. Nothing was sent.") from error
    if sha256 not in (None, read.sha256):
        raise CommandError(
            f"{path} was changed after it was checked. Nothing was paid. Run it again."
        )
    return address


def hold(submissions: "Submissions", sent: "SentTraining", since: float) -> None:
    """Raise NotSubmittedError where an intent no longer stands, or is old: another one may have been sent since.

    ``since`` is the time of ``time.monotonic`` at the intent.
    """
    clock = (datetime.now(UTC) - sent.intended_at).total_seconds()
    late = max(monotonic() - since, clock) > INTENT_HOLDS
    if not late and submissions.find(sent.fingerprint) == sent:
        return
    submissions.withdraw(sent)
    raise NotSubmittedError(
        "This program was stopped before it sent the training, so it sent nothing. Run the same again"
    )


def lost_request(
    key: str,
    lost: "SentTraining",
    training: PreparedTraining,
    known: Collection[str],
    *,
    seen: bool = False,
) -> str | None:
    """Return the request of a submission whose answer was lost, by fal's own list; None where it shows none.

    A request counts with the whole input that was sent, and only where this machine does not know it as
    another order's. Raises SubmissionUnknownError where the list shows several or cannot be read;
    then a person's word (``seen``) stands for it, from an hour after the submission on.
    """
    sent = training.arguments(lost.address)
    try:
        listed = history(key).requests_like(
            lost.application,
            lambda given: _same_input(given, sent),
            since=_since(lost, training),
            until=_until(lost),
        )
    except FalUnavailableError as error:
        if seen and settled(lost.intended_at):
            return None
        raise SubmissionUnknownError(_unreadable(lost, error)) from error
    found = [each for each in listed if each not in known]
    if len(found) > 1:
        raise SubmissionUnknownError(unlisted(lost, len(found)))
    return found[0] if found else None


def said_of(lost: "SentTraining") -> str:
    """Return what is known of a submission without an answer."""
    sent = f"{lost.intended_at:%Y-%m-%d %H:%M} UTC"
    return f"this dataset was sent at {sent} and fal's answer was lost"


def unlisted(lost: "SentTraining", count: int = 0) -> str:
    """Return what a person can do where fal's list does not show exactly one request."""
    later = f"{lost.intended_at + SETTLED_AFTER:%Y-%m-%d %H:%M} UTC"
    return (
        f"{said_of(lost)}; fal's list shows {count or 'no'} requests for it. Nothing was sent now. Look at "
        f"{REQUESTS_PAGE}: if it is not there, order it with again=True, from {later} on"
    )


def _unreadable(lost: "SentTraining", error: FalUnavailableError) -> str:
    """Return what a person can do where fal's list cannot be read."""
    why = f"{said_of(lost)}, and fal's list of requests cannot be read: {error}"
    if isinstance(error, KeyRefusedError):
        why += " (this key may not read it)"
    if not settled(lost.intended_at):
        later = f"{lost.intended_at + SETTLED_AFTER:%Y-%m-%d %H:%M} UTC"
        return f"{why}. Nothing was sent now: run the same again later, at the latest at {later}"
    return (
        f"{why}. Nothing was sent now: run the same again later, or look at {REQUESTS_PAGE}: if it is not there, "
        'order it with again="seen"'
    )


def settled(sent_at: datetime) -> bool:
    """Return whether a submission that fal's list does not show counts as not accepted, or as ended.

    The list has no request that still waits, so its silence says nothing at first.
    """
    return datetime.now(UTC) - sent_at >= SETTLED_AFTER


def _since(lost: "SentTraining", training: PreparedTraining) -> datetime:
    """Return from when on the list is read.

    The address of an upload is of one submission alone, so a clock that was wrong then does no harm.
    """
    reused = lost.address in (training.dataset.given, "") or lost.address.startswith("data:")
    return min(lost.intended_at, datetime.now(UTC)) - (SKEW if reused else UPLOADED_SKEW)


def _until(lost: "SentTraining") -> datetime | None:
    """Return until when the list is read, so that a busy account's does not grow for ever; None: until now."""
    until = lost.intended_at + LISTED_WITHIN
    return until if until < datetime.now(UTC) else None


def _same_input(listed: Mapping[str, Any], sent: Mapping[str, Any]) -> bool:
    """Return whether fal's list has what was sent; what is not there is its default or nothing."""
    names = {*listed, *sent}
    return all(_given(listed, name) == _given(sent, name) for name in names)


def _given(arguments: Mapping[str, Any], name: str) -> object:
    value = arguments.get(name)
    return UNSAID.get(name) if value in (None, "") else value

"""Where the files of a training without a stack go, and what this machine keeps of the training beside them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_drop.client.errors import CommandError
from lora_drop.client.result_files import LORA, record_in

if TYPE_CHECKING:
    from lora_drop.client.direct_training import PreparedTraining
    from lora_drop.client.submissions import SentRequest, Submissions

SHORT = -8  # from which character of a request's id on: the first ones of a UUIDv7 are its time (RFC 9562, 5.7)
ORDERED = ("parameters", "trigger_phrase", "steps", "estimated_cost_usd")


def folder_of(request: SentRequest) -> Path:
    """Where the files of a request are, or will be."""
    name = str((request.about.get("dataset") or {}).get("name") or "lora")
    return request.folder or folder_beside(name, request.request_id)


def folder_beside(dataset: str, request_id: str) -> Path:
    """The folder of a training for which none was named."""
    return Path(f"{stem_of(dataset)}-{request_id[SHORT:]}")


def usage_subject(request: SentRequest) -> Mapping[str, Any]:
    """What ``lora-drop usage`` shows the programs for; raises CommandError while the LoRA is not here."""
    here = folder_of(request) / LORA
    if not here.is_file():
        raise CommandError(
            f"The LoRA of request {request.request_id} is not here. Fetch it: lora-drop watch {request.request_id}"
        )
    about = request.about
    phrase = about.get("trigger_phrase") or (about.get("parameters") or {}).get("trigger_phrase")
    return {
        "name": request.request_id,
        "application": request.application,
        "phrase": str(phrase or ""),
        "here": str(here),
    }


def is_address(dataset: str) -> bool:
    """Whether the dataset is an https address or a data URI, which `lora-drop check` does not take."""
    return dataset.startswith("data:") or "://" in dataset


def is_hosted(dataset: str) -> bool:
    """Whether the dataset is fetched from elsewhere."""
    return is_address(dataset) and not dataset.startswith("data:")


def named(dataset: str) -> str:
    """The dataset as a person may see it: a data URI has no name, an address's query or password opens it."""
    if dataset.startswith("data:"):
        return "data URI"
    return (
        re.sub(r"(?<=://)[^/@]*@", "", dataset.partition("?")[0]) if is_hosted(dataset) else dataset
    )


def stem_of(dataset: str) -> str:
    """The dataset's name as the beginning of a folder's name."""
    name = re.split(r"[/\\]", named(dataset).rstrip("/\\"))[-1].removesuffix(".zip")
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-") or "lora"


def is_here(request: SentRequest) -> bool:
    """Whether the LoRA of a request is in its folder; it is not read."""
    folder = folder_of(request)
    return record_in(folder).get("request_id") == request.request_id and (folder / LORA).is_file()


def about_order(
    known: SentRequest | None, training: PreparedTraining, dataset: str, reference: str | None
) -> dict[str, Any]:
    """What is kept of a training beside its files, as it was ordered first; a data URI's content is not."""
    ordered = {name: known.about[name] for name in ORDERED if name in known.about} if known else {}
    what = {"name": named(dataset), "sha256": training.dataset.sha256}
    return {**training.about(), **ordered, "dataset": what, "reference": reference}


def describe(
    submissions: Submissions,
    request_id: str,
    known: SentRequest | None,
    about: Mapping[str, Any],
    folder: Path,
) -> None:
    """Keep for every command where the files of a request go, and what was ordered."""
    webhook = {"webhook_sha256": known.about.get("webhook_sha256")} if known else {}
    with suppress(CommandError):  # it is sent, and goes on without it
        submissions.describe(request_id, {**about, **webhook}, folder)

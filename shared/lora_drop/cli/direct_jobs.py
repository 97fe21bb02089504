"""The commands about a training without a stack: by the folder of its files, or by its request id at fal."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_drop.client.direct_folders import SHORT, folder_of
from lora_drop.client.errors import CommandError
from lora_drop.client.result_files import record_in, saved_record
from lora_drop.fal.hosts import REQUESTS_PAGE

if TYPE_CHECKING:
    from lora_drop.cli.display import Display
    from lora_drop.client.submissions import SentRequest

PAGE = "report.html"
SHORT_ID = re.compile(r"[0-9a-f]{8}", re.ASCII)
# fal's ids are UUIDs; a job's id ends in ten digits, so it is never one.
REQUEST_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


def direct_request(name: str) -> SentRequest | None:
    """The training without a stack of this folder, request id, or its first or last eight characters; None for what may be a job.

    Raises CommandError for a request id that this machine does not know, and for characters that several have.
    """
    from lora_drop.client.submissions import SentRequest

    record = record_in(Path(name))
    if record.get("request_id") and "job_id" not in record:
        application = str(record.get("application") or "")
        return SentRequest(
            str(record["request_id"]), application, datetime.now(UTC), record, Path(name)
        )
    known = _known(name)
    if REQUEST_ID.fullmatch(name) and not known:
        raise CommandError(
            f"This machine has sent no request {name} to fal. Look at {REQUESTS_PAGE}"
        )
    if len(known) > 1 and SHORT_ID.fullmatch(name):
        ids = ", ".join(each.request_id for each in known)
        raise CommandError(f"Several requests begin or end with {name}. Name one of them: {ids}")
    return next(iter(known), None)


def _known(name: str) -> list[SentRequest]:
    """What this machine has sent with this id, with an id that begins or ends so, or for this folder; the newest first."""
    from lora_drop.client.submissions import Submissions

    submissions = Submissions()
    if not submissions.exists:
        return []
    sent = submissions.sent(name if REQUEST_ID.fullmatch(name) else None)
    short, folder = bool(SHORT_ID.fullmatch(name)), Path(name).absolute()
    return [
        each
        for each in sent
        if each.request_id == name
        or (short and name in {each.request_id[:8], each.request_id[SHORT:]})
        or each.folder == folder
    ]


def refuse_direct(name: str) -> None:
    """Raise CommandError where a command of a stack is given a training without one, with the commands that take it."""
    if (request := direct_request(name)) is not None:
        which = request.request_id
        raise CommandError(
            f"{name} is a training without a stack, which this command does not take. Follow it and fetch its "
            f"files: lora-drop watch {which}. Use the LoRA: lora-drop usage {which}. Stop it: lora-drop cancel "
            f"{which}. Pay for another one: lora-drop train PATH --direct --force"
        )


def report_page(request: SentRequest) -> Path:
    """The report of the dataset on this machine; raises CommandError where there is none."""
    page = (folder_of(request) / PAGE).absolute()
    if not page.is_file():
        raise CommandError(
            f"{page} is not there: the command that sent this training writes it with its files. Run that again, which "
            "pays nothing, or write one for free: lora-drop check PATH --report report/"
        )
    return page


def watch_direct(
    request: SentRequest, display: Display, timeout: float | None
) -> tuple[Mapping[str, Any], str]:
    """Follow a request and fetch its files; for programs and in a line. Raises CommandError."""
    from lora_drop.cli.direct import Choices, fetched, finished, followed
    from lora_drop.cli.direct_words import ordered_again
    from lora_drop.client.direct_errors import sentence
    from lora_drop.client.portrait_trainer import PortraitTrainer
    from lora_drop.jobs.errors import LoraDropError

    folder, choices = folder_of(request), Choices(None, None, timeout=timeout)
    record = saved_record(folder, request.request_id)
    if record is None:
        try:
            trainer = PortraitTrainer(application=request.application)
            result = followed(trainer, request.request_id, display, request.about, choices)
            record = fetched(result, folder, request.about, None, display)
        except LoraDropError as error:
            raise CommandError(sentence(error, ordered_again(request.about))) from error
    return finished(record, folder, display)


def cancel_direct(request: SentRequest) -> bool:
    """Ask fal to stop a request; False where it had ended before. Raises CommandError."""
    from lora_drop.client.direct_errors import sentence
    from lora_drop.client.portrait_trainer import PortraitTrainer
    from lora_drop.jobs.errors import LoraDropError

    try:
        return PortraitTrainer(application=request.application).cancel(request.request_id)
    except LoraDropError as error:
        raise CommandError(sentence(error)) from error

"""What the page shows of a request at fal that this machine has sent."""

from collections.abc import Mapping
from typing import Any

from lora_drop.client.direct_folders import folder_of
from lora_drop.client.result_files import record_in
from lora_drop.client.submissions import SentRequest
from lora_drop.jobs.job_files import REPORT_PAGE
from lora_drop.jobs.status import Status
from lora_drop.ui.backends import Action, JobCard, JobFile
from lora_drop.ui.direct_watch import RequestWatch

UNFINISHED = frozenset({Status.SUBMITTED, Status.TRAINING})
FETCHING = "the training is done; its files are being fetched into {}"
UNFETCHED = "the training is done and paid; its files are not here yet: {}"
BILLED: Mapping[bool | None, str] = {
    True: "{} paid",
    False: "nothing paid",
    None: "{}, which fal may bill",
}


def request_card(request: SentRequest, status: Status, **more: Any) -> JobCard:
    """Return the card of a request with what this machine knows of its order; ``more`` are fields of the card."""
    folder = folder_of(request).absolute()
    return JobCard(
        id=request.request_id,
        dataset=dataset_of(request),
        status=status,
        history=((Status.SUBMITTED, request.sent_at),),
        trigger_phrase=phrase_of(request),
        steps=request.about.get("steps"),
        files=tuple(files_of(request)) if status is Status.SUCCEEDED else (),
        location=str(folder),
        has_report=(folder / REPORT_PAGE).is_file(),
        **more,
    )


def watched_card(request: SentRequest, watch: RequestWatch) -> JobCard:
    """Return the card of a request whose files are not here, as it was seen last."""
    seen = watch.seen
    price = "{} paid" if watch.result else BILLED[seen.billed] if seen.status.terminal else "{}"
    return request_card(
        request,
        seen.status,
        progress=seen.progress,
        queue_position=seen.queue_position,
        waiting=_waiting(request, watch),
        silence=seen.silence,
        log=seen.log,
        cost=price_of(request, price),
        problems=(seen.problem,) if seen.problem else (),
        actions=(Action.CANCEL,) if seen.status in UNFINISHED else (),
    )


def _waiting(request: SentRequest, watch: RequestWatch) -> str | None:
    if watch.result is None:
        return None
    if watch.unfetched:
        return UNFETCHED.format(watch.unfetched)
    return FETCHING.format(folder_of(request).absolute())


def files_of(request: SentRequest) -> list[JobFile]:
    """Return what the folder's ``job.json`` lists, which this machine has written."""
    record = record_in(folder_of(request))
    if record.get("request_id") != request.request_id:
        return []
    return [JobFile(each["name"], each["size"], each["sha256"]) for each in record.get("files", ())]


def dataset_of(request: SentRequest) -> str:
    """Return the name of its dataset."""
    return str((request.about.get("dataset") or {}).get("name") or request.request_id)


def phrase_of(request: SentRequest) -> str | None:
    """Return its trigger phrase; None where it has none."""
    about = request.about
    phrase = about.get("trigger_phrase") or (about.get("parameters") or {}).get("trigger_phrase")
    return str(phrase) if phrase else None


def price_of(request: SentRequest, words: str) -> str:
    """Return the words with what the training was expected to cost."""
    usd = request.about.get("estimated_cost_usd")
    return words.format(f"about ${usd:,.2f}" if usd is not None else "a price that is not known")

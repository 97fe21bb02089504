"""What the page shows of a stack's job: its card, its line in the list, and what a person can decide about it."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from lora_drop.client.job_view import public_job
from lora_drop.client.job_words import cost_words, slot_words, usd_of
from lora_drop.client.proof_words import cost_beside, sheet_cost_words
from lora_drop.client.report_page import has_report
from lora_drop.datasets.reports.proof_sheet import ProofReport, remarks_on
from lora_drop.fal.progress import progress_in
from lora_drop.fal.proof_prompts import picture_application, sheet_usd
from lora_drop.jobs.job_files import of_job
from lora_drop.jobs.job_problems import (
    ACCOUNT_CODES,
    BUDGET_EXHAUSTED,
    JOB_OVER_LIMIT,
    PRICE_UNKNOWN,
)
from lora_drop.jobs.problems import Problem, codes_of
from lora_drop.jobs.progress import AT_WORK
from lora_drop.jobs.proof import Likeness
from lora_drop.jobs.public_job import PublicJob, PublicProof
from lora_drop.jobs.status import Status
from lora_drop.ui.backends import Action, CardPicture, JobCard, JobFile, JobRow, LogLine, ProofCard

BEFORE_SENT = frozenset({Status.RECEIVED, Status.READY, Status.HELD})
RETRIED = frozenset({Status.FAILED, Status.CANCELLED, Status.EXPIRED})
LINES = 8  # of the log
IN_DOUBT = "waits for fal's word whether it has accepted the training; it is not sent a second time by itself"


def card_of(document: Mapping[str, Any], sheet: ProofReport | None = None) -> JobCard:
    """Return the card of a job of the API; raises StackUnreachableError for a form that is not known.

    ``sheet``: what the job's ``proof.json`` says, where it is read.
    """
    job = public_job(document)
    parameters = job.parameters
    return JobCard(
        id=job.job_id,
        dataset=job.dataset.key,
        status=job.status,
        history=tuple((step.status, step.at) for step in job.history),
        progress=job.progress,
        queue_position=job.queue_position if job.status in AT_WORK else None,
        waiting=waiting_of(job, document.get("waiting")),
        cost=_cost_of(job),
        trigger_phrase=(parameters.trigger_phrase or None) if parameters else None,
        preset=job.preset,
        steps=parameters.steps if parameters else None,
        images=job.images,
        problems=tuple(_problems(job)),
        files=tuple(JobFile(each.name, each.size, each.sha256) for each in job.files),
        location=document.get("location"),
        has_report=has_report(document),
        duplicate_of=job.duplicate_of,
        retry_of=job.retry_of,
        proof=proof_card(job.proof, sheet) if job.proof else None,
        actions=tuple(actions_of(job)),
    )


def proof_card(proof: PublicProof, sheet: ProofReport | None) -> ProofCard:
    """Return a proof sheet as the page shows it; without its ``proof.json`` what the job itself says."""
    likeness = proof.likeness or Likeness()
    if sheet is None:
        known = {each.number: each.likeness for each in likeness.pictures}
        numbers = range(1, len(proof.pictures) + 1)
        pictures = [CardPicture(number, likeness=known.get(number)) for number in numbers]
    else:
        pictures = [
            CardPicture(
                number=each.number,
                made=each.file is not None,
                likeness=each.likeness,
                prompt=each.prompt,
                seed=each.seed,
                remarks=tuple(remarks_on(each, sheet)),
            )
            for each in sheet.pictures
        ]
    return ProofCard(
        done=proof.done_at is not None,
        total=len(proof.pictures),
        pictures=tuple(pictures) if proof.done_at else (),
        likeness=likeness.words,
        advice=likeness.advice,
        note=proof.note,
    )


def row_of(document: Mapping[str, Any]) -> JobRow:
    """Return a job of the API as a line of the list; raises StackUnreachableError for a form that is not known."""
    job = public_job(document)
    at_work = job.status in AT_WORK and job.progress is not None
    return JobRow(
        id=job.job_id,
        dataset=job.dataset.key,
        status=job.status,
        created_at=job.created_at,
        usd=usd_of(job),
        percent=job.progress.percent if at_work and job.progress else None,
        likeness=job.proof.likeness.short() if job.proof and job.proof.likeness else "",
        trigger_phrase=(job.parameters.trigger_phrase or None) if job.parameters else None,
        reference=job.reference,
    )


def actions_of(job: PublicJob) -> Iterator[Action]:
    """Yield what the API would do with this job now; cancelling only until fal is asked for it."""
    at_fal = job.status in AT_WORK and job.request_id is not None and job.cancel_by is None
    if job.status is Status.HELD:
        yield Action.APPROVE
    if job.status in BEFORE_SENT or at_fal:
        yield Action.CANCEL
    if job.status in RETRIED and job.parameters is not None:
        yield Action.RETRY
    if job.status.terminal:
        yield Action.FORGET


def waiting_of(job: PublicJob, slots: Mapping[str, int] | None) -> str | None:
    """Return what a job waits for; None where it waits for nothing, or in fal's queue."""
    if job.status is Status.READY and slots:
        names = ("slots_taken", "slots", "jobs_before")
        return slot_words(*(slots[name] for name in names))
    if job.status is Status.SUBMIT_UNKNOWN:
        return IN_DOUBT
    return _held(set(codes_of(job.problems))) if job.status is Status.HELD else None


def last_lines(lines: Iterable[Mapping[str, Any]]) -> tuple[LogLine, ...]:
    """Return the last lines of the API's log; of a bar that is drawn again and again the last alone."""
    kept: list[LogLine] = []
    for line in lines:
        is_bar = progress_in([line["message"]]) is not None
        if is_bar and kept and progress_in([kept[-1].message]) is not None:
            kept.pop()
        at = line.get("at")
        kept.append(LogLine(line["message"], datetime.fromisoformat(at) if at else None))
    return tuple(kept[-LINES:])


def _cost_of(job: PublicJob) -> str:
    """Return what a training costs, and its proof sheet: “$3.60 paid, and $0.14 for the proof sheet”."""
    return ", ".join(filter(None, (cost_words(job), _sheet_cost(job)))).removeprefix("and ")


def _sheet_cost(job: PublicJob) -> str:
    """Return what the proof sheet costs; empty where there is none, and none will be."""
    if job.proof is None or job.duplicate_of:
        return ""
    if job.proof.pictures:
        return sheet_cost_words(len(job.proof.pictures), job.proof.paid_usd)
    without = job.status.terminal and job.status is not Status.SUCCEEDED
    if without or job.proof.done_at or picture_application(job.application) is None:
        return ""
    return cost_beside(sheet_usd(), "about ")


def _held(codes: set[str]) -> str:
    """Return whom or what a held job waits for."""
    if BUDGET_EXHAUSTED in codes:
        return "waits for the next month, a higher budget, or your approval"
    if codes & {JOB_OVER_LIMIT, PRICE_UNKNOWN}:
        return "waits for your approval of what it costs"
    if codes & ACCOUNT_CODES:
        return "waits until fal's account is in order again; it is looked at by itself every hour"
    return "waits for your decision"


def _problems(job: PublicJob) -> Iterator[Problem]:
    for each in job.problems:
        yield each.model_copy(update={"message": of_job(each.message, job.job_id)})

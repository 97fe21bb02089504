"""What is said of a job in words, in the terminal and on the page: its money, what it waits for, what goes with it."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from lora_drop.jobs.budget import Charge, ChargeState
from lora_drop.jobs.public_job import PublicJob

UNPRICED = "the price is not known"
NOTHING_PAID = "nothing paid"


def charges_of(job: PublicJob) -> tuple[Charge, ...]:
    """Return the money of all submissions of a job, the present one last."""
    return (*job.past_charges, *([job.charge] if job.charge else []))


def usd_of(job: PublicJob) -> float | None:
    """Return what was paid or is reserved, US dollars; before that the estimate, None where there is none yet."""
    taken = [each.usd for each in charges_of(job) if each.state is not ChargeState.FREE]
    if taken or job.status.terminal:
        return round(sum(taken), 2)
    return job.estimated_cost_usd


def cost_words(job: PublicJob) -> str:
    """Return what is paid, reserved or expected: “$3.60 reserved”, “$3.60 paid”, “about $3.60”, “nothing paid”.

    Empty while its dataset is not checked.
    """
    words = [*_reserved(job), *_paid(job)]
    if words:
        return ", ".join(words)
    if job.status.terminal:
        return NOTHING_PAID
    if job.estimated_cost_usd is not None:
        return f"about ${job.estimated_cost_usd:,.2f}"
    return UNPRICED if job.parameters else ""


def paid_words(usd: float | None) -> str:
    """Return whether a job was paid; the price of a training is not always known."""
    return NOTHING_PAID if usd is None else f"paid ${usd:.2f}" if usd else "paid"


def erased_line(job: Mapping[str, Any]) -> str:
    """Return a job that is to be erased, and whether it was paid."""
    return f"{job['job_id']}  {job['status']}, {paid_words(job['paid_usd'])}"


def erase_question(going: Sequence[Mapping[str, Any]]) -> str:
    """Return what is asked before these jobs are erased."""
    if len(going) == 1:
        return f"Erase {going[0]['job_id']} for good: its photos, its LoRA, its report, and what fal has of it?"
    return (
        f"Erase all {len(going)} for good: their photos, their LoRAs, their reports, and what fal "
        "has of them?"
    )


def slot_words(taken: int, slots: int, before: int) -> str:
    """Return what a READY job waits for; ``before`` older jobs come first."""
    jobs = "no job" if not before else "1 job" if before == 1 else f"{before} jobs"
    return f"{taken} of {slots} slots taken, {jobs} before it"


def without_commands(message: str) -> str:
    """Return a problem's sentences but for those that name a command; all of them where each does."""
    kept = [each for each in re.split(r"(?<=[.!?]) ", message) if "lora-drop " not in each]
    return " ".join(kept) or message


def _reserved(job: PublicJob) -> list[str]:
    now = [each.usd for each in charges_of(job) if each.state is ChargeState.RESERVED]
    if not now:
        return []
    return [f"${sum(now):,.2f} reserved" if sum(now) else f"reserved, {UNPRICED}"]


def _paid(job: PublicJob) -> list[str]:
    """Return what is spent, and how much of it may have been for nothing."""
    charges = charges_of(job)
    wasted = [each.usd for each in charges if each.state is ChargeState.WASTED]
    paid = sum(wasted) + sum(each.usd for each in charges if each.state is ChargeState.SPENT)
    if not wasted and not any(each.state is ChargeState.SPENT for each in charges):
        return []
    if not paid:
        return [f"paid, {UNPRICED}"]
    words = [f"${paid:,.2f} paid"]
    if wasted:
        all_of_it = sum(wasted) == paid
        words.append(
            "without a result" if all_of_it else f"${sum(wasted):,.2f} of it without a result"
        )
    return words

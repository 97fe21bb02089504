"""What a person has to know before something is done about a stack's job."""

from collections.abc import Mapping, Sequence
from typing import Any

from lora_drop.client.job_words import (
    charges_of,
    cost_words,
    erase_question,
    erased_line,
    without_commands,
)
from lora_drop.jobs.public_job import PublicJob
from lora_drop.ui.backends import Action, Question
from lora_drop.ui.stack_cards import BEFORE_SENT

NOT_KNOWN = "a price that is not known here"


def question_of(job: PublicJob, action: Action) -> Question:
    """Return the question about a job, but for that about forgetting it, which names others as well."""
    price = f"about ${job.estimated_cost_usd:,.2f}" if job.estimated_cost_usd else NOT_KNOWN
    match action:
        case Action.CANCEL:
            return Question(action, f"Cancel {job.job_id}?", _cancelled(job), "Cancel the job")
        case Action.RETRY:
            said = f"This pays {price} once more, as a new job with the same photos and parameters."
            before = f"Of the job until now: {cost_words(job)}."
            return Question(
                action, f"Train {job.job_id} once more?", (said, before), f"Pay {price}"
            )
        case Action.APPROVE:
            held = tuple(without_commands(each.message) for each in job.problems)
            said = f"Approved, it goes on and pays {price}. Your name is kept with the job."
            return Question(action, f"Let {job.job_id} go on?", (*held, said), f"Approve {price}")
        case Action.FORGET:
            raise ValueError(action)


def forget_question(job_id: str, going: Sequence[Mapping[str, Any]]) -> Question:
    """Return the question that names every job that goes, the job first; none goes where the erasing is begun."""
    if not going:
        said = "Its erasing is begun already and goes on by itself; this only waits for it."
        return Question(Action.FORGET, f"Erase {job_id}?", (said,), "Go on")
    shared = (
        ("They share a dataset, files or photos, so that none of them can be forgotten alone.",)
        if len(going) > 1
        else ()
    )
    lines = tuple(erased_line(each) for each in going)
    jobs = tuple(str(each["job_id"]) for each in going)
    last = "This cannot be undone. What was paid stays paid."
    button = "Erase it for good" if len(going) == 1 else f"Erase all {len(going)} for good"
    sentences = (erase_question(going), *lines, *shared, last)
    return Question(Action.FORGET, f"Erase {job_id}?", sentences, button, jobs)


def _cancelled(job: PublicJob) -> tuple[str, ...]:
    if job.status in BEFORE_SENT:
        paid = any(each.micro_usd for each in charges_of(job))
        before = f" Of it until now: {cost_words(job)}." if paid else ""
        return (f"It is not sent to fal yet: to cancel it is free.{before}",)
    return (
        "fal is asked to stop it. What has run already may be billed by fal.",
        "A training that is almost done may still end: its files are kept then, and it is paid.",
    )

"""What a person finds in the models bucket: a job's state, its trouble, its story."""

import json
import re
from collections.abc import Mapping
from datetime import datetime

from lora_drop.jobs.job import Job
from lora_drop.jobs.public_job import public
from lora_drop.jobs.status import Status

STATUS_FILE = "status.json"
ERROR_FILE = "ERROR.txt"
JOB_FILE = "job.json"
REPORT_PAGE, REPORT_FILE = "report.html", "report.json"
CLEAN_COPY = "dataset.zip"
# The file is written before the sheet's row is, so it cannot say when that was done.
PROOF_FIELDS = {"pictures", "note", "paid_usd", "likeness"}

_HEADLINES: Mapping[Status, str] = {
    Status.REJECTED: "This dataset was not sent to training. Nothing was paid.",
    Status.HELD: "This job waits for a person, or for money. It is not at fal.",
    Status.SUBMIT_UNKNOWN: (
        "It is not known whether fal accepted this training. It will not be sent again by itself, "
        "so nothing is paid twice; evidence from fal is awaited."
    ),
    Status.STORING: (
        "This training is done and paid, but its files could not be copied yet. It is tried again "
        "by itself; fal keeps them for about an hour."
    ),
    Status.FAILED: "This training failed.",
    Status.EXPIRED: "fal no longer keeps the result of this training.",
}


_OF_PICTURE: Mapping[Status, str] = {
    Status.HELD: "it waits for a person, or for money, and the sheet waits for it. It is not at fal.",
    Status.SUBMIT_UNKNOWN: (
        "it is not known whether fal accepted it. It will not be sent again by itself, so nothing is paid twice; "
        "evidence from fal is awaited."
    ),
    Status.STORING: (
        "it is made and paid, but could not be copied yet. It is tried again by itself; fal keeps it for about an hour."
    ),
    Status.FAILED: "it could not be made. The sheet is made without it.",
    Status.EXPIRED: "fal no longer keeps it. The sheet is made without it.",
}


def status_text(job: Job) -> str:
    """Return ``status.json``."""
    return json.dumps(public(job), indent=2) + "\n"


def of_job(message: str, job_id: str) -> str:
    """Return a problem's message with the job's own id in the commands that it names."""
    return re.sub(r"(lora-drop [a-z]+) JOB\b", rf"\1 {job_id}", message)


def error_text(job: Job) -> str:
    """Return ``ERROR.txt``: what is wrong and what to do, in plain words."""
    lines = [_headline(job), "", f"Dataset: {job.dataset.key}", f"Job:     {job.job_id}", ""]
    for problem in job.problems:
        lines += [f"- {of_job(problem.message, job.job_id)}", f"  ({problem.code})"]
    retry = f"lora-drop retry {job.job_id}"
    ended = job.status in (Status.FAILED, Status.EXPIRED)
    if ended and job.picture is None and retry not in "\n".join(lines):
        lines += ["", f"To pay for it once more, with the same photos: {retry}"]
    return "\n".join(lines) + "\n"


def _headline(job: Job) -> str:
    if job.picture is None:
        return _HEADLINES[job.status]
    which = f"Picture {job.picture.number} of the proof sheet of {job.picture.proof_of}"
    return f"{which}: {_OF_PICTURE[job.status]}"


def job_text(job: Job) -> str:
    """Return ``job.json``: what the LoRA was made from, how, for how much and how long."""
    since = {step.status: step.at for step in job.history}
    story = {
        "job_id": job.job_id,
        "reference": job.reference,
        "application": job.application,
        "request_id": job.request_id,
        "duplicate_of": job.duplicate_of,
        "retry_of": job.retry_of,
        "resume_from": job.resume_from,
        "dataset": job.dataset.model_dump(mode="json"),
        "content_digest": job.content_digest,
        "images": job.images,
        "preset": job.preset,
        "parameters": job.parameters and job.parameters.model_dump(mode="json"),
        "parameter_sources": job.parameter_sources and dict(job.parameter_sources),
        "estimated_cost_usd": job.estimated_cost_usd,
        "proof": job.proof and job.proof.model_dump(mode="json", include=PROOF_FIELDS),
        "charges": [charge.model_dump(mode="json") for charge in job.charges],
        "lora": job.lora and job.lora.model_dump(mode="json"),
        "earlier": list(job.earlier),
        "files": [stored.model_dump(mode="json") for stored in job.files],
        "timings": {
            "received_at": job.created_at.isoformat(),
            "submitted_at": _iso(since.get(Status.SUBMITTED)),
            "trained_at": _iso(since.get(Status.STORING)),
            "seconds_to_submit": _between(job.created_at, since.get(Status.SUBMITTED)),
            "seconds_to_train": _between(since.get(Status.SUBMITTED), since.get(Status.STORING)),
        },
    }
    return json.dumps(story, indent=2) + "\n"


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _between(start: datetime | None, end: datetime | None) -> float | None:
    return round((end - start).total_seconds(), 3) if start and end else None

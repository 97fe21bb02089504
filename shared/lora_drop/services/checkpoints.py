"""Whether the job that a dataset wants to go on from has what it takes."""

from lora_drop.datasets.parameters import CHECKPOINT, ResolvedParameters
from lora_drop.jobs.errors import DatasetRejectedError
from lora_drop.jobs.job import Job
from lora_drop.jobs.problems import Problem
from lora_drop.services.record import Record


def check_checkpoint(resolved: ResolvedParameters, record: Record) -> None:
    """Find the LoRA of the job that ``resume_from_checkpoint`` names, where it names one.

    Raises DatasetRejectedError when there is no such job, when it has no LoRA in the models bucket (yet,
    or any more), and when it was trained by another trainer.
    """
    if resolved.resume_from is None:
        return
    earlier = record.jobs.get(resolved.resume_from)
    problem = (
        _without_job(resolved.resume_from)
        if earlier is None
        else _of_other_trainer(earlier, resolved.values.trainer) or _without_lora(earlier, record)
    )
    if problem is not None:
        raise DatasetRejectedError([problem])


def _without_job(job_id: str) -> Problem:
    return Problem(
        code="parameter_checkpoint_unknown",
        message=f"{CHECKPOINT} names job {job_id}, and there is none of this id. Write the id as "
        "lora-drop jobs lists it, or the https:// address of a LoRA.",
    )


def _of_other_trainer(earlier: Job, trainer: str) -> Problem | None:
    if earlier.application == trainer:
        return None
    return Problem(
        code="parameter_checkpoint_of_other_trainer",
        message=f"{CHECKPOINT} names job {earlier.job_id}, whose LoRA was trained by "
        f"{earlier.application}; {trainer} goes on from its own. Name another job, or say trainer: "
        f"{earlier.application}.",
    )


def _without_lora(earlier: Job, record: Record) -> Problem | None:
    weights = earlier.weights
    if weights is not None and record.results.has(weights):
        return None
    if weights is not None:
        why = "and its LoRA is no longer in the models bucket. Put it back, or name another job"
    elif earlier.terminal:
        why = f"which is {earlier.status} and has no LoRA. Name one that has"
    else:
        why = f"which is {earlier.status} and has no LoRA yet. Wait until it has"
    return Problem(
        code="parameter_checkpoint_missing",
        message=f"{CHECKPOINT} names job {earlier.job_id}, {why}, then drop it again.",
    )

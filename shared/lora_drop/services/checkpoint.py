"""Whether there is a LoRA to go on from, where a dataset names an earlier job for its training."""

from lora_drop.datasets.parameters import CHECKPOINT, ResolvedParameters
from lora_drop.jobs.job import Job
from lora_drop.jobs.problems import Problem
from lora_drop.services.record import Record


def check_checkpoint(resolved: ResolvedParameters, record: Record) -> Problem | None:
    """Return why the job that ``resume_from_checkpoint`` names has no LoRA to go on from.

    None where none is named, or where it has one. A problem is that there is no such job, that it has no
    LoRA in the models bucket (yet, or any more), or that another trainer trained it.
    """
    if resolved.resume_from is None:
        return None
    earlier = record.jobs.get(resolved.resume_from)
    if earlier is None:
        return _without_job(resolved.resume_from)
    return _of_other_trainer(earlier, resolved.values.trainer) or _without_lora(earlier, record)


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

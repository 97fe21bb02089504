"""The commands that drop and look: train, jobs, job."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from lora_drop.cli.terminal import (
    Checkpoint,
    CreateMasks,
    JobId,
    Json,
    LearningRate,
    Multiresolution,
    Others,
    Preset,
    Progress,
    StackName,
    Steps,
    SubjectCrop,
    TrainerName,
    Trigger,
    client_of,
    output,
    parameters_of,
    reporting,
    write,
    write_line,
)

# The values of `Status`, whose module takes long to import; a test compares.
StatusName = Literal[
    "RECEIVED",
    "REJECTED",
    "READY",
    "HELD",
    "SUBMITTING",
    "SUBMIT_UNKNOWN",
    "SUBMITTED",
    "TRAINING",
    "STORING",
    "SUCCEEDED",
    "FAILED",
    "CANCELLED",
    "EXPIRED",
]


def train(  # noqa: PLR0913  # one parameter is one option
    path: Annotated[Path, typer.Argument(help="A ZIP, or a folder of photos and captions.")],
    *,
    trainer: TrainerName = None,
    preset: Preset = None,
    trigger_phrase: Trigger = None,
    steps: Steps = None,
    learning_rate: LearningRate = None,
    multiresolution_training: Multiresolution = None,
    subject_crop: SubjectCrop = None,
    create_masks: CreateMasks = None,
    resume_from_checkpoint: Checkpoint = None,
    parameter: Others = None,
    force: Annotated[
        bool, typer.Option("--force", help="Pay for it even if the same was trained before.")
    ] = False,
    no_check: Annotated[
        bool,
        typer.Option("--no-check", help="Upload it unchecked; the stack checks it in any case."),
    ] = False,
    reference: Annotated[
        str | None, typer.Option(help="Your own name for the job; kept with it, never sent to fal.")
    ] = None,
    notify_url: Annotated[
        str | None,
        typer.Option(
            help="Your address that this job's changes are sent to, of the stack's NotifyHosts."
        ),
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="Key in the datasets bucket; else the file's name.")
    ] = None,
    wait: Annotated[bool, typer.Option(help="Follow the job to its end.")] = True,
    timeout: Annotated[
        float | None, typer.Option(help="Follow it for so many seconds at most.")
    ] = None,
    stack: StackName = None,
    json_output: Json = False,
    progress: Progress = False,
) -> None:
    """Drop a dataset and follow its job; exits 0 only when the LoRA is there.

    What the stack would refuse is refused here, before it is uploaded. What is not given is decided by training.json in the dataset, then the preset, then fal.
    """
    from lora_drop.cli.check import accepted_here
    from lora_drop.cli.display import lora_line

    given = {
        "trainer": trainer,
        "preset": preset,
        "trigger_phrase": trigger_phrase,
        "steps": steps,
        "learning_rate": learning_rate,
        "multiresolution_training": multiresolution_training,
        "subject_crop": subject_crop,
        "create_masks": create_masks,
        "resume_from_checkpoint": resume_from_checkpoint,
        "force": force or None,
        "reference": reference,
        "notify_url": notify_url,
    }
    with reporting(json_output=json_output, progress=progress) as display:
        parameters = parameters_of(given, parameter)
        lora_drop = client_of(stack)
        application = lora_drop.stack.application
        unused = (
            ()
            if no_check
            else accepted_here(
                path, display, parameters=parameters, key=key, application=application
            )
        )
        with display.upload(path.name) as sending:
            job_id = lora_drop.drop(
                path,
                key=key,
                parameters=parameters,
                progress=sending,
                advise=display.advise,
                without=unused,
            )
        if wait:
            looks = lora_drop.follow(job_id, timeout=timeout, unseen=display.unseen)
            job = display.follow(job_id, looks)
            display.outcome(job)
        else:
            job = {"job_id": job_id}
            display.say_whole(
                f"lora-drop job {job_id} shows where it stands, and its trigger phrase"
            )
    if json_output:
        write(job)
    else:
        write_line(lora_line(job) if wait else job_id)
    raise typer.Exit(wait and job["status"] != "SUCCEEDED")


def jobs(
    *,
    status: Annotated[
        StatusName | None, typer.Option(case_sensitive=False, help="Only jobs that stand here.")
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="Only jobs with this reference of yours.")
    ] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Only jobs of this dataset: its key, or its file's name.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="Jobs on a page.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="“next” of the page before.")] = None,
    stack: StackName = None,
    json_output: Json = False,
) -> None:
    """List jobs, newest first."""
    from lora_drop.jobs.status import Status

    only_status = Status(status) if status else None
    with reporting(json_output=json_output) as display:
        page = client_of(stack).jobs(
            status=only_status, reference=reference, dataset=dataset, limit=limit, cursor=cursor
        )
    if json_output:
        for each in page["jobs"]:
            write(each)
    else:
        asked_for = (status, reference, dataset, cursor)
        output().jobs(page["jobs"], all_of_them=asked_for == (None,) * len(asked_for))
    if page["next"]:
        asked = {"status": status, "reference": reference, "dataset": dataset}
        only = "".join(f" --{name} {shlex.quote(value)}" for name, value in asked.items() if value)
        display.say_whole(
            f"There are more: lora-drop jobs{only} --limit {limit} --cursor {page['next']}"
        )


def job(job_id: JobId, *, stack: StackName = None, json_output: Json = False) -> None:
    """Show one job: where it stands, its parameters, what is wrong, where its files are."""
    with reporting(json_output=json_output):
        found = client_of(stack).job(job_id)
    if json_output:
        write(found)
    else:
        output().job(found)

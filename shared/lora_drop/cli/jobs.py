"""The commands that drop and look: train, watch, jobs, job."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lora_drop.cli.command_line import command
from lora_drop.cli.terminal import (
    Checkpoint,
    CreateMasks,
    JobId,
    Json,
    LearningRate,
    Multiresolution,
    NoFaces,
    Others,
    Preset,
    Progress,
    Proof,
    StackName,
    StatusName,
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
from lora_drop.client.direct_choice import NEEDS_STACK, NoStackError
from lora_drop.client.errors import CommandError

if TYPE_CHECKING:
    from lora_drop.cli.display import Display
    from lora_drop.client.face_check import FaceCheck
    from lora_drop.client.stack_client import StackClient


def train(  # noqa: PLR0913  # one parameter is one option
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH",
            help="A ZIP, or a folder of photos and captions; with --direct also an https address or a data URI.",
        ),
    ],
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
    proof: Proof = None,
    no_check: Annotated[
        bool,
        typer.Option("--no-check", help="Upload it unchecked; the stack checks it in any case."),
    ] = False,
    no_faces: NoFaces = False,
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
    direct: Annotated[
        bool,
        typer.Option(
            "--direct",
            help="Train at fal with FAL_KEY alone, without a stack; the files come here.",
        ),
    ] = False,
    to: Annotated[
        Path | None,
        typer.Option(
            "--to",
            help="With --direct: the folder for the LoRA and its report.",
            file_okay=False,
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="With --direct: pay the price shown, unasked.")
    ] = False,
    stack: StackName = None,
    json_output: Json = False,
    progress: Progress = False,
) -> None:
    """Drop a dataset and follow its job; exits 0 only when the LoRA is there.

    What the stack would refuse is refused here, before it is uploaded. What is not given is decided by training.json in the dataset, then the preset, then fal.
    """
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
    }
    with reporting(json_output=json_output, progress=progress) as display:
        parameters = parameters_of(given, parameter)
        if direct:
            from lora_drop.cli.direct import Choices, train_direct

            if no_check or key or notify_url:
                raise CommandError(
                    "--no-check, --key and --notify-url go with a stack, not with --direct."
                )
            parameters |= {"proof": True} if proof else {}
            choices = Choices(
                *(to, reference),
                yes=yes,
                again=force,
                wait=wait,
                timeout=timeout,
                faces=not no_faces,
            )
            train_direct(path, display, parameters, choices, json_output=json_output)
            return
        if to:
            raise CommandError("--to goes with --direct; lora-drop download JOB fetches a job's.")
        alone = command("train", path, parameters, direct=True)
        lora_drop = client_of(stack, f"{alone}\n{NEEDS_STACK}" if proof else alone)
        more: dict[str, object] = {"reference": reference, "notify_url": notify_url}
        more |= {"force": force or None, "proof": proof}
        parameters |= {name: value for name, value in more.items() if value is not None}
        faces = None if no_check else lora_drop.stack.faces.unless(no_faces=no_faces)
        job_id = _dropped(lora_drop, Path(path), display, parameters, key, faces=faces)
        if not wait:
            display.say(f"lora-drop watch {job_id} shows how far it is")
            _print({"job_id": job_id}, job_id, json_output=json_output)
            return
        job = _followed(lora_drop, job_id, display, timeout)
    _end(job, json_output=json_output)


def watch(
    job_id: JobId,
    *,
    timeout: Annotated[
        float | None, typer.Option(help="Follow it for so many seconds at most.")
    ] = None,
    stack: StackName = None,
    json_output: Json = False,
    progress: Progress = False,
) -> None:
    """Follow a job live to its end; exits 0 only when the LoRA is there.

    Shows its steps, how much time is left, its last log lines, and what it waits for. Ctrl-C ends the view, not the job.
    """
    from lora_drop.cli.direct_jobs import direct_request, watch_direct

    with reporting(json_output=json_output, progress=progress) as display:
        if request := direct_request(job_id):
            _print(*watch_direct(request, display, timeout), json_output=json_output)
            return
        lora_drop = client_of(stack)
        lora_drop.job(job_id)  # of an id that is none, it says so at once
        job = _followed(lora_drop, job_id, display, timeout)
    _end(job, json_output=json_output)


def _dropped(
    lora_drop: StackClient,
    path: Path,
    display: Display,
    parameters: Mapping[str, object],
    key: str | None,
    *,
    faces: FaceCheck | None,
) -> str:
    """Check a dataset here, upload it, and return the id of its job; None for ``faces`` leaves the check to the stack."""
    from lora_drop.cli.check import accepted_here

    unused: Collection[str] = ()
    if faces is not None:
        application = lora_drop.stack.application
        unused = accepted_here(
            *(path, display),
            parameters=parameters,
            key=key,
            application=application,
            faces=faces,
            proof_sheet=bool(lora_drop.stack.proof_sheet),
        )
    try:
        with display.upload(path.name) as sending:
            return lora_drop.drop(
                path,
                key=key,
                parameters=parameters,
                progress=sending,
                advise=display.advise,
                without=unused,
            )
    except KeyboardInterrupt:
        display.say("The same command run again within a day goes on with what has been sent.")
        raise


def _followed(
    lora_drop: StackClient, job_id: str, display: Display, timeout: float | None
) -> dict[str, Any]:
    from lora_drop.cli.follow import follow_job
    from lora_drop.client.following import EventReader, Watch

    local = lora_drop.stack.endpoint_url is not None
    job = follow_job(display, EventReader(Watch(lora_drop, job_id, timeout, local=local)))
    display.outcome(job)
    display.proof_under_way(job)
    return job


def _end(job: Mapping[str, Any], *, json_output: bool) -> None:
    from lora_drop.cli.job_table import lora_line

    _print(job, lora_line(job), json_output=json_output)
    raise typer.Exit(job["status"] != "SUCCEEDED")


def _print(document: Mapping[str, Any], line: str, *, json_output: bool) -> None:
    if json_output:
        write(document)
    else:
        write_line(line)


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
    """List jobs, newest first.

    With a fal key and no stack, these are the trainings that this machine has sent to fal.
    """
    from lora_drop.jobs.status import Status

    only_status = Status(status) if status else None
    with reporting(json_output=json_output) as display:
        try:
            client = client_of(stack)
        except NoStackError:
            from lora_drop.cli.direct_list import list_direct

            asked = {"status": status, "reference": reference, "dataset": dataset}
            list_direct(display, asked, limit, json_output=json_output)
            return
        page = client.jobs(
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
        display.say(f"There are more: lora-drop jobs{only} --limit {limit} --cursor {page['next']}")


def job(job_id: JobId, *, stack: StackName = None, json_output: Json = False) -> None:
    """Show one job: where it stands, its parameters, what is wrong, where its files are."""
    from lora_drop.cli.direct_jobs import refuse_direct
    from lora_drop.cli.usage import show_warnings, warnings_of
    from lora_drop.client.download import sheet_progress

    with reporting(json_output=json_output):
        refuse_direct(job_id)
        drop = client_of(stack)
        found = drop.job(job_id)
        warned = () if json_output else warnings_of(drop.stack, found)
        progress = None if json_output else sheet_progress(drop, found)
    if json_output:
        write(found)
    else:
        shown = output()
        shown.job(found, sheet=progress, simulated=drop.stack.simulated)
        show_warnings(shown, warned)

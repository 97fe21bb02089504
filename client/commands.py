"""The commands that drop and look: train, jobs, job."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from client.display import lora_line
from client.errors import CommandFailed
from client.lora_drop import LoraDrop
from client.stack import find_stack
from client.terminal import Json, StackName, output, told, write, write_line
from shared.domain.jobs import Status
from shared.domain.parameters import PRESETS
from shared.domain.trainers.table import DEFAULT


def train(  # noqa: PLR0913  # one parameter is one option
    path: Annotated[Path, typer.Argument(help="A ZIP, or a folder of photos and captions.")],
    *,
    trainer: Annotated[
        str | None,
        typer.Option(help=f"As {DEFAULT.short_name}; all of them: docs/trainers.md."),
    ] = None,
    preset: Annotated[str | None, typer.Option(help=f"One of {', '.join(PRESETS)}.")] = None,
    trigger_phrase: Annotated[
        str | None,
        typer.Option("--trigger", "--trigger-phrase", help="The word that calls the person up."),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="How long it trains.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="How much each step counts.")] = None,
    multiresolution_training: Annotated[
        bool | None,
        typer.Option("--multiresolution/--no-multiresolution", help="Train on several sizes."),
    ] = None,
    subject_crop: Annotated[
        bool | None,
        typer.Option("--subject-crop/--no-subject-crop", help="Crop photos to the person."),
    ] = None,
    create_masks: Annotated[
        bool | None,
        typer.Option("--create-masks/--no-create-masks", help="Mask everything but the person."),
    ] = None,
    resume_from_checkpoint: Annotated[
        str | None, typer.Option(help="An earlier LoRA to go on from: its URL, or its job's id.")
    ] = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option("--set", help="NAME=VALUE, any input of the trainer; as often as needed."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Pay for it even if the same was trained before.")
    ] = False,
    key: Annotated[
        str | None, typer.Option(help="Key in the datasets bucket; else the file's name.")
    ] = None,
    wait: Annotated[bool, typer.Option(help="Follow the job to its end.")] = True,
    timeout: Annotated[
        float | None, typer.Option(help="Follow it for so many seconds at most.")
    ] = None,
    stack: StackName = None,
    json_output: Json = False,
) -> None:
    """Drop a dataset and follow its job; exits 0 only when the LoRA is there.

    What is not given is decided by training.json in the dataset, then the preset, then fal.
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
        "force": force or None,
    }
    with told() as display:
        parameters = _with_others(given, parameter or [])
        lora_drop = LoraDrop(find_stack(stack))
        with display.upload(path.name) as progress:
            job_id = lora_drop.drop(
                path, key=key, parameters=parameters, progress=progress, advise=display.advise
            )
        if wait:
            looks = lora_drop.follow(job_id, timeout=timeout, unseen=display.unseen)
            job = display.follow(job_id, looks)
            display.outcome(job)
        else:
            job = {"job_id": job_id}
    if json_output:
        write(job)
    else:
        write_line(lora_line(job) if wait else job_id)
    raise typer.Exit(wait and job["status"] != Status.SUCCEEDED)


def _with_others(given: Mapping[str, object], others: Sequence[str]) -> dict[str, object]:
    """What is given by an option of its own, and by ``--set``; raises CommandFailed."""
    parameters = {name: value for name, value in given.items() if value is not None}
    for each in others:
        name, equals, value = each.partition("=")
        name = name.strip().replace("-", "_")
        if not (name and equals):
            raise CommandFailed("--set is NAME=VALUE, like --set training_style=style.")
        if name in parameters:
            raise CommandFailed(f"{name} is given twice. Keep one of them.")
        parameters[name] = value
    return parameters


def jobs(
    *,
    status: Annotated[Status | None, typer.Option(help="Only jobs that stand here.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100, help="Jobs on a page.")] = 20,
    cursor: Annotated[str | None, typer.Option(help="“next” of the page before.")] = None,
    stack: StackName = None,
    json_output: Json = False,
) -> None:
    """List jobs, newest first."""
    with told() as display:
        page = LoraDrop(find_stack(stack)).jobs(status=status, limit=limit, cursor=cursor)
    if json_output:
        write(page)
        return
    output().jobs(page["jobs"])
    if page["next"]:
        only = f" --status {status}" if status else ""
        display.say_whole(
            f"There are more: lora-drop jobs{only} --limit {limit} --cursor {page['next']}"
        )


def job(
    job_id: Annotated[str, typer.Argument(help="As `lora-drop jobs` lists it.")],
    *,
    stack: StackName = None,
    json_output: Json = False,
) -> None:
    """Show one job: where it stands, its parameters, what is wrong, where its files are."""
    with told():
        found = LoraDrop(find_stack(stack)).job(job_id)
    if json_output:
        write(found)
    else:
        output().job(found)

"""The commands with which a person decides: what goes on, what stops, what is done once more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from lora_drop.cli.direct_jobs import refuse_direct
from lora_drop.cli.terminal import (
    JobId,
    Json,
    StackName,
    client_of,
    job_ids,
    output,
    reporting,
    write,
    write_line,
)
from lora_drop.client.errors import CommandError


def resolve(
    job_id: Annotated[
        str, typer.Argument(help="A job that is SUBMIT_UNKNOWN.", autocompletion=job_ids)
    ],
    *,
    request_id: Annotated[
        str | None, typer.Option(help="fal has this request of ours, as its dashboard shows it.")
    ] = None,
    not_submitted: Annotated[
        bool, typer.Option("--not-submitted", help="fal never got it: pay for it once more.")
    ] = False,
    stack: StackName = None,
    json_output: Json = False,
) -> None:
    """Settle a submission whose answer was lost and that no evidence settles; kept with your name."""
    with reporting(json_output=json_output):
        refuse_direct(job_id)
        if (request_id is None) is not not_submitted:
            raise CommandError("Say either --request-id ID or --not-submitted.")
        job = client_of(stack).resolve(job_id, request_id=request_id)
    _write_state(job, json_output=json_output)


def approve(
    job_id: Annotated[str, typer.Argument(help="A job that is HELD.", autocompletion=job_ids)],
    *,
    stack: StackName = None,
    json_output: Json = False,
) -> None:
    """Let a held job go on; kept with your name."""
    with reporting(json_output=json_output):
        refuse_direct(job_id)
        job = client_of(stack).approve(job_id)
    _write_state(job, json_output=json_output)


def cancel(job_id: JobId, *, stack: StackName = None, json_output: Json = False) -> None:
    """Stop a job: for free before it is sent, as far as fal can afterwards; kept with your name."""
    from lora_drop.cli.direct_jobs import cancel_direct, direct_request

    with reporting(json_output=json_output) as display:
        if request := direct_request(job_id):
            asked = cancel_direct(request)
            said = "fal is asked to stop" if asked else "it had ended before, and is not cancelled:"
            _write_cancelled(
                request.request_id,
                f"{said} {request.request_id}",
                json_output=json_output,
                asked=asked,
            )
            raise typer.Exit(not asked)
        job = client_of(stack).cancel(job_id)
        _write_state(job, json_output=json_output)
        if job["status"] != "CANCELLED":
            display.problems(job)
            display.say(f"{job_id} is not cancelled: it is {job['status']}, and goes on.")
            raise typer.Exit(1)


def retry(
    job_id: JobId,
    *,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last LoRA of this dataset.")
    ] = False,
    stack: StackName = None,
    json_output: Json = False,
) -> None:
    """Pay for an ended job's dataset once more, as a new job; kept with your name."""
    with reporting(json_output=json_output):
        refuse_direct(job_id)
        job = client_of(stack).retry(job_id, resume=resume)
    _write_state(job, json_output=json_output)


def replay(job_id: JobId, *, stack: StackName = None, json_output: Json = False) -> None:
    """Take in once more what fal has delivered for a job; one that has ended stays as it is."""
    with reporting(json_output=json_output):
        refuse_direct(job_id)
        job = client_of(stack).replay(job_id)
    _write_state(job, json_output=json_output)


def redrive(*, stack: StackName = None, json_output: Json = False) -> None:
    """Send the dead letters of all queues back to where they came from."""
    with reporting(json_output=json_output):
        moved = client_of(stack).redrive()
    if json_output:
        write({"moved": moved})
    else:
        output().say(", ".join(f"{count} to the {name} queue" for name, count in moved.items()))


def budget(*, stack: StackName = None, json_output: Json = False) -> None:
    """Show this month's dollars (spent, reserved, wasted, left) and who holds a slot at fal."""
    with reporting(json_output=json_output):
        account = client_of(stack).budget()
    if json_output:
        write(account)
    else:
        output().budget(account)


def _write_cancelled(request_id: str, line: str, *, json_output: bool, asked: bool) -> None:
    """What became of the wish to cancel a training without a stack."""
    if json_output:
        write({"request_id": request_id, "cancellation_requested": asked})
    else:
        output().say(f"{line}. What becomes of it: lora-drop watch {request_id}")


def _write_state(job: Mapping[str, Any], *, json_output: bool) -> None:
    from lora_drop.cli.job_table import lora_line

    if json_output:
        write(job)
    else:
        write_line(lora_line(job))

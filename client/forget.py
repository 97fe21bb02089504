"""The command that erases a job, here and at fal, and shows what proves it."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from client.display import Display
from client.errors import CommandFailed
from client.lora_drop import LoraDrop
from client.stack import find_stack
from client.terminal import Json, StackName, told, write, write_line

PAUSE = 1.0  # seconds


def forget(
    job_id: Annotated[str, typer.Argument(help="A job that has ended.")],
    *,
    family: Annotated[
        bool, typer.Option("--family", help="With all that share its dataset or its files.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether it is meant.")] = False,
    wait: Annotated[bool, typer.Option(help="Stay for the last look, six minutes later.")] = True,
    stack: StackName = None,
    json_output: Json = False,
) -> None:
    """Erase a job for good: its dataset, its results, its row, and what fal has stored.

    Interrupted, it goes on by itself; said again, it goes on where it was, or shows the proof.
    """
    with told() as display:
        if not yes and (json_output or not _meant(job_id)):
            raise CommandFailed("Nothing was erased. Say --yes to erase it without being asked.")
        answer = _erased(LoraDrop(find_stack(stack)), job_id, display, family=family, wait=wait)
    if json_output:
        write(answer)
        return
    for proof in answer["erasures"]:
        write_line(_line(proof))


def _meant(job_id: str) -> bool:
    question = f"Erase {job_id} for good: its photos, its LoRA, its report, and what fal has of it?"
    return typer.confirm(question, err=True)


def _erased(
    lora_drop: LoraDrop, job_id: str, display: Display, *, family: bool, wait: bool
) -> dict[str, Any]:
    """The API's answer when it is done, or when only the last look is left and nobody waits for it."""
    said = False
    while True:
        answer = lora_drop.forget(job_id, family=family)
        erased = all(proof["erased_at"] for proof in answer["erasures"])
        if answer["done"] or (erased and not wait):
            return answer
        if erased and not said:
            said = True
            display.say(
                "Everything is erased. A last look follows in some minutes, when nobody can write of "
                "the job any more; Ctrl-C is safe, it comes by itself."
            )
        time.sleep(max(PAUSE, _seconds_to(answer["last_look_at"]) if erased else 0.0))


def _seconds_to(moment: str) -> float:
    return (datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds()


def _line(proof: Mapping[str, Any]) -> str:
    """One proof, in a sentence; it goes by the digest at the end of the job's id."""
    found = proof["found"]
    what = (
        f"{found['dataset_versions']} versions of the dataset, {found['result_versions']} of its "
        f"results, {found['unfinished_uploads']} unfinished uploads; at fal {proof['fal_files']} "
        f"files of {proof['fal_requests']} requests"
    )
    state = f"done {proof['done_at']}" if proof["done_at"] else "the last look is still to come"
    left = "".join(f"\n  left: {each}." for each in proof["left"])
    return f"{proof['digest']}: erased {what}; {state}.{left}"

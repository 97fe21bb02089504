"""The command that erases a job, here and at fal, and shows what proves it."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lora_drop.cli.terminal import Json, StackName, client_of, job_ids, output, reporting, write
from lora_drop.client.errors import CommandError

if TYPE_CHECKING:
    from lora_drop.cli.display import Display
    from lora_drop.client.stack_client import StackClient

PAUSE = 1.0  # seconds
MOST_PICTURES = 20  # of a proof sheet


def forget(
    job_id: Annotated[str, typer.Argument(help="A job that has ended.", autocompletion=job_ids)],
    *,
    family: Annotated[
        bool,
        typer.Option("--family", help="With all that share its dataset, its files or its photos."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether it is meant.")] = False,
    wait: Annotated[
        bool, typer.Option(help="Stay for the last look; else it comes by itself.")
    ] = True,
    stack: StackName = None,
    json_output: Json = False,
) -> None:
    """Erase a job for good: its dataset, its results, its row, and what fal has stored.

    Every job that goes is named before it is asked whether that is meant. Then it stays for about sixteen
    minutes, for a last look, which --no-wait leaves to the stack. Interrupted, what is begun goes on by
    itself; said again, it goes on where it was, or shows the proof. The pages that were opened of it on this machine are deleted.
    """
    from lora_drop.cli.direct_jobs import refuse_direct
    from lora_drop.client.job_words import erase_question, erased_line

    with reporting(json_output=json_output) as display:
        refuse_direct(job_id)
        lora_drop = client_of(stack)
        going = [] if yes else lora_drop.to_be_forgotten(job_id, family=family)
        for job in going:
            display.say(erased_line(job))
        if going and (json_output or not typer.confirm(erase_question(going), err=True)):
            raise CommandError("Nothing was erased. Say --yes to erase it without being asked.")
        answer = _erased(lora_drop, job_id, display, family=family, wait=wait)
        _delete_pages(answer)
    if json_output:
        write(answer)
        return
    names = _names({job_id, *(job["job_id"] for job in going)})
    for proof in answer["erasures"]:
        output().say(_line(proof, names.get(proof["digest"], proof["digest"])))


def _erased(
    lora_drop: StackClient, job_id: str, display: Display, *, family: bool, wait: bool
) -> dict[str, Any]:
    """The API's answer when it is done, or when only the last look is left and ``wait`` is false."""
    said = False
    while True:
        answer = lora_drop.forget(job_id, family=family)
        erased = all(proof["erased_at"] for proof in answer["erasures"])
        if answer["done"] or (erased and not wait):
            return answer
        if erased and not said:
            said = True
            display.say(
                "Everything is erased. A last look follows in some minutes, when nothing can be written about "
                "the job any more; Ctrl-C is safe, it comes by itself."
            )
        time.sleep(max(PAUSE, _seconds_to(answer["last_look_at"]) if erased else 0.0))


def _delete_pages(answer: Mapping[str, Any]) -> None:
    """Delete what was opened of these jobs in the browser of this machine; raises CommandError."""
    from lora_drop.client.opened_pages import cache_folder, delete_cached

    try:
        delete_cached(proof["digest"] for proof in answer["erasures"])
    except OSError as error:
        raise CommandError(
            f"The job is erased, and its pages on this machine are not: {error}. Delete {cache_folder()} yourself."
        ) from error


def _seconds_to(moment: str) -> float:
    return (datetime.fromisoformat(moment) - datetime.now(UTC)).total_seconds()


def _names(ids: Collection[str]) -> dict[str, str]:
    """What the jobs of these ids and the pictures of their proof sheets are called, by the digests that proofs go by."""
    from lora_drop.jobs.ids import digest_of, picture_job_id

    pictures = {
        digest_of(picture_job_id(each, number)): f"picture {number} of the proof sheet of {each}"
        for each in ids
        for number in range(1, MOST_PICTURES + 1)
    }
    return {**pictures, **{digest_of(each): each for each in ids}}


def _line(proof: Mapping[str, Any], name: str) -> str:
    """One proof, in a sentence."""
    from lora_drop.datasets.reports.markup import counted

    found = proof["found"]
    what = (
        f"{counted(found['dataset_versions'], 'version')} of the dataset, "
        f"{counted(found['result_versions'], 'version')} of its results, "
        f"{counted(found['unfinished_uploads'], 'unfinished upload')}; at fal "
        f"{counted(proof['fal_files'], 'file')} of {counted(proof['fal_requests'], 'request')}"
    )
    state = f"done {proof['done_at']}" if proof["done_at"] else "the last look is still to come"
    left = "".join(f"\n  left: {each}." for each in proof["left"])
    return f"{name}: erased {what}; {state}.{left}"

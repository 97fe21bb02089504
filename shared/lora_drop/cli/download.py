"""The command that fetches a job's files."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from lora_drop.cli.terminal import Json, StackName, client_of, job_ids, reporting, write, write_line

Target = Annotated[
    Path | None,
    typer.Option(
        "--to",
        help="A folder; it is made if there is none. Else one that is called like the job.",
        file_okay=False,
    ),
]


def download(
    job_id: Annotated[
        str,
        typer.Argument(
            help="As `lora-drop jobs` lists it, however it stands.", autocompletion=job_ids
        ),
    ],
    *,
    to: Target = None,
    stack: StackName = None,
    json_output: Json = False,
) -> None:
    """Fetch what there is of a job: the LoRA and what came with it, held against their SHA-256.

    The pictures of its proof sheet come into the folder proof, with the sheet itself. With it all come the report and the other files about the job, which is all that a rejected one has.
    """
    from lora_drop.cli.direct_jobs import refuse_direct
    from lora_drop.client.download import fetch
    from lora_drop.client.proof_words import is_open

    with reporting(json_output=json_output) as display:
        refuse_direct(job_id)
        drop = client_of(stack)
        job = drop.job(job_id)
        paths = fetch(drop.stack, job, to or Path(job_id), drop.job)
        if not job["files"]:
            display.say(f"{job_id} is {job['status']}, and has no LoRA.")
        if is_open(job):
            into = f" --to {shlex.quote(str(to))}" if to else ""
            again = f"lora-drop download {job_id}{into}"
            display.say(f"The proof sheet is not done yet. Once it is, this fetches it: {again}")
    if json_output:
        write({"job_id": job_id, "files": [str(path) for path in paths]})
        return
    for path in paths:
        write_line(str(path))

"""The commands that look at several LoRAs: the history of a dataset, and two jobs beside each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lora_drop.cli.terminal import (
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

if TYPE_CHECKING:
    from lora_drop.client.comparison import Comparison
    from lora_drop.client.differences import JobChanges, JobSummary
    from lora_drop.client.stack_client import StackClient

MAX_HISTORY = 1000


def history(
    name: Annotated[
        str,
        typer.Argument(help="A dataset: its key, or its file's name; with or without .zip."),
    ],
    *,
    limit: Annotated[int, typer.Option(min=1, max=MAX_HISTORY, help="Jobs at the most.")] = 20,
    stack: StackName = None,
    json_output: Json = False,
) -> None:
    """List a dataset's jobs, newest first, each with its cost, its likeness and what differs from the one before.

    A file's name alone is looked for at the top and in the folders of the presets, and in others only where it is in none of these.
    """
    from lora_drop.client.differences import JobSummary
    from lora_drop.client.history import dataset_history
    from lora_drop.datasets.reports.markup import visible

    with reporting(json_output=json_output):
        found = dataset_history(client_of(stack), name, limit)
        rows = [(JobSummary.of(job), changes) for job, changes in found]
    if json_output:
        for summary, changes in rows:
            write({**asdict(summary), "changes": changes and changes_document(changes)})
    else:
        _show_history(rows)
        if "/" not in name.strip("/"):
            key = visible(rows[0][0].dataset)
            output().say(f"These are the jobs of {key}. A dataset in another folder: name its key.")


def compare(  # one parameter is one option
    a: Annotated[str, typer.Argument(help="A job with a LoRA.", autocompletion=job_ids)],
    b: Annotated[str, typer.Argument(help="Another one.", autocompletion=job_ids)],
    *,
    page: Annotated[
        Path | None,
        typer.Option(help="Write a page here, with the pictures of both beside each other."),
    ] = None,
    open_page: Annotated[
        bool, typer.Option("--open", help="Open that page in the browser.")
    ] = False,
    stack: StackName = None,
    json_output: Json = False,
) -> None:
    """Compare two jobs: photos, parameters, trainer, cost, time, LoRA, likeness; with --page their pictures.

    What differs is marked with *. The page shows the pictures of their proof sheets side by side.
    """
    from lora_drop.cli.direct_jobs import refuse_direct
    from lora_drop.client.comparison import Comparison

    with reporting(json_output=json_output):
        for each in (a, b):
            refuse_direct(each)
        client = client_of(stack)
        compared = Comparison.of(client, a, b)
        path = _written(client, compared, page) if page or open_page else None
    if json_output:
        write({**comparison_document(compared), "page": path and str(path)})
    else:
        _show_comparison(compared)
        if path and not (open_page and _opened(path)):
            write_line(str(path))


def comparison_document(compared: Comparison) -> dict[str, Any]:
    """Return a comparison as JSON; each parameter has its value of either job."""
    return {
        "a": asdict(compared.a),
        "b": asdict(compared.b),
        **changes_document(compared.changes),
        "pictures": [
            {"number": number, "a": mine, "b": theirs}
            for number, (mine, theirs) in compared.pictures.items()
        ],
    }


def changes_document(changes: JobChanges) -> dict[str, Any]:
    """Return what differs as JSON: each parameter with its value before and after."""
    parameters = {
        name: {"before": before, "after": after}
        for name, (before, after) in changes.parameters.items()
    }
    return {
        "parameters": parameters,
        "photos": changes.photos and asdict(changes.photos),
        "other_content": changes.other_content,
    }


def _written(client: StackClient, compared: Comparison, page: Path | None) -> Path:
    """Write the page here, or among the pages that the browser opens; raises CommandError."""
    from functools import partial

    from lora_drop.client.comparison import small_picture
    from lora_drop.client.comparison_page import comparison_page
    from lora_drop.client.opened_pages import comparison_file

    text = comparison_page(compared, partial(small_picture, client))
    path = page or comparison_file(compared.a.job_id, compared.b.job_id)
    opening = text.partition("style-src")[0].encode()
    try:
        if page and page.exists() and not page.read_bytes().startswith(opening):
            raise CommandError(
                f"{page} is there already, and is no page of lora-drop. Name another file with --page."
            )
        if page is None:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"The page cannot be written: {error}.") from error
    return path.absolute()


def _opened(path: Path) -> bool:
    from lora_drop.cli.usage import in_browser

    return in_browser(path.as_uri())


def _show_history(rows: Sequence[tuple[JobSummary, JobChanges | None]]) -> None:
    from rich.text import Text

    from lora_drop.cli.lineage_tables import changes_words, history_lines
    from lora_drop.client.proof_words import cost_beside

    console = output().console
    lines = history_lines([summary for summary, _ in rows], console.width)
    console.print(next(lines), soft_wrap=True)
    for line, (summary, changes) in zip(lines, rows, strict=True):
        console.print(line, soft_wrap=True)
        if more := cost_beside(summary.proof_usd):
            console.print(Text(f"  {more}", "dim"), soft_wrap=True)
        if changes is not None and (said := changes_words(changes)):
            console.print(Text(f"  {said}", "dim"), soft_wrap=True)


def _show_comparison(compared: Comparison) -> None:
    from lora_drop.cli.lineage_tables import comparison_lines
    from lora_drop.client.comparison_rows import (
        OTHER_CONTENT,
        likeness_notes,
        photo_names,
        photo_words,
    )

    shown = output()
    for line in comparison_lines(compared):
        shown.console.print(line, soft_wrap=True)
    for note in likeness_notes(compared):
        shown.say(note)
    photos = compared.changes.photos
    if photos and (said := photo_words(photos)):
        shown.say(
            f"The photos of {compared.b.job_id} against those of {compared.a.job_id}: {said}."
        )
        for names in photo_names(photos):
            shown.say(f"  {names}")
    elif compared.changes.other_content:
        shown.say(OTHER_CONTENT)
    elif photos is None:
        shown.say(
            "Which photos differ is not known: a report is missing, or is of an earlier version."
        )
    if compared.simulated:
        shown.say(compared.simulated)

"""A job in a line: of the table of jobs, of its states, of its LoRA; and the folder that has its report."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.text import Text

from lora_drop.jobs.status import TROUBLED, Status

HEADS = ("job", "status", "images", "steps", "estimate", "created")
LORA = "lora.safetensors"
NEEDED_LEAST = (3, 2, 4, 5)  # columns: steps, images, estimate, created


def table_lines(jobs: Sequence[Mapping[str, Any]], width: int) -> Iterator[Text]:
    """Yield the heading and a line for each job, with the columns for which there is room."""
    lines = [[Text(head, "bold") for head in HEADS], *map(_row, jobs)]
    yield from fitted(lines, width, NEEDED_LEAST)


def fitted(
    lines: Sequence[Sequence[Text]], width: int, needed_least: Sequence[int]
) -> Iterator[Text]:
    """Yield the lines of a table; columns are left out in the order of ``needed_least`` until it has the width."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    shown = _columns(widths, width, needed_least)
    for line in lines:
        for column in shown[:-1]:
            line[column].pad_right(widths[column] - len(line[column]))
        yield Text("  ").join(line[column] for column in shown)


def coloured(status: str) -> Text:
    """Return a status in the colour of what it means."""
    colour = {Status.SUCCEEDED: "bold green"}.get(Status(status), "cyan")
    return Text(status, "bold red" if Status(status) in TROUBLED else colour)


def local_time(text: str) -> str:
    """Return a moment of the API as this machine's clock shows it."""
    return moment(text).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def moment(text: str) -> datetime:
    """Return a moment of the API."""
    return datetime.fromisoformat(text)


def step_line(step: Mapping[str, Any], before: Mapping[str, Any] | None = None) -> Text:
    """Return one of a job's states in a line, with how long the one before it lasted."""
    line = Text.assemble((local_time(step["at"]), "dim"), "  ", coloured(step["status"]))
    if before:
        waited = (moment(step["at"]) - moment(before["at"])).total_seconds()
        line.append(f"  +{max(0.0, waited):.1f} s", "dim")
    return line


def lora_line(job: Mapping[str, Any]) -> str:
    """Return ``SUCCEEDED <job_id> s3://… sha256:<hex>``; without a LoRA, status and job alone."""
    for file in job["files"]:
        if file["name"] == LORA:
            where = f"s3://{file['bucket']}/{file['key']}"
            return f"{job['status']} {job['job_id']} {where} sha256:{file['sha256']}"
    return f"{job['status']} {job['job_id']}"


def lora_words(job: Mapping[str, Any]) -> str | None:
    """Return what the LoRA's own header says, in a line: “rank 16, 988 tensors, BF16”; None where it is not known."""
    lora = job.get("lora")
    if not lora:
        return None
    ranks = f"rank {', '.join(map(str, lora['ranks']))}" if lora["ranks"] else ""
    return ", ".join(filter(None, (ranks, f"{lora['tensors']:,} tensors", *lora["dtypes"])))


def _row(job: Mapping[str, Any]) -> list[Text]:
    steps = (job["parameters"] or {}).get("steps", "")
    cost = job["estimated_cost_usd"]
    return [
        Text(job["job_id"]),
        coloured(job["status"]),
        Text(str(job["images"] or "")),
        Text(f"{steps:,}" if isinstance(steps, int) else str(steps)),
        Text(f"${cost:,.2f}" if cost else ""),
        Text(local_time(job["created_at"])),
    ]


def _columns(widths: Sequence[int], width: int, needed_least: Sequence[int]) -> list[int]:
    """Return the columns for which there is room, and always those that are not in ``needed_least``."""
    shown = list(range(len(widths)))
    for least in needed_least:
        if sum(widths[column] + 2 for column in shown) - 2 <= width:
            break
        shown.remove(least)
    return shown

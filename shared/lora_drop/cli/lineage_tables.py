"""The tables of ``lora-drop history`` and ``lora-drop compare``."""

from collections.abc import Iterator, Sequence

from rich.text import Text

from lora_drop.cli.job_table import coloured, fitted
from lora_drop.client.comparison import Comparison
from lora_drop.client.comparison_rows import (
    comparison_rows,
    likeness_words,
    ordered_at,
    photo_words,
    value_words,
)
from lora_drop.client.differences import JobChanges, JobSummary

HEADS = ("job", "when", "status", "trainer", "steps", "photos", "cost", "likeness")
# Columns that go first where there is no room: photos, steps, trainer, when, likeness, cost.
NEEDED_LEAST = (5, 4, 3, 1, 7, 6)
MARK = "*"


def history_lines(jobs: Sequence[JobSummary], width: int) -> Iterator[Text]:
    """Yield the heading and a line for each job, with the columns for which there is room."""
    lines = [[Text(head, "bold") for head in HEADS], *map(_row, jobs)]
    yield from fitted(lines, width, NEEDED_LEAST)


def changes_words(changes: JobChanges) -> str:
    """Return what a job has otherwise than the one before it, in a line; empty where nothing is known to differ."""
    said = [
        f"{name} {value_words(before)} → {value_words(after)}"
        for name, (before, after) in changes.parameters.items()
    ]
    other = "captions or masks changed" if changes.other_content else ""
    return ", ".join(filter(None, (*said, photo_words(changes.photos), other)))


def comparison_lines(compared: Comparison) -> Iterator[Text]:
    """Yield the heading and a line for each thing that is compared; what differs begins with a mark."""
    rows = list(comparison_rows(compared))
    lines = [
        [Text(""), Text(""), Text(compared.a.job_id, "bold"), Text(compared.b.job_id, "bold")],
        *(
            [Text(MARK if row.differs else " "), Text(row.name), Text(row.a), Text(row.b)]
            for row in rows
        ),
    ]
    return fitted(lines, 0, ())


def _row(job: JobSummary) -> list[Text]:
    return [
        Text(job.job_id),
        Text(ordered_at(job)),
        coloured(job.status),
        Text(job.trainer.rpartition("/")[2]),
        Text("" if job.steps is None else f"{job.steps:,}"),
        Text("" if job.images is None else str(job.images)),
        Text("" if job.paid_usd is None else f"${job.paid_usd:,.2f}"),
        Text(likeness_words(job)),
    ]

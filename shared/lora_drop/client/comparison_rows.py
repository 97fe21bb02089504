"""A comparison of two jobs as rows of words, for the terminal and for the page."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from lora_drop.client.comparison import Comparison
from lora_drop.client.differences import JobSummary, PhotoChanges, Value
from lora_drop.client.proof_words import cost_beside
from lora_drop.datasets.reports.markup import counted, dollars, shown, size_of, visible
from lora_drop.jobs.proof import Likeness

MINUTE = 60
NONE = "-"
SAME_PHOTOS = "Both were trained on the same photos."
OTHER_CONTENT = "Both were trained on the same photos; their captions or masks differ."
NAMED = 5  # photos in a line


@dataclass(frozen=True, slots=True)
class Row:
    """One thing of both jobs, in words; ``differs`` where it is not the same."""

    name: str
    a: str
    b: str

    @property
    def differs(self) -> bool:
        """Whether the two are not the same."""
        return self.a != self.b


def photo_words(photos: PhotoChanges | None) -> str:
    """Return how the photos differ, in half a sentence; empty where that is not known, or nothing does."""
    if photos is None:
        return ""
    parts = [
        (photos.added, "photo", "added"),
        (photos.removed, "photo", "removed"),
        (photos.captions, "caption", "changed"),
    ]
    return ", ".join(f"{counted(len(names), one)} {what}" for names, one, what in parts if names)


def photo_names(photos: PhotoChanges) -> Iterator[str]:
    """Yield a line for the photos that were added, removed, or have another caption, each with five names at most."""
    for names, what in (
        (photos.added, "added"),
        (photos.removed, "removed"),
        (photos.captions, "caption changed"),
    ):
        if names:
            more = len(names) - NAMED
            rest = f" and {more:,} more" if more > 0 else ""
            yield visible(f"{what}: {', '.join(names[:NAMED])}{rest}")


def ordered_at(job: JobSummary) -> str:
    """Return when a job was ordered, the same on every machine: “2026-11-30 07:47 UTC”."""
    return f"{datetime.fromisoformat(job.created_at).astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def value_words(value: Value | None) -> str:
    """Return a parameter's value as a person writes it; a dash for none."""
    return NONE if value is None else shown(value)


def cost_words(job: JobSummary) -> str:
    """Return what a job cost: “$3.60 and $0.14 for the proof sheet”."""
    paid = NONE if job.paid_usd is None else dollars(job.paid_usd)
    return f"{paid} {cost_beside(job.proof_usd)}".rstrip()


def likeness_words(job: JobSummary, whose: str = "") -> str:
    """Return how much the proof sheet looks like the person: “0.72 of 0.84”, “0.91 (photos 0.87)”; empty for none.

    ``whose``: said after the second number, where it is the larger one.
    """
    return Likeness(likeness=job.likeness, among_photos=job.among_photos).short(whose)


def likeness_notes(compared: Comparison) -> Iterator[str]:
    """Yield for each of the two jobs what its likeness hides, with its id; nothing where it hides nothing."""
    for job in (compared.a, compared.b):
        if job.likeness_note:
            yield f"{job.job_id}: {job.likeness_note}"


def duration(seconds: float) -> str:
    """Return a time in minutes and seconds."""
    minutes, rest = divmod(round(seconds), MINUTE)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


SUMMARY: Mapping[str, Callable[[JobSummary], str]] = {
    "ordered": ordered_at,
    "dataset": lambda job: job.dataset,
    "photos": lambda job: NONE if job.images is None else f"{job.images:,}",
    "preset": lambda job: job.preset or NONE,
    "cost": cost_words,
    "trained for": lambda job: NONE if job.seconds is None else duration(job.seconds),
    "LoRA": lambda job: NONE if job.size is None else size_of(job.size),
    "rank": lambda job: ", ".join(map(str, job.ranks)) or NONE,
    "type": lambda job: ", ".join(job.dtypes) or NONE,
    "likeness": lambda job: likeness_words(job, " among the photos") or NONE,
}


def comparison_rows(compared: Comparison) -> Iterator[Row]:
    """Yield what both jobs have, and then each parameter that differs."""
    for name, words in SUMMARY.items():
        row = Row(name, words(compared.a), words(compared.b))
        if (row.a, row.b) != (NONE, NONE):
            yield row
    for name, (before, after) in compared.changes.parameters.items():
        yield Row(name, value_words(before), value_words(after))

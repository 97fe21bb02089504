"""How far a job is, in words: what it waits for, its place in fal's queue, its steps."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from lora_drop.cli.job_table import local_time
from lora_drop.cli.progress_view import duration
from lora_drop.jobs.status import Status


def progress_rows(job: Mapping[str, Any]) -> dict[str, str]:
    """The rows of ``lora-drop job`` about its progress; none where nothing is known."""
    rows = {}
    if waiting := job.get("waiting"):
        rows["waits for"] = waiting_line(waiting)
    position, progress = job.get("queue_position"), job.get("progress")
    if job["status"] == Status.SUBMITTED and position is not None:
        rows["queue"] = f"{position} before it at fal" if position else "next at fal"
    if progress:
        rows["progress"] = progress_line(progress)
    return rows


def waiting_line(waiting: Mapping[str, int]) -> str:
    """The slots that are taken, and how many jobs come first."""
    taken = f"a slot: {waiting['slots_taken']} of {waiting['slots']} taken"
    before = waiting["jobs_before"]
    return f"{taken}, {before} job{'s' if before != 1 else ''} before it" if before else taken


def progress_line(progress: Mapping[str, Any]) -> str:
    """The steps, the percent, and how long the rest takes, as of when fal was asked."""
    line = f"{progress['step']} of {progress['steps']} steps, {progress['percent']:.1f} %"
    if progress["step"] == progress["steps"]:
        return line
    left = progress["eta_seconds"]
    about = "" if left is None else f", about {duration(timedelta(seconds=left))} left"
    return f"{line}{about} (at {local_time(progress['at'])})"

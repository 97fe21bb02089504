"""The pages that commands open in the browser: where they lie on this machine, and how a job's are deleted."""

import shutil
from collections.abc import Iterable
from glob import escape
from pathlib import Path

REPORTS, COMPARISONS = "reports", "comparisons"


def cache_folder() -> Path:
    """Return the user's folder for what can be fetched again (platformdirs, ``user_cache_path``)."""
    from platformdirs import user_cache_path  # noqa: PLC0415  # few commands need it

    return user_cache_path("lora-drop", appauthor=False)


def report_folder(job_id: str) -> Path:
    """Return the folder of the page that ``lora-drop open`` fetches of a job."""
    return cache_folder() / REPORTS / job_id


def comparison_file(a: str, b: str) -> Path:
    """Return the page that ``lora-drop compare --open`` writes of two jobs."""
    return cache_folder() / COMPARISONS / f"{a}-{b}.html"


def delete_cached(digests: Iterable[str]) -> None:
    """Delete the pages of jobs, by the ten digits that their ids end with; raises OSError."""
    for digest in map(escape, digests):
        for folder in (cache_folder() / REPORTS).glob(f"*-{digest}"):
            shutil.rmtree(folder)
        for page in (cache_folder() / COMPARISONS).glob(f"*-{digest}*.html"):
            page.unlink(missing_ok=True)

"""The result page of a job that has its LoRA, over the page that its check wrote."""

from contextlib import suppress

from lora_drop.datasets.reports import result_page
from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.errors import DatasetUnreadableError
from lora_drop.jobs.ids import job_id_for, result_prefix
from lora_drop.jobs.job import Job
from lora_drop.jobs.job_files import REPORT_PAGE
from lora_drop.ports import ResultStore
from lora_drop.services.internal_errors import INTERNAL_ERRORS

MOST_READ = 64 * 1024**2  # bytes; a page of the largest dataset, with its previews, is smaller


def write_result_page(results: ResultStore, job: Job) -> None:
    """Write ``report.html`` of a job that succeeds; safe to repeat.

    A retry is not checked again: its page is made over the page of the first job of its dataset. A mistake of
    ours in the page keeps no paid LoRA from its end: then the page of the check stays.
    """
    checked = _page(results, checked_prefix(job))
    try:
        page = result_page(job, checked)
    except INTERNAL_ERRORS:
        return
    results.write(job.prefix + REPORT_PAGE, page, "text/html", expires=True)


def checked_prefix(job: Job) -> str:
    """Return the folder of the job that checked this dataset version: the first one."""
    dataset = job.dataset
    first = job_id_for(dataset.bucket, dataset.key, dataset.version_id)
    return result_prefix(dataset.key, first)


def _page(results: ResultStore, prefix: str) -> str | None:
    """Return the page as it lies there; None where it has expired."""
    stored = StoredFile(
        name=REPORT_PAGE, bucket=results.bucket, key=prefix + REPORT_PAGE, size=0, sha256=""
    )
    with suppress(DatasetUnreadableError, UnicodeDecodeError):
        return results.read(stored, MOST_READ).decode()
    return None

"""The files of a report on this machine, which no stack is needed for: where they go, and what may lie there."""

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lora_drop.client.errors import CommandError
from lora_drop.datasets.report import Report, Verdict
from lora_drop.datasets.reports import html_text, json_text
from lora_drop.jobs.job_files import REPORT_FILE, REPORT_PAGE

PAGE_SUFFIXES = (".html", ".htm")
JSON_SUFFIX = ".json"
# What every version of report.json has had.
OF_A_REPORT = frozenset({"schema_version", "file", "verdict", "errors", "warnings", "images"})


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """The page for people, and the JSON for programs beside it."""

    page: Path
    data: Path

    def write(self, report: Report) -> None:
        """Write both; raises CommandError."""
        try:
            self.page.write_text(html_text(report), encoding="utf-8")
            self.data.write_text(json_text(report), encoding="utf-8")
        except OSError as unwritable:
            raise CommandError(f"The report cannot be written: {unwritable}.") from unwritable


def report_files(where: str) -> ReportFiles:
    """The files of a report that is wanted here: a folder, or the name of either file.

    Something that ends in a slash is a folder as well. A folder that is missing is made. Raises
    CommandError for one that cannot be, and for what lies there and is no earlier report.
    """
    files = _named(where)
    try:
        files.page.parent.mkdir(parents=True, exist_ok=True)
        for path, is_report in ((files.page, _is_page), (files.data, _is_data)):
            if path.exists() and not (path.is_file() and is_report(path.read_bytes())):
                raise CommandError(
                    f"{path} is there already, and is no report of lora-drop. Nothing was checked: "
                    "name another file or folder with --report."
                )
    except OSError as unusable:
        raise CommandError(
            f"No report can be written to {where}: {unusable}. Nothing was checked."
        ) from unusable
    return files


def _named(where: str) -> ReportFiles:
    path = Path(where)
    if where.endswith("/") or path.is_dir():
        return ReportFiles(path / REPORT_PAGE, path / REPORT_FILE)
    if path.suffix.lower() in PAGE_SUFFIXES:
        return ReportFiles(path, path.with_suffix(JSON_SUFFIX))
    if path.suffix.lower() == JSON_SUFFIX:
        return ReportFiles(path.with_suffix(PAGE_SUFFIXES[0]), path)
    return ReportFiles(Path(f"{where}{PAGE_SUFFIXES[0]}"), Path(f"{where}{JSON_SUFFIX}"))


def _is_data(content: bytes) -> bool:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and found.keys() >= OF_A_REPORT


def _is_page(content: bytes) -> bool:
    return content.startswith(_opening())


@cache
def _opening() -> bytes:
    """What each page begins with, up to the style sheet's hash, which an older one has of its own."""
    page = html_text(Report(file="", verdict=Verdict.REJECTED))
    return page.partition("style-src")[0].encode()

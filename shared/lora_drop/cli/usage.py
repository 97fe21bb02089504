"""The commands for a job that has come to its end: how its LoRA is used, and its report in the browser."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lora_drop.cli.terminal import (
    JobId,
    Json,
    StackName,
    client_of,
    output,
    reporting,
    write,
    write_line,
)
from lora_drop.client.errors import CommandError
from lora_drop.client.result_files import LORA

if TYPE_CHECKING:
    from lora_drop.cli.display import Display
    from lora_drop.client.stack import Stack
    from lora_drop.jobs.problems import Problem

LONGEST = 7 * 24  # hours, which is the most that S3 signs an address for
SCREENS = ("DISPLAY", "WAYLAND_DISPLAY")


def usage(
    job_id: JobId,
    *,
    only: Annotated[
        Literal["fal", "diffusers"] | None,
        typer.Option(help="Only this program, to be written into a file."),
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="The LoRA where you have it; else where download puts it.")
    ] = None,
    hours: Annotated[
        int, typer.Option(min=1, max=LONGEST, help="How long fal may fetch the LoRA from S3.")
    ] = 1,
    stack: StackName = None,
    json_output: Json = False,
) -> None:
    """Show how to use a job's LoRA, with its trigger phrase: a program for fal, and one for diffusers.

    fal gets the LoRA from S3 by an address that is signed for --hours, and of a stack on this machine from your
    own file.
    """
    from lora_drop.cli.direct_jobs import direct_request
    from lora_drop.client.direct_folders import usage_subject
    from lora_drop.client.usage import job_usage, request_usage
    from lora_drop.datasets.trigger_phrase import UNTRAINED

    trained = True
    with reporting(json_output=json_output):
        if only and json_output:
            raise CommandError("--only goes without --json, which has both programs.")
        if request := direct_request(job_id):
            found = request_usage(usage_subject(request), file)
        else:
            drop = client_of(stack)
            job = drop.job(job_id)
            here = str(file or Path(job["job_id"]) / LORA)
            found = job_usage(drop.stack, job, here=here, hours=None if file else hours)
            if not only and not json_output:
                warned = warnings_of(drop.stack, job)
                trained = not any(each.code == UNTRAINED for each in warned)
    if json_output:
        write(found)
    elif only:
        sys.stdout.write(found[only])
    else:
        _show(found, trained=trained)


def _show(found: Mapping[str, Any], *, trained: bool) -> None:
    phrase = found["trigger_phrase"]
    if phrase and not trained:
        _remark(f"No caption had the trigger phrase {phrase}, so it was not trained.")
    else:
        said = f"The trigger phrase, for each prompt: {phrase}"
        _remark(said if phrase else "It has no trigger phrase.")
    write_line("")
    _remark(f"At fal ({found['fal_application']}):")
    if found["url"]:
        _remark(
            f"The address is a secret: it opens the LoRA for {found['hours']} h, or until your AWS session ends."
        )
    write_line(found["fal"])
    _remark(f"On your own GPU ({found['base_model']}):")
    write_line(found["diffusers"].rstrip("\n"))
    if not Path(found["file"]).is_file():
        direct = found.get("request_id")
        fetch = f"lora-drop watch {direct}" if direct else f"lora-drop download {found['job_id']}"
        write_line("")
        _remark(f"{found['file']} is not here yet: {fetch}")


def _remark(words: str) -> None:
    """A comment of Python, each of its lines."""
    from rich.text import Text

    from lora_drop.cli.wrapping import write_beside

    write_beside(output().console, Text(words), "# ", "# ")


def open_(
    job_id: JobId,
    *,
    stack: StackName = None,
    json_output: Json = False,
) -> None:
    """Open a job's report in the browser; without a display, print where it lies on this machine."""
    from lora_drop.cli.direct_jobs import direct_request, report_page

    with reporting(json_output=json_output):
        if request := direct_request(job_id):
            page = report_page(request)
        else:
            drop = client_of(stack)
            page = _fetched(drop.stack, drop.job(job_id))
        opened = not json_output and in_browser(page.as_uri())
    if json_output:
        write({"job_id": job_id, "page": str(page)})
    elif not opened:
        write_line(str(page))


def _fetched(stack: Stack, job: Mapping[str, Any]) -> Path:
    """The report on this machine, as it is now: of the job itself, or of the one that checked its dataset."""
    from botocore.exceptions import BotoCoreError, ClientError

    from lora_drop.client.opened_pages import report_folder
    from lora_drop.client.report_page import report_content, report_of
    from lora_drop.jobs.job_files import REPORT_PAGE

    holder, _where = report_of(job)
    folder = report_folder(holder)
    try:
        content = report_content(stack, job, REPORT_PAGE)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        page = folder / REPORT_PAGE
        page.write_bytes(content)
    except (OSError, BotoCoreError, ClientError) as error:
        raise CommandError(
            f"{holder} has no report that could be fetched ({error}). It has one once its dataset is checked, "
            f"until it expires: lora-drop job {job['job_id']}"
        ) from error
    return page


def warnings_of(stack: Stack, job: Mapping[str, Any]) -> Sequence[Problem]:
    """What its check warned of, from the job's report.json; nothing where that is not there or cannot be read."""
    from botocore.exceptions import BotoCoreError, ClientError
    from pydantic import ValidationError

    from lora_drop.client.report_page import report_content
    from lora_drop.datasets.report import Report
    from lora_drop.jobs.job_files import REPORT_FILE

    if not job["parameters"]:
        return ()
    try:
        return Report.model_validate_json(report_content(stack, job, REPORT_FILE)).warnings
    except (OSError, BotoCoreError, ClientError, ValidationError):
        return ()


def show_warnings(display: Display, problems: Sequence[Problem]) -> None:
    """Say what the check of a job's dataset warned of, each sentence once."""
    from lora_drop.cli.reports import SHOWN, problem_lines
    from lora_drop.datasets.reports.markup import counted

    if problems:
        display.say(f"  {counted(len(problems), 'warning')} of its check:")
    for line in problem_lines(problems, SHOWN["warning"], all_of_them="the report shows all"):
        display.say(f"    {line}")


def in_browser(address: str) -> bool:
    """Whether a browser has an address now: on Linux there is none without a display, only text browsers that take the terminal."""
    import webbrowser

    if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in SCREENS):
        return False
    return webbrowser.open(address)

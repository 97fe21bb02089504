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

if TYPE_CHECKING:
    from lora_drop.cli.display import Display
    from lora_drop.client.stack import Stack
    from lora_drop.jobs.problems import Problem

LORA = "lora.safetensors"
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
    from lora_drop.cli.direct_jobs import direct_request, usage_subject

    with reporting(json_output=json_output):
        if only and json_output:
            raise CommandError("--only goes without --json, which has both programs.")
        if request := direct_request(job_id):
            found = _direct_usage(usage_subject(request), file)
        else:
            drop = client_of(stack)
            found = _usage(drop.stack, drop.job(job_id), file, hours)
    if json_output:
        write(found)
    elif only:
        sys.stdout.write(found[only])
    else:
        _show(found)


def _usage(stack: Stack, job: Mapping[str, Any], file: Path | None, hours: int) -> dict[str, Any]:
    from lora_drop.fal.trainers.trainer import TRIGGER_PHRASE

    weights = next((each for each in job["files"] if each["name"] == LORA), None)
    if weights is None:
        raise CommandError(
            f"{job['job_id']} is {job['status']} and has no LoRA. See why: lora-drop job {job['job_id']}"
        )
    phrase = str((job["parameters"] or {}).get(TRIGGER_PHRASE) or "")
    here = str(file or Path(job["job_id"]) / LORA)
    emulated = stack.endpoint_url or os.environ.get(
        "AWS_ENDPOINT_URL"
    )  # no address that fal could reach
    url = None if file or emulated else _address(stack, weights, hours)
    programs = _programs(
        job["application"], phrase, here, url, f"lora-drop download {job['job_id']}"
    )
    return {"job_id": job["job_id"], "url": url, "hours": hours if url else None, **programs}


def _direct_usage(subject: Mapping[str, Any], file: Path | None) -> dict[str, Any]:
    """The same of a training without a stack, whose LoRA lies in a folder here."""
    here, name = str(file or subject["here"]), subject["name"]
    programs = _programs(
        subject["application"], subject["phrase"], here, None, f"lora-drop watch {name}"
    )
    return {"request_id": name, "url": None, "hours": None, **programs}


def _programs(
    application: str, phrase: str, here: str, url: str | None, fetch: str
) -> dict[str, Any]:
    """Both programs and what they are for; raises CommandError for a trainer whose use is not known."""
    from lora_drop.fal.inference import diffusers_program, fal_program, inference_of

    inference = inference_of(application)
    if inference is None:
        raise CommandError(
            f"Where a LoRA of {application} is used is not known here; its page says it: "
            f"https://fal.ai/models/{application}. Fetch the LoRA: {fetch}"
        )
    return {
        "trigger_phrase": phrase or None,
        "file": here,
        "fal_application": inference.application,
        "base_model": inference.base_model,
        "fal": fal_program(inference, phrase, url=url, file=here),
        "diffusers": diffusers_program(inference, phrase, file=here),
    }


def _address(stack: Stack, weights: Mapping[str, Any], hours: int) -> str:
    """An address of the LoRA that needs no credentials; signed on this machine, so S3 is not asked."""
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError

    named = {"Bucket": weights["bucket"], "Key": weights["key"]}
    try:
        # Signature Version 4, which encrypted buckets ask for (S3, "Download and upload objects with presigned URLs").
        s3 = stack.session.client("s3", config=Config(signature_version="s3v4"))
        return str(s3.generate_presigned_url("get_object", Params=named, ExpiresIn=hours * 3600))
    except BotoCoreError as error:
        raise CommandError(f"The LoRA's address could not be signed: {error}.") from error


def _show(found: Mapping[str, Any]) -> None:
    phrase = found["trigger_phrase"]
    _remark(
        f"The trigger phrase, for each prompt: {phrase}" if phrase else "It has no trigger phrase."
    )
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
        opened = not json_output and _opened(page)
    if json_output:
        write({"job_id": job_id, "page": str(page)})
    elif not opened:
        write_line(str(page))


def _fetched(stack: Stack, job: Mapping[str, Any]) -> Path:
    """The report on this machine, as it is now: of the job itself, or of the one that checked its dataset."""
    from botocore.exceptions import BotoCoreError, ClientError
    from platformdirs import user_cache_path

    from lora_drop.cli.job_table import report_of
    from lora_drop.jobs.job_files import REPORT_PAGE

    holder, where = report_of(job)
    bucket, _, prefix = where.removeprefix("s3://").partition("/")
    folder = user_cache_path("lora-drop", appauthor=False) / "reports" / holder
    try:
        content = (
            stack.client("s3").get_object(Bucket=bucket, Key=prefix + REPORT_PAGE)["Body"].read()
        )
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

    from lora_drop.cli.job_table import report_of
    from lora_drop.datasets.report import Report
    from lora_drop.jobs.job_files import REPORT_FILE

    if not job["parameters"]:
        return ()
    bucket, _, prefix = report_of(job)[1].removeprefix("s3://").partition("/")
    try:
        found = (
            stack.client("s3").get_object(Bucket=bucket, Key=prefix + REPORT_FILE)["Body"].read()
        )
        return Report.model_validate_json(found).warnings
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


def _opened(page: Path) -> bool:
    """Whether a browser has it: on Linux there is none without a display, only text browsers that take the terminal."""
    import webbrowser

    if sys.platform.startswith("linux") and not any(os.environ.get(name) for name in SCREENS):
        return False
    return webbrowser.open(page.as_uri())

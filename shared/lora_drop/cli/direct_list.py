"""The trainings without a stack that this machine has sent to fal, as `lora-drop jobs` lists them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lora_drop.cli.terminal import write, write_line
from lora_drop.client.direct_folders import folder_of, is_here

if TYPE_CHECKING:
    from lora_drop.cli.display import Display
    from lora_drop.client.submissions import SentRequest

NONE = "This machine has sent no training to fal. The first one: lora-drop train PATH --direct"
NONE_SUCH = "This machine has sent no such training to fal. All of them: lora-drop jobs"
NEXT = (
    "There is no stack here: these are the trainings with a fal key alone, in the state that this machine has seen last. "
    "How far one is, and its files: lora-drop watch FOLDER, or the request id."
)


def list_direct(
    display: Display, asked: Mapping[str, str | None], limit: int, *, json_output: bool
) -> None:
    """List those that are asked for, the newest first; raises CommandError where what was sent cannot be read."""
    from lora_drop.client.submissions import Submissions

    sent = Submissions().sent()
    wanted = {name: value for name, value in asked.items() if value is not None}
    rows = [_row(each) for each in sent]
    found = [row for row in rows if all(_is(row[name], wanted[name]) for name in wanted)]
    for row in found[:limit]:
        if json_output:
            write(row)
        else:
            _show(row)
    if len(found) > limit:
        display.say(f"There are {len(found) - limit:,} more: --limit 100")
    display.say(NEXT if found else NONE_SUCH if rows else NONE)


def _row(request: SentRequest) -> dict[str, Any]:
    """One training; it is known to have succeeded once its LoRA is here, which is not read for a list."""
    about, folder = request.about, folder_of(request)
    return {
        "request_id": request.request_id,
        "status": "SUCCEEDED" if is_here(request) else "SUBMITTED",
        "sent_at": request.sent_at.isoformat(),
        "folder": str(folder),
        "trigger_phrase": (about.get("parameters") or {}).get("trigger_phrase"),
        "dataset": (about.get("dataset") or {}).get("name"),
        "reference": about.get("reference"),
        "application": request.application,
    }


def _show(row: Mapping[str, Any]) -> None:
    """A training in two lines: a request id alone fills half of one."""
    from lora_drop.cli.job_table import local_time
    from lora_drop.datasets.reports.markup import visible

    here, folder = Path.cwd(), Path(row["folder"])
    folder = folder.relative_to(here) if folder.is_relative_to(here) else folder
    phrase = f"  {row['trigger_phrase']}" if row["trigger_phrase"] else ""
    write_line(visible(f"{local_time(row['sent_at'])}  {row['status']:<9}  {folder}{phrase}"))
    write_line(f"    {row['request_id']}")


def _is(value: str | None, asked: str) -> bool:
    """Whether it is what is asked for; of a path its last name will do."""
    return value is not None and asked in (value, Path(value).name)

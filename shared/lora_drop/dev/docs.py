"""What the docs say of the program is made from the program: ``python -m lora_drop.dev.docs [--check]``.

Writes the numbers of README.md and docs/*.md that stand between marks (``dev/figures.py``), docs/cost.md, docs/settings.md, docs/command.md, docs/job-states.md, docs/trainers.md, docs/dataset-errors.md,
docs/report.schema.json, docs/events.schema.json and docs/openapi.json; with ``--check`` it writes nothing and fails where a file is not what it
would write.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from lora_drop import settings
from lora_drop.cli.terminal import EXIT_CODES
from lora_drop.dev.cost import cost_page
from lora_drop.dev.figures import filled, measured, pages, rows_of
from lora_drop.dev.pages import dataset_errors_page, trainers_page
from lora_drop.dev.parity import parity_page
from lora_drop.dev.promises import check_none_lost, promises_page
from lora_drop.dev.scale import scale_page
from lora_drop.dev.schemas import (
    events_schema,
    job_schema,
    openapi_document,
    proof_event_schema,
    proof_schema,
    report_schema,
)
from lora_drop.jobs.status import TRANSITIONS, TROUBLED, Status
from lora_drop.local.tools import ROOT

DOCS = ROOT / "docs"
FUNCTIONS = ("Submit", "Webhook", "Store", "Reconcile", "Jobs", "Notify", "Fetch", "Forget")
WIDTH = "100"  # columns


def settings_page() -> str:
    """Every environment variable of every function, from the models that read them."""
    lines = [
        "# Settings",
        "",
        "What each function reads from its environment. template.yaml sets all of it; the values",
        "come from the stack's parameters, which are described there.",
    ]
    for name in FUNCTIONS:
        model = getattr(settings, f"{name}Settings")
        lines += ["", f"## {name}", "", "| variable | what it is | needed |", "|---|---|---|"]
        for field, info in model.model_fields.items():
            needed = "yes" if info.is_required() else f"no; else `{info.default!r}`"
            lines.append(f"| `{field.upper()}` | {info.description} | {needed} |")
    return "\n".join(lines) + "\n"


def command_page() -> str:
    """The help of every command."""
    overview = _help()
    lines = ["# The `lora-drop` command", "", "```text", overview, "```"]
    for name in re.findall(r"^  ([a-z][a-z-]+) ", overview, re.MULTILINE):
        lines += ["", f"## {name}", "", "```text", _help(name), "```"]
    lines += ["", "## Exit codes", "", "| code | what it says |", "|---|---|"]
    lines += [f"| {code} | {meaning} |" for code, meaning in EXIT_CODES.items()]
    return "\n".join(lines) + "\n"


def states_page() -> str:
    """The one table of moves, as a diagram."""
    lines = [
        "# The states of a job",
        "",
        "Every move a job may make (`shared/lora_drop/jobs/job.py`). Each is one conditional write on the",
        "state before it; facts may come in any order and any number of times.",
        "",
        "```mermaid",
        "stateDiagram-v2",
        f"    [*] --> {Status.RECEIVED}",
    ]
    for status, following in TRANSITIONS.items():
        lines += [f"    {status} --> {after}" for after in Status if after in following]
        if status.terminal:
            lines.append(f"    {status} --> [*]")
    troubled = ", ".join(f"`{status}`" for status in Status if status in TROUBLED)
    lines += ["```", "", f"A person finds an `ERROR.txt` with what to do in {troubled}."]
    return "\n".join(lines) + "\n"


PAGES: Mapping[str, Callable[[], str]] = {
    "settings.md": settings_page,
    "command.md": command_page,
    "job-states.md": states_page,
    "trainers.md": trainers_page,
    "dataset-errors.md": dataset_errors_page,
    "report.schema.json": report_schema,
    "events.schema.json": events_schema,
    "proof-event.schema.json": proof_event_schema,
    "proof.schema.json": proof_schema,
    "job.schema.json": job_schema,
    "openapi.json": openapi_document,
    "promises.md": partial(promises_page, ROOT),
    "fal-parity.md": partial(parity_page, ROOT),
    "cost.md": cost_page,
    "scale.md": scale_page,
}


def stale(folder: Path = DOCS) -> list[str]:
    """The pages that are not what the program says today."""
    return [
        name
        for name, make in PAGES.items()
        if not (folder / name).is_file() or (folder / name).read_text() != make()
    ]


def with_figures() -> Mapping[Path, str]:
    """The pages whose measured numbers are not those of results.json, as they should be; raises FigureError."""
    rows = rows_of(measured())
    texts = {page: page.read_text() for page in pages()}
    return {page: new for page, text in texts.items() if (new := filled(text, rows)) != text}


def _help(*command: str) -> str:
    plain = {"COLUMNS": WIDTH, "TERMINAL_WIDTH": WIDTH, "NO_COLOR": "1", "TYPER_USE_RICH": "0"}
    done = subprocess.run(  # noqa: S603  # our own command
        [sys.executable, "-m", "lora_drop", *command, "--help"],
        env={**os.environ, **plain},
        capture_output=True,
        text=True,
        check=True,
    )
    return "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())


def main() -> None:
    """Write the pages, or say which are stale."""
    if "--check" in sys.argv[1:]:
        if found := [*stale(), *(page.name for page in with_figures())]:
            sys.exit(f"stale: {', '.join(found)}; run: python -m lora_drop.dev.docs")
        return
    if (before := DOCS / "promises.md").is_file():
        changelog = (ROOT / "CHANGELOG.md").read_text()
        check_none_lost(before.read_text(), promises_page(ROOT), changelog)
    for name, make in PAGES.items():
        (DOCS / name).write_text(make())
    for page, text in with_figures().items():
        page.write_text(text)


if __name__ == "__main__":
    main()

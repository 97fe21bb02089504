"""The `lora-drop` command: a group that knows its commands' names and imports only the one that runs."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable, Mapping
from importlib import import_module
from itertools import pairwise
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from lora_drop import __version__
from lora_drop.cli.terminal import write, write_line

NAME = "lora-drop"
# Of all that is wrong with a command line; typer gives the name of one kind alone.
USAGE_ERROR: Any = typer.BadParameter.__base__
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)  # of the disk that it is written to
NO_ARGUMENTS = "NoArgsIsHelpError"  # which is the help itself, wrapped by typer
ERROR = "Error: "  # what typer writes before it
JSON_WORDS = {"--json", ("--output", "json"), ("--output", "jsonl")} | {
    f"--output={each}" for each in ("json", "jsonl")
}


# Where a command's function is, and the first line of its docstring; a test compares it.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "check": (
        "cli.check",
        "Check datasets as the stack would, without a stack or a network; exits 1 if any is rejected.",
    ),
    "train": (
        "cli.jobs",
        "Drop a dataset and follow its job; exits 0 only when the LoRA is there.",
    ),
    "watch": (
        "cli.jobs",
        "Follow a job live to its end; exits 0 only when the LoRA is there.",
    ),
    "ui": (
        "cli.ui",
        "Open a page in the browser: drop photos, look at them, see the price, train, follow the jobs.",
    ),
    "jobs": ("cli.jobs", "List jobs, newest first."),
    "job": (
        "cli.jobs",
        "Show one job: where it stands, its parameters, what is wrong, where its files are.",
    ),
    "history": (
        "cli.lineage",
        "List a dataset's jobs, newest first, each with its cost, its likeness and what differs from the one before.",
    ),
    "compare": (
        "cli.lineage",
        "Compare two jobs: photos, parameters, trainer, cost, time, LoRA, likeness; with --page their pictures.",
    ),
    "download": (
        "cli.download",
        "Fetch what there is of a job: the LoRA and what came with it, held against their SHA-256.",
    ),
    "usage": (
        "cli.usage",
        "Show how to use a job's LoRA, with its trigger phrase: a program for fal, and one for diffusers.",
    ),
    "open": (
        "cli.usage",
        "Open a job's report in the browser; without a display, print where it lies on this machine.",
    ),
    "cancel": (
        "cli.job_actions",
        "Stop a job: for free before it is sent, as far as fal can afterwards; kept with your name.",
    ),
    "retry": (
        "cli.job_actions",
        "Pay for an ended job's dataset once more, as a new job; kept with your name.",
    ),
    "approve": ("cli.job_actions", "Let a held job go on; kept with your name."),
    "resolve": (
        "cli.job_actions",
        "Settle a submission whose answer was lost and that no evidence settles; kept with your name.",
    ),
    "replay": (
        "cli.job_actions",
        "Take in once more what fal has delivered for a job; one that has ended stays as it is.",
    ),
    "redrive": (
        "cli.job_actions",
        "Send the dead letters of all queues back to where they came from.",
    ),
    "forget": (
        "cli.forget",
        "Erase a job for good: its dataset, its results, its row, and what fal has stored.",
    ),
    "budget": (
        "cli.job_actions",
        "Show this month's dollars (spent, reserved, wasted, left) and who holds a slot at fal.",
    ),
    "init": (
        "cli.init",
        "Set lora-drop up, step by step: tools, AWS, the fal key, a deployment, and a free check that proves it.",
    ),
    "doctor": (
        "cli.doctor",
        "Say what is missing on this machine and in the stack, each with what to do; exits 1 on an error.",
    ),
    "explain": (
        "cli.explain",
        "Explain a code of a report, of a job or of fal, or an exit code: what it means, why, what to do.",
    ),
    "config": (
        "cli.config",
        "Keep a default stack, AWS profile and region, so that no option or variable is needed.",
    ),
    "skill": (
        "cli.explain",
        "Print SKILL.md, with which an AI assistant can use this command: how to check before paying, what never to do.",
    ),
    "up": ("cli.stack", "Bring the whole stack up on this machine: no account, no key, no Docker."),
    "down": ("cli.stack", "End the stack on this machine; its buckets and jobs are gone with it."),
    "demo": (
        "cli.stack",
        "The main job from start to end: stack up, a dataset dropped, its LoRA stored, stack down.",
    ),
    "deploy": ("cli.stack", "Deploy the stack into an AWS account, with its fal key."),
    "notify-secret": (
        "cli.notify_secret",
        "Print the secret that a receiver verifies this stack's webhooks with.",
    ),
    "event": (
        "cli.stack",
        "Print an event of events/, made to fit the stack on this machine, for sam local invoke.",
    ),
    "fal-sim": (
        "simulator.command",
        "Speak fal's protocol on this machine: train, make pictures, call back, and fail on request.",
    ),
}


# Functions that would hide a word of Python.
OTHER_NAMES = {"open": "open_"}
# The headings of ``--help``, each with the first command under it.
HEADINGS: Mapping[str, str] = {
    "check": "Train",
    "cancel": "Decide about a job",
    "init": "Find your way",
    "up": "Run a stack",
}


class LazyGroup(TyperGroup):
    """Lists the commands by their lines in the table; imports the one that is run or asked about."""

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]  # noqa: ARG002
        """The names, as ``--help`` lists them."""
        return list(COMMANDS)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]  # noqa: ARG002
        """A command for the list; only ``resolve_command`` imports it."""
        if cmd_name not in COMMANDS:
            return None
        return TyperCommand(cmd_name, short_help=COMMANDS[cmd_name][1], rich_markup_mode=None)

    def format_commands(self, ctx: typer.Context, formatter: Any) -> None:  # type: ignore[override]  # noqa: ARG002
        """Write the commands in groups, each under its heading."""
        groups: dict[str, list[tuple[str, str]]] = {}
        heading = ""
        for name, (_, line) in COMMANDS.items():
            heading = HEADINGS.get(name, heading)
            groups.setdefault(heading, []).append((name, line))
        for title, rows in groups.items():
            with formatter.section(title):
                formatter.write_dl(rows)

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Read the options. Typer's own default to None, and it imports pydantic to convert that."""
        for each in self.get_params(ctx):
            if each.name in ("help", "install_completion", "show_completion"):
                each.default = False
        try:
            return super().parse_args(ctx, args)
        except USAGE_ERROR as wrong:
            _prefer_beginnings(wrong)
            _wrap(wrong)
            raise

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Run the command; with --json a word that it does not take is said as JSON as well."""
        words = [*ctx._protected_args, *ctx.args]  # noqa: SLF001  # what follows the group's own options
        try:
            return super().invoke(ctx)
        except USAGE_ERROR as wrong:
            _prefer_beginnings(wrong)
            if JSON_WORDS & {*words, *pairwise(words)}:
                write({"error": {"message": wrong.format_message()}})
            _wrap(wrong)
            raise

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> Any:  # type: ignore[override]
        """The command itself, of what is left of the command line."""
        try:
            name, listed, rest = super().resolve_command(ctx, args)
        except USAGE_ERROR as wrong:
            if meant := _like(args[0], COMMANDS):
                wrong.message = f"{wrong.message.rstrip('.')}. Did you mean {' or '.join(meant)}?"
            raise
        return name, listed and command_of(str(name)), rest


def _like(word: str, names: Iterable[str]) -> list[str]:
    """What begins with the word; else what is like it."""
    from difflib import get_close_matches

    known = list(names)
    return [each for each in known if each.startswith(word)] or get_close_matches(word, known)


def _prefer_beginnings(wrong: Any) -> None:
    """Of an unknown option, suggest those that begin so before those that are like it."""
    if (asked := getattr(wrong, "option_name", None)) and wrong.ctx:
        options = [each.opts + each.secondary_opts for each in wrong.ctx.command.params]
        wrong.possibilities = _like(asked, (name for names in options for name in names))


def _wrap(wrong: Any) -> None:
    """Wrap what typer says of a wrong word at spaces, where a terminal would break it anywhere."""
    if not sys.stderr.isatty() or wrong.__class__.__name__ == NO_ARGUMENTS:
        return
    from rich.console import Console
    from rich.text import Text

    from lora_drop.cli.wrapping import wrapped

    said = f"{ERROR}{wrong.format_message()}"
    lines = [line.plain for line in wrapped(Text(said), Console(stderr=True).width)]
    wrong.format_message = lambda: "\n".join(lines).removeprefix(ERROR)


def command_of(name: str) -> Any:
    """The command of this name, imported."""
    module = import_module(f"lora_drop.{COMMANDS[name][0]}")
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    function = name.replace("-", "_")
    app.command(name)(getattr(module, OTHER_NAMES.get(name, function)))
    from lora_drop.cli.output_format import with_output

    return with_output(name, typer.main.get_command(app))


def _version(wanted: bool) -> None:  # noqa: FBT001  # as typer calls it
    if wanted:
        write_line(f"{NAME} {__version__}")
        raise typer.Exit


def application() -> typer.Typer:
    """The command. Help is plain text: rich takes longer to import than all else of it."""
    app = typer.Typer(
        cls=LazyGroup,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_options)
    return app


def _options(
    *,
    version_wanted: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_version, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Drop a ZIP of photos; get a trained portrait LoRA."""


def _open_streams() -> None:
    """Open what the caller has closed, and let no character of a name be an error that the terminal cannot show."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w" if number else "r"))  # noqa: PTH123, SIM115  # until it ends
        elif number and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def main() -> None:
    """Run the command; say how to install the extra where it is missing, and that what it says cannot be written."""
    _open_streams()
    try:
        application()(prog_name=NAME)
    except OSError as failed:
        if failed.errno not in FULL:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # Python writes the rest of it when it ends
        sys.exit(f"The output cannot be written: {failed.strerror}.")
    except ModuleNotFoundError as missing:
        from lora_drop.local.tools import EXTRA_MODULES, NEEDS_EXTRA, NEEDS_UI, UI_MODULES

        name = (missing.name or "").partition(".")[0]
        if name not in (*EXTRA_MODULES, *UI_MODULES):
            raise
        sys.exit(NEEDS_UI if name in UI_MODULES else NEEDS_EXTRA)

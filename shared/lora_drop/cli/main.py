"""The `lora-drop` command: a group that knows its commands' names and imports only the one that runs."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Annotated, Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

from lora_drop import __version__
from lora_drop.cli.terminal import write_line

NAME = "lora-drop"
EXTRA = "This needs the extra “local”. Install it: pip install 'lora-drop[local]'"
OF_THE_EXTRA = frozenset({"aiohttp", "nacl", "trustme", "yaml"})


class Place(NamedTuple):
    """Where a command's function is, and the first line of its docstring; a test compares it."""

    module: str
    function: str
    help: str


COMMANDS: Mapping[str, Place] = {
    "check": Place(
        "lora_drop.cli.check",
        "check",
        "Check datasets as the stack would, without a stack or a network; exits 1 if any is rejected.",
    ),
    "train": Place(
        "lora_drop.cli.jobs",
        "train",
        "Drop a dataset and follow its job; exits 0 only when the LoRA is there.",
    ),
    "jobs": Place("lora_drop.cli.jobs", "jobs", "List jobs, newest first."),
    "job": Place(
        "lora_drop.cli.jobs",
        "job",
        "Show one job: where it stands, its parameters, what is wrong, where its files are.",
    ),
    "download": Place(
        "lora_drop.cli.download",
        "download",
        "Fetch what there is of a job: the LoRA and what came with it, held against their SHA-256.",
    ),
    "cancel": Place(
        "lora_drop.cli.job_actions",
        "cancel",
        "Stop a job: for free before it is sent, as far as fal can afterwards; kept with your name.",
    ),
    "retry": Place(
        "lora_drop.cli.job_actions",
        "retry",
        "Pay for an ended job's dataset once more, as a new job; kept with your name.",
    ),
    "approve": Place(
        "lora_drop.cli.job_actions", "approve", "Let a held job go on; kept with your name."
    ),
    "resolve": Place(
        "lora_drop.cli.job_actions",
        "resolve",
        "Settle a submission whose answer was lost and that no evidence settles; kept with your name.",
    ),
    "replay": Place(
        "lora_drop.cli.job_actions",
        "replay",
        "Take in once more what fal has delivered for a job; one that has ended stays as it is.",
    ),
    "redrive": Place(
        "lora_drop.cli.job_actions",
        "redrive",
        "Send the dead letters of both queues back to where they came from.",
    ),
    "forget": Place(
        "lora_drop.cli.forget",
        "forget",
        "Erase a job for good: its dataset, its results, its row, and what fal has stored.",
    ),
    "budget": Place(
        "lora_drop.cli.job_actions",
        "budget",
        "Show this month's dollars (spent, reserved, wasted, left) and who holds a slot at fal.",
    ),
    "up": Place(
        "lora_drop.cli.stack",
        "up",
        "Bring the whole stack up on this machine: no account, no key, no Docker.",
    ),
    "down": Place(
        "lora_drop.cli.stack",
        "down",
        "End the stack on this machine; its buckets and jobs are gone with it.",
    ),
    "demo": Place(
        "lora_drop.cli.stack",
        "demo",
        "The main job from start to end: stack up, a dataset dropped, its LoRA stored, stack down.",
    ),
    "deploy": Place(
        "lora_drop.cli.stack", "deploy", "Deploy the stack into an AWS account, with its fal key."
    ),
    "event": Place(
        "lora_drop.cli.stack",
        "event",
        "Print an event of events/, made to fit the stack on this machine, for sam local invoke.",
    ),
    "fal-sim": Place(
        "lora_drop.simulator.command",
        "fal_sim",
        "Speak fal's protocol on this machine: train, call back, and fail on request.",
    ),
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
        return TyperCommand(cmd_name, short_help=COMMANDS[cmd_name].help, rich_markup_mode=None)

    def resolve_command(self, ctx: typer.Context, args: list[str]) -> Any:  # type: ignore[override]
        """The command itself, of what is left of the command line."""
        name, listed, rest = super().resolve_command(ctx, args)
        return name, listed and command_of(str(name)), rest


def command_of(name: str) -> Any:
    """The command of this name, imported."""
    place = COMMANDS[name]
    app = typer.Typer(add_completion=False, rich_markup_mode=None)
    app.command(name)(getattr(import_module(place.module), place.function))
    return typer.main.get_command(app)


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


def main() -> None:
    """Run the command; what only the extra installs is missed in a sentence."""
    try:
        application()(prog_name=NAME)
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in OF_THE_EXTRA:
            raise
        sys.exit(EXTRA)

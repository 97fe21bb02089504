"""The `lora-drop` command, put together."""

import sys
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points, version
from typing import Annotated, Any

import typer

from lora_drop.cli import check, download, forget, job_actions, jobs, stack
from lora_drop.cli.terminal import write_line

NAME = "lora-drop"
COMMANDS: Mapping[str, Callable[..., Any]] = {
    "check": check.check,
    "train": jobs.train,
    "jobs": jobs.jobs,
    "job": jobs.job,
    "download": download.download,
    "cancel": job_actions.cancel,
    "retry": job_actions.retry,
    "approve": job_actions.approve,
    "resolve": job_actions.resolve,
    "replay": job_actions.replay,
    "redrive": job_actions.redrive,
    "forget": forget.forget,
    "budget": job_actions.budget,
    "up": stack.up,
    "down": stack.down,
    "demo": stack.demo,
}


def _version(wanted: bool) -> None:  # noqa: FBT001  # as typer calls it
    if wanted:
        write_line(f"{NAME} {version(NAME)}")
        raise typer.Exit


def application(*, wanted: str | None = None) -> typer.Typer:
    """The command. What this installation adds by entry point is loaded only where it is wanted."""
    app = typer.Typer(
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for name, command in COMMANDS.items():
        app.command(name)(command)
    app.callback()(_options)
    if wanted not in COMMANDS:
        for entry in entry_points(group="lora_drop.commands"):
            app.command(entry.name)(entry.load())
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
    """Run the command."""
    application(wanted=next(iter(sys.argv[1:]), None))(prog_name=NAME)

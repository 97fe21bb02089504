"""The `lora-drop` command, put together."""

from importlib.metadata import entry_points

import typer

from client import commands, local_commands

NAME = "lora-drop"


def application() -> typer.Typer:
    """Every command; what this installation can run locally adds its own by entry point."""
    app = typer.Typer(
        help="Drop a ZIP of photos; get a trained portrait LoRA.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for command in (
        commands.train,
        commands.jobs,
        commands.job,
        local_commands.up,
        local_commands.down,
        local_commands.demo,
    ):
        app.command()(command)
    for entry in entry_points(group="lora_drop.commands"):
        app.command(entry.name)(entry.load())
    return app


def main() -> None:
    """Run the command."""
    application()(prog_name=NAME)

"""`--output`, which every command that prints has: text for people, JSON for programs, and only when it is asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, Literal

import typer

from lora_drop.cli import terminal

Format = Literal["table", "json", "jsonl"]
# Of these the JSON is an array, however many objects there are.
LISTS = frozenset({"check", "jobs", "history", "explain"})


def with_output(name: str, command: Any) -> Any:
    """Give a command that has ``--json`` the option ``--output`` as well."""
    names = [each.name for each in command.params]
    if "json_output" not in names:
        return command
    command.params.insert(names.index("json_output") + 1, _option())
    run: Callable[..., Any] = command.callback

    def formatted(*, output: Format | None, json_output: bool, **given: Any) -> Any:
        if json_output and output not in (None, "jsonl"):
            raise typer.BadParameter(f"--json is --output jsonl; --output {output} is another.")
        if output != "json":
            return run(json_output=json_output or output == "jsonl", **given)
        with terminal.one_document(array=name in LISTS):
            return run(json_output=True, **given)

    command.callback = formatted
    return command


@cache
def _option() -> Any:
    """The option, as typer makes it."""
    app = typer.Typer(add_completion=False)

    @app.command()
    def only(
        output: Annotated[
            Format | None,
            typer.Option(
                "--output",
                help="text (table), one JSON document (json), or an object a line (jsonl, as --json).",
            ),
        ] = None,
    ) -> None: ...

    return typer.main.get_command(app).params[0]

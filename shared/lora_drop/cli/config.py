"""The command for the user's defaults: stack, AWS profile, region, faces."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from lora_drop.cli.terminal import Json, output, reporting, write, write_line
from lora_drop.client.errors import CommandError


def keys(incomplete: str) -> list[str]:
    """The keys that begin so, for a shell at the Tab key."""
    from lora_drop.client.config_file import KEYS

    return [key for key in KEYS if key.startswith(incomplete)]


def config(
    action: Annotated[
        Literal["list", "get", "set", "unset"], typer.Argument(help="What to do; else list.")
    ] = "list",
    key: Annotated[
        str | None, typer.Argument(help="stack, profile, region or faces.", autocompletion=keys)
    ] = None,
    value: Annotated[str | None, typer.Argument(help="For set.")] = None,
    *,
    json_output: Json = False,
) -> None:
    """Keep a default stack, AWS profile and region, so that no option or variable is needed.

    An option comes before the environment (LORA_DROP_STACK, AWS_PROFILE, AWS_REGION), and the environment before
    this file: config.toml in the user's configuration folder, or what LORA_DROP_CONFIG names. With faces false
    (LORA_DROP_FACES) no check on this machine looks for faces.
    """
    with reporting(json_output=json_output):
        _refuse(action, key, value)
        if action == "list":
            _list(json_output=json_output)
        elif action == "get":
            _get(str(key), json_output=json_output)
        else:
            _change(str(key), value, json_output=json_output)


def _refuse(action: str, key: str | None, value: str | None) -> None:
    from lora_drop.client.config_file import KEYS, what_is_wrong

    wants = {"list": (False, False), "set": (True, True)}.get(action, (True, False))
    if (key is not None, value is not None) != wants:
        raise CommandError(
            "Say one of: lora-drop config list, lora-drop config get KEY, lora-drop config set KEY VALUE, "
            f"lora-drop config unset KEY. KEY is {', '.join(KEYS)}."
        )
    if key is not None and (wrong := what_is_wrong(key, value if action == "set" else "")):
        # An unknown line of the file may be taken out; it is left out of what is written.
        if key not in KEYS and action != "unset":
            raise CommandError(wrong[:1].upper() + wrong[1:])
        if action == "set":
            raise CommandError(wrong)


def _list(*, json_output: bool) -> None:
    from lora_drop.client.config_file import KEYS, config_path, configured, source_of

    values = configured()
    rows = {name: source_of(name, values) for name in KEYS}
    if json_output:
        found = {
            name: {"value": value, "from": where or None} for name, (value, where) in rows.items()
        }
        write({"file": str(config_path()), **found})
        return
    display = output()
    for name, (value, where) in rows.items():
        shown = "not set" if value is None else f"{value}  ({where})"
        display.say_whole(f"{name:<9}{shown}")
    display.say_whole(f"{'file':<9}{config_path()}")


def _get(key: str, *, json_output: bool) -> None:
    from lora_drop.client.config_file import configured

    value = configured().get(key)
    if json_output:
        write({key: value})
    elif value is None:
        raise CommandError(f"{key} is not set. Set it: lora-drop config set {key} VALUE")
    else:
        write_line(value)


def _change(key: str, value: str | None, *, json_output: bool) -> None:
    from lora_drop.client.config_file import source_of, written

    def changed(values: dict[str, str]) -> None:
        values.pop(key, None)
        if value is not None:
            values[key] = value

    path = written(changed)
    if json_output:
        write({key: value, "file": str(path)})
        return
    said = f"{key} is {value}" if value is not None else f"{key} is not set any more"
    display = output()
    display.say(f"{said} ({path}).")
    from lora_drop.client.config_file import KEYS

    if value is not None and (where := source_of(key, {})[1]) in KEYS[key].variables:
        display.say(f"{where} in this shell's environment comes before it.")

"""The user's defaults in ``config.toml``: which stack, which AWS profile, which region, whether faces are looked for.

An option comes before the environment, the environment before this file, and this file before what holds
without all of them.
"""

import json
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lora_drop.client.errors import CommandError

PLACE = "LORA_DROP_CONFIG"  # names another file
# What names the credentials already: a profile of this file would go before them in boto3
# ("Configuring credentials" in its guide has the order).
CREDENTIALS = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ACCESS_KEY_ID")
REGIONS = ("AWS_REGION", "AWS_DEFAULT_REGION")


@dataclass(frozen=True, slots=True)
class ConfigKey:
    """One key of the file: what it is for, its form, and the variables that come before it."""

    about: str
    form: re.Pattern[str]
    like: str
    variables: tuple[str, ...]


KEYS: Mapping[str, ConfigKey] = {
    "stack": ConfigKey(
        "the stack that commands speak to",
        re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}"),
        "lora-drop-dev, or local",
        ("LORA_DROP_STACK",),
    ),
    "profile": ConfigKey(
        "the AWS profile with the credentials",
        re.compile(r"[ -!#-\[\]-~]{1,128}"),
        "default",
        CREDENTIALS,
    ),
    "region": ConfigKey(
        "the AWS region of the stack",
        re.compile(r"[a-z]{2}(-[a-z]+)+-\d{1,2}"),
        "eu-central-1",
        REGIONS,
    ),
    "faces": ConfigKey(
        "whether a check looks for faces in photos",
        re.compile(r"true|false"),
        "true or false",
        ("LORA_DROP_FACES",),
    ),
}


def config_path() -> Path:
    """``LORA_DROP_CONFIG``, else ``config.toml`` in the user's configuration folder."""
    if place := os.environ.get(PLACE):
        return Path(place)
    from platformdirs import user_config_path  # noqa: PLC0415  # few commands need it

    return user_config_path("lora-drop", appauthor=False) / "config.toml"


def configured() -> Mapping[str, str]:
    """What the file says; nothing where there is no file. Raises CommandError for one that cannot be used."""
    path = config_path()
    try:
        found = tomllib.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise CommandError(
            f"{path} cannot be read: {error}. Correct or delete it, then: lora-drop config list"
        ) from error
    for name, value in found.items():
        if wrong := what_is_wrong(name, value):
            raise CommandError(
                f"{path}: {wrong} Correct the line, or: lora-drop config unset {name}"
            )
    return found


def what_is_wrong(name: str, value: object) -> str:
    """A sentence about a key that there is not, or a value that it cannot have; empty for none."""
    key = KEYS.get(name)
    if key is None:
        return f"there is no key {name!r}; there are {', '.join(KEYS)}."
    if not isinstance(value, str) or not key.form.fullmatch(value):
        return f"{name} cannot be {value!r}; it is like {key.like}."
    return ""


def written(changed: Callable[[dict[str, str]], None]) -> Path:
    """Change what the file says, whole or not at all; raises CommandError."""
    path, values = config_path(), _as_far_as_readable()
    changed(values)
    # Every form above is a subset of what JSON and TOML write alike.
    lines = [f"{name} = {json.dumps(values[name])}\n" for name in KEYS if name in values]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
        temporary.write_text("".join(lines))
        temporary.replace(path)
    except OSError as error:
        raise CommandError(
            f"{path} cannot be written: {error}. Another place: export LORA_DROP_CONFIG=FILE"
        ) from error
    return path


def _as_far_as_readable() -> dict[str, str]:
    """The file's good lines, so that a bad one can be set or unset; raises CommandError for no TOML."""
    try:
        found = tomllib.loads(config_path().read_text("utf-8-sig"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        return dict(configured())  # says what is wrong
    return {name: value for name, value in found.items() if not what_is_wrong(name, value)}


def source_of(name: str, values: Mapping[str, str]) -> tuple[str | None, str]:
    """The value that counts, as far as no option says otherwise, and where it is from."""
    for variable in KEYS[name].variables:
        if value := os.environ.get(variable):
            shown = "(keys in the environment)" if variable == "AWS_ACCESS_KEY_ID" else value
            return shown, variable
    return (values[name], "config") if name in values else (None, "")


def default_of(name: str) -> str | None:
    """The file's value, where no variable of the environment comes before it; raises CommandError."""
    if any(os.environ.get(variable) for variable in KEYS[name].variables):
        return None
    return configured().get(name)


def aws_session(profile: str | None = None, region: str | None = None) -> Any:
    """A boto3 session: what is given, AWS_REGION, which boto3 itself does not read, and the file's defaults.

    Raises CommandError for a file or an AWS_ENDPOINT_URL that cannot be used.
    """
    import boto3  # noqa: PLC0415  # `lora-drop config` needs none

    _refuse_endpoint()
    return boto3.Session(
        profile_name=profile or default_of("profile"),
        region_name=region or os.environ.get("AWS_REGION") or default_of("region"),
    )


def use_defaults() -> None:
    """Put the file's profile and region into this process's environment, for tools that read nothing else."""
    _refuse_endpoint()
    for name, variable in (("profile", "AWS_PROFILE"), ("region", "AWS_REGION")):
        if value := default_of(name):
            os.environ[variable] = value


def _refuse_endpoint() -> None:
    """Raise CommandError for an AWS_ENDPOINT_URL that is no address, which boto3 ends with a ValueError for."""
    given = os.environ.get("AWS_ENDPOINT_URL", "")
    if given and not given.startswith(("https://", "http://")):
        raise CommandError(
            f"AWS_ENDPOINT_URL is {given!r}, which is no https:// or http:// address. For AWS itself: unset AWS_ENDPOINT_URL"
        )

"""What a deployment is given: the template's parameters, and the fal key, never on a command line and never printed."""

import difflib
import getpass
import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from lora_drop.fal.hosts import KEYS_PAGE
from lora_drop.local.tools import deployment_files

NUMBER = re.compile(r"-?\d+(\.\d+)?")


@cache
def known() -> Mapping[str, Mapping[str, Any]]:
    """Every parameter with its constraints, by its name."""
    import yaml  # noqa: PLC0415  # of the extra `local`

    text = (deployment_files() / "template.yaml").read_text()
    section = text.split("\nParameters:\n", 1)[1].split("\nConditions:\n", 1)[0]
    found: Mapping[str, Mapping[str, Any]] = yaml.safe_load(section)
    return found


def what_is_wrong(given: Mapping[str, str]) -> str:
    """A sentence about the first of these that is no parameter or none of its values; empty for none."""
    for name, value in given.items():
        if name not in known():
            close = difflib.get_close_matches(name, known(), n=1, cutoff=0.5)
            meant = f"; did you mean {close[0]}?" if close else "."
            return f"The template has no parameter {name}{meant} It has {', '.join(known())}."
        if not _fits(known()[name], value):
            return f"{name} cannot be {value!r}: {_form(known()[name])}."
    return ""


def _fits(parameter: Mapping[str, Any], value: str) -> bool:
    if "AllowedValues" in parameter:
        return value in map(str, parameter["AllowedValues"])
    if parameter["Type"] == "Number":
        if not NUMBER.fullmatch(value):
            return False
        number = float(value)
        least, most = parameter.get("MinValue", number), parameter.get("MaxValue", number)
        return bool(least <= number <= most)
    return re.fullmatch(parameter.get("AllowedPattern", "(?s:.*)"), value) is not None


def _form(parameter: Mapping[str, Any]) -> str:
    if "AllowedValues" in parameter:
        return "it is one of " + ", ".join(map(str, parameter["AllowedValues"]))
    if parameter["Type"] == "Number":
        ends = [("at least", "MinValue"), ("at most", "MaxValue")]
        bounds = [f"{words} {parameter[name]}" for words, name in ends if name in parameter]
        return ", ".join(["it is a number", *bounds])
    description = parameter.get("ConstraintDescription")
    return f"it {description}" if description else f"it has to match {parameter['AllowedPattern']}"


FORM = re.compile(r"[!-9;-~]+:[!-9;-~]+")  # what an HTTP header can hold
QUESTION = f"The fal key ({KEYS_PAGE}; what you type is not shown): "


class FalKeyError(RuntimeError):
    """Raised when there is no key to put in, or it cannot be put; says what to do, and no key."""


def has_key(secrets: Any, secret: str) -> bool:
    """Whether the secret has a value; an emulator may give a new one an empty value."""
    try:
        return bool(secrets.get_secret_value(SecretId=secret)["SecretString"])
    except secrets.exceptions.ResourceNotFoundException:
        return False
    except ClientError as error:
        raise FalKeyError(f"The secret {secret} cannot be read: {error}") from error


def find_key(
    environ: Mapping[str, str],
    file: Path | None,
    *,
    terminal: bool,
    ask: Callable[[str], str] = getpass.getpass,
) -> str:
    """The key: from the file, else ``FAL_KEY``, else typed at the terminal; raises FalKeyError."""
    if file is not None:
        try:
            text = file.read_text("utf-8-sig")  # as Windows saves a text
        except OSError as error:
            raise FalKeyError(f"The key's file cannot be read: {error}") from error
        except UnicodeDecodeError:
            raise FalKeyError(f"The file {file} is no UTF-8 text, so it holds no key.") from None
        return _checked(text, f"the file {file}")
    if environ.get("FAL_KEY"):
        return _checked(environ["FAL_KEY"], "FAL_KEY")
    if not terminal:
        raise FalKeyError(
            "There is no fal key, so nothing is deployed. Run this on a terminal, or with FAL_KEY in "
            "the environment, or with KEY_FILE=FILE."
        )
    return _checked(ask(QUESTION), "what you have typed")


def put_key(secrets: Any, secret: str, key: str) -> None:
    """Make it the secret's value, which functions read again once fal refuses the one they have; raises FalKeyError."""
    try:
        secrets.put_secret_value(SecretId=secret, SecretString=key)
    except (BotoCoreError, ClientError) as error:
        # Not the cause with it: what botocore has rejected it may show.
        raise FalKeyError(f"The key was not put into the secret: {type(error).__name__}") from None


def _checked(text: str, where: str) -> str:
    key = text.strip()
    if not FORM.fullmatch(key):
        raise FalKeyError(f"A fal key is of the form ID:SECRET, and {where} is not.")
    return key

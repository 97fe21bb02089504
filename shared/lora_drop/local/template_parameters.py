"""The parameters of template.yaml: which there are, and what each takes."""

import difflib
import re
from collections.abc import Mapping
from functools import cache
from typing import Any

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
    told = parameter.get("ConstraintDescription")
    return f"it {told}" if told else f"it has to match {parameter['AllowedPattern']}"

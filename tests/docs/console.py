"""What a page tells its reader to type."""

import re
import shlex
from collections.abc import Iterator

import botocore.session
from botocore import xform_name

# Of every call of `aws`; the rest has to be in the call's own model.
COMMON = frozenset({"query", "output"})


def typed(text: str) -> Iterator[str]:
    """Every line after a prompt."""
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        yield from (line.removeprefix("$ ") for line in block.splitlines())


def calls_of_aws(line: str) -> Iterator[list[str]]:
    """The words of each `aws` in a line, also of those whose answer is a word of another."""
    inner = re.findall(r"\"?\$\(aws ([^()]*)\)\"?", line)
    outer = re.sub(r"\"?\$\([^()]*\)\"?", "ANSWER", line)
    for call in (*inner, *(outer.split(" ", 1)[1:] if outer.startswith("aws ") else ())):
        yield shlex.split(call)


def wrong_with(call: list[str]) -> list[str]:
    """What AWS's own model of the service does not know of this call."""
    service, operation, *words = call
    model = botocore.session.get_session().get_service_model(service)
    names = {xform_name(name, "-"): name for name in model.operation_names}
    if operation not in names:
        return [operation]
    shape = model.operation_model(names[operation]).input_shape
    members = {xform_name(name, "-") for name in (shape.members if shape else ())} | COMMON
    options = [word.removeprefix("--") for word in words if word.startswith("--")]
    return [each for each in options if not {each, each.removeprefix("no-")} & members]

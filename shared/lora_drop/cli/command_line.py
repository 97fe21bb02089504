"""The command that a person types next, with the options that were given to this one."""

import shlex
from collections.abc import Iterator, Mapping

from lora_drop.client.direct_choice import is_direct

OPTIONS: Mapping[str, str] = {  # where the option is not the parameter's own name
    "trigger_phrase": "--trigger",
    "multiresolution_training": "--multiresolution",
}
FLAGS = frozenset({"multiresolution_training", "subject_crop", "create_masks"})  # with no value
# The other parameters with an option of their own; a test compares both with the command's.
NAMED = frozenset(
    {"trainer", "preset", "steps", "learning_rate", "subject_crop", "create_masks"}
) | {"resume_from_checkpoint"}


def command(
    what: str, name: str, given: Mapping[str, object], *, direct: bool | None = None
) -> str:
    """Return ``lora-drop WHAT NAME`` with these options; of ``train`` --direct as well where there is no stack.

    ``direct``: whether there is none; else it is found out.
    """
    direct = what == "train" and (is_direct() if direct is None else direct)
    kept = {name: value for name, value in given.items() if not (direct and name == "key")}
    options = [*_options(kept), *(["--direct"] if direct else [])]
    return " ".join(("lora-drop", what, shlex.quote(name), *options))


def _options(given: Mapping[str, object]) -> Iterator[str]:
    for name, value in given.items():
        option = OPTIONS.get(name) or f"--{name.replace('_', '-')}"
        if isinstance(value, bool) and value:
            yield option
        elif isinstance(value, bool):
            yield f"--no-{option[2:]}"
        elif name not in FLAGS and (name in OPTIONS or name in NAMED or name == "key"):
            yield f"{option} {shlex.quote(str(value))}"
        else:
            yield f"--set {shlex.quote(f'{name}={value}')}"

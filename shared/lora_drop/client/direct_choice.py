"""Whether a person trains over a stack or with a fal key alone, where neither is named, and with which trainer."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from lora_drop.client.errors import CommandError, StackUnreachableError

NEEDS_STACK = (
    "A proof sheet (--proof) needs a stack, which pays for its pictures once and keeps them beside the LoRA: "
    "lora-drop up, or lora-drop deploy."
)


class NoStackError(CommandError):
    """There is a fal key and no stack."""


def is_direct() -> bool:
    """Whether a person trains with a fal key alone: FAL_KEY is set, no stack is named, and none is up here."""
    from lora_drop.client.config_file import default_of  # noqa: PLC0415
    from lora_drop.local.stack import LocalStack  # noqa: PLC0415

    if not os.environ.get("FAL_KEY", "").strip() or os.environ.get("LORA_DROP_STACK"):
        return False
    try:
        return default_of("stack") is None and LocalStack.here().running() is None
    except (CommandError, RuntimeError):
        return False


@contextmanager
def or_direct(stack: str | None, alone: str) -> Iterator[None]:
    """Say first what goes ``alone``, without a stack, where none is found and a person has a fal key alone."""
    try:
        yield
    except StackUnreachableError as none:
        if stack is not None or not is_direct():
            raise
        said = f"There is no stack here. With your fal key alone: {alone}"
        raise NoStackError(f"{said}\nWith a stack: {none}") from none


def application_of(trainer: str | None) -> str:
    """Return fal's name of the trainer that is asked for; raises CommandError for one that is not known."""
    from lora_drop.fal.trainers.table import DEFAULT, closest_trainer, trainer_of  # noqa: PLC0415

    if trainer is None:
        return DEFAULT.application
    if (found := trainer_of(trainer)) is None:
        close = closest_trainer(trainer)
        meant = f" Did you mean --trainer {close}?" if close else ""
        raise CommandError(f"There is no trainer {trainer}.{meant} All of them: docs/trainers.md")
    return found.application

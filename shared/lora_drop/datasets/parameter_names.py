"""The right name for a wrong one: fal ignores what a trainer does not know, and bills."""

import difflib
from collections.abc import Iterable, Mapping

from lora_drop.datasets.parameter_layers import PRESET, Layer, quoted
from lora_drop.fal.trainers.parameters import TRAINER
from lora_drop.fal.trainers.presets import NAMES
from lora_drop.fal.trainers.table import SHORT_NAMES, TRAINERS
from lora_drop.fal.trainers.trainer import Trainer
from lora_drop.jobs.problems import Problem

LONGEST = 60  # characters of a name that are looked at
# What people write for trainers elsewhere.
OTHER_NAMES: Mapping[str, str] = {
    "trigger": "trigger_phrase",
    "instance_prompt": "trigger_phrase",
    "lr": "learning_rate",
    "rate": "learning_rate",
    "max_train_steps": "steps",
    "iterations": "steps",
    "number_of_steps": "steps",
    "masks": "create_masks",
    "resume_from": "resume_from_checkpoint",
}


def unknown_parameter(layer: Layer, name: str, trainer: Trainer) -> Problem:
    """That this trainer has no such parameter, and which one may be meant."""
    return layer.problem(
        "parameter_unknown",
        f"{quoted(name)} in {layer.where} is not a parameter of {trainer.short_name}"
        f"{_meant(name, trainer)} Correct or remove it and drop the ZIP again; fal would have "
        "ignored it and billed.",
    )


def unknown_preset(layer: Layer, preset: object) -> Problem:
    """That there is no such preset."""
    return layer.problem(
        "parameter_unknown_preset",
        f"There is no preset {quoted(preset)}{_did_you_mean(_close(preset, NAMES))} "
        f"Presets are {', '.join(NAMES)}.",
    )


def unknown_trainer(layer: Layer | None, trainer: object) -> Problem:
    """That lora-drop does not know such a trainer; ``layer`` None: the stack is set to it."""
    known = ", ".join(SHORT_NAMES)
    if layer is None:
        return Problem(
            code="parameter_unknown_trainer",
            message=f"This stack is set to the trainer {quoted(trainer)}, which lora-drop does not "
            f"know. Set FalApplication to one of {', '.join(TRAINERS)}, or name one of them as "
            "trainer in training.json or the object metadata.",
        )
    close = _close(trainer, (*SHORT_NAMES, *TRAINERS))
    return layer.problem(
        "parameter_unknown_trainer",
        f"lora-drop knows no trainer {quoted(trainer)}{_did_you_mean(close)} Trainers are {known}.",
    )


def _meant(name: str, trainer: Trainer) -> str:
    """What may be meant; that it is another trainer's; or just the end of the sentence."""
    others = {
        other.short_name: field.name
        for other in TRAINERS.values()
        if (field := other.known_as(name)) is not None
    }
    likely = {*others.values(), OTHER_NAMES.get(name.lower(), "")}
    for field in trainer.fields:
        if field.name in likely:
            return _did_you_mean(field.name)
    if others:
        return f"; it is one of {', '.join(others)}."
    ours = [name for field in trainer.fields for name in (field.name, field.wire)]
    return _did_you_mean(_close(name, (*ours, PRESET, TRAINER)))


def _close(written: object, known: Iterable[str]) -> str | None:
    name = written[:LONGEST].lower() if isinstance(written, str) else ""
    return next(iter(difflib.get_close_matches(name, known, n=1)), None)


def _did_you_mean(name: str | None) -> str:
    return f"; did you mean {name}?" if name else "."

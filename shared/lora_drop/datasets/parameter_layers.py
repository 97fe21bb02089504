"""What people write parameters into, and the right name for a wrong one.

The places are ``training.json`` in a dataset and an object's metadata. fal ignores what a trainer does
not know, and bills, so a wrong name is refused.
"""

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lora_drop.datasets.caption_text import certain_text
from lora_drop.datasets.owner_metadata import OURS, unworded
from lora_drop.fal.trainers.common import NAMES
from lora_drop.fal.trainers.parameters import TRAINER, ParameterSource
from lora_drop.fal.trainers.table import SHORT_NAMES, TRAINERS, closest_trainer
from lora_drop.fal.trainers.trainer import Trainer
from lora_drop.jobs.problems import Problem

MAX_TRAINING_JSON = 64 * 1024
TRAINING_JSON = ParameterSource.TRAINING_JSON.value

# Metadata that upload tools add by themselves, whatever a parameter may be called.
TOOL_METADATA = frozenset(
    {"mtime", "ctime", "atime", "s3cmd-attrs", "md5chksum", "md5", "sha256", "filename"}
    | {"s3b-last-modified", "cb-modifiedtime", "date"}
    | {"original-filename", "file-mtime", "file-permissions", "file-owner", "file-group"}
)
# What trainers elsewhere take: meant as a parameter, wherever it is written.
OF_OTHERS = frozenset(
    {"batch_size", "caption", "autocaption", "epochs", "images_data_url", "lora_rank", "lora_type"}
    | {"network_alpha", "network_dim", "optimizer", "rank", "repeats", "resolution", "resume"}
    | {"seed", "style", "token", "webhook_url"}
)
# What can be given there besides the trainer's own inputs.
PRESET = "preset"
NEAR = 0.75  # of difflib's ratio: nearer than two names that have nothing to do with each other
SHOWN_NAMES = 5
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


@dataclass(frozen=True, slots=True)
class Layer:
    """One place and what is written there; ``where`` names it within a sentence.

    ``text``: nothing but text can be written there.
    """

    where: str
    member: str | None
    text: bool
    given: Mapping[str, Any]

    @property
    def parameters(self) -> Iterator[tuple[str, Any]]:
        """What is meant for the trainer."""
        return ((name, self.given[name]) for name in self.given if name not in (PRESET, TRAINER))

    def value_of(self, name: str) -> Any:
        """Return the value under this name; None for none, and for empty text in metadata."""
        value = self.given.get(name)
        return None if self.text and value == "" else value

    def problem(self, code: str, message: str) -> Problem:
        """Return a problem of this layer."""
        return Problem(code=code, message=message, member=self.member)


def training_json_layer(raw: bytes | None, problems: list[Problem]) -> Layer:
    """Return the file's parameters; none of them where it is not there, or not of its form."""
    pairs: object = ()
    if raw is not None:
        try:
            # Pairs, since JSON may say a thing twice; its type then tells an object from a list.
            pairs = json.loads(certain_text(raw) or "", object_pairs_hook=tuple)
        except (ValueError, RecursionError):
            pairs = None
    layer = Layer(TRAINING_JSON, TRAINING_JSON, text=False, given={})
    if not isinstance(pairs, tuple):
        message = (
            "training.json is not a JSON object. Write it like "
            '{"steps": 1500, "trigger_phrase": "ada"} and drop the ZIP again.'
        )
        problems.append(layer.problem("parameter_invalid_json", message))
        return layer
    return _filled(layer, pairs, problems)


def metadata_layer(metadata: Mapping[str, str], problems: list[Problem]) -> Layer:
    """Return the object's parameters; S3 lowercases the names, and people write them with either dash.

    What looks like no parameter is not there: see ``foreign``.
    """
    ignored = OURS.union(foreign(metadata))
    pairs = (
        (name.replace("-", "_"), unworded(value))
        for name, value in metadata.items()
        if name not in ignored
    )
    return _filled(Layer("the object metadata", None, text=True, given={}), pairs, problems)


def foreign(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names that are not ours and not nearly ours: upload tools and other programs write their own."""
    return tuple(sorted(name for name in metadata if not _looks_ours(name)))


def metadata_advice(metadata: Mapping[str, str]) -> tuple[Problem, ...]:
    """Return the note that some of the metadata is ignored; none where all of it is ours."""
    names = foreign(metadata)
    if not names:
        return ()
    listed = ", ".join(quoted(name) for name in names[:SHOWN_NAMES])
    more = f" and {len(names) - SHOWN_NAMES} more" if names[SHOWN_NAMES:] else ""
    message = f"Metadata of the object that is no parameter is ignored: {listed}{more}."
    return (Problem(code="parameter_metadata_ignored", message=message),)


def _looks_ours(name: str) -> bool:
    """Return whether this is ours in the metadata, or may be meant so."""
    plain = name.replace("-", "_").lower()
    if name in TOOL_METADATA:
        return False
    known = {PRESET, TRAINER, *OURS, *OF_OTHERS, *OTHER_NAMES}
    for trainer in TRAINERS.values():
        known |= {each for field in trainer.fields for each in (field.name, field.wire)}
    return plain in known or bool(difflib.get_close_matches(plain[:LONGEST], known, 1, NEAR))


def _filled(layer: Layer, pairs: Iterable[tuple[str, Any]], problems: list[Problem]) -> Layer:
    given: dict[str, Any] = {}
    for name, value in pairs:
        if name in given:
            problems.append(twice(layer, name, name))
        given[name] = value
    return Layer(layer.where, layer.member, layer.text, given)


def twice(layer: Layer, one: str, other: str) -> Problem:
    """Return the problem that a parameter is given under two names, or twice under one."""
    if one == other:
        given = f"{quoted(one)} is there twice in {layer.where}"
    else:
        given = f"{quoted(one)} and {quoted(other)} in {layer.where} are the same parameter"
    return layer.problem("parameter_given_twice", f"{given}. Keep one of them and drop it again.")


def quoted(value: object) -> str:
    """Return what a person wrote, short enough for a sentence."""
    if isinstance(value, str):
        return f"“{value[:60]}”"
    if isinstance(value, tuple):  # an object, as it is read above
        return "an object"
    return "a list" if isinstance(value, list) else f"“{json.dumps(value)[:60]}”"


def unknown_parameter(layer: Layer, name: str, trainer: Trainer) -> Problem:
    """Return the problem that this trainer has no such parameter, and which one may be meant."""
    return layer.problem(
        "parameter_unknown",
        f"{quoted(name)} in {layer.where} is not a parameter of {trainer.short_name}"
        f"{_meant(layer, name, trainer)} Correct or remove it and drop the ZIP again; fal would have "
        "ignored it and billed.",
    )


def unknown_preset(layer: Layer, preset: object) -> Problem:
    """Return the problem that there is no such preset."""
    return layer.problem(
        "parameter_unknown_preset",
        f"There is no preset {quoted(preset)}{_did_you_mean(_close(preset, NAMES))} "
        f"Presets are {', '.join(NAMES)}.",
    )


def unknown_trainer(layer: Layer | None, trainer: object) -> Problem:
    """Return the problem that lora-drop does not know such a trainer; ``layer`` None: the stack is set to it."""
    known = ", ".join(SHORT_NAMES)
    if layer is None:
        return Problem(
            code="parameter_unknown_trainer",
            message=f"This stack is set to the trainer {quoted(trainer)}, which lora-drop does not "
            f"know. Set FalApplication to one of {', '.join(TRAINERS)}, or name one of them as "
            "trainer in training.json or the object metadata.",
        )
    close = closest_trainer(str(trainer))
    return layer.problem(
        "parameter_unknown_trainer",
        f"lora-drop knows no trainer {quoted(trainer)}{_did_you_mean(close)} Trainers are {known}.",
    )


def _meant(layer: Layer, name: str, trainer: Trainer) -> str:
    """Return what may be meant; that it is another trainer's; or just the end of the sentence."""
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
    own = OURS if layer.text else ()
    return _did_you_mean(_close(name, (*ours, PRESET, TRAINER, *own)))


def _close(written: object, known: Iterable[str]) -> str | None:
    name = written[:LONGEST].lower() if isinstance(written, str) else ""
    return next(iter(difflib.get_close_matches(name, known, n=1)), None)


def _did_you_mean(name: str | None) -> str:
    return f"; did you mean {name}?" if name else "."

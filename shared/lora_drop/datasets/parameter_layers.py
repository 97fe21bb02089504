"""What people write parameters into: ``training.json`` in a dataset, and an object's metadata."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lora_drop.fal.trainers.parameters import TRAINER
from lora_drop.jobs.problems import Problem

MAX_TRAINING_JSON = 64 * 1024
TRAINING_JSON = "training.json"

# Metadata that upload tools add by themselves; everything else has to be a parameter.
TOOL_METADATA = frozenset(
    # what this project itself reads there besides parameters: content.py
    {"force"}
    | {"mtime", "ctime", "atime", "s3cmd-attrs", "md5chksum", "md5", "sha256", "filename"}
    | {"s3b-last-modified", "cb-modifiedtime"}
    | {"original-filename", "file-mtime", "file-permissions", "file-owner", "file-group"}
)
# What is said there besides the trainer's own inputs.
PRESET = "preset"


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

    def said(self, name: str) -> Any:
        """The value under this name; None for none, and for empty text in metadata."""
        value = self.given.get(name)
        return None if self.text and value == "" else value

    def problem(self, code: str, message: str) -> Problem:
        """Something that is wrong here."""
        return Problem(code=code, message=message, member=self.member)


def training_json_layer(raw: bytes | None, problems: list[Problem]) -> Layer:
    """The file's parameters; none of them where it is not there, or not of its form."""
    pairs: object = ()
    if raw is not None:
        try:
            # Pairs, since JSON may say a thing twice; an object is then told from a list by its type.
            pairs = json.loads(raw.decode("utf-8-sig"), object_pairs_hook=tuple)
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
    """The object's parameters; S3 lowercases the names, and people write them with either dash."""
    pairs = (
        (name.replace("-", "_"), value)
        for name, value in metadata.items()
        if name not in TOOL_METADATA
    )
    return _filled(Layer("the object metadata", None, text=True, given={}), pairs, problems)


def _filled(layer: Layer, pairs: Iterable[tuple[str, Any]], problems: list[Problem]) -> Layer:
    given: dict[str, Any] = {}
    for name, value in pairs:
        if name in given:
            problems.append(twice(layer, name, name))
        given[name] = value
    return Layer(layer.where, layer.member, layer.text, given)


def twice(layer: Layer, one: str, other: str) -> Problem:
    """That a parameter is given under two names, or twice under one."""
    told = f"{quoted(one)} is there twice" if one == other else f"{quoted(one)} and {quoted(other)}"
    told += f" in {layer.where}" if one == other else f" in {layer.where} are the same parameter"
    return layer.problem("parameter_given_twice", f"{told}. Keep one of them and drop it again.")


def quoted(value: object) -> str:
    """What a person wrote, short enough for a sentence."""
    if isinstance(value, str):
        return f"“{value[:60]}”"
    if isinstance(value, tuple):  # an object, as it is read above
        return "an object"
    return "a list" if isinstance(value, list) else f"“{json.dumps(value)[:60]}”"

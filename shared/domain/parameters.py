"""The trainer's inputs: names, types, ranges, defaults, presets, and where each value came from.

Source of names, ranges and defaults: fal's schema of ``fal-ai/flux-lora-portrait-trainer``. fal
ignores unknown keys silently and bills, so here they are refused.
"""

import difflib
import json
import re
from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict

from shared.domain.errors import RejectedDataset
from shared.domain.problems import Problem


class ParameterSource(StrEnum):
    """Who decided a parameter, weakest first."""

    DEFAULT = "default"
    PRESET = "preset"
    TRAINING_JSON = "training.json"
    METADATA = "metadata"
    GENERATED = "generated"


class TrainingParameters(BaseModel):
    """The trainer's inputs besides the dataset's URL, with fal's defaults."""

    model_config = ConfigDict(frozen=True)

    trigger_phrase: str | None = None
    learning_rate: float = 0.00009
    steps: int = 2500
    multiresolution_training: bool = True
    subject_crop: bool = True
    create_masks: bool = False
    data_archive_format: str = "zip"
    resume_from_checkpoint: str = ""

    def arguments(self, images_data_url: str) -> dict[str, Any]:
        """The request body for fal: only what it knows, and nothing that is empty."""
        values = {"images_data_url": images_data_url, **self.model_dump(exclude_none=True)}
        return {name: value for name, value in values.items() if value != ""}


class ResolvedParameters(BaseModel):
    """Parameters, the preset they started from, and the source of each."""

    model_config = ConfigDict(frozen=True)

    values: TrainingParameters
    sources: Mapping[str, ParameterSource]
    preset: str | None


PRESETS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        # people: 1000 to 2500 steps at 1e-4 to 2e-4
        "portrait": {"steps": 1500, "learning_rate": 0.00015, "subject_crop": True},
        # looks: 2000 to 4000 steps at 5e-5 to 1e-4, and the whole picture counts
        "style": {"steps": 3000, "learning_rate": 0.00007, "subject_crop": False},
        # 1000 steps are the least that fal bills, so fewer would save nothing
        "fast": {"steps": 1000, "learning_rate": 0.0003},
        "quality": {"steps": 4000, "learning_rate": 0.00006},
    }
)
STEPS = range(1, 10_001)
LEARNING_RATE = (0.000001, 0.001)
MAX_TRIGGER_PHRASE = 100
MAX_TRAINING_JSON = 64 * 1024

# Metadata that upload tools add by themselves; everything else has to be a parameter.
TOOL_METADATA = frozenset(
    # what this project itself reads there besides parameters: content.py
    {"force"}
    | {"mtime", "ctime", "atime", "s3cmd-attrs", "md5chksum", "md5", "sha256", "filename"}
    | {"s3b-last-modified", "cb-modifiedtime"}
    | {"original-filename", "file-mtime", "file-permissions", "file-owner", "file-group"}
)


def resolve(
    *,
    key: str,
    training_json: bytes | None,
    metadata: Mapping[str, str],
    trigger_seed: str,
) -> ResolvedParameters:
    """Defaults < preset < ``training.json`` < object metadata; raises RejectedDataset.

    The preset is metadata ``preset``, else ``preset`` in ``training.json``, else the first path
    segment of the key where it names one. ``trigger_seed`` is hex: without a trigger phrase the
    job gets ``TOK_`` and its first 8 digits.
    """
    problems: list[Problem] = []
    from_json = _training_json(training_json, problems)
    from_metadata = _metadata(metadata)
    preset = _preset(key, from_json, from_metadata, problems)
    values: dict[str, Any] = {}
    sources = dict.fromkeys(TrainingParameters.model_fields, ParameterSource.DEFAULT)
    layers: Iterable[tuple[ParameterSource, Mapping[str, Any]]] = (
        (ParameterSource.PRESET, PRESETS[preset] if preset else {}),
        (ParameterSource.TRAINING_JSON, from_json),
        (ParameterSource.METADATA, from_metadata),
    )
    for source, layer in layers:
        for name, value in layer.items():
            accepted = _accept(name, value, source, problems)
            if accepted is not None:
                values[name] = accepted
                sources[name] = source
    if problems:
        raise RejectedDataset(problems)
    if not values.get("trigger_phrase"):
        values["trigger_phrase"] = f"TOK_{trigger_seed[:8]}"
        sources["trigger_phrase"] = ParameterSource.GENERATED
    return ResolvedParameters(values=TrainingParameters(**values), sources=sources, preset=preset)


def _training_json(raw: bytes | None, problems: list[Problem]) -> dict[str, Any]:
    if raw is None:
        return {}
    try:
        value = json.loads(raw.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict):
        return value
    problems.append(
        Problem(
            code="parameter_invalid_json",
            message="training.json is not a JSON object. Write it like "
            '{"steps": 1500, "trigger_phrase": "ada"} and drop the ZIP again.',
            member="training.json",
        )
    )
    return {}


def _metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """S3 lowercases metadata names and people write them with either dash."""
    return {
        name.replace("-", "_"): value
        for name, value in metadata.items()
        if name not in TOOL_METADATA
    }


def _preset(
    key: str,
    from_json: dict[str, Any],
    from_metadata: dict[str, str],
    problems: list[Problem],
) -> str | None:
    from_json_preset = from_json.pop("preset", None)
    chosen = from_metadata.pop("preset", None) or from_json_preset
    if chosen is None:
        folder = key.split("/", 1)[0] if "/" in key else ""
        return folder if folder in PRESETS else None
    if isinstance(chosen, str) and chosen in PRESETS:
        return chosen
    problems.append(
        Problem(
            code="parameter_unknown_preset",
            message=f"There is no preset {_quoted(chosen)}{_did_you_mean(_plain(chosen), PRESETS)} "
            f"Presets are {', '.join(PRESETS)}.",
        )
    )
    return None


def _accept(name: str, value: Any, source: ParameterSource, problems: list[Problem]) -> Any:
    """The value in its own type, or None after saying what is wrong with it."""
    where = "training.json" if source is ParameterSource.TRAINING_JSON else "the object metadata"
    member = "training.json" if source is ParameterSource.TRAINING_JSON else None
    rule = _RULES.get(name)
    if rule is None:
        message = (
            f"{_quoted(name)} in {where} is not a parameter of the trainer"
            f"{_did_you_mean(name, _RULES)} Correct or remove it and drop the ZIP again; "
            "fal would have ignored it and billed."
        )
        problems.append(Problem(code="parameter_unknown", message=message, member=member))
        return None
    parse, check = rule
    parsed = parse(value, source is ParameterSource.METADATA)
    if parsed is None:
        message = f"{name} in {where} is {_quoted(value)}; {_EXPECTED[parse]}."
        problems.append(Problem(code="parameter_invalid_type", message=message, member=member))
        return None
    wrong = check(parsed)
    if wrong:
        message = f"{name} in {where} is {_quoted(value)}; {wrong}."
        problems.append(Problem(code="parameter_out_of_range", message=message, member=member))
        return None
    return parsed


def _integer(value: Any, text: bool) -> int | None:  # noqa: FBT001  # the shape of every rule
    if text:
        return int(value) if re.fullmatch(r"[0-9]{1,9}", value.strip(), re.ASCII) else None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: Any, text: bool) -> float | None:  # noqa: FBT001  # the shape of every rule
    if text:
        pattern = r"[0-9]{0,9}\.?[0-9]{1,12}([eE][-+]?[0-9]{1,2})?"
        return float(value) if re.fullmatch(pattern, value.strip(), re.ASCII) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e9 else None  # noqa: PLR2004  # no float is that large here


def _flag(value: Any, text: bool) -> bool | None:  # noqa: FBT001  # the shape of every rule
    if text:
        return {"true": True, "false": False}.get(value.strip().lower())
    return value if isinstance(value, bool) else None


def _text(value: Any, text: bool) -> str | None:  # noqa: ARG001, FBT001  # the shape of every rule
    return value.strip() if isinstance(value, str) else None


def _steps(value: int) -> str | None:
    return None if value in STEPS else f"fal takes {STEPS.start} to {STEPS.stop - 1}"


def _rate(value: float) -> str | None:
    low, high = LEARNING_RATE
    return None if low <= value <= high else f"fal takes {low:.6f} to {high}"


def _phrase(value: str) -> str | None:
    if not 1 <= len(value) <= MAX_TRIGGER_PHRASE:
        return f"a trigger phrase has 1 to {MAX_TRIGGER_PHRASE} characters"
    return None if value.isprintable() else "a trigger phrase has no control characters"


def _archive_format(value: str) -> str | None:
    return None if value == "zip" else "the archive is a ZIP, so this can only be zip"


def _checkpoint(value: str) -> str | None:
    if value == "" or re.fullmatch(r"https://[^\s/]+/\S+", value):
        return None
    return "a checkpoint is the https:// URL of an earlier LoRA"


def _anything(value: bool) -> str | None:  # noqa: ARG001, FBT001  # both values of a flag are fine
    return None


_RULES: Mapping[str, tuple[Callable[[Any, bool], Any], Callable[[Any], str | None]]] = {
    "trigger_phrase": (_text, _phrase),
    "learning_rate": (_number, _rate),
    "steps": (_integer, _steps),
    "multiresolution_training": (_flag, _anything),
    "subject_crop": (_flag, _anything),
    "create_masks": (_flag, _anything),
    "data_archive_format": (_text, _archive_format),
    "resume_from_checkpoint": (_text, _checkpoint),
}
_EXPECTED: Mapping[Callable[[Any, bool], Any], str] = {
    _integer: "it takes a whole number",
    _number: "it takes a number",
    _flag: "it takes true or false",
    _text: "it takes text",
}
# What people write for other trainers.
_OTHER_NAMES = {
    "trigger_word": "trigger_phrase",
    "trigger": "trigger_phrase",
    "instance_prompt": "trigger_phrase",
    "lr": "learning_rate",
    "rate": "learning_rate",
    "max_train_steps": "steps",
    "iterations": "steps",
    "masks": "create_masks",
}


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    known = list(known)
    other = _OTHER_NAMES.get(name.lower())
    close = [other] if other in known else difflib.get_close_matches(name.lower(), known, n=1)
    return f"; did you mean {close[0]}?" if close else "."


def _quoted(value: Any) -> str:
    return f"“{_plain(value)[:60]}”"


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)

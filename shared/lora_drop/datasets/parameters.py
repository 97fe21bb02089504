"""A trainer's inputs for one dataset: which source counts, what is refused, what is better thought over.

fal ignores unknown keys silently and bills, so here they are refused. What each trainer takes:
``lora_drop.fal.trainers``. Values that are allowed and paid for, and yet may not be meant, are warnings.
"""

import difflib
from collections.abc import Mapping, Sequence

from pydantic import BaseModel, ConfigDict

from lora_drop.datasets.parameter_layers import (
    MAX_TRAINING_JSON,
    PRESET,
    Layer,
    metadata_layer,
    quoted,
    training_json_layer,
    twice,
    unknown_parameter,
    unknown_preset,
    unknown_trainer,
)
from lora_drop.fal.trainers.common import NAMES as PRESETS
from lora_drop.fal.trainers.fields import JOB_ID, UnacceptableValueError, Value, plain
from lora_drop.fal.trainers.parameters import TRAINER, ParameterSource, TrainingParameters
from lora_drop.fal.trainers.table import DEFAULT, TRAINERS, trainer_of
from lora_drop.fal.trainers.trainer import TRIGGER_PHRASE, Preset, Price, Trainer
from lora_drop.jobs.errors import DatasetRejectedError
from lora_drop.jobs.problems import Problem

__all__ = [
    "CHECKPOINT",
    "MAX_TRAINING_JSON",
    "PRESETS",
    "ResolvedParameters",
    "resolve",
]

CHECKPOINT = "resume_from_checkpoint"

type Layers = Sequence[tuple[ParameterSource, Layer]]
"""What is written, and where; the weakest first."""
RATE = "learning_rate"
CLOSE = 0.75  # of difflib's ratio
NO_JOB_YET = "0" * 10  # what a trigger phrase is made from before there is a job
type Presets = Mapping[str, Preset]


class ResolvedParameters(BaseModel):
    """Parameters, the preset they started from, and the source of each.

    ``resume_from`` is the id of the job whose LoRA the training is to go on from: that there is
    such a job, and that it has one, is not known here.
    """

    model_config = ConfigDict(frozen=True)

    values: TrainingParameters
    sources: Mapping[str, ParameterSource]
    preset: str | None
    resume_from: str | None = None


def resolve(
    *,
    key: str,
    training_json: bytes | None,
    metadata: Mapping[str, str],
    trigger_seed: str,
    application: str = DEFAULT.application,
) -> ResolvedParameters:
    """Return the parameters: defaults < preset < ``training.json`` < object metadata.

    Raises DatasetRejectedError. ``application`` is the stack's trainer; ``trainer`` in metadata, else in ``training.json``, names
    another one for this dataset. The preset is ``preset`` there likewise, else the first path
    segment of the key where it names one. ``trigger_seed`` is hex: without a trigger phrase the job
    gets ``TOK_`` and its first 8 digits, where the trainer has one.
    """
    problems: list[Problem] = []
    layers = (
        (ParameterSource.TRAINING_JSON, training_json_layer(training_json, problems)),
        (ParameterSource.METADATA, metadata_layer(metadata, problems)),
    )
    trainer, chosen_by = _chosen_trainer(application, layers, problems)
    preset = _preset(key, layers, problems)
    if trainer is None:
        raise DatasetRejectedError(problems)
    values: dict[str, Value] = {
        field.name: field.default for field in trainer.fields if field.default is not None
    }
    sources = {TRAINER: chosen_by, **dict.fromkeys(values, ParameterSource.DEFAULT)}
    accepted = {
        ParameterSource.PRESET: trainer.presets[preset].values if preset else {},
        **{source: _accepted(layer, trainer, problems) for source, layer in layers},
    }
    for source, layer_values in accepted.items():
        values |= layer_values
        sources |= dict.fromkeys(layer_values, source)
    if problems:
        raise DatasetRejectedError(problems)
    if trainer.makes_trigger and TRIGGER_PHRASE not in values:
        values[TRIGGER_PHRASE] = f"TOK_{trigger_seed[:8]}"
        sources[TRIGGER_PHRASE] = ParameterSource.GENERATED
    return _resolved(trainer, values, sources, preset)


def _resolved(
    trainer: Trainer,
    values: dict[str, Value],
    sources: dict[str, ParameterSource],
    preset: str | None,
) -> ResolvedParameters:
    """Return the parameters with the checkpoint where it belongs: an address is sent as it is, a job's id is not."""
    checkpoint = str(values.get(CHECKPOINT, ""))
    resume_from = checkpoint if JOB_ID.fullmatch(checkpoint) else None
    if resume_from:
        del values[CHECKPOINT]
    elif not checkpoint:
        sources.pop(CHECKPOINT, None)
    return ResolvedParameters(
        values=TrainingParameters(trainer=trainer.application, **values),
        sources=sources,
        preset=preset,
        resume_from=resume_from,
    )


def _chosen_trainer(
    application: str, layers: Layers, problems: list[Problem]
) -> tuple[Trainer | None, ParameterSource]:
    """Return the trainer and the source that names it, the strongest source first.

    None, after adding a problem, for a trainer that is not known.
    """
    for source, layer in reversed(layers):
        value = layer.value_of(TRAINER)
        if value is not None:
            trainer = trainer_of(value.strip()) if isinstance(value, str) else None
            if trainer is None:
                problems.append(unknown_trainer(layer, value))
            return trainer, source
    trainer = trainer_of(application)
    if trainer is None:
        problems.append(unknown_trainer(None, application))
    return trainer, ParameterSource.DEFAULT


def _preset(key: str, layers: Layers, problems: list[Problem]) -> str | None:
    for _, layer in reversed(layers):
        value = layer.value_of(PRESET)
        if value is not None:
            if isinstance(value, str) and value in PRESETS:
                return value
            problems.append(unknown_preset(layer, value))
            return None
    folder = key.split("/", 1)[0] if "/" in key else ""
    return folder if folder in PRESETS else None


def _accepted(layer: Layer, trainer: Trainer, problems: list[Problem]) -> dict[str, Value]:
    """Return what a layer says, in its own types and under our names, after saying what is wrong there."""
    values: dict[str, Value] = {}
    names: dict[str, str] = {}
    for name, value in layer.parameters:
        field = trainer.known_as(name)
        if field is None:
            problems.append(unknown_parameter(layer, name, trainer))
            continue
        if field.name in names:
            problems.append(twice(layer, names[field.name], name))
            continue
        names[field.name] = name
        try:
            values[field.name] = field.accept(value, text=layer.text)
        except UnacceptableValueError as wrong:
            message = f"{name} in {layer.where} is {quoted(value)}; {wrong}."
            problems.append(layer.problem(wrong.code, message))
    return values


def advice(resolved: ResolvedParameters, price: Price | None = None) -> tuple[Problem, ...]:
    """Return what to think over in these parameters, as problems with ``parameter_`` codes; none refuses.

    With a preset its own ranges count; without one it is enough to be within those of any.
    ``price`` is fal's of the moment and comes before the row's.
    """
    trainer = TRAINERS.get(resolved.values.trainer)
    if trainer is None:
        return ()
    named = resolved.preset
    presets = {named: trainer.presets[named]} if named else trainer.presets
    steps = resolved.values.steps
    fitting = {name: each for name, each in presets.items() if _within(steps, each.steps)}
    asked = price or trainer.price
    problems = []
    if asked is not None and steps < asked.min_steps:
        problems.append(_billed_anyway(steps, asked.min_steps))
    if not fitting:
        problems.append(_unusual_steps(steps, presets))
    judged, rate = fitting or presets, _chosen_rate(resolved)
    if rate is not None and not any(_fits(rate, each) for each in judged.values()):
        problems.append(_unusual_rate(rate, judged))
    return tuple(problems)


def folder_advice(key: str, *, refuse: bool = False) -> tuple[Problem, ...]:
    """Return the problem that the folder a dataset was dropped into is nearly called like a preset, and is none.

    ``refuse``: the stack is set to refuse that, instead of warning of it.
    """
    folder, _, rest = key.partition("/")
    near = difflib.get_close_matches(folder.lower(), PRESETS, n=1, cutoff=CLOSE)
    if not rest or not near or folder in PRESETS:
        return ()
    if refuse:
        message = (
            f"The folder is called {folder}, which is no preset, and this stack refuses that "
            f"(MisspelledPresetFolder). Drop it into {near[0]}/, or give preset={near[0]}; for fal's own "
            "defaults drop it into a folder with another name, or into none."
        )
        return (Problem(code="parameter_preset_misspelled", message=message),)
    return (
        Problem(
            code="parameter_preset_unlike",
            message=f"The folder is called {folder}, which is no preset, so fal's own defaults count. For the "
            f"preset {near[0]}, drop the dataset into {near[0]}/ or give preset={near[0]}.",
        ),
    )


def _chosen_rate(resolved: ResolvedParameters) -> float | None:
    """Return the learning rate, where it is not just fal's own."""
    rate = resolved.values.values.get(RATE)
    chosen = resolved.sources.get(RATE) is not ParameterSource.DEFAULT
    return rate if chosen and isinstance(rate, float) else None


def _within(number: float, ends: tuple[float, float]) -> bool:
    return ends[0] <= number <= ends[1]


def _fits(rate: float, preset: Preset) -> bool:
    return preset.learning_rate is None or _within(rate, preset.learning_rate)


def _billed_anyway(steps: int, least: int) -> Problem:
    return Problem(
        code="parameter_steps_below_minimum",
        message=f"{steps} steps will be trained and {least} billed, which is the least: {least} "
        "steps would cost the same.",
    )


def _unusual_steps(steps: int, presets: Presets) -> Problem:
    advised = (f"{each.steps_advised} for {name}" for name, each in presets.items())
    return Problem(
        code="parameter_steps_unusual",
        message=f"{steps} steps are unusual; advised are {', '.join(advised)}.",
    )


def _unusual_rate(rate: float, presets: Presets) -> Problem:
    advised = (f"{each.rate_advised} for {name}" for name, each in presets.items())
    return Problem(
        code="parameter_learning_rate_unusual",
        message=f"A learning rate of {plain(rate)} is unusual; advised are {', '.join(advised)}.",
    )

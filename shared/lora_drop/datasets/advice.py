"""What is allowed and paid for, and yet may not be what was meant: warnings, never refusals."""

import difflib
from collections.abc import Mapping

from lora_drop.datasets.parameters import PRESETS, ResolvedParameters
from lora_drop.fal.trainers.fields import plain
from lora_drop.fal.trainers.parameters import ParameterSource
from lora_drop.fal.trainers.table import TRAINERS
from lora_drop.fal.trainers.trainer import Preset, Price
from lora_drop.jobs.problems import Problem

RATE = "learning_rate"
CLOSE = 0.75  # of difflib's ratio

type Presets = Mapping[str, Preset]


def advice(resolved: ResolvedParameters, price: Price | None = None) -> tuple[Problem, ...]:
    """What to think over in these parameters, as problems with ``parameter_`` codes; none refuses.

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


def folder_advice(key: str) -> tuple[Problem, ...]:
    """That the folder a dataset was dropped into is nearly called like a preset, and is none."""
    folder, _, rest = key.partition("/")
    near = difflib.get_close_matches(folder.lower(), PRESETS, n=1, cutoff=CLOSE)
    if not rest or not near or folder in PRESETS:
        return ()
    return (
        Problem(
            code="parameter_preset_unlike",
            message=f"The folder is called {folder}, which is no preset, so fal's own defaults count. For the "
            f"preset {near[0]}, drop the dataset into {near[0]}/ or give preset={near[0]}.",
        ),
    )


def _chosen_rate(resolved: ResolvedParameters) -> float | None:
    """The learning rate, where it is not just fal's own."""
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

"""Whether a training is of a person or of a style."""

from collections.abc import Mapping

from lora_drop.fal.trainers.fields import Value

# What says that a training is of a style: the preset, and what the presets called so give to the trainers.
STYLE = "style"
STYLE_VALUES: Mapping[str, Value] = {
    "is_style": True,
    "training_style": STYLE,
    "training_type": STYLE,
}


def is_of_a_person(preset: str | None, values: Mapping[str, Value]) -> bool:
    """Return whether a training is of one person; one of a style is not, whatever its photos show."""
    said = any(values.get(name) == value for name, value in STYLE_VALUES.items())
    return preset != STYLE and not said

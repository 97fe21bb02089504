"""What several trainers have in common: where their facts are from, fields, files and presets.

Presets as fal's page for the portrait trainer advises: portraits 1000 to 2500 steps at 0.0001 to 0.0002,
styles 2000 to 4000 at 0.00005 to 0.0001, fast trainings 500 to 1000 at a higher rate, quality 3000 and
more at a lower one. The rates are for that trainer alone: each other has another scale, and no advice of
its own that could be found.
"""

from collections.abc import Mapping
from types import MappingProxyType

from lora_drop.fal.trainers.fields import Text, Value, WholeNumber
from lora_drop.fal.trainers.trainer import WITHOUT_END, Preset

SCHEMA = "fal's schemas as fal-js has them (libs/types/src/training/zod.gen.ts, April 2026)"
RETIRED = (
    "It was not in fal's list of August 2026 as fal-js has it (endpoints.ts), and may be retired."
)
UNPRICED = "Its price was not found: where money is limited, a job waits for an approval."
LLMS = "https://fal.ai/models/{}/llms.txt"

WEIGHTS_FILE, CONFIG_FILE = "diffusers_lora_file", "config_file"
FILES = (WEIGHTS_FILE, CONFIG_FILE)

TRIGGER_WORD = Text(name="trigger_phrase", called="trigger_word")
# May be a sentence, where a trigger phrase is a word or two.
DEFAULT_CAPTION = Text(name="trigger_phrase", called="default_caption", longest=500)
NAMES = ("portrait", "style", "fast", "quality")
# Less than 1000 steps cost the same, so the fast preset takes them all.
FOR_PORTRAITS: Mapping[str, Preset] = MappingProxyType(
    {
        "portrait": Preset(
            {"steps": 1500, "learning_rate": 0.00015, "subject_crop": True},
            steps=(1000, 2500),
            learning_rate=(0.0001, 0.0002),
        ),
        # the whole picture counts
        "style": Preset(
            {"steps": 3000, "learning_rate": 0.00007, "subject_crop": False},
            steps=(2000, 4000),
            learning_rate=(0.00005, 0.0001),
        ),
        "fast": Preset(
            {"steps": 1000, "learning_rate": 0.0003},
            steps=(500, 1000),
            learning_rate=(0.0002, 0.001),
        ),
        "quality": Preset(
            {"steps": 4000, "learning_rate": 0.00006},
            steps=(3000, WITHOUT_END),
            learning_rate=(0.000001, 0.0001),
        ),
    }
)


def steps(low: int, high: int, default: int) -> WholeNumber:
    """Return the field that every price goes by; ``default`` is sent where none is given."""
    return WholeNumber(name="steps", low=low, high=high, default=default)


def by_steps(
    *,
    fast: int = 1000,
    portrait: Mapping[str, Value] | None = None,
    style: Mapping[str, Value] | None = None,
) -> Mapping[str, Preset]:
    """Return the presets of a trainer whose learning rate is left as it is.

    ``fast``: 500 where so few are billed as so few. ``portrait`` and ``style`` are what else these
    two set.
    """
    return MappingProxyType(
        {
            "portrait": Preset({"steps": 1500, **(portrait or {})}, steps=(1000, 2500)),
            "style": Preset({"steps": 3000, **(style or {})}, steps=(2000, 4000)),
            "fast": Preset({"steps": fast}, steps=(500, 1000)),
            "quality": Preset({"steps": 4000}, steps=(3000, WITHOUT_END)),
        }
    )

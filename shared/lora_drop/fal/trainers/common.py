"""What several trainers have in common, and where their facts are from."""

from lora_drop.fal.trainers.fields import Text, WholeNumber

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


def steps(low: int, high: int, default: int) -> WholeNumber:
    """The field that every price goes by; ``default`` is sent where nobody says anything."""
    return WholeNumber(name="steps", low=low, high=high, default=default)

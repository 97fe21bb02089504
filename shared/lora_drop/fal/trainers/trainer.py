"""The shape of a trainer's row."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from lora_drop.fal.trainers.fields import Checkpoint, Field, Value, WholeNumber, plain

TRIGGER_PHRASE = "trigger_phrase"
STEPS = "steps"
WITHOUT_END = 10**9  # steps


@dataclass(frozen=True, slots=True)
class Price:
    """What fal asks for a training: US dollars a step, and how many steps it bills at least."""

    usd_per_step: float
    min_steps: int


class Captions(StrEnum):
    """What becomes of a photo without a caption.

    OPTIONAL: it is trained on with the trigger phrase. PHRASE: so it is, and without one fal refuses it
    (422). NEEDED: without ``default_caption``, fal says, "the training will fail".
    """

    OPTIONAL = "optional"
    PHRASE = "phrase"
    NEEDED = "needed"


@dataclass(frozen=True, slots=True)
class Preset:
    """Values that go well together, and the ranges in which such a training goes well.

    Ranges include both ends; without one for the learning rate nothing is known of it.
    """

    values: Mapping[str, Value]
    steps: tuple[int, int]
    learning_rate: tuple[float, float] | None = None

    @property
    def steps_advised(self) -> str:
        """The range of steps, in words."""
        low, high = self.steps
        return f"{low} and more" if high >= WITHOUT_END else f"{low} to {high}"

    @property
    def rate_advised(self) -> str:
        """The range of the learning rate, in words; empty where nothing is known of it."""
        return " to ".join(map(plain, self.learning_rate or ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Trainer:
    """The facts of one trainer.

    ``outputs`` are the Files of its result, ``weights`` the one that is the LoRA. ``mask_suffix``
    ends the stem of a photo's mask, where it takes masks. ``price`` None: fal states none.
    ``sources`` say where the facts are from, ``notes`` what they leave open.
    """

    application: str
    dataset_field: str
    fields: tuple[Field, ...]
    outputs: tuple[str, ...]
    weights: str
    captions: Captions
    presets: Mapping[str, Preset]
    price: Price | None
    trigger_in_captions: bool = False
    mask_suffix: str | None = None
    sources: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def short_name(self) -> str:
        """The id without ``fal-ai/``; one of another owner whole, for it may say little without."""
        return self.application.removeprefix("fal-ai/")

    @property
    def makes_trigger(self) -> bool:
        """Whether a job that names no trigger phrase is given one.

        Not where it would be every photo's caption: that is not paid for without being asked.
        """
        return self.field(TRIGGER_PHRASE) is not None and self.captions is not Captions.NEEDED

    @property
    def caption_field(self) -> str:
        """The trainer's own name of the input that captions a photo without one."""
        field = self.field(TRIGGER_PHRASE)
        return field.wire if field else TRIGGER_PHRASE

    @property
    def resumes(self) -> bool:
        """Whether a training can go on from an earlier LoRA."""
        return any(isinstance(field, Checkpoint) for field in self.fields)

    @property
    def steps(self) -> WholeNumber:
        """The field that the price goes by."""
        [steps] = [field for field in self.fields if isinstance(field, WholeNumber)]
        return steps

    def field(self, name: str) -> Field | None:
        """Return the field of this name of ours."""
        return next((field for field in self.fields if field.name == name), None)

    def known_as(self, written: str) -> Field | None:
        """Return the field that a person means: by our name for it, or by the trainer's own."""
        known = (field for field in self.fields if written in (field.name, field.wire))
        return next(known, None)

    def arguments(self, values: Mapping[str, Value], dataset_url: str) -> dict[str, Any]:
        """Return the request body: these values of ours under the trainer's own names."""
        named = {field.name: field.wire for field in self.fields}
        return {
            self.dataset_field: dataset_url,
            **{named.get(name, name): value for name, value in values.items()},
        }

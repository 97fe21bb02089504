"""The form of a training's inputs: four presets, and every field that the trainer has, folded away."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lora_drop.datasets.owner_metadata import PROOF
from lora_drop.datasets.parameters import CHECKPOINT, PRESETS
from lora_drop.datasets.report import ParameterReport
from lora_drop.datasets.reports.markup import shown
from lora_drop.fal.trainers.fields import Choice, Field, Flag, Rate, WholeNumber
from lora_drop.fal.trainers.parameters import ParameterSource
from lora_drop.fal.trainers.table import DEFAULT, TRAINERS, estimated_cost_usd, trainer_of
from lora_drop.fal.trainers.trainer import STEPS, TRIGGER_PHRASE, Trainer

if TYPE_CHECKING:
    from lora_drop.ui.drafts import Draft

PRESET, RATE = "preset", "learning_rate"
FORMAT = "data_archive_format"  # a ZIP is all that is ever sent
LABELS = {
    TRIGGER_PHRASE: (
        "Trigger phrase",
        "The word that calls this person up in a prompt; made up where you give none.",
    ),
    STEPS: ("Steps", "How long it trains; fal bills each."),
    RATE: ("Learning rate", "How much each step counts."),
    "multiresolution_training": ("Several sizes", "Train on several sizes of each photo."),
    "subject_crop": ("Crop to the person", "Cut each photo to the person before it is trained on."),
    "create_masks": ("Masks", "Mask everything but the person."),
    CHECKPOINT: ("Go on from", "An earlier job's id, or the https:// address of a LoRA."),
}
PRESET_WORDS = {
    "portrait": "the usual choice for a person",
    "style": "a look, not a person",
    "fast": "a cheap first try",
    "quality": "takes longest, costs most",
}


@dataclass(frozen=True, slots=True)
class PresetButton:
    """One of the four presets; ``usd`` is what a training with it costs, None where that is not known."""

    name: str
    words: str
    usd: float | None
    chosen: bool


@dataclass(frozen=True, slots=True)
class Input:
    """One field of the form: what is set on the page, and what counts where nothing is."""

    name: str
    label: str
    hint: str
    kind: str  # text, number, rate, flag, choice
    value: str
    otherwise: str
    choices: tuple[str, ...] = ()
    low: str = ""
    high: str = ""


def presets_of(draft: "Draft", application: str) -> list[PresetButton]:
    """Return the four presets, each with its price for this trainer."""
    trainer = _trainer(draft, application)
    chosen = draft.parameters.get(PRESET) or (draft.report and draft.report.preset)
    return [
        PresetButton(name, PRESET_WORDS[name], _price(trainer, name), name == chosen)
        for name in PRESETS
    ]


def inputs_of(draft: "Draft", application: str) -> list[Input]:
    """Return a field for each input of the trainer."""
    known = draft.report.parameters if draft.report else ()
    counts = {each.name: _counting(each) for each in known}
    fields = [each for each in _trainer(draft, application).fields if each.name != FORMAT]
    return [_input(each, draft.parameters, counts) for each in fields]


def parameters_in(
    form: Mapping[str, str], before: Mapping[str, object], *, proof: bool | None = None
) -> dict[str, object]:
    """Return the inputs that a form sets over those from before; an empty field is not set.

    A preset sets itself alone, and takes back the steps and the rate that were set by hand, which it decides.
    ``proof`` is what counts for a proof sheet where nothing is set, None where none can be ordered: a box that stands as
    it does by itself sets nothing.
    """
    given = {name: value.strip() for name, value in form.items()}
    if proof is None or (PROOF not in before and given.get(PROOF) == str(proof).lower()):
        given.pop(PROOF, None)
    taken_back = {*given, STEPS, RATE} if PRESET in given else given.keys()
    kept = {name: value for name, value in before.items() if name not in taken_back}
    return {**kept, **{name: value for name, value in given.items() if value}}


def _counting(parameter: ParameterReport) -> str:
    """Return what counts where nothing is set on the page."""
    made_up = parameter.source is ParameterSource.GENERATED
    return "made up" if made_up else shown(parameter.value)


def _trainer(draft: "Draft", application: str) -> Trainer:
    named = draft.report.trainer if draft.report and draft.report.trainer else application
    return TRAINERS.get(named) or trainer_of(application) or DEFAULT


def _price(trainer: Trainer, name: str) -> float | None:
    preset = trainer.presets.get(name)
    field = next((each for each in trainer.fields if each.name == STEPS), None)
    steps = preset.values.get(STEPS) if preset else None
    steps = steps if steps is not None else getattr(field, "default", None)
    return estimated_cost_usd(trainer.application, int(steps), None) if steps else None


def _input(field: Field, given: Mapping[str, object], counts: Mapping[str, str]) -> Input:
    label, hint = LABELS.get(field.name, (field.name.replace("_", " ").capitalize(), field.takes))
    kind, choices, low, high = "text", tuple[str, ...](), "", ""
    match field:
        case Flag():
            kind, choices = "choice", ("true", "false")
        case Choice():
            kind, choices = "choice", field.choices
        case WholeNumber():
            kind, low, high = "number", str(field.low), str(field.high)
        case Rate():
            kind = "rate"
    value = str(given.get(field.name, ""))
    return Input(
        field.name, label, hint, kind, value, counts.get(field.name, ""), choices, low, high
    )

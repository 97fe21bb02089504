"""docs/dataset-errors.md and docs/trainers.md, from the tables that the program goes by."""

from collections.abc import Iterator

from lora_drop.datasets.problem_codes import MEANINGS, PREFIXES, Kind, Meaning
from lora_drop.fal.trainers.fields import Field, Value, plain
from lora_drop.fal.trainers.table import DEFAULT, TRAINERS
from lora_drop.fal.trainers.trainer import Captions, Trainer
from lora_drop.jobs.artifacts import KNOWN_OUTPUTS

ERRORS_INTRO = """\
# What a check finds in a dataset

Every code that a dataset's check gives: in `report.json`, in `report.html`, in `ERROR.txt`, by
`lora-drop check` and by the API. Codes do not change; the sentence beside one in a report names the file and
the numbers.

- **refuses**: nothing is sent to fal and nothing is paid until the dataset is mended and dropped again.
- **warns**: it is trained on, and could train better. With the stack's parameter `RequireOnePerson=true`,
  `image_face_other_person`, `dataset_face_two_people`, `dataset_face_many_people`, `dataset_face_none`,
  `dataset_face_unavailable` and `dataset_face_check_failed` refuse.
- **changes**: it was changed in the copy that fal gets; the ZIP that was dropped stays as it is."""
ORDER = tuple(Kind)


def dataset_errors_page() -> str:
    """Every code by what it speaks of; what refuses comes first."""
    lines = [ERRORS_INTRO]
    for prefix, about in PREFIXES.items():
        lines += ["", f"## `{prefix}_`: {about}", "", *_table(prefix)]
    return "\n".join(lines) + "\n"


def _table(prefix: str) -> Iterator[str]:
    yield "| code | | what it means | what to do |"
    yield "|---|---|---|---|"
    found = [(code, each) for code, each in MEANINGS.items() if code.startswith(f"{prefix}_")]
    for code, meaning in sorted(found, key=lambda pair: ORDER.index(pair[1].kind)):
        yield _row(code, meaning)


def _row(code: str, meaning: Meaning) -> str:
    cells = (f"`{code}`", str(meaning.kind), meaning.means, meaning.do)
    return f"| {' | '.join(cell.replace('|', '\\|') for cell in cells)} |"


TRAINERS_INTRO = f"""\
# Trainers

A stack trains with `{DEFAULT.application}` unless its parameter `FalApplication` says otherwise. A dataset
chooses another trainer with `trainer`, by its id or by its id without `fal-ai/`, in `training.json`, in the
object's metadata, or with `lora-drop train --trainer`. One that is not listed here is refused.

Inputs have the same names whatever a trainer calls them; its own name is understood as well. An input that a
trainer does not have is refused before anything is paid: fal would ignore it and bill. What is sent where nothing
is said is fal's default; an input without one is not sent then. A preset sets what its column shows;
outside its range of steps or learning rate a training goes on, with a warning.

The portrait trainer's inputs are listed whole. Of the others, those are listed that could be verified; there may
be more. Where a fact was not found, the notes say so."""
CAPTIONS = {
    Captions.OPTIONAL: "trained on with the trigger phrase",
    Captions.PHRASE: "trained on with the trigger phrase, and refused without one",
    Captions.NEEDED: "refused, unless there is a default caption",
}


def trainers_page() -> str:
    """Every trainer's inputs, presets, outputs, price and sources."""
    lines = [TRAINERS_INTRO, "", *_overview()]
    for trainer in TRAINERS.values():
        lines += ["", f"## {trainer.short_name}", "", *_facts(trainer), "", *_inputs(trainer)]
        lines += ["", *_presets(trainer)]
    return "\n".join(lines) + "\n"


def _overview() -> Iterator[str]:
    yield "| trainer | a step | billed at least | a photo without a caption | `--resume` |"
    yield "|---|---|---|---|---|"
    for trainer in TRAINERS.values():
        # As GitHub makes an anchor of a heading.
        name = f"[{trainer.short_name}](#{trainer.short_name.replace('/', '')})"
        price = trainer.price
        step = f"${plain(price.usd_per_step)}" if price else "not known"
        least = f"{price.min_steps:,} steps" if price and price.min_steps > 1 else ""
        resumes = "yes" if trainer.resumes else ""
        yield f"| {name} | {step} | {least} | {CAPTIONS[trainer.captions]} | {resumes} |"


def _facts(trainer: Trainer) -> Iterator[str]:
    others = ", ".join(
        f"`{name}`" if name in KNOWN_OUTPUTS else f"`{name}` (not kept)"
        for name in trainer.outputs
        if name != trainer.weights
    )
    yield f"- `{trainer.application}`; it gets the dataset as `{trainer.dataset_field}`."
    yield f"- Outputs: `{trainer.weights}` (kept as `lora.safetensors`), {others}."
    if trainer.trigger_in_captions:
        yield "- `[trigger]` in a caption stands for the trigger phrase."
    if trainer.mask_suffix:
        yield f"- `photo{trainer.mask_suffix}.jpg` is the mask of `photo.jpg`, and counts as no photo."
    yield from (f"- {note}" for note in trainer.notes)
    yield f"- Sources: {', '.join(trainer.sources)}."


def _inputs(trainer: Trainer) -> Iterator[str]:
    yield "| input | fal's name | it takes | default |"
    yield "|---|---|---|---|"
    for field in trainer.fields:
        called = f"`{field.called}`" if field.called else ""
        yield f"| `{field.name}` | {called} | {field.takes} | {_default(trainer, field)} |"


def _default(trainer: Trainer, field: Field) -> str:
    if field.default is not None:
        return _shown(field.default)
    made = field.name == "trigger_phrase" and trainer.makes_trigger
    return "`TOK_` and 8 digits of the job's id" if made else ""


def _presets(trainer: Trainer) -> Iterator[str]:
    yield "| preset | sets | steps advised | learning rate advised |"
    yield "|---|---|---|---|"
    for name, preset in trainer.presets.items():
        sets = ", ".join(f"`{field}` {_shown(value)}" for field, value in preset.values.items())
        yield f"| `{name}` | {sets} | {preset.steps_advised} | {preset.rate_advised} |"


def _shown(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return plain(value) if isinstance(value, float) else str(value)

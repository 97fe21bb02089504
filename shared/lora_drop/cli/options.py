"""The options with which a person says how to train; the same for what trains and what checks."""

from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from lora_drop.client.errors import CommandError
from lora_drop.datasets.parameters import PRESETS
from lora_drop.fal.trainers.table import DEFAULT

TrainerName = Annotated[
    str | None,
    typer.Option("--trainer", help=f"As {DEFAULT.short_name}; all of them: docs/trainers.md."),
]
Preset = Annotated[str | None, typer.Option(help=f"One of {', '.join(PRESETS)}.")]
Trigger = Annotated[
    str | None,
    typer.Option("--trigger", "--trigger-phrase", help="The word that calls the person up."),
]
Steps = Annotated[int | None, typer.Option(help="How long it trains.")]
LearningRate = Annotated[float | None, typer.Option(help="How much each step counts.")]
Multiresolution = Annotated[
    bool | None,
    typer.Option("--multiresolution/--no-multiresolution", help="Train on several sizes."),
]
SubjectCrop = Annotated[
    bool | None,
    typer.Option("--subject-crop/--no-subject-crop", help="Crop photos to the person."),
]
CreateMasks = Annotated[
    bool | None,
    typer.Option("--create-masks/--no-create-masks", help="Mask everything but the person."),
]
Checkpoint = Annotated[
    str | None, typer.Option(help="An earlier LoRA to go on from: its URL, or its job's id.")
]
Others = Annotated[
    list[str] | None,
    typer.Option("--set", help="NAME=VALUE, any input of the trainer; as often as needed."),
]


def parameters_of(given: Mapping[str, object], others: Sequence[str] | None) -> dict[str, object]:
    """What is given by an option of its own, and by ``--set``; raises CommandError."""
    parameters = {name: value for name, value in given.items() if value is not None}
    for each in others or ():
        name, equals, value = each.partition("=")
        name = name.strip().replace("-", "_")
        if not (name and equals):
            raise CommandError("--set is NAME=VALUE, like --set training_style=style.")
        if name in parameters:
            raise CommandError(f"{name} is given twice. Keep one of them.")
        parameters[name] = value
    return parameters

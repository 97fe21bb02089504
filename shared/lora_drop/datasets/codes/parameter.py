"""What can be wrong with, or better in, what the training is told."""

from collections.abc import Mapping

from lora_drop.datasets.codes.meaning import Meaning, refuses, warns

PARAMETER: Mapping[str, Meaning] = {
    "parameter_invalid_json": refuses(
        "training.json is not a JSON object.",
        'Write it like {"steps": 1500, "trigger_phrase": "ada"}.',
    ),
    "parameter_file_too_large": refuses(
        "training.json is far longer than parameters are.", "Put parameters into it, and no more."
    ),
    "parameter_file_misplaced": refuses(
        "training.json lies where it would not be used.",
        "Move it into the root of the ZIP, or take it out.",
    ),
    "parameter_unknown": refuses(
        "The trainer has no such parameter; fal would ignore it, and bill.",
        "Correct its name, or take it out.",
    ),
    "parameter_unknown_preset": refuses(
        "There is no such preset.", "Take one of those that the message lists."
    ),
    "parameter_unknown_trainer": refuses(
        "lora-drop does not know this trainer.", "Take one of those that the message lists."
    ),
    "parameter_given_twice": refuses(
        "A parameter is given twice in one place.", "Keep one of the two."
    ),
    "parameter_invalid_type": refuses(
        "A parameter's value is of another type than it takes.",
        "Write a value as the message says.",
    ),
    "parameter_out_of_range": refuses(
        "A parameter's value is outside of what the trainer takes.",
        "Choose a value within the range that the message states.",
    ),
    "parameter_file_misnamed": refuses(
        "training.json is called otherwise, so its parameters would not be used.",
        "Rename it training.json; Windows shows the ending .txt once file name extensions are shown.",
    ),
    "parameter_checkpoint_unknown": refuses(
        "resume_from_checkpoint names a job that there is not.",
        "Write the id as lora-drop jobs lists it, or the https:// address of a LoRA.",
    ),
    "parameter_checkpoint_of_other_trainer": refuses(
        "resume_from_checkpoint names a LoRA of another trainer.",
        "Name a job of the same trainer, or choose that job's trainer.",
    ),
    "parameter_checkpoint_missing": refuses(
        "The job that resume_from_checkpoint names has no LoRA.",
        "Name another job, or wait until that one has ended.",
    ),
    "parameter_steps_below_minimum": warns(
        "Fewer steps are trained than are billed.",
        "Train with the least that is billed: it costs the same.",
    ),
    "parameter_preset_unlike": warns(
        "The folder's name is nearly that of a preset, and is none.",
        "Drop the dataset into the preset's folder, or give preset in its metadata.",
    ),
    "parameter_steps_unusual": warns(
        "The number of steps is outside of what is advised.",
        "Choose one within the range of a preset, unless it is meant so.",
    ),
    "parameter_learning_rate_unusual": warns(
        "The learning rate is outside of what is advised.",
        "Choose one within the range of a preset, unless it is meant so.",
    ),
}

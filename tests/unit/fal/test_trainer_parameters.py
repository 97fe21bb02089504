"""One dataset, any trainer: the same words for all of them, and each refuses what it has not."""

import json
from typing import Any

import pytest

from lora_drop.datasets.parameters import ResolvedParameters, resolve
from lora_drop.fal.trainers.parameters import ParameterSource
from lora_drop.fal.trainers.table import TRAINERS
from lora_drop.fal.trainers.trainer import Trainer
from lora_drop.jobs.errors import DatasetRejectedError
from lora_drop.jobs.problems import Problem

EVERY = pytest.mark.parametrize("trainer", TRAINERS.values(), ids=lambda each: each.short_name)
JOB = "ada-0123456789"
FLUX_2, KREA = "fal-ai/flux-2-trainer", "flux-krea-trainer"


def resolved(
    training: Any = None, metadata: dict[str, str] | None = None, key: str = "a.zip", **how: str
) -> ResolvedParameters:
    raw = training if isinstance(training, bytes | None) else json.dumps(training).encode()
    return resolve(
        key=key, training_json=raw, metadata=metadata or {}, trigger_seed="0123456789", **how
    )


def problems_of(*drop: Any, **how: Any) -> list[Problem]:
    with pytest.raises(DatasetRejectedError) as rejected:
        resolved(*drop, **how)
    return list(rejected.value.problems)


def codes_of(*drop: Any, **how: Any) -> list[str]:
    return [problem.code for problem in problems_of(*drop, **how)]


@pytest.mark.promise("interfaces stay")
@EVERY
def test_every_trainer_understands_our_words(trainer: Trainer) -> None:
    """The same parameter names work with every trainer."""
    said = {"trainer": trainer.short_name, "trigger-phrase": "ada", "steps": "1234"}
    values = resolved(metadata=said).values
    assert values.trainer == trainer.application
    assert (values.trigger_phrase, values.steps) == ("ada", 1234)
    sent = values.arguments("https://x/y")
    [phrase] = [field.wire for field in trainer.fields if field.name == "trigger_phrase"]
    assert (sent[trainer.dataset_field], sent[phrase]) == ("https://x/y", "ada")


@EVERY
def test_every_trainer_understands_its_own_words(trainer: Trainer) -> None:
    ours = {field.name: "ada" for field in trainer.fields if field.called}
    own = {field.called: "ada" for field in trainer.fields if field.called}
    by_ours = resolved(ours, application=trainer.application)
    by_own = resolved(own, application=trainer.application)
    assert by_own == by_ours


@pytest.mark.promise("interfaces stay")
@EVERY
def test_kept_parameters_are_accepted_again(trainer: Trainer) -> None:
    """The parameters of a finished job can be used as training.json."""
    first = resolved({"trainer": trainer.application, "preset": "style", "trigger_phrase": "ada"})
    again = resolved(first.values.model_dump_json().encode())
    assert again.values == first.values


@EVERY
@pytest.mark.parametrize("preset", ["portrait", "style", "fast", "quality"])
def test_a_folder_names_a_preset(trainer: Trainer, preset: str) -> None:
    drop = resolved(key=f"{preset}/a.zip", application=trainer.application)
    assert drop.preset == preset
    assert trainer.presets[preset].values.items() <= dict(drop.values.values).items()
    assert {drop.sources[name] for name in trainer.presets[preset].values} == {
        ParameterSource.PRESET
    }


@pytest.mark.parametrize(
    ("drop", "application", "source"),
    [
        ((), "fal-ai/z-image-trainer", ParameterSource.DEFAULT),
        (({"trainer": KREA},), "fal-ai/flux-krea-trainer", ParameterSource.TRAINING_JSON),
        (({"trainer": KREA}, {"trainer": FLUX_2}), FLUX_2, ParameterSource.METADATA),
    ],
)
def test_the_nearest_source_chooses_the_trainer(
    drop: tuple[Any, ...], application: str, source: ParameterSource
) -> None:
    found = resolved(*drop, application="fal-ai/z-image-trainer")
    assert (found.values.trainer, found.sources["trainer"]) == (application, source)


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("flux2-trainer", "flux-2-trainer"),
        ("fal-ai/flux-lora-portrait", "fal-ai/flux-lora-portrait-trainer"),
        ("Z-Image-Trainer", "z-image-trainer"),
    ],
)
def test_an_unknown_trainer_is_refused(said: str, meant: str) -> None:
    """An unknown trainer is refused with the name that was meant."""
    [problem] = problems_of({"trainer": said, "no_such_thing": 1})
    assert (problem.code, problem.member) == ("parameter_unknown_trainer", "training.json")
    assert f"did you mean {meant}?" in problem.message
    assert "qwen-image-trainer" in problem.message


@pytest.mark.parametrize("said", [7, ["flux-2-trainer"], {"a": 1}, True, "", "\ud800"])
def test_a_trainer_has_a_name(said: object) -> None:
    assert codes_of({"trainer": said}) == ["parameter_unknown_trainer"]


def test_an_unknown_default_trainer_is_refused() -> None:
    [problem] = problems_of(application="fal-ai/brand-new-trainer")
    assert problem.code == "parameter_unknown_trainer"
    assert "FalApplication" in problem.message
    named = resolved({"trainer": "flux-2-trainer"}, application="fal-ai/brand-new-trainer")
    assert named.values.trainer == "fal-ai/flux-2-trainer"


@pytest.mark.promise(
    "never pay for a dataset that cannot train",
    "A parameter that the trainer does not have is refused with what may be meant.",
)
@pytest.mark.promise(
    "never pay for a dataset that cannot train",
    "A misspelt parameter, or another trainer's, is refused with the right name.",
)
@pytest.mark.parametrize(
    ("trainer", "name", "said"),
    [
        # the same thing under another trainer's name
        ("flux-lora-portrait-trainer", "trigger_word", "did you mean trigger_phrase?"),
        ("flux-lora-portrait-trainer", "default_caption", "did you mean trigger_phrase?"),
        ("flux-2-trainer", "trigger_word", "did you mean trigger_phrase?"),
        ("qwen-image-trainer", "default_caption", "did you mean trigger_phrase?"),
        ("z-image-trainer", "number_of_steps", "did you mean steps?"),
        ("flux-lora-portrait-trainer", "lr", "did you mean learning_rate?"),
        # a slip
        ("flux-2-trainer", "default_captoin", "did you mean default_caption?"),
        ("flux-lora-fast-training", "triger_word", "did you mean trigger_word?"),
        ("turbo-flux-trainer", "trainin_style", "did you mean training_style?"),
        ("flux-krea-trainer", "trainr", "did you mean trainer?"),
        # what only others have
        ("flux-lora-portrait-trainer", "training_style", "it is one of turbo-flux-trainer."),
        ("flux-krea-trainer", "subject_crop", "it is one of flux-lora-portrait-trainer."),
        ("qwen-image-trainer", "learning_rate", "turbo-flux-trainer, flux-2-trainer, flux-2"),
        ("z-image-trainer", "resume_from_checkpoint", "one of flux-lora-portrait-trainer."),
        # of no trainer
        ("z-image-trainer", "webhook_url", "of z-image-trainer. Correct"),
        ("z-image-trainer", "image_data_url", "of z-image-trainer. Correct"),
    ],
)
def test_an_unknown_parameter_is_refused(trainer: str, name: str, said: str) -> None:
    [problem] = problems_of({name: 1}, {"trainer": trainer})
    assert problem.code == "parameter_unknown"
    assert said in problem.message
    assert trainer in problem.message


def test_one_input_under_two_names() -> None:
    [problem] = problems_of({"trigger_phrase": "a", "default_caption": "b"}, application=FLUX_2)
    assert problem.code == "parameter_given_twice"
    assert "“trigger_phrase” and “default_caption”" in problem.message


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize(
    "said",
    [
        (b'{"steps": 1000, "steps": 2000}',),
        (b'{"preset": "fast", "preset": "style"}',),
        (None, {"learning-rate": "0.0001", "learning_rate": "0.0002"}),
    ],
)
def test_what_is_given_twice_is_refused(said: tuple[Any, ...]) -> None:
    """A parameter that is given twice is refused."""
    assert codes_of(*said) == ["parameter_given_twice"]


def test_another_layer_may_say_it_again() -> None:
    drop = resolved({"default_caption": "a"}, {"trigger-phrase": "b"}, application=FLUX_2)
    assert drop.values.trigger_phrase == "b"
    assert drop.sources["trigger_phrase"] is ParameterSource.METADATA


@pytest.mark.parametrize(
    ("trainer", "steps"),
    [("qwen-image-trainer", 8001), ("flux-2-trainer", 99), ("z-image-trainer", 1)],
)
def test_each_trainer_has_its_range(trainer: str, steps: int) -> None:
    assert codes_of({"trainer": trainer, "steps": steps}) == ["parameter_out_of_range"]
    assert resolved({"steps": steps}).values.steps == steps


def test_no_default_caption_is_invented() -> None:
    values = resolved(application=FLUX_2).values
    assert values.trigger_phrase is None
    assert "default_caption" not in values.arguments("https://x/y")


def test_a_resumed_job_is_never_sent() -> None:
    """A job to resume from is kept apart, an address is sent, and an empty value is none."""
    by_job = resolved({"resume_from_checkpoint": JOB})
    by_url = resolved({"resume_from_checkpoint": JOB}, {"resume-from-checkpoint": "https://x/y"})
    by_none = resolved({"resume_from_checkpoint": JOB}, {"resume-from-checkpoint": ""})

    assert by_job.resume_from == JOB
    assert by_job.sources["resume_from_checkpoint"] is ParameterSource.TRAINING_JSON
    assert "resume_from_checkpoint" not in by_job.values.arguments("https://x/y")
    assert "resume_from_checkpoint" not in by_job.values.model_dump()
    assert by_url.resume_from is None
    assert by_url.values.arguments("https://d")["resume_from_checkpoint"] == "https://x/y"
    assert by_none == resolved()
    assert "resume_from_checkpoint" not in {*by_none.sources, *by_none.values.model_dump()}

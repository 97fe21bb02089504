"""Parameters as they stand in a job's row, and whatever is written: refused or the trainer's own."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from lora_drop.datasets.parameters import ResolvedParameters, advice, resolve
from lora_drop.fal.trainers.fields import Choice, Flag, Rate, Text, WholeNumber, WholeNumberChoice
from lora_drop.fal.trainers.parameters import ParameterSource, TrainingParameters
from lora_drop.fal.trainers.table import TRAINERS
from lora_drop.fal.trainers.trainer import Trainer
from lora_drop.jobs.errors import DatasetRejectedError
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from tests.support.builders import APPLICATION, make_job

DEFAULTS = {
    "multiresolution_training": True,
    "subject_crop": True,
    "create_masks": False,
    "data_archive_format": "zip",
}
# What the version before wrote: DynamoDB gives every number as a decimal.
OLD_ROW = {
    "trigger_phrase": "TOK_12345678",
    "learning_rate": Decimal("0.00009"),
    "steps": Decimal(2500),
    "resume_from_checkpoint": "",
    **DEFAULTS,
}


@pytest.mark.promise("interfaces stay")
def test_an_old_row_is_read() -> None:
    """A row from before there were several trainers is the portrait trainer's."""
    parameters = TrainingParameters.model_validate(OLD_ROW)

    assert parameters.arguments("https://x/y") == {
        "images_data_url": "https://x/y",
        "trigger_phrase": "TOK_12345678",
        "learning_rate": 0.00009,
        "steps": 2500,
        **DEFAULTS,
    }
    assert (parameters.trainer, parameters.steps) == (APPLICATION, 2500)
    assert [type(parameters.values[name]) for name in ("steps", "learning_rate")] == [int, float]


def test_an_old_job_has_no_checkpoint() -> None:
    """A job of an old version shows no empty checkpoint, and a row with an address keeps it."""
    row = json.loads(make_job(Status.READY).model_dump_json())
    job = Job.model_validate({**row, "parameters": OLD_ROW, "resume_from": "ada-0123456789"})
    going_on = TrainingParameters.model_validate(
        OLD_ROW | {"resume_from_checkpoint": "https://x/y"}
    )
    assert job.parameters
    assert "resume_from_checkpoint" not in job.model_dump_json()
    assert job.parameters.steps == 2500
    assert going_on.arguments("https://d")["resume_from_checkpoint"] == "https://x/y"


@pytest.mark.promise("interfaces stay")
@pytest.mark.parametrize("trainer", TRAINERS.values(), ids=lambda each: each.short_name)
def test_parameters_survive_their_row(trainer: Trainer) -> None:
    """The parameters of every trainer come back from a row as they were."""
    values = {field.name: field.default for field in trainer.fields if field.default is not None}
    written = TrainingParameters(trainer=trainer.application, **values, trigger_phrase="1500")
    row = json.loads(written.model_dump_json(), parse_float=Decimal, parse_int=Decimal)
    read = TrainingParameters.model_validate(row)
    assert read == written
    assert json.dumps(read.arguments("u")) == json.dumps(written.arguments("u"))


def test_a_whole_rate_stays_a_float() -> None:
    row = {"trainer": "fal-ai/flux-2-trainer", "steps": Decimal(1000), "learning_rate": Decimal(1)}
    read = TrainingParameters.model_validate(row)
    assert read.model_dump_json() == (
        '{"trainer":"fal-ai/flux-2-trainer","steps":1000,"learning_rate":1.0}'
    )


@pytest.mark.promise("interfaces stay")
def test_a_later_versions_fields_are_kept() -> None:
    """A field that a later version has added is read and kept."""
    row = {**OLD_ROW, "invented_later": "x", "and_this": Decimal("0.5")}
    parameters = TrainingParameters.model_validate(row)
    assert parameters.values["invented_later"] == "x"
    assert parameters.values["and_this"] == 0.5


@pytest.mark.parametrize("row", [[], "steps", {**OLD_ROW, "steps": [1]}, {"trainer": 7}])
def test_no_parameters_are_no_row(row: Any) -> None:
    with pytest.raises((ValidationError, TypeError)):
        TrainingParameters.model_validate(row)


def test_parameters_cannot_be_changed() -> None:
    values = resolve(key="a.zip", training_json=None, metadata={}, trigger_seed="0" * 10).values
    for name in ("trainer", "steps", "trigger_phrase", "learning_rate"):
        with pytest.raises((ValidationError, AttributeError)):
            setattr(values, name, 1)
    with pytest.raises(TypeError):
        values.values["steps"] = 1  # type: ignore[index]  # that is the point


EXAMPLES = 400
NAMES = sorted(
    {"preset", "trainer", "force", "webhook_url", "images_data_url"}
    | {
        name
        for trainer in TRAINERS.values()
        for field in trainer.fields
        for name in (field.name, field.wire)
    }
)
WORDS = st.sampled_from(
    [
        *("portrait", "fast", "style", "true", "FALSE", "zip", "ada", "", " ", "1500", "0", "-1"),
        *("0.0001", "1e-4", "nan", "1e999", "9" * 400, "subject", "comfy", "balanced", "\ud800"),
        *("https://x/y", "ada-0123456789", *TRAINERS, "flux-2-trainer"),
    ]
)
SCALARS = (
    WORDS
    | st.text(max_size=20)
    | st.integers(min_value=-10, max_value=50_000)
    | st.floats(min_value=0, max_value=0.02)
    | st.floats()
    | st.booleans()
    | st.none()
    | st.just(10**400)
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3), max_leaves=4)
KEYS = st.sampled_from(NAMES) | st.text(max_size=12)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=4)
FILES = (
    st.none()
    | st.binary(max_size=60)
    | OBJECTS.map(lambda value: json.dumps(value).encode())
    | VALUES.map(lambda value: json.dumps(value).encode())
    | st.integers(min_value=1, max_value=200_000).map(lambda depth: b'{"a":' + b"[" * depth)
    | st.integers(min_value=1, max_value=900).map(lambda n: b'{"a":' + b"[" * n + b"]" * n + b"}")
)
METADATA = st.dictionaries(
    KEYS | st.sampled_from([name.replace("_", "-") for name in NAMES]),
    WORDS | st.text(max_size=20),
    max_size=4,
)
APPLICATIONS = st.sampled_from([*TRAINERS, "fal-ai/brand-new-trainer", ""])
TRAINER_KEYS = st.sampled_from(
    ["a.zip", "portrait/a.zip", "fast/b/a.zip", "quality/a.zip", "/a.zip"]
)


def verdict(
    key: str, file: bytes | None, metadata: Mapping[str, str], application: str
) -> ResolvedParameters | DatasetRejectedError:
    """What comes of it; any other error is the test's."""
    try:
        return resolve(
            key=key,
            training_json=file,
            metadata=metadata,
            trigger_seed="0123456789",
            application=application,
        )
    except DatasetRejectedError as rejected:
        return rejected


@pytest.mark.promise("never pay for a dataset that cannot train")
@settings(max_examples=EXAMPLES, deadline=None)
@given(key=TRAINER_KEYS, file=FILES, metadata=METADATA, application=APPLICATIONS)
def test_any_input_is_refused_or_sound(
    key: str, file: bytes | None, metadata: dict[str, str], application: str
) -> None:
    """Whatever is written is refused in words, or lies in the trainer's ranges."""
    said = verdict(key, file, metadata, application)
    event(type(said).__name__)
    if isinstance(said, ResolvedParameters):
        accepted_is_sound(said)
        return
    assert 1 <= len(said.problems) <= 50
    for problem in said.problems:
        assert problem.code.startswith("parameter_") or problem.code == "dataset_more_problems"
        assert problem.message.strip()
        json.loads(problem.model_dump_json())


# One parameter and its own kind of value: most of these are accepted.
LIKELY = st.one_of(
    [
        st.tuples(st.just(trainer.application), st.just(field.wire), value)
        for trainer in TRAINERS.values()
        for field in trainer.fields
        for value in [
            st.integers(field.low - 2, field.high + 2)
            if isinstance(field, WholeNumber)
            else st.floats(field.low / 2, field.high * 2)
            if isinstance(field, Rate)
            else st.booleans()
            if isinstance(field, Flag)
            else st.sampled_from([*field.choices, "zap"])
            if isinstance(field, Choice)
            else st.sampled_from([*field.choices, 7])
            if isinstance(field, WholeNumberChoice)
            else st.text(max_size=120)
        ]
    ]
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(likely=LIKELY, key=TRAINER_KEYS)
def test_nearly_right_values_are_decided(likely: tuple[str, str, Any], key: str) -> None:
    """A value near the border of its range is accepted just where it lies within."""
    application, name, value = likely
    trainer = TRAINERS[application]
    field = trainer.known_as(name)
    assert field is not None
    said = verdict(key, json.dumps({name: value}).encode(), {}, application)
    event(type(said).__name__)
    if isinstance(said, DatasetRejectedError):
        assert [problem.code for problem in said.problems] == ["parameter_out_of_range"]
        if isinstance(field, WholeNumber | Rate):
            assert not field.low <= value <= field.high
        return
    accepted_is_sound(said)
    if isinstance(field, WholeNumber | Rate | Flag | Choice):
        assert said.values.values[field.name] == value


def accepted_is_sound(drop: ResolvedParameters) -> None:
    """Every value is of its field's type and within its range, and says where it is from."""
    trainer = TRAINERS[drop.values.trainer]
    values = drop.values.values
    for name, value in values.items():
        field = trainer.field(name)
        match field:
            case WholeNumber(low=low, high=high) | Rate(low=low, high=high):
                assert type(value) is (int if isinstance(field, WholeNumber) else float)
                assert low <= value <= high
            case Flag():
                assert type(value) is bool
            case Choice(choices=choices) | WholeNumberChoice(choices=choices):
                assert value in choices
            case Text(longest=longest):
                assert isinstance(value, str)
                assert 1 <= len(value) <= longest
            case _:
                assert str(value).startswith("https://")
    of_job = {"resume_from_checkpoint"} if drop.resume_from else set()
    assert set(drop.sources) == {"trainer", *values} | of_job
    assert drop.sources.get("trigger_phrase") is not None or not trainer.makes_trigger
    assert all(isinstance(source, ParameterSource) for source in drop.sources.values())
    assert TrainingParameters.model_validate_json(drop.values.model_dump_json()) == drop.values
    json.dumps(drop.values.arguments("https://x/y"), allow_nan=False)
    assert all(problem.code.startswith("parameter_") for problem in advice(drop))

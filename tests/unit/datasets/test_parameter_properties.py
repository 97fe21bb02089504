"""Whatever is written, a dataset is refused in words or its parameters are the trainer's own."""

import json
import math
from collections.abc import Mapping
from typing import Any

from hypothesis import event, given, settings
from hypothesis import strategies as st

from lora_drop.datasets.parameters import ResolvedParameters, advice, resolve
from lora_drop.fal.trainers.fields import Choice, Flag, Rate, Text, WholeNumber
from lora_drop.fal.trainers.parameters import ParameterSource, TrainingParameters
from lora_drop.fal.trainers.table import TRAINERS
from lora_drop.jobs.errors import DatasetRejectedError

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


@settings(max_examples=EXAMPLES, deadline=None)
@given(key=TRAINER_KEYS, file=FILES, metadata=METADATA, application=APPLICATIONS)
def test_what_is_written_is_refused_in_words_or_lies_in_the_trainers_ranges(
    key: str, file: bytes | None, metadata: dict[str, str], application: str
) -> None:
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
            else st.text(max_size=120)
        ]
    ]
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(likely=LIKELY, key=TRAINER_KEYS)
def test_what_is_nearly_right_is_accepted_just_where_it_is_right(
    likely: tuple[str, str, Any], key: str
) -> None:
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
            case WholeNumber(low=low, high=high):
                assert type(value) is int
                assert low <= value <= high
            case Rate(low=low, high=high):
                assert type(value) is float
                assert math.isfinite(value)
                assert low <= value <= high
            case Flag():
                assert type(value) is bool
            case Choice(choices=choices):
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

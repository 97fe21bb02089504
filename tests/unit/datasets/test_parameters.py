import json
from typing import Any

import pytest

from lora_drop.datasets.parameters import ResolvedParameters, resolve
from lora_drop.fal.trainers.parameters import ParameterSource
from lora_drop.jobs.errors import DatasetRejectedError


def resolved(
    key: str = "ada.zip", training: Any = None, metadata: dict[str, str] | None = None
) -> ResolvedParameters:
    raw = training if isinstance(training, bytes | None) else json.dumps(training).encode()
    return resolve(key=key, training_json=raw, metadata=metadata or {}, trigger_seed="0123456789")


def codes_of(**drop: Any) -> list[str]:
    with pytest.raises(DatasetRejectedError) as rejected:
        resolved(**drop)
    return [problem.code for problem in rejected.value.problems]


def test_without_a_word_fals_defaults_hold_and_a_trigger_is_made() -> None:
    values = resolved().values

    assert values.arguments("https://x/y") == {
        "images_data_url": "https://x/y",
        "trigger_phrase": "TOK_01234567",
        "learning_rate": 0.00009,
        "steps": 2500,
        "multiresolution_training": True,
        "subject_crop": True,
        "create_masks": False,
        "data_archive_format": "zip",
    }


def test_the_nearer_source_wins() -> None:
    drop = resolved(
        "fast/ada.zip",
        {"steps": 1200, "trigger_phrase": "ada", "learning_rate": 1e-4},
        {"steps": "1300"},
    )

    assert (drop.values.steps, drop.values.trigger_phrase) == (1300, "ada")
    assert drop.preset == "fast"
    assert dict(drop.sources) == {
        "trainer": ParameterSource.DEFAULT,
        "trigger_phrase": ParameterSource.TRAINING_JSON,
        "learning_rate": ParameterSource.TRAINING_JSON,
        "steps": ParameterSource.METADATA,
        "multiresolution_training": ParameterSource.DEFAULT,
        "subject_crop": ParameterSource.DEFAULT,
        "create_masks": ParameterSource.DEFAULT,
        "data_archive_format": ParameterSource.DEFAULT,
    }


@pytest.mark.parametrize("preset", ["portrait", "style", "fast", "quality"])
def test_a_preset_is_named_by_folder_metadata_or_file(preset: str) -> None:
    by_folder = resolved(f"{preset}/ada.zip")

    assert resolved(metadata={"preset": preset}).values == by_folder.values
    assert resolved(training={"preset": preset}).values == by_folder.values
    assert by_folder.preset == preset


def test_a_folder_that_is_no_preset_is_just_a_folder() -> None:
    assert resolved("customers/ada.zip").preset is None


def test_the_name_of_another_trainers_parameter_is_refused_with_the_right_one() -> None:
    with pytest.raises(DatasetRejectedError) as rejected:
        resolved(training={"trigger_word": "ada"})

    assert "did you mean trigger_phrase" in rejected.value.problems[0].message


def test_a_misspelling_is_refused_with_the_right_one() -> None:
    with pytest.raises(DatasetRejectedError) as rejected:
        resolved(metadata={"learning-rat": "0.0001"})

    assert "did you mean learning_rate" in rejected.value.problems[0].message


def test_metadata_of_upload_tools_is_left_alone() -> None:
    assert resolved(metadata={"mtime": "1700000000", "s3cmd-attrs": "uid:0"}) == resolved()


def test_both_dashes_name_a_parameter_in_metadata() -> None:
    assert resolved(metadata={"trigger-phrase": "ada"}).values.trigger_phrase == "ada"
    assert resolved(metadata={"trigger_phrase": "ada"}).values.trigger_phrase == "ada"


@pytest.mark.parametrize(
    ("name", "value", "code"),
    [
        ("steps", 0, "parameter_out_of_range"),
        ("steps", 10_001, "parameter_out_of_range"),
        ("steps", "1000", "parameter_invalid_type"),
        ("steps", True, "parameter_invalid_type"),
        ("steps", 1000.0, "parameter_invalid_type"),
        ("learning_rate", 0.01, "parameter_out_of_range"),
        ("learning_rate", "fast", "parameter_invalid_type"),
        ("learning_rate", 10**400, "parameter_out_of_range"),
        ("learning_rate", float("nan"), "parameter_out_of_range"),
        ("subject_crop", 1, "parameter_invalid_type"),
        ("trigger_phrase", "", "parameter_out_of_range"),
        ("trigger_phrase", "a\nb", "parameter_out_of_range"),
        ("trigger_phrase", "x" * 101, "parameter_out_of_range"),
        ("data_archive_format", "tar", "parameter_out_of_range"),
        ("resume_from_checkpoint", "http://x/y", "parameter_out_of_range"),
        ("resume_from_checkpoint", "https://a.example/\ud800", "parameter_out_of_range"),
        ("resume_from_checkpoint", "https://a.example/\0\u202e", "parameter_out_of_range"),
        ("resume_from_checkpoint", f"https://a.example/{'x' * 60_000}", "parameter_out_of_range"),
        ("learning_rate", 1e-200, "parameter_out_of_range"),
        ("images_data_url", "https://x/y", "parameter_unknown"),
        ("webhook_url", "https://x/y", "parameter_unknown"),
        ("preset", "portait", "parameter_unknown_preset"),
    ],
)
def test_a_wrong_value_in_training_json_is_refused(name: str, value: object, code: str) -> None:
    assert codes_of(training={name: value}) == [code]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", "1_000"),
        ("steps", "+12"),
        ("steps", "١٢"),  # digits that int() takes and fal would not
        ("steps", "1e3"),
        ("learning_rate", "nan"),
        ("learning_rate", "0x1"),
        ("subject_crop", "yes"),
    ],
)
def test_text_that_only_python_takes_for_a_number_is_refused(name: str, value: str) -> None:
    assert codes_of(metadata={name: value}) == ["parameter_invalid_type"]


@pytest.mark.parametrize("raw", [b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b"null"])
def test_a_broken_training_json_is_told_as_such(raw: bytes) -> None:
    assert codes_of(training=raw) == ["parameter_invalid_json"]


def test_every_wrong_parameter_is_told_at_once() -> None:
    assert codes_of(training={"steps": 0, "trigger_word": "x"}, metadata={"lr": "1"}) == [
        "parameter_out_of_range",
        "parameter_unknown",
        "parameter_unknown",
    ]


@pytest.mark.parametrize("preset", [["portrait"], {"a": 1}, 7, True, "\ud800"])
def test_a_preset_that_is_no_name_is_refused(preset: object) -> None:
    assert codes_of(training={"preset": preset}) == ["parameter_unknown_preset"]


@pytest.mark.parametrize("training", [{"\ud800": 1}, {"trigger_phrase": "\ud800"}])
def test_what_no_file_can_hold_is_refused_in_a_sentence_that_can(training: object) -> None:
    with pytest.raises(DatasetRejectedError) as rejected:
        resolved(training=training)

    assert "?" in rejected.value.problems[0].model_dump_json()


def test_thousands_of_unknown_parameters_are_told_as_fifty_problems() -> None:
    assert len(codes_of(training={f"key{n}": n for n in range(3500)})) == 50

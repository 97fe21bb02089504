"""Parameters come from folder, file and metadata; wrong ones are refused, unusual ones advised on."""

import json
from typing import Any

import pytest

from lora_drop.datasets.parameter_layers import metadata_advice
from lora_drop.datasets.parameters import ResolvedParameters, advice, folder_advice, resolve
from lora_drop.fal.trainers.common import NAMES
from lora_drop.fal.trainers.parameters import ParameterSource
from lora_drop.fal.trainers.table import TRAINERS
from lora_drop.fal.trainers.trainer import Price
from lora_drop.jobs.errors import DatasetRejectedError

DEFAULTS = {
    "multiresolution_training": True,
    "subject_crop": True,
    "create_masks": False,
    "data_archive_format": "zip",
}


def resolved(
    key: str = "ada.zip", training: Any = None, metadata: dict[str, str] | None = None
) -> ResolvedParameters:
    raw = training if isinstance(training, bytes | None) else json.dumps(training).encode()
    return resolve(key=key, training_json=raw, metadata=metadata or {}, trigger_seed="0123456789")


def codes_of(**drop: Any) -> list[str]:
    with pytest.raises(DatasetRejectedError) as rejected:
        resolved(**drop)
    return [problem.code for problem in rejected.value.problems]


@pytest.mark.promise("interfaces stay")
def test_without_parameters_fals_defaults_hold() -> None:
    """Without parameters fal's defaults hold and a trigger phrase is made."""
    values = resolved().values
    assert values.arguments("https://x/y") == {
        "images_data_url": "https://x/y",
        "trigger_phrase": "TOK_01234567",
        "learning_rate": 0.00009,
        "steps": 2500,
        **DEFAULTS,
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
        **dict.fromkeys(DEFAULTS, ParameterSource.DEFAULT),
    }


@pytest.mark.promise("interfaces stay")
@pytest.mark.parametrize("preset", ["portrait", "style", "fast", "quality"])
def test_a_preset_has_three_sources(preset: str) -> None:
    """A preset is named by folder, metadata or file; another folder is just a folder."""
    by_folder = resolved(f"{preset}/ada.zip")
    assert resolved(metadata={"preset": preset}).values == by_folder.values
    assert resolved(training={"preset": preset}).values == by_folder.values
    assert by_folder.preset == preset
    assert resolved("customers/ada.zip").preset is None


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize(
    ("name", "said"),
    [
        *((name, None) for name in ("mtime", "s3cmd-attrs", "order-id", "date", "uploaded-by")),
        ("stepps", "did you mean steps?"),
        ("triger-phrase", "did you mean trigger_phrase?"),
        ("referense", "did you mean reference?"),
        ("Preset", "did you mean preset?"),
        ("epochs", "not a parameter"),
        ("training-style", "it is one of turbo-flux-trainer"),
    ],
)
def test_metadata_of_others_is_ignored_with_a_note(name: str, said: str | None) -> None:
    """Metadata that another program has written is ignored with a note; what may be meant as a parameter is refused."""
    noted = [each.message for each in metadata_advice({name: "1"})]
    if said is None:
        assert resolved(metadata={name: "1"}) == resolved()
        assert [f"“{name}”" in each for each in noted] == [True]
        return
    with pytest.raises(DatasetRejectedError) as refused:
        resolved(metadata={name: "1"})
    assert said in refused.value.problems[0].message
    assert noted == []


def test_dashes_and_underscores_are_equal() -> None:
    assert resolved(metadata={"trigger-phrase": "ada"}).values.trigger_phrase == "ada"
    assert resolved(metadata={"trigger_phrase": "ada"}).values.trigger_phrase == "ada"


URL = "https://a.example/"
WRONG: dict[str, dict[str, list[object]]] = {
    "parameter_out_of_range": {
        "steps": [0, 10_001],
        "learning_rate": [0.01, 10**400, float("nan"), 1e-200],
        "trigger_phrase": ["", "a\nb", "x" * 101],
        "data_archive_format": ["tar"],
        "resume_from_checkpoint": [
            *("http://x/y", f"{URL}\ud800", f"{URL}\0\u202e", URL + "x" * 60_000)
        ],
    },
    "parameter_invalid_type": {
        "steps": ["1000", True, 1000.0],
        "learning_rate": ["fast"],
        "subject_crop": [1],
    },
    "parameter_unknown": {"images_data_url": ["https://x/y"], "webhook_url": ["https://x/y"]},
    "parameter_unknown_preset": {"preset": ["portait", ["portrait"], {"a": 1}, 7, True, "\ud800"]},
}


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize("code", WRONG)
def test_a_wrong_value_is_refused(code: str) -> None:
    """A wrong value in training.json is refused with its code."""
    for name, values in WRONG[code].items():
        for value in values:
            assert codes_of(training={name: value}) == [code], (name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("steps", text) for text in ("1_000", "+12", "1e3")),
        ("steps", "١٢"),  # digits that int() takes and fal would not
        *(("learning_rate", "nan"), ("learning_rate", "0x1"), ("subject_crop", "yes")),
    ],
)
def test_metadata_numbers_are_plain(name: str, value: str) -> None:
    """A text that only Python takes for a number is refused."""
    assert codes_of(metadata={name: value}) == ["parameter_invalid_type"]


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize("raw", [b"{", b"[]", b"\xff\xfe", b"[" * 100_000, b"null"])
def test_a_broken_training_json_is_refused(raw: bytes) -> None:
    """A broken training.json is refused as such."""
    assert codes_of(training=raw) == ["parameter_invalid_json"]


def test_all_wrong_parameters_are_reported() -> None:
    assert codes_of(training={"steps": 0, "trigger_word": "x"}, metadata={"lr": "1"}) == [
        *("parameter_out_of_range", "parameter_unknown", "parameter_unknown")
    ]
    assert len(codes_of(training={f"key{n}": n for n in range(3500)})) == 50


@pytest.mark.parametrize("training", [{"\ud800": 1}, {"trigger_phrase": "\ud800"}])
def test_half_a_character_is_refused_readably(training: object) -> None:
    with pytest.raises(DatasetRejectedError) as rejected:
        resolved(training=training)
    assert "?" in rejected.value.problems[0].model_dump_json()


STEPS, RATE = "parameter_steps_unusual", "parameter_learning_rate_unusual"
BILLED = "parameter_steps_below_minimum"


def advised(asked: Price | None = None, /, **metadata: str) -> dict[str, str]:
    """Each code of the advice and its sentence."""
    return {each.code: each.message for each in advice(resolved("a.zip", None, metadata), asked)}


@pytest.mark.parametrize("trainer", TRAINERS)
def test_presets_and_defaults_need_no_advice(trainer: str) -> None:
    """A preset as it is needs no advice, and neither do fal's own defaults."""
    assert [advised(trainer=trainer, preset=preset) for preset in NAMES] == [{}] * len(NAMES)
    assert advised(trainer=trainer) == {}


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize(
    ("metadata", "codes"),
    [
        ({"preset": "portrait", "steps": "1000"}, []),
        ({"preset": "portrait", "steps": "2500"}, []),
        ({"preset": "portrait", "steps": "2501"}, [STEPS]),
        ({"preset": "portrait", "steps": "999"}, [BILLED, STEPS]),
        ({"preset": "portrait", "learning_rate": "0.0001"}, []),
        ({"preset": "portrait", "learning_rate": "0.0002"}, []),
        ({"preset": "portrait", "learning_rate": "0.00021"}, [RATE]),
        ({"preset": "portrait", "learning_rate": "0.00009"}, [RATE]),
        ({"preset": "portrait", "steps": "9000", "learning_rate": "0.001"}, [STEPS, RATE]),
        ({"preset": "style", "steps": "1999"}, [STEPS]),
        ({"preset": "style", "learning_rate": "0.00011"}, [RATE]),
        ({"preset": "fast", "steps": "500"}, [BILLED]),
        ({"preset": "fast", "learning_rate": "0.0001"}, [RATE]),
        ({"preset": "quality", "steps": "10000"}, []),
        ({"preset": "quality", "steps": "2999"}, [STEPS]),
        ({"preset": "quality", "learning_rate": "0.0002"}, [RATE]),
        # without a preset it is enough to be like one of them
        ({"steps": "1500", "learning_rate": "0.00015"}, []),
        ({"steps": "10000", "learning_rate": "0.00006"}, []),
        ({"steps": "1200"}, []),
        ({"steps": "1200", "learning_rate": "0.00009"}, [RATE]),
        ({"steps": "499"}, [BILLED, STEPS]),
        ({"steps": "10000", "learning_rate": "0.001"}, [RATE]),
        # a trainer without advice on its learning rate
        ({"trainer": "flux-2-trainer", "preset": "portrait", "learning_rate": "0.9"}, []),
        ({"trainer": "flux-2-trainer", "preset": "portrait", "steps": "100"}, [STEPS]),
        ({"trainer": "qwen-image-trainer-v2", "preset": "fast", "steps": "499"}, [BILLED, STEPS]),
    ],
)
def test_advice_is_given_beyond_ranges(metadata: dict[str, str], codes: list[str]) -> None:
    """Advice is given beyond the usual ranges of a preset, and only there."""
    assert list(advised(**metadata)) == codes


@pytest.mark.promise("never pay twice")
def test_steps_below_the_bill_are_named() -> None:
    """Steps below what is billed are reported in numbers."""
    assert advised(preset="fast", steps="600")[BILLED] == (
        "600 steps will be trained and 1000 billed, which is the least: "
        "1000 steps would cost the same."
    )


def test_fals_current_price_counts() -> None:
    assert list(advised(Price(0.003, 2000), preset="portrait")) == [BILLED]
    assert advised(Price(0.003, 1), preset="fast", steps="600") == {}


def test_the_advised_ranges_are_named() -> None:
    said = advised(preset="quality", steps="100")[STEPS]
    rates = advised(steps="10000", learning_rate="0.001")[RATE]
    assert "3000 and more for quality" in said
    assert "0.000001 to 0.0001 for quality" in rates


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize("folder", ["portriat", "Portrait", "syle", "qualty"])
def test_a_folder_nearly_like_a_preset(folder: str) -> None:
    """A folder that is nearly called like a preset gets a warning."""
    [problem] = folder_advice(f"{folder}/ada.zip")
    assert problem.code == "parameter_preset_unlike"
    assert folder in problem.message
    for key in ("portrait/a.zip", "anna/a.zip", "portrai.zip", "style/x/a.zip"):
        assert folder_advice(key) == folder_advice(key, refuse=True) == ()
    [refused] = folder_advice(f"{folder}/ada.zip", refuse=True)
    assert (refused.code, folder in refused.message) == ("parameter_preset_misspelled", True)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_training_json_in_any_unicode(encoding: str) -> None:
    """PowerShell's > writes UTF-16 with a byte order mark."""
    given = resolved(training='{"trigger_phrase": "Zo\u00eb"}'.encode(encoding))
    assert given.values.values["trigger_phrase"] == "Zo\u00eb"

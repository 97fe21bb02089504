"""What a trainer accepts and refuses and how it says so; our rows and the simulator's agree."""

import io
import tarfile
import zipfile
from typing import Any

import fal_client
import pytest

from lora_drop.datasets.parameters import ResolvedParameters, resolve
from lora_drop.fal.trainers.fields import LEAST_RATE, Choice, Field, Flag, Rate, WholeNumber
from lora_drop.fal.trainers.late_rows import FLUX_2
from lora_drop.fal.trainers.table import FAST, TRAINERS, estimated_cost_usd
from lora_drop.fal.trainers.trainer import Captions, Trainer
from lora_drop.jobs.artifacts import artifacts_in
from lora_drop.simulator.inputs import ENDPOINTS
from tests.simulator.fal_calls import DATASET, Calls, data_uri
from tests.support.builders import JPEG, PNG, WEBP, make_archive

EVERY = pytest.mark.parametrize("trainer", TRAINERS.values(), ids=lambda each: each.short_name)


def resolved(trainer: Trainer, **metadata: str) -> ResolvedParameters:
    return resolve(
        key="photos.zip",
        training_json=None,
        metadata=metadata,
        trigger_seed="0123456789",
        application=trainer.application,
    )


def test_simulator_has_every_trainer() -> None:
    assert set(ENDPOINTS) == set(TRAINERS)


@EVERY
def test_same_inputs_by_same_names(trainer: Trainer) -> None:
    rules = ENDPOINTS[trainer.application]
    names = {trainer.dataset_field, *(field.wire for field in trainer.fields)}
    assert set(rules.model.model_fields) == names
    assert rules.dataset_field == trainer.dataset_field
    assert (rules.weights, rules.mask_suffix) == (trainer.weights, trainer.mask_suffix)


def limits_in(schema: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Least, most and default in a JSON schema; None where nothing is said."""
    return schema.get("minimum"), schema.get("maximum"), schema.get("default")


@pytest.mark.parametrize(
    ("trainer", "field"),
    [
        pytest.param(trainer, field, id=f"{trainer.short_name}-{field.name}")
        for trainer in TRAINERS.values()
        for field in trainer.fields
        if isinstance(field, WholeNumber | Rate | Flag | Choice)
    ],
)
def test_same_values_are_taken(trainer: Trainer, field: Field) -> None:
    model = ENDPOINTS[trainer.application].model
    schema = model.model_json_schema()["properties"][field.wire]
    match field:
        case WholeNumber():
            assert limits_in(schema) == (field.low, field.high, field.default)
        case Rate():
            low, high = (field.low, field.high) if field.low > LEAST_RATE else (None, None)
            assert limits_in(schema) == (low, high, field.default)
        case Flag():
            assert schema["default"] == field.default
        case Choice(choices=choices) if len(choices) > 1:
            assert schema["anyOf"][0]["enum"] == list(choices)


@EVERY
def test_resolved_parameters_are_trained_with(
    trainer: Trainer, fal: fal_client.SyncClient, calls: Calls
) -> None:
    """What is resolved for a trainer is what it trains with, and the bill is what was estimated."""
    parameters = resolved(trainer, preset="fast", trigger_phrase="ada").values
    handle = fal.submit(trainer.application, parameters.arguments(DATASET))
    result = handle.get()

    assert set(result) == set(trainer.outputs)
    files = {each.name: each for each in artifacts_in(result)}
    assert {"lora.safetensors", "config.json"} <= set(files)
    assert files["lora.safetensors"].url == result[trainer.weights]["url"]
    config = calls.http.get(result["config_file"]["url"]).json()
    sent = parameters.arguments(DATASET).items() - {(trainer.dataset_field, DATASET)}
    assert sent <= {name: config[name] for name, _ in sent}.items()
    query = {"request_id": handle.request_id}
    rows = calls.http.get("/v1/models/billing-events", params=query).json()["billing_events"]
    usd = sum(row["cost_total"] for row in rows)
    estimate = estimated_cost_usd(trainer.application, parameters.steps)
    assert (usd > 0) == (trainer.price is not None)  # a trainer without a price is free
    assert -1e-9 < (estimate or 0.0) - usd < 0.01  # the rest of a cent


@EVERY
def test_needed_captions_are_missed(trainer: Trainer, standing: Calls) -> None:
    """Without captions and a default one a training fails where captions are needed."""
    request_id = standing.submitted(
        {trainer.dataset_field: DATASET}, application=trainer.application
    )
    status = standing.ended(request_id, trainer.application)
    assert ("error" in status) == (trainer.captions is not Captions.OPTIONAL)


@EVERY
def test_a_request_has_its_owner_and_app(trainer: Trainer, standing: Calls) -> None:
    """A request is asked about under owner and app; under a longer id fal answers 405."""
    request_id = standing.submitted({}, application=trainer.application)
    parts = trainer.application.split("/")
    asked = standing.http.get(f"/{'/'.join(parts[:2])}/requests/{request_id}/status")
    whole = standing.http.get(f"/{trainer.application}/requests/{request_id}/status")
    assert asked.status_code in (200, 202)
    assert (whole.status_code == 405) == (len(parts) > 2)


def test_caption_for_each_photo(standing: Calls) -> None:
    captions = {f"photo-{number:02}.txt": b"a photo of ada" for number in range(12)}
    captioned = data_uri(make_archive(members=captions))
    missing = data_uri(make_archive(members=dict(list(captions.items())[1:])))
    parameters, application = resolved(FLUX_2).values, FLUX_2.application
    result = standing.trained(parameters.arguments(captioned), application=application)
    detail = standing.detail(parameters.arguments(missing), application=application)
    assert set(result) == set(FLUX_2.outputs)
    assert detail["loc"] == ["body", "default_caption"]
    assert "photo-00.jpg" in detail["msg"]


def test_mask_is_no_photo(calls: Calls) -> None:
    masked = data_uri(make_archive(members={"photo-00_mask.jpg": JPEG, "odd_mask.jpg": JPEG}))
    for application in (FAST.application, "fal-ai/flux-krea-trainer"):
        calls.trained({"images_data_url": masked}, application=application)
    assert [row["images"] for row in calls.rows("datasets")] == [13, 14]


def broken(archive: bytes) -> str:
    """The archive with a byte of its first image changed: its checksum is wrong."""
    spot = archive.index(JPEG[20:40])
    return data_uri(archive[:spot] + b"\x00\x00" + archive[spot + 2 :])


def encrypted(archive: bytes) -> str:
    """The archive with its members flagged as encrypted."""
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        spot = archive.index(signature) + offset
        archive = archive[:spot] + b"\x01" + archive[spot + 1 :]
    return data_uri(archive)


STORED = make_archive(compression=zipfile.ZIP_STORED)
LZMA = make_archive(compression=zipfile.ZIP_LZMA)
NO_ARCHIVES = {
    "text": data_uri(b"hello, I am text"),
    "nothing": data_uri(b""),
    "half": data_uri(STORED[: len(STORED) // 2]),
    "wrong checksum": broken(STORED),
    "encrypted": encrypted(STORED),
    "broken lzma": data_uri(LZMA.replace(b"\x05\x00\x5d", b"\x05\x00\xff")),  # properties
}


@pytest.mark.parametrize("name", NO_ARCHIVES)
def test_what_is_no_archive(standing: Calls, name: str) -> None:
    detail = standing.detail({"images_data_url": NO_ARCHIVES[name]})
    assert detail["type"] == "invalid_archive"
    assert detail["loc"] == ["body", "images_data_url"]
    assert detail["url"] == "https://docs.fal.ai/errors/#invalid_archive"
    assert detail["ctx"] == {"supported_extensions": [".zip", ".tar.gz"]}


JUNK = {"__MACOSX/._photo.jpg": JPEG, ".DS_Store": b"", "a/.hidden.jpg": JPEG, "notes.pdf": b""}


@pytest.mark.parametrize("beside", [{}, JUNK], ids=["alone", "beside junk and hidden files"])
def test_nine_images_are_too_few(standing: Calls, beside: dict[str, bytes]) -> None:
    detail = standing.detail({"images_data_url": data_uri(make_archive(images=9, members=beside))})
    assert detail["type"] == "archive_file_count_below_minimum"
    assert (detail["ctx"]["min_count"], detail["ctx"]["provided_count"]) == (10, 9)


def test_false_image_is_refused(standing: Calls) -> None:
    archive = make_archive(members={"eleven.png": b"<html>"})
    detail = standing.detail({"images_data_url": data_uri(archive)})
    assert (detail["type"], detail["input"]) == ("image_load_error", "eleven.png")


def tar_of(names: list[str]) -> str:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(JPEG)
            archive.addfile(member, io.BytesIO(JPEG))
    return data_uri(buffer.getvalue())


MIXED = {
    **{f"{n}.PNG": PNG for n in range(4)},
    "a/b.webp": WEBP,
    "j.jpeg": JPEG,
    "photo-00.txt": b"a photo of [trigger] at the sea",
}


@pytest.mark.parametrize(
    ("dataset", "images"),
    [
        (data_uri(make_archive(images=4, members=MIXED)), 10),
        (tar_of([f"{n}.jpg" for n in range(12)]), 12),
    ],
    ids=["every kind of image and a caption", "tar"],
)
def test_dataset_is_accepted(calls: Calls, dataset: str, images: int) -> None:
    calls.trained({"images_data_url": dataset, "trigger_phrase": "TOK"})
    assert [row["images"] for row in calls.rows("datasets")] == [images]


def test_unknown_keys_are_ignored(standing: Calls) -> None:
    wrong = {"trigger_word": "TOK", "webhook_url": "https://x", "lora_rank": 64, "autocaption": 1}
    result = standing.trained({"images_data_url": DATASET, **wrong})
    config = standing.http.get(result["config_file"]["url"]).json()
    assert config["trigger_phrase"] is None
    assert not wrong.keys() & config.keys()


def test_config_file_has_the_parameters(standing: Calls) -> None:
    given = {"trigger_phrase": "TOK", "steps": 1200, "learning_rate": 0.0002, "create_masks": True}
    result = standing.trained({"images_data_url": DATASET, **given})
    response = standing.http.get(result["config_file"]["url"])
    assert given.items() <= response.json().items()
    assert len(response.content) == result["config_file"]["file_size"]
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("field", "value", "kind", "context"),
    [
        ("steps", 0, "greater_than_equal", {"ge": 1}),
        ("steps", 10_001, "less_than_equal", {"le": 10_000}),
        ("learning_rate", 0.0000001, "greater_than_equal", None),
        ("learning_rate", 0.01, "less_than_equal", None),
        ("steps", "many", "int_parsing", None),
        ("images_data_url", ["a", "b"], "string_type", None),
    ],
)
def test_value_out_of_its_range(
    standing: Calls, field: str, value: Any, kind: str, context: dict[str, int] | None
) -> None:
    """A value out of its range is refused only when the request runs, and a bound is named."""
    detail = standing.detail({"images_data_url": DATASET, field: value})
    assert (detail["loc"], detail["type"], detail["input"]) == (["body", field], kind, value)
    assert context is None or detail["ctx"] == context


def test_missing_dataset_in_documented_words(standing: Calls) -> None:
    assert standing.detail({"trigger_phrase": "TOK"}) == {
        "loc": ["body", "images_data_url"],
        "msg": "field required",
        "type": "value_error.missing",
    }


def test_body_must_be_an_object(calls: Calls) -> None:
    """A body that is no object is accepted and fails; one that is no JSON is not accepted."""
    assert calls.detail([1, 2])["loc"] == ["body"]
    response = calls.http.post("/fal-ai/flux-lora-portrait-trainer", content=b"{not json")
    assert response.status_code == 422
    assert len(calls.sim.requests()) == 1
    assert calls.accepted() == [True, False]


def test_failed_result_has_its_headers(standing: Calls) -> None:
    request_id = standing.run({"images_data_url": "data:nonsense"})
    result = standing.result(request_id)
    assert result.json()["detail"][0]["type"] == "file_download_error"
    assert result.headers["x-fal-retryable"] == "false"
    assert result.headers["x-fal-request-id"] == request_id

"""What the trainer refuses, what it accepts, and how it says so."""

import io
import json
import tarfile
import zipfile
from typing import Any

import pytest

from lora_drop.simulator.running import ControlClient
from tests.simulator.fal_calls import DATASET, Calls, data_uri
from tests.support.builders import JPEG, PNG, WEBP, make_archive

Detail = dict[str, Any]


def refusal(calls: Calls, arguments: object) -> Detail:
    """The one detail of a training that failed with 422."""
    request_id = calls.submitted(arguments)
    status = calls.ended(request_id)
    response = calls.result(request_id)
    [detail] = response.json()["detail"]
    assert response.status_code == 422
    assert status["error"] == "Invalid status code: 422"
    assert status["error_type"] == detail["type"]
    assert status["logs"][-1]["level"] == "ERROR"
    return dict(detail)


def archive_of(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> str:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return data_uri(buffer.getvalue())


def photos(count: int) -> dict[str, bytes]:
    return {f"photo-{number:02}.jpg": JPEG for number in range(count)}


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
def test_what_is_not_an_archive_is_refused(standing: Calls, name: str) -> None:
    detail = refusal(standing, {"images_data_url": NO_ARCHIVES[name]})

    assert detail["type"] == "invalid_archive"
    assert detail["loc"] == ["body", "images_data_url"]
    assert detail["url"] == "https://docs.fal.ai/errors/#invalid_archive"
    assert detail["ctx"] == {"supported_extensions": [".zip", ".tar.gz"]}


def test_nine_images_are_too_few(standing: Calls) -> None:
    detail = refusal(standing, {"images_data_url": data_uri(make_archive(images=9))})

    assert detail["type"] == "archive_file_count_below_minimum"
    assert (detail["ctx"]["min_count"], detail["ctx"]["provided_count"]) == (10, 9)


def test_junk_and_hidden_files_are_no_images(standing: Calls) -> None:
    junk = {"__MACOSX/._photo.jpg": JPEG, ".DS_Store": b"", "a/.hidden.jpg": JPEG, "notes.pdf": b""}

    detail = refusal(standing, {"images_data_url": archive_of({**photos(9), **junk})})

    assert detail["ctx"]["provided_count"] == 9


def test_a_file_that_only_claims_to_be_an_image_is_refused(standing: Calls) -> None:
    detail = refusal(
        standing, {"images_data_url": archive_of({**photos(10), "eleven.png": b"<html>"})}
    )

    assert (detail["type"], detail["input"]) == ("image_load_error", "eleven.png")


def test_every_kind_of_image_and_a_caption_with_a_trigger_are_accepted(
    sim: ControlClient, calls: Calls
) -> None:
    members = {**photos(4), **{f"{n}.PNG": PNG for n in range(4)}, "a/b.webp": WEBP, "j.jpeg": JPEG}
    captions = {"photo-00.txt": b"a photo of [trigger] at the sea"}

    calls.trained({"images_data_url": archive_of({**members, **captions}), "trigger_phrase": "TOK"})

    assert [row["images"] for row in sim.ledger()["datasets"]] == [10]


def test_a_tar_archive_is_accepted(sim: ControlClient, calls: Calls) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in photos(12).items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))

    calls.trained({"images_data_url": data_uri(buffer.getvalue())})

    assert [row["images"] for row in sim.ledger()["datasets"]] == [12]


def test_unknown_keys_are_ignored_without_a_word(standing: Calls) -> None:
    wrong = {"trigger_word": "TOK", "webhook_url": "https://x", "lora_rank": 64, "autocaption": 1}

    result = standing.trained({"images_data_url": DATASET, **wrong})

    config = standing.http.get(result["config_file"]["url"]).json()
    assert config["trigger_phrase"] is None
    assert not wrong.keys() & config.keys()


def test_the_config_file_tells_what_was_trained_with(standing: Calls) -> None:
    given = {"trigger_phrase": "TOK", "steps": 1200, "learning_rate": 0.0002, "create_masks": True}

    result = standing.trained({"images_data_url": DATASET, **given})

    response = standing.http.get(result["config_file"]["url"])
    assert given.items() <= response.json().items()
    assert len(response.content) == result["config_file"]["file_size"]
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("field", "value", "kind"),
    [
        ("steps", 0, "greater_than_equal"),
        ("steps", 10_001, "less_than_equal"),
        ("learning_rate", 0.0000001, "greater_than_equal"),
        ("learning_rate", 0.01, "less_than_equal"),
        ("steps", "many", "int_parsing"),
        ("images_data_url", ["a", "b"], "string_type"),
    ],
    ids=str,
)
def test_a_value_out_of_its_range_is_refused_only_when_it_runs(
    standing: Calls, field: str, value: Any, kind: str
) -> None:
    detail = refusal(standing, {"images_data_url": DATASET, field: value})

    assert (detail["loc"], detail["type"], detail["input"]) == (["body", field], kind, value)


def test_a_bound_is_named_by_its_refusal(standing: Calls) -> None:
    assert refusal(standing, {"images_data_url": DATASET, "steps": 10_001})["ctx"] == {"le": 10_000}


def test_a_missing_dataset_is_refused_in_the_documented_words(standing: Calls) -> None:
    detail = refusal(standing, {"trigger_phrase": "TOK"})

    assert detail == {
        "loc": ["body", "images_data_url"],
        "msg": "field required",
        "type": "value_error.missing",
    }


def test_a_body_that_is_no_object_is_taken_and_fails(standing: Calls) -> None:
    assert refusal(standing, [1, 2])["loc"] == ["body"]


def test_a_body_that_is_no_json_is_not_taken(sim: ControlClient, calls: Calls) -> None:
    response = calls.http.post("/fal-ai/flux-lora-portrait-trainer", content=b"{not json")

    assert response.status_code == 422
    assert sim.requests() == []
    assert [row["accepted"] for row in sim.ledger()["submissions"]] == [False]


def test_what_the_model_answers_is_the_webhooks_and_the_results_json(standing: Calls) -> None:
    request_id = standing.submitted({"images_data_url": "data:nonsense"})
    standing.ended(request_id)

    result = standing.result(request_id)

    assert json.loads(result.content)["detail"][0]["type"] == "file_download_error"
    assert result.headers["x-fal-retryable"] == "false"
    assert result.headers["x-fal-request-id"] == request_id

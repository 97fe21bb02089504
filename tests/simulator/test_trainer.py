"""What the trainer refuses, what it accepts, and how it says so."""

import io
import tarfile
import zipfile
from typing import Any

import pytest

from tests.simulator.fal_calls import DATASET, Calls, data_uri
from tests.support.builders import JPEG, PNG, WEBP, make_archive


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
def test_what_is_no_archive(standing: Calls, name: str) -> None:
    detail = standing.detail({"images_data_url": NO_ARCHIVES[name]})
    assert detail["type"] == "invalid_archive"
    assert detail["loc"] == ["body", "images_data_url"]
    assert detail["url"] == "https://docs.fal.ai/errors/#invalid_archive"
    assert detail["ctx"] == {"supported_extensions": [".zip", ".tar.gz"]}


JUNK = {"__MACOSX/._photo.jpg": JPEG, ".DS_Store": b"", "a/.hidden.jpg": JPEG, "notes.pdf": b""}


@pytest.mark.parametrize("beside", [{}, JUNK], ids=["alone", "beside junk and hidden files"])
def test_nine_images_are_too_few(standing: Calls, beside: dict[str, bytes]) -> None:
    detail = standing.detail({"images_data_url": archive_of({**photos(9), **beside})})
    assert detail["type"] == "archive_file_count_below_minimum"
    assert (detail["ctx"]["min_count"], detail["ctx"]["provided_count"]) == (10, 9)


def test_false_image_is_refused(standing: Calls) -> None:
    members = {**photos(10), "eleven.png": b"<html>"}
    detail = standing.detail({"images_data_url": archive_of(members)})
    assert (detail["type"], detail["input"]) == ("image_load_error", "eleven.png")


def tar_of(members: dict[str, bytes]) -> str:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return data_uri(buffer.getvalue())


MIXED = {**photos(4), **{f"{n}.PNG": PNG for n in range(4)}, "a/b.webp": WEBP, "j.jpeg": JPEG}


@pytest.mark.parametrize(
    ("dataset", "images"),
    [
        (archive_of({**MIXED, "photo-00.txt": b"a photo of [trigger] at the sea"}), 10),
        (tar_of(photos(12)), 12),
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

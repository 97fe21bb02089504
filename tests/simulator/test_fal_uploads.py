"""Where datasets can lie: uploaded in one piece, in parts, through a signed address, or inline."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fal_client
import httpx
import pytest

from lora_drop.simulator.running import ControlClient
from tests.simulator.fal_calls import Calls
from tests.support.builders import APPLICATION, make_archive

ARCHIVE = make_archive(images=24)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A ZIP on disk."""
    file = tmp_path / "photos.zip"
    file.write_bytes(ARCHIVE)
    return file


def in_one_piece(fal: fal_client.SyncClient, photos: Path) -> str:
    return fal.upload_file(photos)


def from_memory(fal: fal_client.SyncClient, photos: Path) -> str:
    return fal.upload(photos.read_bytes(), "application/zip", "photos.zip")


def through_a_signed_address(fal: fal_client.SyncClient, photos: Path) -> str:
    return fal.upload_file(photos, repository="fal")


def inline(_: fal_client.SyncClient, photos: Path) -> str:
    return fal_client.encode_file(photos)


WAYS: tuple[Callable[[fal_client.SyncClient, Path], str], ...] = (
    in_one_piece,
    from_memory,
    through_a_signed_address,
    inline,
)


@pytest.mark.parametrize("way", WAYS)
def test_a_dataset_arrives_as_it_was(
    sim: ControlClient,
    fal: fal_client.SyncClient,
    photos: Path,
    way: Callable[[fal_client.SyncClient, Path], str],
) -> None:
    url = way(fal, photos)

    fal.subscribe(APPLICATION, {"images_data_url": url})

    [row] = sim.ledger()["datasets"]
    assert row["sha256"] == hashlib.sha256(ARCHIVE).hexdigest()
    assert (row["bytes"], row["images"], row["error"]) == (len(ARCHIVE), 24, None)


def test_a_large_file_is_put_together_from_its_parts(
    calls: Calls, fal: fal_client.SyncClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fal_client.client, "MULTIPART_THRESHOLD", 1000)
    monkeypatch.setattr(fal_client.client, "MULTIPART_CHUNK_SIZE", 1000)
    data = bytes(range(256)) * 50  # 13 parts, the last one short
    file = tmp_path / "large.bin"
    file.write_bytes(data)

    url = fal.upload_file(file)

    assert calls.http.get(url).content == data


def test_a_name_beyond_ascii_still_finds_its_file(
    calls: Calls, fal: fal_client.SyncClient, photos: Path
) -> None:
    renamed = photos.rename(photos.with_name("zdjęcia Łódź #1 100%.zip"))

    url = fal.upload_file(renamed)

    assert calls.http.get(url).content == ARCHIVE


def test_an_upload_needs_the_token_that_the_key_buys(calls: Calls) -> None:
    url = "/files/upload"

    with_key_alone = calls.http.post(url, content=b"x")
    with_a_guess = calls.http.post(url, content=b"x", headers={"Authorization": "Bearer guess"})
    without_key = calls.http.post(
        "/storage/auth/token", json={}, headers={"Authorization": "Key x"}
    )

    answers = (with_key_alone, with_a_guess, without_key)
    assert [answer.status_code for answer in answers] == [401, 401, 401]


def test_parts_that_do_not_match_are_not_put_together(calls: Calls) -> None:
    start, headers = _multipart(calls)
    part_url = f"{start['access_url']}/multipart/{start['uploadId']}"
    etag = calls.http.put(f"{part_url}/1", content=b"one", headers=headers).headers["etag"]

    bodies: list[Any] = [
        {"parts": [{"partNumber": 1, "etag": '"other"'}]},
        {"parts": []},
        {"parts": "all"},
        {"parts": [{"partNumber": 1, "etag": etag}, {"partNumber": 2, "etag": etag}]},
    ]
    wrong = [
        calls.http.post(f"{part_url}/complete", json=body, headers=headers).status_code
        for body in bodies
    ]
    before = calls.http.get(start["access_url"]).status_code
    body = {"parts": [{"partNumber": 1, "etag": etag}]}
    right = calls.http.post(f"{part_url}/complete", json=body, headers=headers).status_code

    assert wrong == [400, 400, 422, 400]
    assert (before, right) == (404, 200)
    assert calls.http.get(start["access_url"]).content == b"one"


def test_a_part_that_comes_again_replaces_the_first(calls: Calls) -> None:
    start, headers = _multipart(calls)
    part_url = f"{start['access_url']}/multipart/{start['uploadId']}"

    puts = [
        calls.http.put(f"{part_url}/1", content=data, headers=headers) for data in (b"old", b"new")
    ]
    body = {"parts": [{"partNumber": 1, "etag": puts[-1].headers["etag"]}]}
    calls.http.post(f"{part_url}/complete", json=body, headers=headers)

    assert calls.http.get(start["access_url"]).content == b"new"


def test_nobody_uploads_to_an_address_that_was_not_given_out(calls: Calls) -> None:
    start, headers = _multipart(calls)

    answers = (
        calls.http.put("/storage/upload/guess", content=b"x"),
        calls.http.put(f"{start['access_url']}/multipart/guess/1", content=b"x", headers=headers),
        calls.http.put(
            f"/files/lion/other/multipart/{start['uploadId']}/1", content=b"x", headers=headers
        ),
        calls.http.post("/storage/upload/initiate", json={"file_name": "x"}),
    )

    assert [answer.status_code for answer in answers] == [404, 404, 404, 422]


def _multipart(calls: Calls) -> tuple[dict[str, str], httpx.Headers]:
    token = calls.http.post("/storage/auth/token", json={}).json()["token"]
    headers = httpx.Headers({"Authorization": f"Bearer {token}", "X-Fal-File-Name": "x.bin"})
    start: dict[str, str] = calls.http.post("/files/upload/multipart", headers=headers).json()
    return start, headers

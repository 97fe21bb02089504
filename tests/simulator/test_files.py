"""Files of the CDN: uploaded whole, in parts or inline, served whole or in ranges, and fetched to train."""

import hashlib
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fal_client
import httpx
import pytest

from lora_drop.simulator.cdn import UnsatisfiableRangeError, read_range
from tests.simulator.fal_calls import DATASET, Calls, Receiver
from tests.support.builders import APPLICATION, make_archive

ARCHIVE = make_archive(images=24)
DATA = bytes(range(256)) * 4
SIZE = len(DATA)
type Upload = Callable[[fal_client.SyncClient, Path], str]


@pytest.mark.parametrize(
    ("header", "first", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-199", 100, 200),
        ("bytes=1000-", 1000, SIZE),
        ("bytes=1000-999999", 1000, SIZE),
        ("bytes=-24", SIZE - 24, SIZE),
        ("bytes=-999999", 0, SIZE),
    ],
)
def test_range_gives_its_bytes(standing: Calls, header: str, first: int, end: int) -> None:
    """A file comes whole or in ranges (RFC 9110, section 14)."""
    response = standing.http.get(standing.stored(DATA), headers={"Range": header})
    assert (response.status_code, response.content) == (206, DATA[first:end])
    assert response.headers["content-range"] == f"bytes {first}-{end - 1}/{SIZE}"
    assert response.headers["content-length"] == str(end - first)


@pytest.mark.parametrize(
    ("header", "status"),
    [
        *((each, 416) for each in (f"bytes={SIZE}-", f"bytes={SIZE}-{SIZE + 5}", "bytes=-0")),
        *((each, 200) for each in ("bytes=5-2", "bytes=-", "bytes=0-1,5-6", "lines=0-1")),
        *((each, 200) for each in ("bytes=x-y", f"bytes=0-{'9' * 5000}")),
    ],
    ids=lambda value: str(value)[:30],
)
def test_other_range_gives_no_part(standing: Calls, header: str, status: int) -> None:
    """A range beyond the end is refused, and one that cannot be read gives the whole."""
    response = standing.http.get(standing.stored(DATA), headers={"Range": header})
    assert response.status_code == status
    assert response.content == (DATA if status == 200 else b"")
    assert status == 200 or response.headers["content-range"] == f"bytes */{SIZE}"


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=-1"])
def test_empty_file_has_no_ranges(header: str) -> None:
    assert read_range(None, 0) is None
    with pytest.raises(UnsatisfiableRangeError):
        read_range(header, 0)


def test_if_range_needs_the_same_file(standing: Calls) -> None:
    url = standing.stored(DATA)
    etag = standing.http.head(url).headers["etag"]
    same = standing.http.get(url, headers={"Range": "bytes=0-9", "If-Range": etag})
    other = standing.http.get(url, headers={"Range": "bytes=0-9", "If-Range": '"other"'})
    assert (same.status_code, same.content) == (206, DATA[:10])
    assert (other.status_code, other.content) == (200, DATA)


def test_head_has_no_body(calls: Calls) -> None:
    """A HEAD has the headers of the whole file, and nothing is served."""
    response = calls.http.head(calls.stored(DATA), headers={"Range": "bytes=0-9"})
    assert response.status_code == 200
    assert response.content == b""
    assert response.headers["content-length"] == str(SIZE)
    assert response.headers["accept-ranges"] == "bytes"
    assert calls.rows("served") == []


def test_file_needs_its_path_only(standing: Calls) -> None:
    url = standing.stored(DATA)
    assert standing.http.get(url, headers={"Authorization": ""}).content == DATA
    assert standing.http.get(f"{url}x").status_code == 404


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A ZIP on disk."""
    file = tmp_path / "photos.zip"
    file.write_bytes(ARCHIVE)
    return file


UPLOADS: dict[str, Upload] = {
    "in one piece": lambda fal, photos: fal.upload_file(photos),
    "from memory": lambda fal, photos: fal.upload(photos.read_bytes(), "application/zip", "a.zip"),
    "signed address": lambda fal, photos: fal.upload_file(photos, repository="fal"),
    "inline": lambda _, photos: fal_client.encode_file(photos),
}


@pytest.mark.parametrize("way", UPLOADS)
def test_dataset_arrives_as_it_was(
    calls: Calls, fal: fal_client.SyncClient, photos: Path, way: str
) -> None:
    url = UPLOADS[way](fal, photos)
    fal.subscribe(APPLICATION, {"images_data_url": url})
    [row] = calls.rows("datasets")
    assert row["sha256"] == hashlib.sha256(ARCHIVE).hexdigest()
    assert (row["bytes"], row["images"], row["error"]) == (len(ARCHIVE), 24, None)


def test_large_file_in_parts(
    calls: Calls, fal: fal_client.SyncClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fal_client.client, "MULTIPART_THRESHOLD", 1000)
    monkeypatch.setattr(fal_client.client, "MULTIPART_CHUNK_SIZE", 1000)
    file = tmp_path / "large.bin"
    file.write_bytes(bytes(range(256)) * 50)  # 13 parts, the last one short
    assert calls.http.get(fal.upload_file(file)).content == file.read_bytes()


def test_file_name_beyond_ascii(calls: Calls, fal: fal_client.SyncClient, photos: Path) -> None:
    renamed = photos.rename(photos.with_name("zdjęcia Łódź #1 100%.zip"))
    assert calls.http.get(fal.upload_file(renamed)).content == ARCHIVE


def test_upload_needs_its_token(standing: Calls) -> None:
    post = standing.http.post
    answers = (
        post("/files/upload", content=b"x"),
        post("/files/upload", content=b"x", headers={"Authorization": "Bearer guess"}),
        post("/storage/auth/token", json={}, headers={"Authorization": "Key x"}),
    )
    assert [answer.status_code for answer in answers] == [401, 401, 401]


class Multipart:
    """An upload in parts that has begun."""

    def __init__(self, calls: Calls) -> None:
        token = calls.http.post("/storage/auth/token", json={}).json()["token"]
        self.headers = httpx.Headers(
            {"Authorization": f"Bearer {token}", "X-Fal-File-Name": "x.bin"}
        )
        start = calls.http.post("/files/upload/multipart", headers=self.headers).json()
        self.http, self.url, self.upload_id = calls.http, start["access_url"], start["uploadId"]
        self.parts = f"{self.url}/multipart/{self.upload_id}"

    def put(self, data: bytes) -> str:
        """The ETag of the first part."""
        response = self.http.put(f"{self.parts}/1", content=data, headers=self.headers)
        return response.headers["etag"]

    def complete(self, parts: object) -> int:
        body = {"parts": parts}
        return self.http.post(f"{self.parts}/complete", json=body, headers=self.headers).status_code


def test_unmatched_parts_are_not_joined(standing: Calls) -> None:
    upload = Multipart(standing)
    upload.put(b"a part that is replaced")
    etag = upload.put(b"one")
    first: dict[str, Any] = {"partNumber": 1, "etag": etag}
    other, second = {**first, "etag": '"other"'}, {**first, "partNumber": 2}
    wrong: list[object] = [[other], [], "all", [first, second]]
    assert [upload.complete(parts) for parts in wrong] == [400, 400, 422, 400]
    assert standing.http.get(upload.url).status_code == 404
    assert upload.complete([first]) == 200
    assert standing.http.get(upload.url).content == b"one"


def test_unknown_address_takes_no_upload(standing: Calls) -> None:
    upload = Multipart(standing)
    put, headers = standing.http.put, upload.headers
    answers = (
        put("/storage/upload/guess", content=b"x"),
        put(f"{upload.url}/multipart/guess/1", content=b"x", headers=headers),
        put(f"/files/lion/other/multipart/{upload.upload_id}/1", content=b"x", headers=headers),
        standing.http.post("/storage/upload/initiate", json={"file_name": "x"}),
    )
    assert [answer.status_code for answer in answers] == [404, 404, 404, 422]


def test_dataset_is_fetched_by_one_get(calls: Calls, receiver: Receiver) -> None:
    """The dataset is fetched with one plain GET of exactly its URL, which the logs show."""
    signed = "/b/a%20b%2Bc.zip?X-Amz-Signature=aa%2Fbb%3D&x=%7E+y"
    receiver.files[signed] = ARCHIVE
    request_id = calls.run({"images_data_url": receiver.url + signed})
    call = receiver.next()
    assert (call.method, call.path) == ("GET", signed)
    assert "Firefox" in call.headers["user-agent"]
    assert "authorization" not in call.headers
    assert receiver.calls.empty()
    [row] = calls.rows("datasets")
    assert (row["url"], row["images"]) == (receiver.url + signed, 24)
    assert any(signed in log["message"] for log in calls.ended(request_id)["logs"])


def test_five_redirects_are_followed(standing: Calls, receiver: Receiver) -> None:
    receiver.redirects = {f"/{n}": f"/{n + 1}" for n in range(6)}
    receiver.files["/6"] = ARCHIVE
    standing.trained({"images_data_url": f"{receiver.url}/1"})
    detail = standing.detail({"images_data_url": f"{receiver.url}/0"})
    assert detail["type"] == "file_download_error"


@pytest.mark.parametrize(
    "url",
    [
        "nowhere.zip",
        "file:///etc/passwd",
        "s3://bucket/key.zip",
        "http://",
        "http://127.0.0.1:0/x.zip",
        "http://no such host/x.zip",
        "data:application/zip",
        "data:application/zip;base64,%%%",
    ],
)
def test_unusable_url_is_download_error(calls: Calls, url: str) -> None:
    detail = calls.detail({"images_data_url": url})
    assert detail["type"] == "file_download_error"
    assert (detail["loc"], detail["input"]) == (["body", "images_data_url"], url)
    [row] = calls.rows("datasets")
    assert row["error"]
    assert row["images"] is None


def test_dead_url_is_download_error(calls: Calls, receiver: Receiver) -> None:
    """So is an expired one, which the receiver answers with 403 as S3 does."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}/x.zip"
    for url in (dead, f"{receiver.url}/expired.zip"):
        assert calls.detail({"images_data_url": url})["type"] == "file_download_error"
    errors = [row["error"] for row in calls.rows("datasets")]
    assert errors[0].startswith("ClientConnectorError")
    assert errors[1] == "status 403"


def test_checkpoint_is_fetched_as_well(calls: Calls, receiver: Receiver) -> None:
    receiver.files["/lora.safetensors"] = b"weights"
    arguments = {"images_data_url": DATASET, "resume_from_checkpoint": f"{receiver.url}/gone"}
    dead = calls.detail(arguments)
    calls.trained({**arguments, "resume_from_checkpoint": f"{receiver.url}/lora.safetensors"})
    assert dead["loc"] == ["body", "resume_from_checkpoint"]
    assert dead["type"] == "file_download_error"
    fields = [(row["field"], row["bytes"]) for row in calls.rows("datasets")]
    assert fields[-1] == ("resume_from_checkpoint", 7)


@pytest.mark.parametrize(("seconds", "status"), [(0.0, 404), (3600, 200), (None, 200)])
def test_files_are_served_as_long_as_a_request_says(
    standing: Calls, seconds: float | None, status: int
) -> None:
    said = {"expiration_duration_seconds": seconds}
    headers = {"X-Fal-Object-Lifecycle-Preference": json.dumps(said)}
    result = standing.trained({"images_data_url": DATASET}, headers=headers)
    assert standing.http.get(result["diffusers_lora_file"]["url"]).status_code == status

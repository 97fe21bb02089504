"""Uploads: streamed to the disk, never more than they may have, and nothing is left of one that fails."""

import errno
import re
import resource
import shutil
import socket
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import IO, Any, NamedTuple, Self
from urllib.parse import urlencode

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from lora_drop.fal.trainers.table import DEFAULT
from lora_drop.ui import uploads
from lora_drop.ui.app import make_app
from lora_drop.ui.drafts import Drafts
from lora_drop.ui.uploads import UploadBrokenError, UploadTooLargeError, receive
from lora_drop.ui.workers import Workers
from tests.support.page_backend import StubBackend

MIB = 1024**2
MOST = 64_000_000


class Uploads:
    """A page that takes one file, and keeps what comes of it."""

    def __init__(self, folder: Path) -> None:
        self.target = folder / "incoming"
        self.errors: list[BaseException] = []
        routes = [Route("/{path:path}", self.put, methods=["PUT"])]
        self.app = Starlette(routes=routes)

    async def put(self, request: Request) -> Response:
        try:
            return PlainTextResponse(str(await receive(request, self.target, MOST)))
        except (UploadTooLargeError, UploadBrokenError) as error:
            self.errors.append(error)
            return PlainTextResponse(str(error), 400)
        except BaseException as error:
            self.errors.append(error)
            raise


class Open(NamedTuple):
    uploads: Uploads
    client: httpx.Client
    folder: Path


@pytest.fixture
def page(client: Callable[[ASGIApp], httpx.Client], tmp_path: Path) -> Open:
    folder = tmp_path / "draft"
    folder.mkdir()
    made = Uploads(folder)
    return Open(made, client(made.app), folder)


def repeated(piece: bytes, times: int | None = None) -> Iterator[bytes]:
    """A body without a known length."""
    while times is None or times > 0:
        yield piece
        times = None if times is None else times - 1


def connected(page: Open, *lines: str, target: str = "/") -> socket.socket:
    """A connection on which the head of an upload was sent."""
    url = page.client.base_url
    cookie = "; ".join(f"{name}={value}" for name, value in page.client.cookies.items())
    head = (f"PUT {target} HTTP/1.1", f"Host: {url.host}:{url.port}", f"Cookie: {cookie}",
            f"Origin: {page.client.headers['origin']}", *lines)  # fmt: skip
    made = socket.create_connection((url.host, url.port or 80), timeout=10)
    made.sendall(("\r\n".join(head) + "\r\n\r\n").encode())
    return made


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1, 5 * MIB, MOST])
@pytest.mark.parametrize("announced", [True, False])
def test_what_was_sent_is_there(page: Open, size: int, announced: bool) -> None:  # noqa: FBT001
    sent = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    pieces = (sent[at : at + 70_000] for at in range(0, size, 70_000))
    answer = page.client.put("/", content=sent if announced else pieces)
    assert answer.text == str(size)
    assert page.uploads.target.read_bytes() == sent


def test_ten_gigabytes_are_refused_unread(page: Open) -> None:
    with connected(page, f"Content-Length: {10 * 1024**3}") as sending:
        answer = b"".join(iter(lambda: sending.recv(65536), b""))  # until the server hangs up
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"room for 64.0 MB more" in answer
    assert not page.uploads.target.exists()


@pytest.mark.promise("nothing leaks")
def test_an_endless_upload_is_cut(page: Open) -> None:
    """An upload without an end is cut at what a dataset may have, in constant memory, and nothing is left of it on the disk."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tracemalloc.start()
    with suppress(httpx.HTTPError):  # it sends still when the server closes the connection
        page.client.put("/", content=repeated(b"\0" * MIB))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * MIB
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024  # KiB
    [error] = page.uploads.errors
    assert isinstance(error, UploadTooLargeError)
    assert list(page.folder.iterdir()) == []


@pytest.mark.parametrize(
    "lines", [("Content-Length: 5000000",), ("Transfer-Encoding: chunked",)], ids=str
)
def test_a_browser_that_hangs_up_leaves_nothing(page: Open, lines: tuple[str, ...]) -> None:
    with connected(page, *lines) as sending:
        sending.sendall(b"2\r\nab\r\n" if "chunked" in lines[0] else b"ab")
        until(page.uploads.target.exists)
    until(lambda: page.uploads.errors)
    [error] = page.uploads.errors
    assert isinstance(error, UploadBrokenError)
    assert str(error) == "The upload broke off. Drop the file once more."
    assert list(page.folder.iterdir()) == []


def test_a_silent_browser_is_not_waited_for(page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "SILENCE", 0.2)
    with connected(page, "Content-Length: 5000000") as sending:
        assert sending.recv(12) == b"HTTP/1.1 400"
    assert "Nothing of the upload came" in str(page.uploads.errors[0])
    assert list(page.folder.iterdir()) == []


class FullDisk:
    """A file whose disk has room for one piece."""

    def __init__(self, file: IO[bytes], error: int) -> None:
        self.file, self.error, self.writes = file, error, 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def write(self, piece: bytes) -> int:
        self.writes += 1
        if self.writes > 1:
            raise OSError(self.error, "it cannot be")
        return self.file.write(piece)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (errno.ENOSPC, "The disk is full. Free some space"),
        (errno.EDQUOT, "The disk is full. Free some space"),
        (errno.EIO, "The file cannot be written (it cannot be)."),
    ],
)
def test_a_disk_that_takes_no_more_is_said(
    page: Open, monkeypatch: pytest.MonkeyPatch, error: int, said: str
) -> None:
    opened = uploads._opened
    monkeypatch.setattr(uploads, "_opened", lambda *given: FullDisk(opened(*given), error))
    answer = page.client.put("/", content=b"x" * 3 * MIB)
    assert (answer.status_code, said in answer.text) == (400, True)
    assert list(page.folder.iterdir()) == []


def test_too_little_room_is_said_before(page: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    def nearly_full(_: Path) -> Any:
        return shutil._ntuple_diskusage(10**12, 10**12, 300_000_000)

    monkeypatch.setattr(shutil, "disk_usage", nearly_full)
    assert page.client.put("/", content=b"x" * 20 * MIB).text == str(20 * MIB)
    page.uploads.target.unlink()
    answer = page.client.put("/", content=b"x" * 40 * MIB)
    assert "The disk has 300.0 MB left" in answer.text
    assert list(page.folder.iterdir()) == []


def test_uploads_at_once_share_the_room(
    client: Callable[[ASGIApp], httpx.Client], tmp_path: Path
) -> None:
    room, numbers = uploads.Room(10 * MIB), count()

    async def put(request: Request) -> Response:
        folder = tmp_path / request.path_params["dataset"]
        folder.mkdir(exist_ok=True)
        target = folder / str(next(numbers))

        def there() -> int:
            return sum(file.stat().st_size for file in folder.glob("*.kept"))

        try:
            async with room.left(request, folder.name, there) as left:
                size = await receive(request, target, left)
                target.rename(target.with_suffix(".kept"))
        except (UploadTooLargeError, UploadBrokenError) as error:
            return PlainTextResponse(str(error), 400)
        return PlainTextResponse(str(size))

    made = client(Starlette(routes=[Route("/{dataset}", put, methods=["PUT"])]))
    page = Open(Uploads(tmp_path), made, tmp_path)
    with connected(page, f"Content-Length: {6 * MIB}", target="/a"):
        until((tmp_path / "a" / "0").is_file)
        assert "room for 4.2 MB more" in made.put("/a", content=b"x" * 6 * MIB).text
        assert "room for 4.2 MB more" in made.put("/a", content=repeated(b"x" * MIB, 6)).text
        assert made.put("/a", content=b"x" * 3 * MIB).text == str(3 * MIB)
        assert made.put("/b", content=b"x" * 6 * MIB).text == str(6 * MIB)
    until(lambda: not (tmp_path / "a" / "0").exists())  # it broke off, and its room is free again
    until(lambda: not room._under_way)
    assert made.put("/a", content=b"x" * 7 * MIB).text == str(7 * MIB)
    assert made.put("/a", content=b"x").status_code == 400


HOSTILE = ["../../evil.jpg", "/etc/evil.jpg", "..\\..\\evil.jpg", "C:\\evil.jpg", "a/../../../evil.jpg", "..", ".", "",
           "evil\0.jpg", "x" * 5000, "draft.json", "files/1", "%2e%2e/evil.jpg", "\ud800.jpg".encode("utf-8", "surrogatepass")]  # fmt: skip


@pytest.mark.promise("nothing leaks")
def test_a_name_is_no_path(client: Callable[[ASGIApp], httpx.Client], tmp_path: Path) -> None:
    """No name of a file or a dataset that a browser sends decides where on the disk something is written or read."""
    drafts = Drafts(tmp_path / "deep" / "drafts", Workers(0), DEFAULT.application)
    made = client(make_app(StubBackend(), drafts))
    for name in HOSTILE:
        address = made.post("/drafts", data={"name": name}).json()["address"]
        answer = made.put(f"{address}/files?{urlencode({'name': name})}", content=b"x")
        assert answer.status_code in (201, 409), (name, answer.text)
    found = [
        each.relative_to(tmp_path).as_posix() for each in tmp_path.rglob("*") if each.is_file()
    ]
    # What was refused is gone.
    own = re.compile(r"deep/drafts/[0-9a-f]{16}/(draft\.json|lock|files/\d+)")
    assert [path for path in found if not own.fullmatch(path)] == []
    for path in (
        "..%2f..%2fdraft",
        "..",
        "%2e%2e",
        f"{min(each.id for each in drafts.all())}%2f..",
    ):
        assert made.get(f"/drafts/{path}/files").status_code in (404, 409)
        assert made.put(f"/drafts/{path}/files?name=a", content=b"x").status_code in (404, 405, 409)

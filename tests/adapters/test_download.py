"""Result files from fal's CDN: whole, without our key, and bounded in time and memory."""

import gzip
import tracemalloc
from collections.abc import Iterator
from time import monotonic

import httpx
import pytest

from lora_drop.jobs.errors import DownloadInterruptedError, HostNotAllowedError, ResultGoneError
from tests.support.cdn import DATA, LATER, Cdn, artifact, read
from tests.support.wire import Body, Said

PACKED = gzip.compress(DATA)


def packed(data: bytes, how: str = "gzip") -> httpx.Response:
    headers = {"Content-Encoding": how, "Content-Length": str(len(data))}
    return httpx.Response(200, headers=headers, stream=httpx.ByteStream(data))


def cut(error: Exception | None = None, length: int | None = None) -> httpx.Response:
    """An answer that ends after 1000 bytes, with an error or without."""
    headers = {} if length is None else {"Content-Length": str(length)}
    return httpx.Response(200, headers=headers, stream=Body([DATA[:1000]], error))


@pytest.mark.parametrize(
    "url",
    [
        *("https://fal.media/x", "https://v3.fal.media/x", "https://V3B.FAL.MEDIA/x"),
        *("https://a.b.fal.media/x", "https://fal.media:443/x", "https://127.0.0.1:8443/x"),
        "https://v3.fal.media/x?token=1#y",
    ],
)
def test_allowed_host_is_read(url: str) -> None:
    assert read(Cdn().files(), artifact(url)) == DATA


@pytest.mark.promise("never lose a result")
def test_foreign_host_names_the_setting() -> None:
    """A host that is not listed raises an error that names the setting."""
    with pytest.raises(HostNotAllowedError, match="ARTIFACT_HOSTS"):
        read(Cdn().files(), artifact("https://new-cdn.example/x"))


@pytest.mark.promise("nothing leaks")
def test_cdn_gets_no_key_or_cookie() -> None:
    """The CDN receives neither our key nor a cookie, and is asked for the bytes as they are."""
    cdn = Cdn()
    read(cdn.files(), artifact())
    assert {"authorization", "cookie"}.isdisjoint(cdn.requests[0].headers)
    assert cdn.requests[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    ("status", "error"),
    [
        *((status, ResultGoneError) for status in (404, 410)),
        *(
            (status, DownloadInterruptedError)
            for status in (202, 204, 300, 304, 401, 403, 408, 429, 500, 503)
        ),
    ],
)
def test_other_answers_end_the_attempt(status: int, error: type[Exception]) -> None:
    cdn = Cdn(httpx.Response(status, headers={"Location": "https://v3.fal.media/y"}))
    with pytest.raises(error):
        read(cdn.files(), artifact())
    assert len(cdn.requests) == 1


INTERRUPTED: dict[str, tuple[Said, int | None]] = {
    **{
        error.__name__: (error("x"), None)
        for error in (httpx.ConnectError, httpx.ConnectTimeout, httpx.ReadTimeout, httpx.ReadError)
    },
    **{
        f"packed as {how}": (packed(DATA, how), None)
        for how in ("br", "zstd", "deflate", "gzip, br")
    },
    "reset in the body": (cut(httpx.ReadError("reset")), None),
    "incomplete body": (cut(httpx.RemoteProtocolError("incomplete")), None),
    "slow body": (cut(httpx.ReadTimeout("slow")), None),
    "shorter than stated": (cut(length=len(DATA)), None),
    "shorter than fal said": (cut(), len(DATA)),
    "longer than fal said": (cut(), 999),
    "gzip, end cut": (packed(PACKED[:-1]), None),
    "gzip, cut": (packed(PACKED[:100]), None),
    "gzip and more": (packed(PACKED + b"more"), None),
    "gzip twice": (packed(PACKED + PACKED), None),
    "not gzip": (packed(DATA), None),
    "gzip, empty": (packed(b""), None),
}


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("fault", INTERRUPTED)
def test_incomplete_file_is_interrupted(fault: str) -> None:
    """A file that is broken, too short, too long or not unpacked whole is never taken for whole."""
    answer, size = INTERRUPTED[fault]
    part = 100_000 if "gzip" in fault else 1000
    with pytest.raises(DownloadInterruptedError):
        read(Cdn(answer).files(), artifact(size=size), part)


READ: dict[str, tuple[httpx.Response, bytes, int | None]] = {
    "of unknown length": (cut(), DATA[:1000], None),
    # The length that the server states wins over the one that fal said.
    "of another length": (httpx.Response(200, content=DATA), DATA, 7),
    **{how: (packed(PACKED, how), DATA, None) for how in ("gzip", "x-gzip", "GZIP")},
    "empty": (httpx.Response(200, content=b""), b"", None),
}


@pytest.mark.parametrize("part", [1, 100, 999, 4096, 10_000])
@pytest.mark.parametrize("answer", READ)
def test_body_is_read_in_any_parts(answer: str, part: int) -> None:
    said, data, size = READ[answer]
    assert read(Cdn(said).files(), artifact(size=size), part) == data


def test_body_is_not_read_from_middle() -> None:
    with (
        pytest.raises(DownloadInterruptedError),
        Cdn().files().open(artifact(), until=LATER) as file,
    ):
        file.read(10, memoryview(bytearray(10)))


def test_error_of_the_caller_passes_through() -> None:
    with pytest.raises(ValueError, match="ours"), Cdn().files().open(artifact(), until=LATER):
        raise ValueError("ours")


@pytest.mark.parametrize("status", [206, 416])
def test_unreliable_ranges_fall_back_once(status: int) -> None:
    """Ranges that are unreliable are requested once, and then the whole file."""
    cdn = Cdn(httpx.Response(status, content=DATA))
    with pytest.raises(DownloadInterruptedError):
        read(cdn.files(), artifact())
    assert ["Range" in request.headers for request in cdn.requests] == [True, False]


def test_gzip_bomb_stays_small_in_memory() -> None:
    """A small body that unpacks to a large one is never in memory as a whole."""
    bomb = gzip.compress(bytes(64 * 1024**2))
    tracemalloc.start()
    with Cdn(packed(bomb)).files().open(artifact(), until=LATER) as file:
        file.read(0, memoryview(bytearray(1000)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 8 * 1024**2


@pytest.mark.promise("never get stuck")
def test_slow_body_ends_at_the_deadline() -> None:
    """A download that trickles is given up at its deadline."""
    now = [0.0]

    def trickle() -> Iterator[bytes]:
        while True:
            now[0] += 1
            yield b"x"

    files = Cdn(httpx.Response(200, stream=Body(trickle()))).files(now=lambda: now[0])
    with (
        pytest.raises(DownloadInterruptedError, match="time"),
        files.open(artifact(), until=140) as file,
    ):
        file.read(0, memoryview(bytearray(1000)))
    assert now[0] == 140


def test_no_request_after_the_deadline() -> None:
    cdn = Cdn()
    with (
        pytest.raises(DownloadInterruptedError, match="time"),
        cdn.files().open(artifact(), until=monotonic() - 1),
    ):
        pass
    assert cdn.requests == []


@pytest.mark.parametrize(("left", "longest"), [(3600, 20), (7, 7)])
def test_timeout_fits_the_time_left(left: int, longest: int) -> None:
    cdn = Cdn()
    with cdn.files(now=lambda: 0.0).open(artifact(), until=left):
        pass
    timeout = cdn.requests[0].extensions["timeout"]
    assert timeout["read"] == longest
    assert timeout["connect"] <= 5

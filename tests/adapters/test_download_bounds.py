"""A download is bounded in time and in memory, whatever the server does."""

import gzip
import tracemalloc
from collections.abc import Iterator
from time import monotonic

import httpx
import pytest

from lora_drop.adapters.download import CdnFiles
from lora_drop.jobs.errors import DownloadInterruptedError
from tests.support.cdn import DATA, HOSTS, LATER, Cdn, artifact, read


def packed(data: bytes, how: str = "gzip") -> Cdn:
    headers = {"Content-Encoding": how, "Content-Length": str(len(data))}
    return Cdn(httpx.Response(200, headers=headers, stream=httpx.ByteStream(data)))


@pytest.mark.parametrize("how", ["gzip", "x-gzip", "GZIP"])
@pytest.mark.parametrize("part", [100, 10_000])
def test_a_file_that_comes_packed_is_unpacked(how: str, part: int) -> None:
    assert read(packed(gzip.compress(DATA), how).files(), artifact(), part) == DATA


def test_a_little_that_unpacks_to_much_is_never_in_memory_at_once() -> None:
    bomb = gzip.compress(bytes(64 * 1024**2))

    tracemalloc.start()
    with packed(bomb).files().open(artifact(), until=LATER) as file:
        file.read(0, memoryview(bytearray(1000)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 8 * 1024**2


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(DATA)[:-1],
        gzip.compress(DATA)[:100],
        gzip.compress(DATA) + b"more",
        gzip.compress(DATA) + gzip.compress(DATA),
        DATA,
        b"",
    ],
    ids=["end cut", "cut", "more", "twice", "not packed", "empty"],
)
def test_what_is_not_packed_whole_is_interrupted(data: bytes) -> None:
    with pytest.raises(DownloadInterruptedError):
        read(packed(data).files(), artifact(), 100_000)


@pytest.mark.parametrize("how", ["br", "zstd", "deflate", "gzip, br"])
def test_an_unknown_packing_is_interrupted(how: str) -> None:
    with pytest.raises(DownloadInterruptedError, match="packed"):
        read(packed(DATA, how).files(), artifact())


def test_a_file_that_trickles_is_given_up_when_the_time_is_over() -> None:
    now = [0.0]

    class Trickle(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            while True:
                now[0] += 1
                yield b"x"

    transport = httpx.MockTransport(lambda _: httpx.Response(200, stream=Trickle()))
    files = CdnFiles(HOSTS, transport=transport, now=lambda: now[0])

    with (
        pytest.raises(DownloadInterruptedError, match="time"),
        files.open(artifact(), until=140) as file,
    ):
        file.read(0, memoryview(bytearray(1000)))

    assert now[0] == 140


def test_nothing_is_asked_for_when_the_time_is_over() -> None:
    cdn = Cdn()

    with (
        pytest.raises(DownloadInterruptedError, match="time"),
        cdn.files().open(artifact(), until=monotonic() - 1),
    ):
        pass

    assert cdn.requests == []


@pytest.mark.parametrize(("left", "longest"), [(3600, 20), (7, 7)])
def test_no_answer_is_waited_for_longer_than_there_is_time(left: int, longest: int) -> None:
    cdn = Cdn()

    with cdn.files().open(artifact(), until=monotonic() + left):
        pass

    [request] = cdn.requests
    timeout = request.extensions["timeout"]
    assert longest - 1 < timeout["read"] <= longest
    assert timeout["connect"] <= 5


def test_a_cdn_is_asked_for_the_bytes_as_they_are() -> None:
    cdn = Cdn()

    read(cdn.files(), artifact())

    assert cdn.requests[0].headers["Accept-Encoding"] == "identity"

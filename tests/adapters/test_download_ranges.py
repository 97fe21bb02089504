"""A file by ranges: every piece is of the file that was opened."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import sleep

import httpx
import pytest

from lora_drop.adapters.download_reads import ATTEMPTS, LEAST
from lora_drop.jobs.errors import DownloadInterruptedError, ResultGoneError, SourceChangedError
from tests.support.cdn import (
    ETAG,
    FIRST,
    LARGE,
    LATER,
    Change,
    Ranged,
    artifact,
    bodied,
    breaking,
    headed,
    status,
)
from tests.support.wire import Body


def trickling(begun: threading.Event) -> Change:
    """A body that would take minutes."""

    def trickle() -> Iterator[bytes]:
        for _ in range(LEAST):
            yield b"x"
            begun.set()
            sleep(0.001)

    return bodied(lambda _: Body(trickle()))


def test_file_has_size_and_strong_etag() -> None:
    with Ranged().files().open(artifact(), until=LATER) as file:
        assert (file.size, file.identity) == (len(LARGE), ETAG)


@pytest.mark.parametrize(
    ("offset", "length"),
    [
        *((0, 1), (0, FIRST), (0, FIRST + 1), (0, len(LARGE))),
        *((1, 100), (FIRST, 100), (1000, len(LARGE) - 1000), (len(LARGE) - 1, 1)),
    ],
)
def test_any_range_is_read_exactly(offset: int, length: int) -> None:
    assert Ranged().reading(offset, length) == LARGE[offset : offset + length]


def test_part_is_read_in_four_pieces() -> None:
    """A part is requested in four pieces, the first of which is open already."""
    cdn = Ranged()
    cdn.reading()
    quarter = len(LARGE) // 4
    assert sorted(cdn.asked()) == [
        (0, FIRST),
        (FIRST, quarter),  # what the first answer did not have of it
        *((start, start + quarter) for start in range(quarter, len(LARGE), quarter)),
    ]


def test_pieces_are_fetched_concurrently() -> None:
    together = threading.Barrier(3, timeout=120)

    def meeting(usual: httpx.Response) -> httpx.Response:
        together.wait()
        return usual

    cdn = Ranged(dict.fromkeys((2, 3, 4), meeting))
    assert cdn.reading(FIRST, 3 * LEAST) == LARGE[FIRST : FIRST + 3 * LEAST]


def test_small_part_is_one_request() -> None:
    cdn = Ranged()
    cdn.reading(FIRST, LEAST)
    assert cdn.asked() == [(0, FIRST), (FIRST, FIRST + LEAST)]


def test_small_file_is_one_request() -> None:
    cdn = Ranged(data=b"{}")
    assert cdn.reading(0, 2) == b"{}"
    assert len(cdn.requests) == 1


def test_later_pieces_name_the_etag() -> None:
    cdn = Ranged()
    cdn.reading()
    assert [request.headers.get("If-Range") for request in cdn.requests] == [None, *[ETAG] * 4]
    assert all(request.headers["Accept-Encoding"] == "identity" for request in cdn.requests)
    assert all("Authorization" not in request.headers for request in cdn.requests)


WEAK = [
    headed(ETag=None),
    headed(ETag='W/"5ca1ab1e"'),
    headed(ETag="5ca1ab1e"),
    headed(ETag='""'),
    headed(ETag='"a", "b"'),
    headed(ETag='"' + "x" * 201 + '"'),
    headed(Content_Range=None),
    headed(Content_Range="bytes 0-65535/*"),
    headed(Content_Range="bytes 1-65536/2097152"),
    headed(Content_Range="bytes 0-65534/2097152"),
    headed(Content_Range="bytes 0-65536/2097152"),
    headed(Content_Range="bytes 0-65535/65000"),
    headed(Content_Range="bytes 5-4/2097152"),
    headed(Content_Range="items 0-65535/2097152"),
    headed(Content_Range="bytes 0-65535/2097152, bytes 0-1/2"),
    headed(Content_Range="bytes +0-65535/2097152"),
    headed(Content_Encoding="gzip"),
    headed(Content_Length="65535"),
    headed(Content_Length="many"),
    status(416),
]


@pytest.mark.parametrize("answer", WEAK, ids=range(len(WEAK)))
def test_unreliable_ranges_read_the_whole(answer: Change) -> None:
    """Where ranges are unreliable the file is read as a whole."""
    cdn = Ranged({1: answer})
    with cdn.files().open(artifact(), until=LATER) as file:
        assert (file.size, file.identity) == (len(LARGE), "")
        buffer = bytearray(len(LARGE))
        file.read(0, memoryview(buffer))
    assert buffer == LARGE
    assert ["Range" in request.headers for request in cdn.requests] == [True, False]


def test_server_without_ranges_gets_one_request() -> None:
    cdn = Ranged({1: lambda _: httpx.Response(200, content=LARGE)})
    assert cdn.reading() == LARGE
    assert len(cdn.requests) == 1


def test_whole_read_requests_no_range() -> None:
    cdn = Ranged()
    with cdn.files().open(artifact(), until=LATER, whole=True) as file:
        assert file.identity == ""
    assert ["Range" in request.headers for request in cdn.requests] == [False]


CHANGED = [
    headed(ETag='"another"'),
    headed(ETag=None),
    headed(ETag=f"W/{ETAG}"),
    headed(Content_Range="bytes 524288-1048575/2097153"),
    headed(Content_Range="bytes 524289-1048576/2097152"),
    headed(Content_Range="bytes 0-524287/2097152"),
    headed(Content_Range=None),
    headed(Content_Encoding="gzip"),
    lambda _: httpx.Response(200, content=LARGE, headers={"ETag": '"another"'}),
    lambda _: httpx.Response(200, content=LARGE, headers={"ETag": ETAG}),
    status(412),
    status(416),
    bodied(lambda content: Body([content + b"x"])),
]


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("answer", CHANGED, ids=range(len(CHANGED)))
def test_piece_of_another_file_is_refused(answer: Change) -> None:
    """A piece that is not of the file that was opened is never used."""
    with pytest.raises(SourceChangedError):
        Ranged({2: answer}).reading(524_288, LEAST)


@pytest.mark.parametrize("code", [404, 410])
def test_file_may_vanish_while_read(code: int) -> None:
    with pytest.raises(ResultGoneError):
        Ranged({3: status(code)}).reading()


@pytest.mark.parametrize("code", [202, 401, 403, 408, 429, 500, 502, 503])
def test_other_answers_interrupt(code: int) -> None:
    cdn = Ranged({3: status(code)})
    with pytest.raises(DownloadInterruptedError) as interrupted:
        cdn.reading()
    assert not isinstance(interrupted.value, SourceChangedError)
    assert {request.url.path for request in cdn.requests} == {"/files/a/lora"}


@pytest.mark.parametrize("keep", [0, 1, 1000, LEAST - 1])
@pytest.mark.parametrize(
    "error",
    [httpx.ReadError("reset"), httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("x"), None],
)
def test_broken_connection_is_resumed(keep: int, error: Exception | None) -> None:
    """A piece that breaks off or ends early is resumed at the byte where it ended."""
    cdn = Ranged({2: breaking(keep, error)})
    assert cdn.reading(FIRST, LEAST) == LARGE[FIRST : FIRST + LEAST]
    assert cdn.asked()[1:] == [(FIRST, FIRST + LEAST), (FIRST + keep, FIRST + LEAST)]


def test_first_answer_may_break() -> None:
    cdn = Ranged({1: breaking(1000, httpx.ReadError("reset"))})
    assert cdn.reading(0, LEAST) == LARGE[:LEAST]


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize(("error", "message"), [(httpx.ReadError("reset"), "."), (None, "early")])
def test_repeated_breaks_interrupt(error: Exception | None, message: str) -> None:
    """A connection that breaks again and again is given up after a fixed number of attempts."""
    cdn = Ranged(dict.fromkeys(range(2, 20), breaking(10, error)))
    with pytest.raises(DownloadInterruptedError, match=message):
        cdn.reading(FIRST, LEAST)
    assert len(cdn.requests) == 1 + ATTEMPTS


def test_refused_connection_is_retried() -> None:
    refused = httpx.ConnectError("refused")
    assert Ranged({2: lambda _: refused}).reading(FIRST, LEAST) == LARGE[FIRST : FIRST + LEAST]


def test_failed_piece_ends_the_others() -> None:
    trickle = trickling(threading.Event())
    cdn = Ranged({2: trickle, 3: trickle, 4: status(404)})
    with pytest.raises(ResultGoneError):
        cdn.reading(FIRST, 3 * LEAST)


def test_closing_a_file_ends_its_reads() -> None:
    begun = threading.Event()
    cdn = Ranged({2: trickling(begun)})
    with ThreadPoolExecutor(1) as reader, cdn.files().open(artifact(), until=LATER) as file:
        reading_on = reader.submit(file.read, FIRST, memoryview(bytearray(LEAST)))
        assert begun.wait(120)
    assert isinstance(reading_on.exception(), DownloadInterruptedError)

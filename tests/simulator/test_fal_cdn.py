"""Files come whole or in ranges (RFC 9110, section 14)."""

import pytest

from lora_drop.simulator.cdn import Unsatisfiable, read_range
from lora_drop.simulator.running import ControlClient
from tests.simulator.fal_calls import Calls

DATA = bytes(range(256)) * 4
SIZE = len(DATA)


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
def test_a_range_gives_just_its_bytes(standing: Calls, header: str, first: int, end: int) -> None:
    response = standing.http.get(standing.stored(DATA), headers={"Range": header})

    assert response.status_code == 206
    assert response.content == DATA[first:end]
    assert response.headers["content-range"] == f"bytes {first}-{end - 1}/{SIZE}"
    assert response.headers["content-length"] == str(end - first)


@pytest.mark.parametrize("header", [f"bytes={SIZE}-", f"bytes={SIZE}-{SIZE + 5}", "bytes=-0"])
def test_a_range_beyond_the_end_is_not_satisfiable(standing: Calls, header: str) -> None:
    response = standing.http.get(standing.stored(DATA), headers={"Range": header})

    assert response.status_code == 416
    assert response.headers["content-range"] == f"bytes */{SIZE}"
    assert response.content == b""


@pytest.mark.parametrize(
    "header",
    ["bytes=5-2", "bytes=-", "bytes=0-1,5-6", "lines=0-1", "bytes=x-y", f"bytes=0-{'9' * 5000}"],
    ids=["backwards", "nothing", "several", "other unit", "no numbers", "endless"],
)
def test_a_range_that_is_none_gives_the_whole(standing: Calls, header: str) -> None:
    response = standing.http.get(standing.stored(DATA), headers={"Range": header})

    assert response.status_code == 200
    assert response.content == DATA


def test_an_empty_file_has_no_ranges() -> None:
    for header in ("bytes=0-", "bytes=-1"):
        with pytest.raises(Unsatisfiable):
            read_range(header, 0)
    assert read_range(None, 0) is None


def test_if_range_gives_the_part_only_of_the_same_file(standing: Calls) -> None:
    url = standing.stored(DATA)
    etag = standing.http.head(url).headers["etag"]

    same = standing.http.get(url, headers={"Range": "bytes=0-9", "If-Range": etag})
    other = standing.http.get(url, headers={"Range": "bytes=0-9", "If-Range": '"other"'})

    assert (same.status_code, same.content) == (206, DATA[:10])
    assert (other.status_code, other.content) == (200, DATA)


def test_head_has_the_headers_of_the_whole_and_no_body(sim: ControlClient, calls: Calls) -> None:
    response = calls.http.head(calls.stored(DATA), headers={"Range": "bytes=0-9"})

    assert response.status_code == 200
    assert response.content == b""
    assert response.headers["content-length"] == str(SIZE)
    assert response.headers["accept-ranges"] == "bytes"
    assert sim.ledger()["served"] == []


def test_ranges_can_be_put_together_to_the_file(standing: Calls) -> None:
    url = standing.stored(DATA)

    parts = [
        standing.http.get(url, headers={"Range": f"bytes={start}-{start + 99}"}).content
        for start in range(0, SIZE, 100)
    ]

    assert b"".join(parts) == DATA


def test_anybody_who_knows_the_path_has_the_file_and_nobody_else(standing: Calls) -> None:
    url = standing.stored(DATA)

    keyless = standing.http.get(url, headers={"Authorization": ""})
    guess = standing.http.get(f"{url}x")

    assert keyless.content == DATA
    assert guess.status_code == 404

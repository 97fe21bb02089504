"""Result files from fal's CDN: from hosts on the list only, whole, and without our key."""

import httpx
import pytest

from lora_drop.jobs.errors import DownloadInterruptedError, HostNotAllowedError, ResultGoneError
from tests.support.cdn import DATA, LATER, Cdn, Cut, artifact, read


@pytest.mark.parametrize(
    "url",
    [
        "https://fal.media/x",
        "https://v3.fal.media/x",
        "https://V3B.FAL.MEDIA/x",
        "https://a.b.fal.media/x",
        "https://fal.media:443/x",
        "https://127.0.0.1:8443/x",
        "https://v3.fal.media/x?token=1#y",
    ],
)
def test_a_file_on_a_host_of_the_list_is_read(url: str) -> None:
    assert read(Cdn().files(), artifact(url)) == DATA


def test_a_foreign_host_is_a_matter_of_settings_and_loses_no_result() -> None:
    with pytest.raises(HostNotAllowedError, match="ARTIFACT_HOSTS"):
        read(Cdn().files(), artifact("https://new-cdn.example/x"))


def test_the_cdn_never_sees_a_key_or_a_cookie() -> None:
    cdn = Cdn()

    read(cdn.files(), artifact())

    assert {"authorization", "cookie"}.isdisjoint(cdn.requests[0].headers)


@pytest.mark.parametrize("status", [404, 410])
def test_a_file_that_is_no_more_is_gone(status: int) -> None:
    with pytest.raises(ResultGoneError):
        read(Cdn(httpx.Response(status)).files(), artifact())


@pytest.mark.parametrize("status", [202, 204, 300, 304, 401, 403, 408, 429, 500, 503])
def test_any_other_answer_is_tried_again(status: int) -> None:
    cdn = Cdn(httpx.Response(status, headers={"Location": "https://v3.fal.media/y"}))

    with pytest.raises(DownloadInterruptedError):
        read(cdn.files(), artifact())

    assert len(cdn.requests) == 1


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError("x"),
        httpx.ConnectTimeout("x"),
        httpx.ReadTimeout("x"),
        httpx.ReadError("x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_connection_that_fails_is_tried_again(error: Exception) -> None:
    with pytest.raises(DownloadInterruptedError):
        read(Cdn(error).files(), artifact())


@pytest.mark.parametrize(
    "error",
    [httpx.ReadError("reset"), httpx.RemoteProtocolError("incomplete"), httpx.ReadTimeout("slow")],
    ids=lambda error: type(error).__name__,
)
def test_a_file_that_breaks_off_is_interrupted(error: Exception) -> None:
    cut = httpx.Response(200, stream=Cut(error))

    with pytest.raises(DownloadInterruptedError):
        read(Cdn(cut).files(), artifact())


def test_a_file_shorter_than_it_says_is_interrupted() -> None:
    headers = {"Content-Length": str(len(DATA))}
    cut = httpx.Response(200, headers=headers, stream=Cut(None))

    with pytest.raises(DownloadInterruptedError):
        read(Cdn(cut).files(), artifact())


def test_a_file_of_no_stated_length_is_as_long_as_fal_said() -> None:
    with pytest.raises(DownloadInterruptedError):
        read(Cdn(httpx.Response(200, stream=Cut(None))).files(), artifact(size=len(DATA)))


def test_a_file_of_unknown_length_is_what_arrives() -> None:
    files = Cdn(httpx.Response(200, stream=Cut(None))).files()

    assert read(files, artifact()) == DATA[:1000]


def test_what_goes_wrong_with_the_storing_is_no_matter_of_the_download() -> None:
    with (
        pytest.raises(ValueError, match="ours"),
        Cdn().files().open(artifact(), until=LATER),
    ):
        raise ValueError("ours")


def test_a_file_of_no_stated_length_is_no_longer_than_fal_said() -> None:
    with pytest.raises(DownloadInterruptedError):
        read(Cdn(httpx.Response(200, stream=Cut(None))).files(), artifact(size=999))


def test_what_fal_said_of_the_length_is_no_matter_where_the_server_states_one() -> None:
    assert read(Cdn().files(), artifact(size=7)) == DATA


@pytest.mark.parametrize("part", [1, 999, 4096, 5000])
def test_a_file_in_one_go_is_read_in_parts_of_any_size(part: int) -> None:
    assert read(Cdn().files(), artifact(), part) == DATA


def test_a_file_in_one_go_cannot_be_read_from_its_middle() -> None:
    with (
        pytest.raises(DownloadInterruptedError),
        Cdn().files().open(artifact(), until=LATER) as file,
    ):
        file.read(10, memoryview(bytearray(10)))


def test_an_empty_file_is_read() -> None:
    assert read(Cdn(httpx.Response(200, content=b"")).files(), artifact()) == b""


@pytest.mark.parametrize("status", [206, 416])
def test_ranges_that_cannot_be_relied_on_are_asked_for_once_and_then_the_whole(
    status: int,
) -> None:
    cdn = Cdn(httpx.Response(status, content=DATA))

    with pytest.raises(DownloadInterruptedError):
        read(cdn.files(), artifact())

    assert ["Range" in request.headers for request in cdn.requests] == [True, False]

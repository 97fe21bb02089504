"""Result files from fal's CDN: from hosts on the list only, whole, and without our key."""

from collections.abc import Iterator, Sequence

import httpx
import pytest

from shared.adapters.download import CdnFiles
from shared.domain.artifacts import Artifact
from shared.domain.errors import DownloadInterrupted, ForeignHost, ResultGone

DATA = bytes(range(256)) * 16
HOSTS = ["fal.media", "127.0.0.1:8443"]


class Cdn:
    """The CDN: counts what reaches it."""

    def __init__(self, answer: httpx.Response | Exception | None = None) -> None:
        self.requests: list[httpx.Request] = []
        self._answer = answer or httpx.Response(200, content=DATA)

    def files(self, hosts: Sequence[str] = HOSTS) -> CdnFiles:
        return CdnFiles(hosts, transport=httpx.MockTransport(self._serve))

    def _serve(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def artifact(url: str = "https://v3.fal.media/files/a/lora", size: int | None = None) -> Artifact:
    return Artifact(name="lora.safetensors", url=url, size=size)


def read(files: CdnFiles, what: Artifact) -> bytes:
    with files.open(what) as chunks:
        return b"".join(chunks)


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


FOREIGN = [
    "http://fal.media/x",
    "http://127.0.0.1:8443/x",
    "ftp://fal.media/x",
    "file:///etc/passwd",
    "//fal.media/x",
    "fal.media/x",
    "",
    "https://",
    "https:///x",
    "https://evil.example/x",
    "https://evilfal.media/x",
    "https://fal.media.evil.example/x",
    "https://fal.media./x",
    "https://fal-media/x",
    "https://fal.media:8443/x",
    "https://fal.media:80/x",
    "https://v3.fal.media:1/x",
    "https://127.0.0.1/x",
    "https://127.0.0.1:8444/x",
    "https://x.127.0.0.1:8443/x",
    "https://0x7f.1:8443/x",
    "https://2130706433:8443/x",
    "https://[::1]:8443/x",
    "https://[::ffff:127.0.0.1]:8443/x",
    "https://user@fal.media/x",
    "https://user:password@fal.media/x",
    "https://fal.media@evil.example/x",
    "https://fal.media%00.evil.example/x",
    "https://evil.example/https://fal.media/x",
    "https://evil.example?.fal.media",
    "https://evil.example#.fal.media",
    "https://evil.example\\.fal.media/x",
    "https://evil.example\\@fal.media/x",
    "https://evil.example%2f.fal.media/x",
    "https://f\u0430l.media/x",
    "https://\uff46al.media/x",
    "https://fal\u3002media/x",
    "https://fal.media:port/x",
    "https://fal.media:99999/x",
    "https://[fal.media/x",
    "https://fal.media\r\nHost: evil.example/x",
    "https://fal.media\t/x",
    " https://fal.media/x",
    "https://169.254.169.254/latest/meta-data/",
]


@pytest.mark.parametrize("url", FOREIGN, ids=range(len(FOREIGN)))
def test_no_byte_goes_to_any_other_host(url: str) -> None:
    cdn = Cdn()

    with pytest.raises(ForeignHost):
        read(cdn.files(), artifact(url))

    assert cdn.requests == []


def test_a_foreign_host_is_a_matter_of_settings_and_loses_no_result() -> None:
    with pytest.raises(ForeignHost, match="ARTIFACT_HOSTS"):
        read(Cdn().files(), artifact("https://new-cdn.example/x"))


def test_the_cdn_never_sees_a_key_or_a_cookie() -> None:
    cdn = Cdn()

    read(cdn.files(), artifact())

    assert {"authorization", "cookie"}.isdisjoint(cdn.requests[0].headers)


@pytest.mark.parametrize("status", [404, 410])
def test_a_file_that_is_no_more_is_gone(status: int) -> None:
    with pytest.raises(ResultGone):
        read(Cdn(httpx.Response(status)).files(), artifact())


@pytest.mark.parametrize(
    "status", [202, 204, 206, 301, 302, 307, 401, 403, 408, 416, 429, 500, 503]
)
def test_any_other_answer_is_tried_again_and_no_redirect_is_followed(status: int) -> None:
    cdn = Cdn(httpx.Response(status, headers={"Location": "https://v3.fal.media/y"}))

    with pytest.raises(DownloadInterrupted):
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
    with pytest.raises(DownloadInterrupted):
        read(Cdn(error).files(), artifact())


class Cut(httpx.SyncByteStream):
    """A body that ends early, as the connection sees it or without a word."""

    def __init__(self, error: Exception | None) -> None:
        self._error = error

    def __iter__(self) -> Iterator[bytes]:
        yield DATA[:1000]
        if self._error:
            raise self._error


@pytest.mark.parametrize(
    "error",
    [httpx.ReadError("reset"), httpx.RemoteProtocolError("incomplete"), httpx.ReadTimeout("slow")],
    ids=lambda error: type(error).__name__,
)
def test_a_file_that_breaks_off_is_interrupted(error: Exception) -> None:
    cut = httpx.Response(200, stream=Cut(error))

    with pytest.raises(DownloadInterrupted):
        read(Cdn(cut).files(), artifact())


def test_a_file_shorter_than_it_says_is_interrupted() -> None:
    headers = {"Content-Length": str(len(DATA))}
    cut = httpx.Response(200, headers=headers, stream=Cut(None))

    with pytest.raises(DownloadInterrupted):
        read(Cdn(cut).files(), artifact())


def test_a_file_of_no_stated_length_is_as_long_as_fal_said() -> None:
    with pytest.raises(DownloadInterrupted):
        read(Cdn(httpx.Response(200, stream=Cut(None))).files(), artifact(size=len(DATA)))


def test_a_file_of_unknown_length_is_what_arrives() -> None:
    files = Cdn(httpx.Response(200, stream=Cut(None))).files()

    assert read(files, artifact()) == DATA[:1000]


def test_what_goes_wrong_with_the_storing_is_no_matter_of_the_download() -> None:
    with pytest.raises(ValueError, match="ours"), Cdn().files().open(artifact()):
        raise ValueError("ours")


def test_a_large_file_comes_in_pieces() -> None:
    large = bytes(3 * 1024**2 + 5)

    with Cdn(httpx.Response(200, content=large)).files().open(artifact()) as chunks:
        sizes = [len(chunk) for chunk in chunks]

    assert sizes == [1024**2, 1024**2, 1024**2, 5]

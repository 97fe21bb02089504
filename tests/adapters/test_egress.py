"""Files come only from listed hosts at public addresses, and the key goes only to fal."""

from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any

import httpx
import pytest
from fal_client.client import BackupDomainTransport

from lora_drop.adapters.checked_network import resolved
from lora_drop.adapters.fal import FalQueueClient
from lora_drop.fal.status import Finished
from lora_drop.jobs.artifacts import Artifact
from lora_drop.jobs.errors import (
    DownloadInterruptedError,
    FalUnavailableError,
    HostNotAllowedError,
    ResultGoneError,
    ResultUnusableError,
    SubmissionUnknownError,
)
from lora_drop.ports import ArtifactSource
from tests.adapters.hostile_urls import HOSTILE
from tests.support.builders import APPLICATION, REQUEST_ID
from tests.support.cdn import DATA, PUBLIC, Cdn, RecordingNetwork, answer, artifact, read
from tests.support.fal_keys import FixedKey
from tests.support.sweeps import sweep

HERE = "https://v3.fal.media/files/a/lora"
REDIRECTS = (301, 302, 303, 307, 308)
ANY_HOSTILE = sweep(range(len(HOSTILE)), sample=34)


def opened(files: ArtifactSource, url: str = HERE) -> None:
    with files.open(Artifact(name="lora.safetensors", url=url), until=monotonic() + 60):
        pass


def test_hostile_urls_are_many_and_distinct() -> None:
    assert len(set(HOSTILE)) == len(HOSTILE) >= 150


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("number", ANY_HOSTILE)
def test_hostile_url_makes_no_connection(number: int) -> None:
    """A URL that is not on the list causes neither a DNS query nor a connection."""
    network = RecordingNetwork()
    with pytest.raises(HostNotAllowedError, match="ARTIFACT_HOSTS"):
        opened(network.files(private=True), HOSTILE[number])
    assert (network.looked_up, network.connected) == ([], [])


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("number", ANY_HOSTILE)
@pytest.mark.parametrize("status", REDIRECTS)
def test_redirect_never_leaves_the_list(number: int, status: int) -> None:
    """No redirect leads to a host that is not on the list."""
    location = HOSTILE[number].encode(errors="surrogatepass")
    cdn = Cdn(httpx.Response(status, headers=[(b"Location", location)]))
    with pytest.raises((HostNotAllowedError, DownloadInterruptedError)):
        read(cdn.files(), artifact())
    hosts = {(request.url.scheme, request.url.host, request.url.port) for request in cdn.requests}
    assert hosts <= {
        *(("https", "v3.fal.media", None), ("https", "fal.media", None)),
        ("https", "127.0.0.1", 8443),  # from 08443, as it is fetched
    }


def test_checked_address_is_the_used_one() -> None:
    """A file comes from the very address that was checked."""
    network = RecordingNetwork()
    opened(network.files())
    assert network.looked_up == [("v3.fal.media", 443)]
    assert network.connected == [(PUBLIC, 443)]
    assert network.streams[0].certificate_of == "v3.fal.media"
    assert b"Host: v3.fal.media\r\n" in network.sent
    assert b"authorization" not in network.sent.lower()


PRIVATE = [
    *("127.0.0.1", "10.1.2.3", "172.31.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
    *("0.0.0.0", "224.0.0.251", "255.255.255.255", "198.18.0.1", "192.0.2.1", "::1", "::"),  # noqa: S104
    *("fe80::1", "fe80::1%eth0", "fd00:ec2::254", "ff02::1", "::ffff:127.0.0.1", "::7f00:1"),
    *(
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "2002:808:808::",
        "2001:0:808:808::",
        "2001:db8::1",
        "x",
    ),
]


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("address", PRIVATE)
@pytest.mark.parametrize("beside", [[], [PUBLIC]])
def test_private_address_is_not_called(address: str, beside: list[str]) -> None:
    """A listed name that resolves to a private address is not called."""
    network = RecordingNetwork({"v3.fal.media": [[*beside, address]]})
    with pytest.raises(HostNotAllowedError, match="ALLOW_PRIVATE_ARTIFACT_HOSTS"):
        opened(network.files())
    assert network.connected == []


@pytest.mark.parametrize("address", [PUBLIC, "2606:4700::1111", "64:ff9b::9765:101"])
def test_public_addresses_are_called(address: str) -> None:
    network = RecordingNetwork({"v3.fal.media": [[address]]})
    opened(network.files())
    assert network.connected == [(address, 443)]


def test_private_network_can_be_allowed() -> None:
    network = RecordingNetwork({"127.0.0.1": [["127.0.0.1"]]})
    opened(network.files(private=True), "https://127.0.0.1:8443/x")
    with pytest.raises(HostNotAllowedError):
        opened(network.files(), "https://127.0.0.1:8443/x")
    assert network.connected == [("127.0.0.1", 8443)]


def test_dns_rebinding_changes_nothing() -> None:
    rebinding = RecordingNetwork({"v3.fal.media": [[PUBLIC], ["127.0.0.1"]]})
    opened(rebinding.files())
    with pytest.raises(HostNotAllowedError):
        opened(rebinding.files())
    assert rebinding.connected == [(PUBLIC, 443)]


def test_second_address_is_tried() -> None:
    network = RecordingNetwork(
        {"v3.fal.media": [["2606:4700::1111", PUBLIC]]}, down=["2606:4700::1111"]
    )
    opened(network.files())
    assert network.connected == [("2606:4700::1111", 443), (PUBLIC, 443)]


@pytest.mark.parametrize("addresses", [[], [PUBLIC]])
def test_unreachable_host_is_retried(addresses: list[str]) -> None:
    network = RecordingNetwork({"v3.fal.media": [addresses]}, down=[PUBLIC])
    with pytest.raises(DownloadInterruptedError):
        opened(network.files())


def test_listed_redirect_is_checked_again() -> None:
    """A redirect within the list is followed, and its address is checked again."""
    moved = answer(status=302, Location="https://v3b.fal.media/elsewhere")
    network = RecordingNetwork({"v3b.fal.media": [["8.8.8.8"]]}, [moved, answer(DATA)])
    opened(network.files())
    assert network.looked_up == [("v3.fal.media", 443), ("v3b.fal.media", 443)]
    assert network.connected == [(PUBLIC, 443), ("8.8.8.8", 443)]
    assert b"GET /elsewhere HTTP/1.1\r\nHost: v3b.fal.media\r\n" in network.sent


def test_redirect_to_private_address_fails() -> None:
    moved = answer(status=307, Location="https://v3b.fal.media/x")
    network = RecordingNetwork({"v3b.fal.media": [["127.0.0.1"]]}, [moved, answer(DATA)])
    with pytest.raises(HostNotAllowedError):
        opened(network.files())
    assert network.connected == [(PUBLIC, 443)]


@pytest.mark.parametrize("location", ["/y", "y", "?y", "//v3b.fal.media/y", "https://fal.media/y"])
def test_moved_file_is_read(location: str) -> None:
    def serve(request: httpx.Request) -> httpx.Response:
        if "y" in request.url.path + request.url.query.decode():
            return httpx.Response(200, content=DATA)
        return httpx.Response(308, headers={"Location": location})

    assert read(Cdn(serve).files(), artifact()) == DATA


def test_endless_redirects_end() -> None:
    cdn = Cdn(httpx.Response(302, headers={"Location": HERE}))
    with pytest.raises(DownloadInterruptedError, match="redirected"):
        read(cdn.files(), artifact())
    assert len(cdn.requests) == 4


def test_redirect_to_missing_file_is_gone() -> None:
    def serve(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/y":
            return httpx.Response(410)
        return httpx.Response(302, headers={"Location": "/y"})

    with pytest.raises(ResultGoneError):
        read(Cdn(serve).files(), artifact())


@pytest.mark.parametrize("stated", [True, False])
def test_oversized_file_is_refused(*, stated: bool) -> None:
    def serve(_: httpx.Request) -> httpx.Response:
        body = httpx.ByteStream(DATA * 10)
        headers = {"Content-Length": str(len(DATA) * 10)} if stated else {}
        return httpx.Response(200, headers=headers, stream=body)

    with pytest.raises(ResultUnusableError) as refused:
        read(Cdn(serve).files(most=len(DATA)), artifact())
    assert "larger than" in refused.value.problem.message
    assert read(Cdn(serve).files(most=len(DATA) * 10), artifact()) == DATA * 10


def test_resolver_reads_literal_addresses() -> None:
    assert "127.0.0.1" in resolved("127.0.0.1", 443)


HOST = "queue.fal.run"
EVIL = "https://fal.evil.example/x"
NAMED = {"status_url": EVIL, "response_url": EVIL, "cancel_url": EVIL, "logs_url": EVIL}
BASE = f"https://{HOST}/fal-ai/flux-lora-portrait-trainer/requests/{REQUEST_ID}"


class FalHosts:
    """fal with one answer; it records the URLs of the requests."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self.asked: list[httpx.URL] = []
        self._answer = answer

    def trainer(self) -> FalQueueClient:
        line = httpx.MockTransport(self._note)
        return FalQueueClient(FixedKey("key"), wire=lambda: BackupDomainTransport(transport=line))

    def _note(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url)
        return self._answer(request)


def said(body: Mapping[str, Any]) -> FalHosts:
    return FalHosts(lambda _: httpx.Response(200, json=dict(body)))


@pytest.mark.promise("nothing leaks")
def test_only_the_request_id_is_used() -> None:
    """Of the answer to a submission only the id is used, never its URLs."""
    fal = said({"request_id": REQUEST_ID, **NAMED})
    submission = fal.trainer().submit(APPLICATION, {}, webhook_url="https://api.example/hook")
    assert submission.request_id == REQUEST_ID
    assert [url.host for url in fal.asked] == [HOST]


def test_requests_go_to_fals_host() -> None:
    fal = said({"status": "COMPLETED", "lora_file": {"url": EVIL}, **NAMED})
    state = fal.trainer().ask(APPLICATION, REQUEST_ID)
    fal.trainer().cancel(APPLICATION, REQUEST_ID)
    assert isinstance(state, Finished)
    asked = [str(url.copy_with(query=None)) for url in fal.asked]
    assert asked == [f"{BASE}/status", BASE, f"{BASE}/cancel"]


LOCATIONS = (EVIL, "http://queue.fal.run/", "//evil.example", "data:,x", *HOSTILE)


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("number", sweep(range(len(LOCATIONS)), sample=25))
def test_key_never_follows_a_redirect(number: int) -> None:
    """No redirect takes the key to another host."""
    location = LOCATIONS[number].encode(errors="surrogatepass")
    for status in REDIRECTS:
        answer = httpx.Response(status, headers=[(b"Location", location)])
        fal = FalHosts(lambda _, answer=answer: answer)  # type: ignore[misc]  # bound at once
        with pytest.raises(SubmissionUnknownError):
            fal.trainer().submit(APPLICATION, {}, webhook_url="https://api.example/hook")
        with pytest.raises(FalUnavailableError):
            fal.trainer().ask(APPLICATION, REQUEST_ID)
        with pytest.raises(FalUnavailableError):
            fal.trainer().cancel(APPLICATION, REQUEST_ID)
        assert {url.host for url in fal.asked} == {HOST}
        assert len(fal.asked) == 3


@pytest.mark.parametrize(
    "request_id",
    [
        *("", ".", "..", "../../x", "x/../../y", "x?y", "x#y", "x y", "x\r\ny", "x%2f..", "x\\y"),
        *("@evil.example", "//evil.example", EVIL, "\uff11", "x" * 129, f"{REQUEST_ID}\n"),
    ],
)
def test_malformed_request_id_is_never_used(request_id: str) -> None:
    fal = said({"status": "COMPLETED"})
    with pytest.raises(FalUnavailableError, match="form"):
        fal.trainer().ask(APPLICATION, request_id)
    with pytest.raises(FalUnavailableError, match="form"):
        fal.trainer().cancel(APPLICATION, request_id)
    assert fal.asked == []

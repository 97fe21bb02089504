"""Files come only from listed hosts at public addresses."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import httpcore
import httpx
import pytest

from lora_drop.adapters.checked_network import CheckedNetwork, resolved
from lora_drop.adapters.download import CdnFiles
from lora_drop.fal.hosts import AllowedHosts
from lora_drop.jobs.errors import (
    DownloadInterruptedError,
    HostNotAllowedError,
    ResultGoneError,
    ResultUnusableError,
)
from lora_drop.ports import ArtifactSource
from tests.adapters.hostile_urls import HOSTILE, PRIVATE
from tests.support.cdn import DATA, HOSTS, LATER, Cdn, artifact, read
from tests.support.sweeps import sweep

HERE = "https://v3.fal.media/files/a/lora"
REDIRECTS = (301, 302, 303, 307, 308)
ANY_HOSTILE = sweep(range(len(HOSTILE)), sample=34)


PUBLIC = "151.101.1.1"


@dataclass
class RecordingNetwork(httpcore.NetworkBackend):
    """A network that notes DNS queries and connections, and reaches no other host.

    ``names`` are what there is in the DNS, each with the answers to one look-up after another.

    Every address answers with ``says``, each a whole HTTP answer, in turn.
    """

    names: dict[str, list[Sequence[str]]] = field(default_factory=dict)
    says: list[bytes] = field(default_factory=lambda: [answer(b"the file")])
    down: Sequence[str] = ()
    looked_up: list[tuple[str, int]] = field(default_factory=list)
    connected: list[tuple[str, int]] = field(default_factory=list)
    streams: list["RecordingStream"] = field(default_factory=list)

    def files(self, *, private: bool = False) -> CdnFiles:
        network = CheckedNetwork(private=private, resolve=self.resolve, network=self)
        return CdnFiles(HOSTS, network=network)

    def resolve(self, host: str, port: int) -> Sequence[str]:
        self.looked_up.append((host, port))
        answers = self.names.get(host)
        if answers is None:
            return [PUBLIC]
        return answers.pop(0) if len(answers) > 1 else answers[0]

    def connect_tcp(self, host: str, port: int, *_: Any, **__: Any) -> httpcore.NetworkStream:
        self.connected.append((host, port))
        if host in self.down:
            raise httpcore.ConnectError("refused")
        self.streams.append(
            RecordingStream(self.says.pop(0) if len(self.says) > 1 else self.says[0])
        )
        return self.streams[-1]

    @property
    def sent(self) -> bytes:
        """Everything that was written on any connection."""
        return b"".join(stream.written for stream in self.streams)


class RecordingStream(httpcore.NetworkStream):
    """A connection on which one answer comes."""

    def __init__(self, says: bytes) -> None:
        self._says = says
        self.written = b""
        self.certificate_of: str | None = None

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        del timeout
        piece, self._says = self._says[:max_bytes], self._says[max_bytes:]
        return piece

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        del timeout
        self.written += buffer

    def close(self) -> None:
        """Nothing is open."""

    def start_tls(
        self, ssl_context: object, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        del ssl_context, timeout
        self.certificate_of = server_hostname
        return self

    def get_extra_info(self, info: str) -> Any:
        return None if info else info


def answer(body: bytes = b"", *, status: int = 200, **headers: str) -> bytes:
    """An HTTP answer as it is on the line."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def opened(files: ArtifactSource, url: str = HERE) -> None:
    with files.open(artifact(url), until=LATER):
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


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("address", PRIVATE)
@pytest.mark.parametrize("beside", [[], [PUBLIC]])
def test_private_address_is_not_called(address: str, beside: list[str]) -> None:
    """A listed name that resolves to a private address is not called."""
    network = RecordingNetwork({"v3.fal.media": [[*beside, address]]})
    with pytest.raises(HostNotAllowedError, match="ALLOW_PRIVATE_ARTIFACT_HOSTS"):
        opened(network.files())
    assert network.connected == []


@pytest.mark.parametrize(
    ("addresses", "down"),
    [
        *(([PUBLIC], []), (["2606:4700::1111"], []), (["64:ff9b::9765:101"], [])),
        (["2606:4700::1111", PUBLIC], ["2606:4700::1111"]),
    ],
)
def test_public_addresses_are_called(addresses: list[str], down: list[str]) -> None:
    """Where the first address is down the next one is called."""
    network = RecordingNetwork({"v3.fal.media": [addresses]}, down=down)
    opened(network.files())
    assert network.connected == [(address, 443) for address in addresses]


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


@pytest.mark.parametrize("addresses", [[], [PUBLIC]])
def test_unreachable_host_is_retried(addresses: list[str]) -> None:
    network = RecordingNetwork({"v3.fal.media": [addresses]}, down=[PUBLIC])
    with pytest.raises(DownloadInterruptedError):
        opened(network.files())


@pytest.mark.parametrize(
    ("address", "connected"),
    [("8.8.8.8", [(PUBLIC, 443), ("8.8.8.8", 443)]), ("127.0.0.1", [(PUBLIC, 443)])],
)
def test_listed_redirect_is_checked_again(address: str, connected: list[tuple[str, int]]) -> None:
    """A redirect within the list is followed, and its address is checked again."""
    moved = answer(status=302, Location="https://v3b.fal.media/elsewhere")
    network = RecordingNetwork({"v3b.fal.media": [[address]]}, [moved, answer(DATA)])
    with nullcontext() if len(connected) > 1 else pytest.raises(HostNotAllowedError):
        opened(network.files())
        assert b"GET /elsewhere HTTP/1.1\r\nHost: v3b.fal.media\r\n" in network.sent
    assert network.looked_up == [("v3.fal.media", 443), ("v3b.fal.media", 443)]
    assert network.connected == connected


def moving(location: str, there: httpx.Response) -> Cdn:
    """Each file has moved to ``y``."""
    moved = httpx.Response(308, headers={"Location": location})
    return Cdn(lambda request: there if "y" in request.url.path + str(request.url.query) else moved)


@pytest.mark.parametrize("location", ["/y", "y", "?y", "//v3b.fal.media/y", "https://fal.media/y"])
def test_moved_file_is_read(location: str) -> None:
    assert read(moving(location, httpx.Response(200, content=DATA)).files(), artifact()) == DATA


def test_redirect_to_missing_file_is_gone() -> None:
    with pytest.raises(ResultGoneError):
        read(moving("/y", httpx.Response(410)).files(), artifact())


def test_endless_redirects_end() -> None:
    cdn = Cdn(httpx.Response(302, headers={"Location": HERE}))
    with pytest.raises(DownloadInterruptedError, match="redirected"):
        read(cdn.files(), artifact())
    assert len(cdn.requests) == 4


@pytest.mark.parametrize("headers", [{"Content-Length": str(len(DATA) * 10)}, {}], ids=len)
def test_oversized_file_is_refused(headers: dict[str, str]) -> None:
    cdn = Cdn(httpx.Response(200, headers=headers, stream=httpx.ByteStream(DATA * 10)))
    with pytest.raises(ResultUnusableError) as refused:
        read(cdn.files(most=len(DATA)), artifact())
    assert "larger than" in refused.value.problem.message
    assert read(cdn.files(most=len(DATA) * 10), artifact()) == DATA * 10


def test_resolver_reads_literal_addresses() -> None:
    assert "127.0.0.1" in resolved("127.0.0.1", 443)


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize(
    ("listed", "asked", "allowed"),
    [
        ("[::1]:8443", "[::1]:8443", True),
        ("[2001:DB8::A]:9000", "[2001:db8::a]:9000", True),
        ("[2001:db8::a]", "[2001:db8::a]", True),
        ("[::1]:8443", "[::1]", False),
        ("[::1]:8443", "[0:0:0:0:0:0:0:1]:8443", False),
        ("[::1]:8443", "x.[::1]:8443", False),
        ("[::1]:8443", "[::1%25lo]:8443", False),
        ("[::ffff:127.0.0.1]:8443", "[::ffff:127.0.0.1]:8443", False),
        ("fal.media", "[::1]", False),
    ],
)
def test_ipv6_address_stands_for_itself_alone(*, listed: str, asked: str, allowed: bool) -> None:
    """An IPv6 address is fetched from only where the list has it, letter for letter and with its port."""
    assert AllowedHosts([listed]).allow(f"https://{asked}/files/a") is allowed

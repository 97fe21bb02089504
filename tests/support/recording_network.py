"""A network that notes who looks up what and who connects where, and reaches nobody else."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpcore

from lora_drop.adapters.checked_network import CheckedNetwork
from lora_drop.adapters.download import CdnFiles

PUBLIC = "151.101.1.1"


@dataclass
class RecordingNetwork(httpcore.NetworkBackend):
    """``names`` are what there is in the DNS, each with the answers to one look-up after another.

    Every address answers with ``says``, each a whole HTTP answer, in turn.
    """

    names: dict[str, list[Sequence[str]]] = field(default_factory=dict)
    says: list[bytes] = field(default_factory=lambda: [answer(b"the file")])
    down: Sequence[str] = ()
    looked_up: list[tuple[str, int]] = field(default_factory=list)
    connected: list[tuple[str, int]] = field(default_factory=list)
    streams: list["RecordingStream"] = field(default_factory=list)

    def files(self, *hosts: str, private: bool = False) -> CdnFiles:
        network = CheckedNetwork(private=private, resolve=self.resolve, network=self)
        return CdnFiles(hosts or ["fal.media", "127.0.0.1:8443"], network=network)

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

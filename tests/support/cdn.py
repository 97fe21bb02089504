"""fal's CDN without a network: any answer, or ranges of one file, any one answer changed."""

import re
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from time import monotonic
from typing import Any

import httpx

from lora_drop.adapters.download import CdnFiles
from lora_drop.jobs.artifacts import Artifact
from tests.support.wire import Body, Said, Wire

DATA = bytes(range(256)) * 16
LARGE = DATA * 512  # 2 MiB
FIRST = 64 * 1024
HOSTS = ["fal.media", "127.0.0.1:8443"]
ETAG = '"5ca1ab1e"'
LATER = monotonic() + 3600
type Change = Callable[[httpx.Response], Said]


class Cdn(Wire):
    """The CDN with these answers; the usual one is a small file."""

    def __init__(self, *answers: Said | Callable[[httpx.Request], Said]) -> None:
        super().__init__(*(answers or [httpx.Response(200, content=DATA)]))

    def files(self, hosts: Sequence[str] = HOSTS, **how: Any) -> CdnFiles:
        return CdnFiles(hosts, transport=self(), **how)


def artifact(url: str = "https://v3.fal.media/files/a/lora", size: int | None = None) -> Artifact:
    return Artifact(name="lora.safetensors", url=url, size=size)


def read(files: CdnFiles, what: Artifact, part: int = 1000) -> bytes:
    """The file, part by part, until it ends."""
    found = bytearray()
    with files.open(what, until=LATER) as file:
        buffer = memoryview(bytearray(part))
        while file.size is None or len(found) < file.size:
            got = file.read(len(found), buffer)
            found += buffer[:got]
            if got < part:
                break
    return bytes(found)


class Ranged(Cdn):
    """A CDN with ranges; ``changed`` makes another answer of that to the nth request."""

    def __init__(self, changed: Mapping[int, Change] | None = None, *, data: bytes = LARGE) -> None:
        super().__init__(self._answered)
        self.changed, self._data, self._numbers = changed or {}, data, count(1)

    def files(self, hosts: Sequence[str] = HOSTS, **how: Any) -> CdnFiles:
        return super().files(hosts, first=FIRST, **how)

    def _answered(self, request: httpx.Request) -> Said:
        changed = self.changed.get(next(self._numbers))
        usual = self._range(request)
        return changed(usual) if changed else usual

    def _range(self, request: httpx.Request) -> httpx.Response:
        asked = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("Range", ""))
        if not asked or request.headers.get("If-Range", ETAG) != ETAG:
            return httpx.Response(200, content=self._data, headers={"ETag": ETAG})
        start, end = int(asked[1]), min(int(asked[2]) + 1, len(self._data))
        served = {"ETag": ETAG, "Content-Range": f"bytes {start}-{end - 1}/{len(self._data)}"}
        return httpx.Response(206, content=self._data[start:end], headers=served)

    def asked(self) -> list[tuple[int, int]]:
        """The ranges that were asked for, first byte and the one after the last."""
        spans = [request.headers["Range"][6:].split("-") for request in self.requests]
        return [(int(start), int(last) + 1) for start, last in spans]

    def reading(self, offset: int = 0, length: int = len(LARGE)) -> bytes:
        buffer = bytearray(length)
        with self.files().open(artifact(), until=LATER) as file:
            assert file.read(offset, memoryview(buffer)) == length
        return bytes(buffer)


def headed(**headers: str | None) -> Change:
    """The usual answer with other headers; None takes one away."""

    def change(usual: httpx.Response) -> httpx.Response:
        for name, value in headers.items():
            usual.headers.pop(name.replace("_", "-"), None)
            if value is not None:
                usual.headers[name.replace("_", "-")] = value
        return usual

    return change


def status(code: int) -> Change:
    return lambda _: httpx.Response(code)


def bodied(make: Callable[[bytes], Body]) -> Change:
    """The usual answer with a body that is made of its own, and no length."""

    def change(usual: httpx.Response) -> httpx.Response:
        headers = {name: usual.headers[name] for name in ("ETag", "Content-Range")}
        return httpx.Response(206, headers=headers, stream=make(usual.content))

    return change


def breaking(keep: int, error: Exception | None) -> Change:
    """The body breaks after so many bytes, or ends there without a word."""
    return bodied(lambda content: Body([content[:keep]], error))

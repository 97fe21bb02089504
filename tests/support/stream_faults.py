"""What can go wrong on the way from the CDN, and how a delivery ends that it strikes."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

from tests.support.builders import make_weights
from tests.support.cdn import Asked, Fault, Said

PART = 16 * 1024
FIRST = PART // 4
DATA = make_weights(6 * PART + 1234)
OTHER = make_weights(6 * PART + 1234, seed=b"another")
MID = 3 * PART  # the third part's end: past what a copy that goes on has already


type Change = Callable[[Said], Said]


class End(StrEnum):
    """How the delivery ends that the fault strikes."""

    STORED = "stored"
    INTERRUPTED = "interrupted"


def always(change: Change) -> Fault:
    return lambda _, usual: change(usual)


def later(change: Change) -> Fault:
    """From the fourth part on, where ranges are asked for."""
    return lambda asked, usual: (
        change(usual) if asked.span is not None and asked.span[0] >= MID else usual
    )


@dataclass(frozen=True)
class Once:
    """A fault that strikes a single time."""

    fault: Fault

    def armed(self) -> Fault:
        struck: list[Said] = []

        def strike(asked: Asked, usual: Said) -> Said:
            said = self.fault(asked, usual)
            if said is usual or struck:
                return usual
            struck.append(said)
            return said

        return strike


def cut_at(offset: int, *, reset: bool = False) -> Fault:
    """Whatever has this byte of the file in it ends before it."""

    def change(_: Asked, usual: Said) -> Said:
        at = offset - usual.start
        if usual.status not in (200, 206) or not 0 <= at < len(usual.body):
            return usual
        return replace(usual, cut=at, reset=reset)

    return change


def status(code: int, **headers: str) -> Change:
    return lambda _: Said(code, b"no", {"Content-Length": "2", **headers})


def without_ranges(usual: Said) -> Said:
    headers = {name: usual.headers[name] for name in ("ETag",)}
    return Said(200, DATA, {**headers, "Content-Length": str(len(DATA))})


def packed(usual: Said) -> Said:
    body = gzip.compress(usual.body, 1)
    return replace(usual, body=body).headed(Content_Encoding="gzip", Content_Length=str(len(body)))


def chunked(usual: Said) -> Said:
    return replace(usual, chunked=True).headed(Content_Length=None, Transfer_Encoding="chunked")


def cut_clean(usual: Said) -> Said:
    """Ends early, as if that were all."""
    return replace(usual, body=usual.body[:MID])


def longer(usual: Said) -> Said:
    return chunked(replace(usual, body=usual.body + b"x"))


def shifted(usual: Said) -> Said:
    start, end = usual.start + 1, usual.start + len(usual.body)
    return usual.headed(Content_Range=f"bytes {start}-{end}/{len(DATA)}")


def numbered(asked: Asked, usual: Said) -> Said:
    """A server of many, each with an ETag of its own."""
    return usual.headed(ETag=f'"{asked.number}"')


def empty(usual: Said) -> Said:
    return replace(usual, body=b"").headed(Content_Length="0")


def raw(data: bytes) -> Change:
    return lambda usual: replace(usual, raw=data)


def unsized(usual: Said) -> Said:
    return usual.headed(Content_Length=None)


def length(change: int) -> Change:
    return lambda usual: usual.headed(Content_Length=str(len(usual.body) + change))


TWO_LENGTHS = b"HTTP/1.1 200 x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n123456"
STORED, BROKEN = End.STORED, End.INTERRUPTED
EDGES = (0, 1, PART - 1, PART, PART + 1, MID - 1, MID, MID + 1, len(DATA) - 1)
# What goes wrong, how that ends from the beginning on, and how from the fourth part on.
CHANGES: dict[str, tuple[Change, End, End]] = {
    "length too short": (length(-10), BROKEN, STORED),
    "chunked, and longer": (longer, BROKEN, STORED),
    "packed": (packed, STORED, STORED),
    "ranges ignored": (without_ranges, STORED, STORED),
    "another range": (shifted, STORED, STORED),
    "no etag": (lambda said: said.headed(ETag=None), STORED, STORED),
    "a weak etag": (lambda said: said.headed(ETag='W/"5ca1ab1e"'), STORED, STORED),
    **{f"{code}": (status(code), BROKEN, BROKEN) for code in (403, 404, 410, 429, 500, 503)},
    "416": (status(416, Content_Range="bytes */7"), BROKEN, STORED),
    "a redirect": (status(307, Location="/files/other"), BROKEN, BROKEN),
    "a redirect elsewhere": (status(308, Location="https://evil.example/"), BROKEN, BROKEN),
    "an empty body": (empty, BROKEN, STORED),
    "garbage": (raw(b"SSH-2.0-x\r\n\r\n"), BROKEN, BROKEN),
}


def and_cut(offset: int, change: Change) -> Fault:
    return lambda asked, said: cut_at(offset)(asked, change(said))


FAULTS: dict[str, tuple[Fault | Once, End]] = {
    "nothing": (always(lambda usual: usual), STORED),
    **{f"closed at {edge}": (cut_at(edge), BROKEN) for edge in EDGES},
    **{f"closed once at {edge}": (Once(cut_at(edge)), STORED) for edge in EDGES},
    **{f"reset at {edge}": (cut_at(edge, reset=True), BROKEN) for edge in (MID - 1, MID, MID + 1)},
    "reset once": (Once(cut_at(MID + 7, reset=True)), STORED),
    **{name: (always(change), end) for name, (change, end, _) in CHANGES.items()},
    **{f"{name} later": (later(change), end) for name, (change, _, end) in CHANGES.items()},
    "length too long": (always(lambda said: replace(length(10)(said), cut=len(said.body))), BROKEN),
    "length too long later": (later(length(10)), STORED),
    "no length": (always(unsized), STORED),
    "no length, and cut": (and_cut(MID + 9, unsized), BROKEN),
    "chunked": (always(chunked), STORED),
    "chunked, and cut": (and_cut(MID + 9, chunked), BROKEN),
    "chunked without ranges": (always(lambda said: chunked(without_ranges(said))), STORED),
    "chunked without ranges, and longer": (
        always(lambda said: longer(without_ranges(said))),
        BROKEN,
    ),
    "packed, and cut": (and_cut(1000, packed), BROKEN),
    "ranges ignored, and cut": (and_cut(MID, without_ranges), BROKEN),
    "another total later": (
        later(lambda said: said.headed(Content_Range=said.headers["Content-Range"] + "0")),
        STORED,
    ),
    "no range said later": (later(lambda said: said.headed(Content_Range=None)), STORED),
    "many ranges": (
        always(
            lambda said: said.headed(
                Content_Range=None, Content_Type="multipart/byteranges; boundary=x"
            )
        ),
        STORED,
    ),
    "an etag each time": (numbered, STORED),
    **{f"{code}": (always(status(code)), BROKEN) for code in (202, 204)},
    "503 once": (Once(later(status(503))), BROKEN),
    "412 later": (later(status(412)), STORED),
    "no answer": (always(raw(b"")), BROKEN),
    "no answer once": (Once(later(raw(b""))), STORED),
    "two lengths": (always(raw(TWO_LENGTHS)), BROKEN),
    "an endless head": (always(raw(b"HTTP/1.1 200 x\r\nA: " + b"x" * 200_000)), BROKEN),
    "an error page": (always(lambda _: Said(200, b"<html>", {"Content-Length": "6"})), BROKEN),
}

"""Key sets, and what the address that serves them does: 13 by 9, and what follows from it."""

import json
from collections.abc import Mapping
from typing import Any

from tests.support.vectors.scheme import (
    BODY,
    NOW,
    REQUEST,
    SIGNATURE,
    Group,
    headers_of,
    jwk,
    public,
    replaced,
    signing_key,
    written,
)

CURRENT, FORMER = jwk(public("current")), jwk(public("former"))
OTHERS = [jwk(public(f"other {number}")) for number in range(16)]
# The neutral element, and a point of order 8: any message has a signature for them.
NEUTRAL = (1).to_bytes(32, "little")
LOW = bytes.fromhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a")
STANDARD = CURRENT["x"].replace("-", "+").replace("_", "/")
MALFORMED: list[Any] = [
    *(None, 7, "Ed25519", [], {}, {"kty": "OKP", "crv": "Ed25519"}),
    *(CURRENT | {"x": 7}, CURRENT | {"x": CURRENT["x"][:20]}, CURRENT | {"x": CURRENT["x"] + "A"}),
]
WRONG = [
    *(CURRENT | {"kty": "EC"}, CURRENT | {"crv": "X25519"}, CURRENT | {"crv": "ed25519"}),
    *(CURRENT | {"use": "enc"}, CURRENT | {"alg": "ES256"}, CURRENT | {"key_ops": ["sign"]}),
]
TABLE: Mapping[str, list[Any]] = {
    "former": [FORMER],
    "current": [CURRENT],
    "both": [FORMER, CURRENT],
    "none": [],
    "16 keys": [*OTHERS[:15], CURRENT],
    "17 keys": [*OTHERS, CURRENT],
    "malformed ones first": [*MALFORMED, CURRENT],
    "wrong kind": WRONG,
    "one kid for two": [FORMER | {"kid": "1"}, CURRENT | {"kid": "1"}],
    "padded": [CURRENT | {"x": CURRENT["x"] + "="}],
    "labelled": [CURRENT | {"kid": "2", "use": "sig", "alg": "EdDSA"}],
    "the other alphabet": [CURRENT | {"x": STANDARD}],
    "small order": [jwk(NEUTRAL), jwk(LOW)],
}
# What there is of a set: the key that signed, others, or none that can be used.
HAS = {"former": "others", "17 keys": "others"} | dict.fromkeys(
    ("none", "wrong kind", "the other alphabet", "small order"), "none"
)
MORE: Mapping[str, list[Any]] = {
    "small order beside it": [jwk(NEUTRAL), CURRENT],
    "with a private half": [CURRENT | {"d": CURRENT["x"]}],
    "in another writing": [CURRENT | {"x": CURRENT["x"][:-1] + chr(ord(CURRENT["x"][-1]) + 1)}],
    "not reduced": [jwk((2**255 - 19 + 3).to_bytes(32, "little"))],
}
# Any message, under a key of small order: R is the neutral element and S is 0.
FORGED = replaced(headers_of(BODY), SIGNATURE, (NEUTRAL + bytes(32)).hex())
# What an address can do instead of serving a key set.
BROKEN: Mapping[str, dict[str, Any]] = {
    "down": {"error": "refused"},
    "slow": {"error": "timeout"},
    "5 MB": {"status": 200, "padded_to": 5_000_000, "document": "current"},
    "redirect": {"status": 302, "location": "https://rest.fal.evil.example/jwks.json"},
    "no JSON": {"status": 200, "body": written(b"<html>down for maintenance</html>")},
}
HOUR = 3600


def documents() -> dict[str, str]:
    """Every key set by its name, as it is served."""
    return {name: json.dumps({"keys": rows}) for name, rows in {**TABLE, **MORE}.items()}


def served(name: str) -> dict[str, Any]:
    return {"status": 200, "document": name}


def key(age: int, name: str) -> dict[str, Any]:
    """What a verifier has fetched some seconds ago."""
    return {"fetched_at": NOW - age, "document": name}


def table() -> Group:
    group = Group(
        "key sets",
        "13 key sets by what the address does now; what is broken is so an hour after the set came.",
    )
    for name in TABLE:
        holds = HAS.get(name, "it")
        now = _verdict(holds)
        group.add(f"{name}, never fetched", *now, endpoint=served(name))
        group.add(f"{name}, fetched before", *now, endpoint=served(name), cached=key(120, name))
        before = key(24 * HOUR - 1, "former")
        # A key is at hand in any case, so a set without any is only no news.
        fresh = now if holds == "it" else ("refused", "signature")
        group.add(f"{name}, new within a day", *fresh, endpoint=served(name), cached=before)
        before = key(24 * HOUR, "former")
        group.add(f"{name}, new after a day", *now, endpoint=served(name), cached=before)
        for how, answer in BROKEN.items():
            group.add(f"{name}, now {how}", *now, endpoint=answer, cached=key(HOUR, name))
    return group


def more() -> Group:
    group = Group("more key sets", "Nothing to verify with is no verdict: answer 503, not 401.")
    for how, answer in BROKEN.items():
        group.add(f"{how}, never fetched", *_verdict("none"), endpoint=answer)
        old = key(24 * HOUR, "current")
        group.add(f"{how}, fetched a day ago", *_verdict("none"), endpoint=answer, cached=old)
    for status in (204, 301, 307, 401, 404, 429, 500, 503):
        group.add(f"status {status}", *_verdict("none"), endpoint={"status": status})
    for says, body in {
        "empty": b"",
        "a list": b"[]",
        "no keys": b"{}",
        "deep": b"[" * 5000,
    }.items():
        answer = {"status": 200, "body": written(body)}
        group.add(says, *_verdict("none"), endpoint=answer)
    signed = headers_of(BODY)
    group.add("small order beside it", *_verdict("it"), endpoint=served("small order beside it"))
    for name in ("small order", "small order beside it"):
        verdict = _verdict("none" if name in HAS else "others")
        says = f"{name}, a signature that holds for it"
        group.add(says, *verdict, endpoint=served(name), headers=FORGED)
    for name in ("with a private half", "in another writing", "not reduced"):
        group.add(name, *_verdict("none"), endpoint=served(name), headers=signed)
    former = headers_of(BODY, key=signing_key("former"))
    group.refuse("a key taken back", "signature", headers=former)
    kept = key(HOUR, "both")
    group.add("a key taken back, kept a day", *_verdict("it"), headers=former, cached=kept)
    moved = replaced(former, REQUEST, "another")
    group.refuse("nor for another request", "signature", headers=moved, cached=kept)
    return group


def _verdict(holds: str) -> tuple[str, str]:
    if holds == "it":
        return "accepted", ""
    return ("refused", "signature") if holds == "others" else ("unavailable", "keys")


def groups() -> list[Group]:
    """All of them."""
    return [table(), more()]

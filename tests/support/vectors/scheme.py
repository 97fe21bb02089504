"""fal's scheme as it is documented, written independently: vectors owe nothing to the code that they judge."""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from nacl.signing import SigningKey

NOW = 1_795_521_600  # 2026-11-24T12:00:00Z
USER_ID = "auth0|65f0c0ffee"
REQUEST_ID = "764cabcf-b745-4b3e-ae38-1200304cf45b"
REQUEST, USER, TIME, SIGNATURE = (
    f"X-Fal-Webhook-{name}" for name in ("Request-Id", "User-Id", "Timestamp", "Signature")
)
type Pairs = list[list[str]]
type Test = dict[str, Any]


def seed(name: str) -> bytes:
    """The 32 bytes that a key is made of: all there is of chance in the vectors."""
    return hashlib.sha256(f"lora-drop webhook vectors: {name}".encode()).digest()


def signing_key(name: str) -> SigningKey:
    return SigningKey(seed(name))


def jwk(public: bytes, **members: Any) -> dict[str, Any]:
    """A row of a JWKS (RFC 8037)."""
    x = base64.urlsafe_b64encode(public).decode().rstrip("=")
    return {"kty": "OKP", "crv": "Ed25519", "x": x, **members}


def public(name: str) -> bytes:
    return bytes(signing_key(name).verify_key)


def body_of(request_id: str = REQUEST_ID, **changes: Any) -> bytes:
    """A small body in fal's own form: sorted keys, Python's separators."""
    body = {
        "error": None,
        "gateway_request_id": request_id,
        "payload": None,
        "request_id": request_id,
        "status": "OK",
    }
    return json.dumps({**body, **changes}, sort_keys=True).encode()


def headers_of(
    body: bytes,
    *,
    request_id: str = REQUEST_ID,
    user_id: str = USER_ID,
    timestamp: int | str = NOW,
    key: SigningKey | None = None,
) -> Pairs:
    """The four headers that come with this body."""
    digest = hashlib.sha256(body).hexdigest()
    message = f"{request_id}\n{user_id}\n{timestamp}\n{digest}".encode()
    signature = (key or signing_key("current")).sign(message).signature.hex()
    return [[REQUEST, request_id], [USER, user_id], [TIME, str(timestamp)], [SIGNATURE, signature]]


def written(body: bytes) -> str:
    return base64.b64encode(body).decode()


BODY = body_of()
# What a test says nothing of is as it is here, or in its group.
USUAL: Test = {
    "now": NOW,
    "user_id": USER_ID,
    "cached": None,
    "endpoint": {"status": 200, "document": "current"},
    "headers": headers_of(BODY),
    "body": written(BODY),
}


@dataclass
class Group:
    """Tests of one kind; ``usual`` is what they have in common besides."""

    name: str
    says: str
    usual: Test = field(default_factory=dict)
    tests: list[Test] = field(default_factory=list)

    def add(self, says: str, verdict: str, reason: str, **differs: Any) -> None:
        self.tests.append({"says": says, **differs, "verdict": verdict, "reason": reason})

    def refuse(self, says: str, reason: str, **differs: Any) -> None:
        self.add(says, "refused", reason, **differs)

    def accept(self, says: str, **differs: Any) -> None:
        self.add(says, "accepted", "", **differs)


def replaced(pairs: Pairs, name: str, *values: str) -> Pairs:
    """The headers with other values for one of them, or none."""
    found: Pairs = []
    for key, value in pairs:
        found += [[key, each] for each in values] if key == name else [[key, value]]
    return found


def numbered(groups: Sequence[Group]) -> list[dict[str, Any]]:
    """The groups as they are published, every test with a number of its own."""
    number, listed = 0, []
    for group in groups:
        tests = []
        for test in group.tests:
            number += 1
            tests.append({"id": number, **test})
        listed.append(
            {"name": group.name, "says": group.says, "usual": group.usual, "tests": tests}
        )
    return listed

r"""Whether a delivery is fal's: what fal signs, and for how long it is believed.

The scheme (fal, "Webhooks"): Ed25519 over ``request_id\nuser_id\ntimestamp\nsha256hex(body)``,
keys in a JWKS without key ids, so every key is tried; timestamps within 300 seconds.
"""

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared.domain.errors import BadDelivery

TOLERANCE_SECONDS = 300
MAX_BODY = 256 * 1024
MAX_KEYS = 16
KEY_BYTES = 32
PREFIX = "x-fal-webhook-"
# The grammar of each signed header. No line end can hide in one and move the fields' borders.
GRAMMARS: Mapping[str, str] = {
    "request-id": r"[A-Za-z0-9_-]{1,128}",
    "user-id": r"[A-Za-z0-9_|:.@-]{1,128}",
    "timestamp": r"[0-9]{10}",
    "signature": r"[0-9a-f]{128}",
}

type VerifySignature = Callable[[bytes, bytes, bytes], bool]
"""(public key, message, signature) to whether it holds; the cryptography comes from outside."""


@dataclass(frozen=True, slots=True)
class RawDelivery:
    """A delivery as it came: every header, and the body byte by byte."""

    headers: Mapping[str, Sequence[str]]
    body: bytes


@dataclass(frozen=True, slots=True)
class Delivery:
    """A verified delivery: who sent what, when."""

    request_id: str
    user_id: str
    sent_at: datetime
    body: bytes


@dataclass(frozen=True, slots=True)
class SignedHeaders:
    """The four headers of a delivery, each of its exact form."""

    request_id: str
    user_id: str
    timestamp: str
    signature: bytes

    def message(self, body: bytes) -> bytes:
        """The bytes that fal signs."""
        digest = hashlib.sha256(body).hexdigest()
        return f"{self.request_id}\n{self.user_id}\n{self.timestamp}\n{digest}".encode()


def signed_headers(headers: Mapping[str, Sequence[str]]) -> SignedHeaders:
    """The four headers, each given exactly once and of its form; raises BadDelivery."""
    found: dict[str, str] = {}
    for name, grammar in GRAMMARS.items():
        values = [
            value for key, all_ in headers.items() if key.lower() == PREFIX + name for value in all_
        ]
        if len(values) != 1:
            raise BadDelivery(f"{PREFIX}{name} is given {len(values)} times, not once")
        if not re.fullmatch(grammar, values[0], re.ASCII):
            raise BadDelivery(f"{PREFIX}{name} is malformed")
        found[name] = values[0]
    return SignedHeaders(
        request_id=found["request-id"],
        user_id=found["user-id"],
        timestamp=found["timestamp"],
        signature=bytes.fromhex(found["signature"]),
    )


def verify(
    headers: SignedHeaders,
    body: bytes,
    *,
    keys: Sequence[bytes],
    verify_signature: VerifySignature,
    now: datetime,
) -> Delivery:
    """The delivery, if one of the keys signed exactly this within 300 s; raises BadDelivery."""
    if len(body) > MAX_BODY:
        raise BadDelivery(f"the body has {len(body)} bytes, more than {MAX_BODY}")
    message = headers.message(body)
    if not any(verify_signature(key, message, headers.signature) for key in keys):
        raise BadDelivery("no key of fal's made this signature")
    sent_at = datetime.fromtimestamp(int(headers.timestamp), tz=now.tzinfo)
    age = (now - sent_at).total_seconds()
    if abs(age) > TOLERANCE_SECONDS:
        raise BadDelivery(f"the signature is {age:.0f} seconds old")
    return Delivery(headers.request_id, headers.user_id, sent_at, body)


def keys_in(document: bytes) -> tuple[bytes, ...]:
    """The Ed25519 public keys of a JWKS (RFC 8037), 32 bytes each; others are left out.

    Accepts padded and unpadded base64url: fal's own sample decodes without padding. Raises
    BadDelivery when the document is no JWKS at all.
    """
    try:
        listed = json.loads(document)["keys"]
        rows = [row for row in listed if isinstance(row, dict)]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise BadDelivery("the key set is not a JWKS") from error
    keys = (_key(row.get("x")) for row in rows if _is_ed25519(row))
    return tuple(key for key in keys if key is not None)[:MAX_KEYS]


def _is_ed25519(row: Mapping[str, object]) -> bool:
    return (row.get("kty"), row.get("crv")) == ("OKP", "Ed25519")


def _key(x: object) -> bytes | None:
    if not isinstance(x, str) or not re.fullmatch(r"[A-Za-z0-9_-]{43}=?", x, re.ASCII):
        return None
    try:
        key = base64.urlsafe_b64decode(x.rstrip("=") + "=")
    except binascii.Error:
        return None
    return key if len(key) == KEY_BYTES else None

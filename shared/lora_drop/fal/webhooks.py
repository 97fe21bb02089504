r"""Whether a delivery is fal's: what fal signs, and for how long it is believed.

The scheme (fal, "Webhooks"): Ed25519 over ``request_id\nuser_id\ntimestamp\nsha256hex(body)``,
keys in a JWKS without key ids, so every key is tried; timestamps within 300 seconds.
"""

import base64
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from lora_drop.jobs.errors import InvalidWebhookError, StaleWebhookError

TOLERANCE_SECONDS = 300
MAX_BODY = 256 * 1024
MAX_KEYS = 16
KEY_BYTES = 32
# A key is a y of the curve's field and, in its last bit, the sign of x (RFC 8032, 5.1.2).
FIELD = 2**255 - 19
# The y of every point whose order divides 8: with such a "key" one signature holds for any message.
SMALL_ORDER = frozenset(
    {
        *(0, 1, FIELD - 1),
        0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD84D3D706A17C7,
        0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826,
    }
)
ALGORITHMS = (None, "EdDSA", "Ed25519")  # RFC 8037 and RFC 9864; it need not be said
PREFIX = "x-fal-webhook-"
# The grammar of each signed header. No line end can hide in one and move the fields' borders.
GRAMMARS: Mapping[str, str] = {
    "request-id": r"[A-Za-z0-9_-]{1,128}",
    "user-id": r"[A-Za-z0-9_|:.@-]{1,128}",
    "timestamp": r"[0-9]{10}",
    "signature": r"[0-9a-fA-F]{128}",
}

type VerifySignature = Callable[[bytes, bytes, bytes], bool]
"""(public key, message, signature) to whether it holds; the cryptography comes from outside."""


@dataclass(frozen=True, slots=True)
class RawDelivery:
    """A delivery as it came: every header, and the body byte by byte."""

    headers: Mapping[str, Sequence[str]]
    body: bytes


@dataclass(frozen=True, slots=True)
class WebhookDelivery:
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
        """Return the bytes that fal signs."""
        digest = hashlib.sha256(body).hexdigest()
        return f"{self.request_id}\n{self.user_id}\n{self.timestamp}\n{digest}".encode()


def signed_headers(headers: Mapping[str, Sequence[str]]) -> SignedHeaders:
    """Return the four headers, each given exactly once and of its form; raises InvalidWebhookError."""
    found: dict[str, str] = {}
    for name, grammar in GRAMMARS.items():
        values = [
            value for key, all_ in headers.items() if key.lower() == PREFIX + name for value in all_
        ]
        if len(values) != 1:
            raise InvalidWebhookError(f"{PREFIX}{name} is given {len(values)} times, not once")
        if not re.fullmatch(grammar, values[0], re.ASCII):
            raise InvalidWebhookError(f"{PREFIX}{name} is malformed")
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
) -> WebhookDelivery:
    """Return the delivery, if one of the keys signed exactly this within 300 s; raises InvalidWebhookError.

    StaleWebhookError, which is one, where a key did sign it and only the time is not right.
    """
    if len(body) > MAX_BODY:
        raise InvalidWebhookError(f"the body has {len(body)} bytes, more than {MAX_BODY}")
    message = headers.message(body)
    if not any(verify_signature(key, message, headers.signature) for key in keys):
        raise InvalidWebhookError("no key of fal's made this signature")
    sent_at = datetime.fromtimestamp(int(headers.timestamp), tz=now.tzinfo)
    age = (now - sent_at).total_seconds()
    if abs(age) > TOLERANCE_SECONDS:
        raise StaleWebhookError(
            f"the signature is {age:.0f} seconds old",
            request_id=headers.request_id,
            user_id=headers.user_id,
        )
    return WebhookDelivery(headers.request_id, headers.user_id, sent_at, body)


def keys_in(document: bytes) -> tuple[bytes, ...]:
    """Return the Ed25519 public keys of a JWKS (RFC 8037), 32 bytes each, the first 16 of them.

    Left out is whatever is no key that could vouch for fal alone: of another type or use, not in its
    one canonical form, of small order, or with its private half beside it. Accepts padded and
    unpadded base64url: fal's own sample decodes without padding. Raises InvalidWebhookError when the
    document is no JWKS at all.
    """
    try:
        listed = json.loads(document)["keys"]
        rows = [row for row in listed if isinstance(row, dict)]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InvalidWebhookError("the key set is not a JWKS") from error
    keys = (_key(row["x"]) for row in rows if _verifies_ed25519(row))
    return tuple(dict.fromkeys(key for key in keys if key is not None))[:MAX_KEYS]


def _verifies_ed25519(row: Mapping[str, object]) -> bool:
    """Return whether a row says that it is a public Ed25519 key, and nothing that contradicts it."""
    operations = row.get("key_ops") or ["verify"]
    return (
        (row.get("kty"), row.get("crv")) == ("OKP", "Ed25519")
        and row.get("use") in (None, "sig")
        and row.get("alg") in ALGORITHMS
        and isinstance(operations, list)
        and "verify" in operations
        and "d" not in row
        and "x" in row
    )


def _key(x: object) -> bytes | None:
    """Return the key that ``x`` writes down, in the one way there is to write it."""
    if not isinstance(x, str) or not re.fullmatch(r"[A-Za-z0-9_-]{43}=?", x, re.ASCII):
        return None
    plain = x.rstrip("=")
    key = base64.urlsafe_b64decode(plain + "=")
    if base64.urlsafe_b64encode(key).decode().rstrip("=") != plain:
        return None  # bits after the last byte: two texts for one key
    y = int.from_bytes(key, "little") & (2**255 - 1)
    return key if y < FIELD and y not in SMALL_ORDER else None

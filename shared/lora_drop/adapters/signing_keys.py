"""fal's public signing keys, fetched when needed and kept for a day at the most."""

import zlib
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from time import monotonic

import httpx
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from lora_drop.adapters.fal_transport import UNANSWERED
from lora_drop.fal.webhooks import keys_in
from lora_drop.jobs.errors import InvalidWebhookError, SigningKeysUnavailableError

MAX_AGE = timedelta(hours=24)  # fal: "Do not cache longer than 24 hours"
MIN_REFRESH = timedelta(minutes=1)  # bad signatures must not become a flood of fetches
MAX_DOCUMENT = 64 * 1024
TIMEOUT = httpx.Timeout(2.0)
PATIENCE = 4.0  # seconds for the whole document, however steadily it trickles


def verify_signature(key: bytes, message: bytes, signature: bytes) -> bool:
    """Return whether this Ed25519 key signed this message (libsodium: no small-order keys)."""
    try:
        VerifyKey(key).verify(message, signature)
    except (BadSignatureError, ValueError):
        return False
    return True


class JwksKeys:
    """The keys of one JWKS address, which is https."""

    def __init__(
        self,
        url: str,
        transport: httpx.BaseTransport | None = None,
        *,
        tick: Callable[[], float] = monotonic,
    ) -> None:
        if not url.startswith("https://"):
            raise ValueError("signing keys are fetched over https alone")
        self._url = url
        self._transport = transport
        self._tick = tick
        self._keys: tuple[bytes, ...] = ()
        self._fetched_at: datetime | None = None
        self._tried_at: datetime | None = None

    def keys(self, *, now: datetime) -> Sequence[bytes]:
        """Return the keys at hand, not older than a day; raises SigningKeysUnavailableError."""
        fresh = self._fetched_at is not None and now - self._fetched_at < MAX_AGE
        if not fresh:
            self._keys = ()
            self._refresh(now)
        if not self._keys:
            raise SigningKeysUnavailableError("fal's signing keys cannot be had")
        return self._keys

    def newer_keys(self, *, now: datetime) -> Sequence[bytes]:
        """Return keys that were not known before, asking fal at most once a minute; may be none."""
        known = set(self._keys)
        self._refresh(now)
        return tuple(key for key in self._keys if key not in known)

    def _refresh(self, now: datetime) -> None:
        if self._tried_at is not None and now - self._tried_at < MIN_REFRESH:
            return
        self._tried_at = now
        keys = self._fetch()
        if keys:
            self._keys, self._fetched_at = keys, now

    def _fetch(self) -> tuple[bytes, ...]:
        """Return the keys that fal publishes now; none when it does not answer, and the caller says so."""
        until = self._tick() + PATIENCE
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        try:
            with (
                httpx.Client(transport=self._transport, timeout=TIMEOUT, headers=headers) as client,
                # A redirect would let another host say what fal's keys are.
                client.stream("GET", self._url, follow_redirects=False) as response,
            ):
                if response.status_code != httpx.codes.OK:
                    return ()
                encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
                document = b""
                # httpx would unpack without a limit.
                for chunk in (
                    response.iter_bytes() if encoding == "identity" else response.iter_raw()
                ):
                    document += chunk
                    if len(document) > MAX_DOCUMENT or self._tick() > until:
                        return ()
            return keys_in(_unpacked(document, encoding))
        except (*UNANSWERED, InvalidWebhookError):
            return ()


def _unpacked(document: bytes, encoding: str) -> bytes:
    """Return the document as it was before a proxy packed it; raises InvalidWebhookError.

    Packed, a small document could become a large one at once, so it is unpacked up to the limit.
    """
    if encoding == "identity":
        return document
    if encoding not in ("gzip", "x-gzip"):
        raise InvalidWebhookError(f"the key set is encoded as {encoding}")
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        plain = unpacker.decompress(document, MAX_DOCUMENT)
    except zlib.error as error:
        raise InvalidWebhookError("the key set is no gzip") from error
    if not unpacker.eof:
        raise InvalidWebhookError("the key set is too large, or cut off")
    return plain

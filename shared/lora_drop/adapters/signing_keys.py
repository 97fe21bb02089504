"""fal's public signing keys, fetched when needed and kept for a day at the most."""

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
        # Packed, a small document could become a large one at once.
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        try:
            with (
                httpx.Client(transport=self._transport, timeout=TIMEOUT, headers=headers) as client,
                # A redirect would let another host say what fal's keys are.
                client.stream("GET", self._url, follow_redirects=False) as response,
            ):
                packed = "Content-Encoding" in response.headers
                if response.status_code != httpx.codes.OK or packed:
                    return ()
                document = b""
                for chunk in response.iter_bytes():
                    document += chunk
                    if len(document) > MAX_DOCUMENT or self._tick() > until:
                        return ()
            return keys_in(document)
        except (*UNANSWERED, InvalidWebhookError):
            return ()

"""The ways in which a dataset gets to fal, and what a job keeps of the one it went."""

import base64
import hashlib
from datetime import datetime
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

# fal advises against data URIs of more than a few KB and names no limit; its list of requests, which
# is asked for the lost ones, repeats each of them.
MAX_INLINE = 256 * 1024


class DeliveryMethod(StrEnum):
    """What address fal downloads a dataset from."""

    PRESIGNED = "presigned"  # the bucket's own, signed
    FAL = "fal"  # fal's own file storage
    DATA = "data"  # none: the request holds the dataset (RFC 2397), if it is small


class DatasetDelivery(BaseModel):
    """How a dataset was sent.

    ``expires_at`` is when the address stops working, None for never. ``sha256`` is the address's own,
    by which a lost request is known again; ``url`` is kept where it holds no signature.
    """

    model_config = ConfigDict(frozen=True)

    way: DeliveryMethod
    sha256: str
    expires_at: datetime | None = None
    url: str | None = None

    def made(self, url: str) -> bool:
        """Return whether this is the address that was sent."""
        return fingerprint(url) == self.sha256


def fingerprint(url: str) -> str:
    """Return the SHA-256 of an address, in hex."""
    return hashlib.sha256(url.encode()).hexdigest()


def data_uri(archive: bytes) -> str:
    """Return a ZIP as its own address (RFC 2397)."""
    return f"data:application/zip;base64,{base64.b64encode(archive).decode()}"

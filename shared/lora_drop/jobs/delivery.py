"""The ways in which a dataset comes to a stack and gets to fal, and what a job keeps of the ones it went."""

import base64
import hashlib
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Self

from pydantic import BaseModel, ConfigDict

# fal advises against data URIs of more than a few KB and names no limit; its list of requests, which
# is asked for the lost ones, repeats each of them.
MAX_INLINE = 256 * 1024


class DeliveryMethod(StrEnum):
    """What address fal downloads a dataset from."""

    PRESIGNED = "presigned"  # the bucket's own, signed
    FAL = "fal"  # fal's own file storage
    DATA = "data"  # none: the request holds the dataset (RFC 2397), if it is small


class Fetch(BaseModel):
    """An order to fetch a dataset from an address; ``digest`` is that of the order, whatever its signature.

    ``url`` may hold a signature, so it is there no longer than it is needed: None once there is nothing
    to fetch any more. ``metadata`` is what the object in the bucket gets.
    """

    # The error about an unreadable row must not contain what is in the row.
    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    digest: str
    url: str | None = None
    metadata: Mapping[str, str] = MappingProxyType({})

    @property
    def over(self) -> Self:
        """Return the order without what only the fetching needs."""
        return self.model_copy(update={"url": None, "metadata": {}})


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

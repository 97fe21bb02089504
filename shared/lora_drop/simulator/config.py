"""The settings of a simulator, and how a program reaches it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from lora_drop.simulator.errors import IMAGES

MAX_PORT = 65_535
KEY = "local:key"  # of the form of fal's own, ID:SECRET
SCOPES = frozenset({"API", "ADMIN"})
# A timeout of 0 would be none at all.
LEAST: Mapping[str, float] = {
    "port": 0,
    "training_seconds": 0,
    "picture_seconds": 0,
    "lora_rank": 1,
    "max_in_progress": 1,
    "min_images": 0,
    "result_retention": 0,
    "webhook_backoff": 0,
    "webhook_backoff_cap": 0,
    "webhook_first_timeout": 0.001,
    "webhook_retry_timeout": 0.001,
    "balance_usd": 0,
}


@dataclass(frozen=True, kw_only=True)
class SimulatorConfig:
    """Every setting of a simulator; times in seconds. ValueError, in a sentence, for a bad one."""

    host: str = "127.0.0.1"
    port: int = 0  # 0 takes a free one
    state: Path | None = None  # a temporary folder
    key: str = KEY
    key_scope: str = "ADMIN"  # fal: API keys call models, ADMIN keys delete and see what was billed
    user_id: str = "user_local"
    training_seconds: float = 3.0
    picture_seconds: float = 1.0
    # A folder of photos that an image model answers with; without one it draws.
    pictures: Path | None = None
    lora_rank: int = 16
    max_in_progress: int = 2  # fal's own limit for a new account
    min_images: int = 10
    result_retention: float = 3600.0  # fal: an hour for results under 10 KB
    webhook_backoff: float = 1.0  # doubles with each retry
    webhook_backoff_cap: float = 60.0
    webhook_first_timeout: float = 15.0
    webhook_retry_timeout: float = 120.0
    # fal does not say whether a cancelled request calls its webhook: both can be had.
    webhook_on_cancel: bool = False
    balance_usd: float = 1000.0
    # fal's File type has the content in base64 as well; which results carry it, fal does not say.
    file_data: bool = False

    def __post_init__(self) -> None:
        for name, least in LEAST.items():
            value = getattr(self, name)
            if not math.isfinite(value) or value < least:
                raise ValueError(f"{name} is {value}, and must be a number from {least} on")
        if self.pictures is not None and not photos_in(self.pictures):
            raise ValueError(f"pictures is {self.pictures}: name a folder of {', '.join(IMAGES)}")
        if self.key_scope not in SCOPES:
            raise ValueError(f"key_scope is {self.key_scope!r}: API or ADMIN")
        if self.port > MAX_PORT:
            raise ValueError(f"port is {self.port}, and must be {MAX_PORT} at most")
        if not self.host or _is_wildcard(self.host):
            raise ValueError(f"host is {self.host!r}: name an address that programs can connect to")


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How a program reaches a simulator that runs."""

    url: str
    host: str
    port: int
    host_port: str
    ca_file: Path
    user_id: str
    key: str

    def environment(self) -> dict[str, str]:
        """The settings that point fal_client and lora-drop here."""
        return {
            "FAL_RUN_HOST": self.host_port,
            "FAL_QUEUE_RUN_HOST": self.host_port,
            "FAL_REST_URL": self.url,
            "FAL_CDN_URL": self.url,
            "FAL_API_URL": f"{self.url}/v1",
            "FAL_JWKS_URL": f"{self.url}/.well-known/jwks.json",
            "FAL_USER_ID": self.user_id,
            "FAL_KEY": self.key,
            "ARTIFACT_HOSTS": self.host_port,
            "SSL_CERT_FILE": str(self.ca_file),
        }


def photos_in(folder: Path) -> list[Path]:
    """Return the photos of a folder by name; none where there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted(each for each in folder.iterdir() if each.suffix.lower() in IMAGES)


def _is_wildcard(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False  # a name

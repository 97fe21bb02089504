"""What a simulator can be told, and what it tells a program that is to use it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatorConfig:
    """Every setting of a simulator; times in seconds."""

    host: str = "127.0.0.1"
    port: int = 0  # 0 takes a free one
    state: Path | None = None  # a temporary folder
    key: str = "local-key"
    user_id: str = "user_local"
    training_seconds: float = 3.0
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
            "FAL_API_URL": f"{self.url}/v1",
            "FAL_JWKS_URL": f"{self.url}/.well-known/jwks.json",
            "FAL_USER_ID": self.user_id,
            "FAL_KEY": self.key,
            "ARTIFACT_HOSTS": self.host_port,
            "SSL_CERT_FILE": str(self.ca_file),
        }

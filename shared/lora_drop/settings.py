"""What each function reads from its environment, once, when it is first used.

Where fal is has fal's own addresses for defaults; the stack on one machine sets others.
"""

import os
from typing import Annotated, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    StringConstraints,
)

from lora_drop.fal.hosts import API_URL, CDN_URL, JWKS_URL, REST_URL, AllowedHosts, hosts_in
from lora_drop.jobs.budget import Limits
from lora_drop.jobs.delivery import DeliveryMethod

Name = Annotated[str, StringConstraints(min_length=1)]
Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s]+$")]
SafeUrl = Annotated[str, StringConstraints(pattern=r"^https://[^\s]+$")]


class Settings(BaseModel):
    """What every function needs."""

    model_config = ConfigDict(
        alias_generator=str.upper,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        defer_build=True,
    )

    jobs_table: Name = Field(description="DynamoDB table of the jobs")
    reference_in_events: bool = Field(
        default=False, description="whether an event has the owner's reference of its job"
    )


class FalSettings(Settings):
    """What asking fal needs; its hosts are fal_client's own variables, read by fal_client."""

    fal_key_secret: Name = Field(description="secret that holds the fal key")
    fal_run_host: Name = Field(
        default="fal.run", description="fal's host for direct calls, read by fal_client"
    )
    fal_queue_run_host: Name = Field(
        default="queue.fal.run", description="fal's queue host, read by fal_client"
    )
    ssl_cert_file: str = Field(default="", description="certificates of a private CA, PEM")


class PlatformSettings(FalSettings):
    """What asking fal for its prices and its list of requests needs besides."""

    fal_api_url: SafeUrl = Field(
        default=API_URL, description="fal's platform API: prices, list of requests"
    )


class LimitSettings(Settings):
    """What a stack may have at fal at once, and pay."""

    max_in_flight: PositiveInt = Field(description="trainings at fal at once")
    monthly_budget_usd: NonNegativeFloat = Field(description="US dollars a month may cost")
    max_job_usd: NonNegativeFloat = Field(description="US dollars one training may cost")

    @property
    def limits(self) -> Limits:
        """Return the three as the services know them."""
        return Limits(self.max_in_flight, self.monthly_budget_usd, self.max_job_usd)


class NotifyHostSettings(Settings):
    """Which addresses a dataset may name to be notified."""

    notify_hosts: str = Field(
        default="",
        description="hosts that a dataset's `notify-url` may lie on, by comma; `NAME:PORT` for other ports than 443",
    )

    @property
    def allowed_notify_hosts(self) -> AllowedHosts:
        """Return the list."""
        return AllowedHosts(hosts_in(self.notify_hosts))


class DatasetHostSettings(Settings):
    """Which addresses datasets may be fetched from."""

    dataset_hosts: str = Field(
        default="",
        description="hosts that a dataset may be fetched from, by comma; `NAME:PORT` for other ports than 443",
    )

    @property
    def allowed_dataset_hosts(self) -> AllowedHosts:
        """Return the list."""
        return AllowedHosts(hosts_in(self.dataset_hosts))


class SubmitSettings(PlatformSettings, LimitSettings, NotifyHostSettings):
    """What submitting needs."""

    inbox_queue_url: Url = Field(description="queue that datasets come in by")
    models_bucket: Name = Field(description="bucket for results and reports")
    fal_application: Name = Field(description="fal endpoint of the trainer")
    webhook_base_url: Url = Field(description="where fal reaches this stack")
    webhook_secret: Name = Field(description="secret that webhook tokens are made with")
    dataset_url_seconds: PositiveInt = Field(description="how long a dataset's URL works")
    dataset_delivery: DeliveryMethod = Field(
        default=DeliveryMethod.PRESIGNED, description="what URL: `presigned`, `fal` or `data`"
    )
    fal_rest_url: SafeUrl = Field(default=REST_URL, description="where fal gives leave to upload")
    fal_cdn_url: SafeUrl = Field(default=CDN_URL, description="where fal takes uploads")
    misspelled_preset_folder: Literal["warn", "refuse"] = Field(
        default="warn", description="what a folder nearly called like a preset means"
    )
    fal_file_days: NonNegativeInt = Field(
        default=0, description="how many days fal serves a result's files; 0 as the account is set"
    )
    hold_at_low_balance: bool = Field(
        default=True, description="hold what fal's balance cannot pay, where the key may see it"
    )
    proof_sheet: bool = Field(
        default=False, description="make a proof sheet of each LoRA whose dataset does not say"
    )
    simulated_pictures: str = Field(
        default="",
        description="what a proof sheet says where a simulator makes its pictures; then nothing is advised for the LoRA",
    )
    remove_metadata: bool = Field(
        default=True, description="take camera, place and other hidden data out of photos"
    )
    face_check: bool = Field(default=True, description="look for faces in photos, and compare them")
    require_one_person: bool = Field(
        default=False, description="refuse a dataset whose faces are not all one person's"
    )


class WebhookSettings(Settings):
    """What receiving webhooks needs."""

    models_bucket: Name = Field(description="bucket for results and reports")
    inbox_queue_url: Url = Field(description="queue that datasets come in by")
    results_queue_url: Url = Field(description="queue in front of the store worker")
    webhook_secret: Name = Field(description="secret that webhook tokens are made with")
    reconcile_function: Name = Field(description="function that asks fal, for it holds the key")
    fal_jwks_url: SafeUrl = Field(default=JWKS_URL, description="fal's public signing keys")
    fal_user_id: str = Field(default="", description="our fal user id; empty accepts any")
    ssl_cert_file: str = Field(default="", description="certificates of a private CA, PEM")


class StoreSettings(PlatformSettings):
    """What storing results needs."""

    inbox_queue_url: Url = Field(description="queue that datasets come in by")
    models_bucket: Name = Field(description="bucket for results and reports")
    artifact_hosts: Name = Field(
        default="fal.media", description="hosts result files may come from, by comma"
    )
    allow_private_artifact_hosts: bool = Field(
        default=False, description="whether those may lie in a private network"
    )


class FetchSettings(DatasetHostSettings):
    """What fetching datasets needs."""

    datasets_bucket: Name = Field(description="bucket that datasets are dropped into")
    models_bucket: Name = Field(description="bucket for results and reports")
    allow_private_dataset_hosts: bool = Field(
        default=False, description="whether those hosts may lie in a private network"
    )
    ssl_cert_file: str = Field(default="", description="certificates of a private CA, PEM")


class ReconcileSettings(PlatformSettings, LimitSettings):
    """What the reconciler needs."""

    fal_application: Name = Field(description="fal endpoint of the trainer, compared once a day")
    datasets_bucket: Name = Field(description="bucket that datasets are dropped into")
    models_bucket: Name = Field(description="bucket for results and reports")
    inbox_queue_url: Url = Field(description="queue that datasets come in by")
    results_queue_url: Url = Field(description="queue in front of the store worker")
    fetch_queue_url: Url = Field(description="queue in front of the fetch worker")
    late_after_seconds: PositiveInt = Field(description="how long a job may be silent")


class JobsSettings(PlatformSettings, LimitSettings, NotifyHostSettings, DatasetHostSettings):
    """What the jobs API needs."""

    datasets_bucket: Name = Field(description="bucket that datasets are dropped into")
    fal_application: Name = Field(description="fal endpoint of the trainer")
    models_bucket: Name = Field(description="bucket for results and reports")
    inbox_queue_url: Url = Field(description="queue that datasets come in by")
    inbox_dead_letters_url: Url = Field(description="notices that could not be handled")
    results_queue_url: Url = Field(description="queue in front of the store worker")
    results_dead_letters_url: Url = Field(description="results that could not be stored")
    fetch_queue_url: Url = Field(description="queue in front of the fetch worker")
    fetch_dead_letters_url: Url = Field(description="datasets that could not be fetched")
    notify_queue_url: Url = Field(description="queue that changes wait in")
    notify_dead_letters_url: Url = Field(description="changes that no receiver took")


class NotifySettings(NotifyHostSettings):
    """What notifying needs."""

    notify_url: str = Field(
        default="", pattern=r"^(https?://[^\s]+)?$", description="where jobs' changes are sent"
    )
    notify_secret: str = Field(default="", description="secret that notifications are signed with")
    notify_queue_url: Url = Field(description="queue that changes wait in")
    notify_dead_letters_url: Url = Field(description="changes that no receiver took")
    models_bucket: Name = Field(description="bucket for results and reports")
    allow_private_notify_hosts: bool = Field(
        default=False, description="whether receivers may lie in a private network"
    )
    ssl_cert_file: str = Field(default="", description="certificates of a private CA, PEM")


class ForgetSettings(Settings):
    """What forgetting needs."""

    datasets_bucket: Name = Field(description="bucket that datasets are dropped into")
    models_bucket: Name = Field(description="bucket for results and reports")
    fal_key_secret: Name = Field(description="secret that holds a fal key, of scope ADMIN at best")
    fal_api_url: SafeUrl = Field(
        default=API_URL,
        description="fal's platform API: deletes what fal has stored",
    )
    ssl_cert_file: str = Field(default="", description="certificates of a private CA, PEM")


def load[S: Settings](model: type[S]) -> S:
    """Read the environment, at the edge; the caller keeps the result."""
    return model.model_validate(os.environ)

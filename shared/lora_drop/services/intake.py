"""Datasets that come by the API: a form to upload one with, and the job of one that lies there. Nothing is paid here."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from uuid import uuid4

from lora_drop.datasets.owner_metadata import (
    FORCE,
    NOTIFY_URL,
    PROOF,
    REFERENCE,
    kept_owner_fields,
    metadata_text,
    owner_fields,
    said_of_place,
)
from lora_drop.datasets.parameter_layers import Layer, foreign, unknown_parameter
from lora_drop.datasets.parameters import NO_JOB_YET, advice, resolve
from lora_drop.fal.hosts import AllowedHosts
from lora_drop.fal.trainers.table import DEFAULT, trainer_of
from lora_drop.jobs.delivery import Fetch, fingerprint
from lora_drop.jobs.errors import (
    DatasetNotFoundError,
    DatasetRejectedError,
    InvalidQueryError,
    OrderConflictError,
)
from lora_drop.jobs.ids import fetched_key
from lora_drop.jobs.job import DatasetVersion, Job
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from lora_drop.ports import Clock, Handover, Inbox, UploadForm, UploadStore
from lora_drop.services.record import Record

NO_HOSTS = (
    "url: this stack fetches nothing from addresses. Set its parameter DatasetHosts to the hosts that it may fetch "
    "from, or upload the ZIP with the form that POST /datasets returns"
)
OTHER_HOST = (
    "url: it has to be https:// with a host of this stack's DatasetHosts, on port 443 unless the list names another, "
    "and without a user name in it"
)
UPLOADS = "uploads/"  # the one folder of the datasets bucket that the API lets others write into
FORM_LASTS = timedelta(hours=1)
MAX_METADATA = 2048  # bytes, of names and values (S3 user guide, "Working with object metadata")


@dataclass(frozen=True, slots=True)
class Order:
    """How a dataset that comes by the API is to be trained."""

    name: str
    parameters: Mapping[str, bool | int | float | str]
    reference: str | None = None
    notify_url: str | None = None
    force: bool = False
    proof: bool | None = None

    @property
    def said(self) -> str:
        """Return what was ordered as one text; an order that says nothing of a proof sheet has none in it.

        The job of an address is found by this text, so an order of an earlier version stays the same job.
        """
        fields = asdict(self)
        if self.proof is None:
            del fields["proof"]
        return json.dumps(fields, sort_keys=True)


@dataclass(frozen=True, slots=True)
class Upload:
    """A signed form, the key of what is uploaded with it, and until when it works."""

    form: UploadForm
    key: str
    expires_at: datetime
    advice: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Intake:
    """Takes datasets in by the API."""

    record: Record
    uploads: UploadStore
    bucket: str
    inbox: Inbox
    clock: Clock
    application: str
    notify_hosts: AllowedHosts
    fetches: Handover
    dataset_hosts: AllowedHosts = field(default_factory=lambda: AllowedHosts(()))

    def form(self, order: Order, sizes: tuple[int, int]) -> Upload:
        """Return the form for one ZIP of a size in this range; raises DatasetRejectedError for wrong parameters.

        Its folder has a random name, so that no upload lies under the key of another one.
        """
        key = f"{UPLOADS}{uuid4().hex}/{_zip(order.name)}"
        metadata, said = self._metadata(order, key)
        expires_at = self.clock() + FORM_LASTS
        form = self.uploads.form(key, metadata, sizes, int(FORM_LASTS.total_seconds()))
        return Upload(form, key, expires_at, said)

    def job_of(self, key: str, version_id: str | None) -> Job:
        """Return the job of a dataset that lies in the bucket: the one that S3's notice makes as well.

        It is kept first and announced then: what dies in between is announced by the reconciler, and
        a second notice of the same version is the same job. Raises DatasetNotFoundError, DatasetUnreadableError, JobForgottenError and ConflictError.
        """
        if key.endswith("/"):
            raise InvalidQueryError("key: it ends with a slash, and names no file")
        try:
            found = self.uploads.find(key, version_id or "")
        except DatasetRejectedError as missing:
            version = f" in version {version_id}" if version_id else ""
            raise DatasetNotFoundError(
                f"There is no dataset {key[:100]}{version}. Upload it first: POST /datasets returns the form"
            ) from missing
        return self._announced(found.version, found.metadata)

    def fetched(self, order: Order, url: str, idempotency_key: str | None) -> Job:
        """Return the job of a dataset that is still to be fetched; the same order again is the same job.

        It is kept first and handed to the fetch worker then: what dies in between the reconciler hands over.
        Raises InvalidQueryError, DatasetRejectedError, OrderConflictError, JobForgottenError and ConflictError.
        """
        if not self.dataset_hosts:
            raise InvalidQueryError(NO_HOSTS)
        if not self.dataset_hosts.allow(url):
            raise InvalidQueryError(OTHER_HOST)
        said = order.said
        identity = f"order\n{url}\n{said}" if idempotency_key is None else f"key\n{idempotency_key}"
        key = fetched_key(identity, _zip(order.name))
        metadata, _ = self._metadata(order, key)
        # A signature may be another one each time; what it signs is not.
        digest = fingerprint(f"{url.partition('?')[0]}\n{said}")
        dataset = DatasetVersion(bucket=self.bucket, key=key, version_id="")
        new = Job.receive(dataset, application=self.application, now=self.clock())
        kept = kept_owner_fields(metadata, self.notify_hosts)
        fetch = Fetch(digest=digest, url=url, metadata=metadata)
        job = self.record.open(new.model_copy(update={**kept, "fetch": fetch}))
        if job.fetch is None or job.fetch.digest != digest:
            raise OrderConflictError(job.job_id)
        if job.fetching:
            self.fetches.hand_over(job.job_id)
        return job

    def _announced(self, version: DatasetVersion, metadata: Mapping[str, str]) -> Job:
        new = Job.receive(version, application=self.application, now=self.clock())
        # As the submitter makes it: which of the two comes first makes no difference.
        said = kept_owner_fields(metadata, self.notify_hosts)
        job = self.record.open(new.model_copy(update=said))
        if job.status is Status.RECEIVED:
            self.inbox.announce(version)
        return job

    def _metadata(self, order: Order, key: str) -> tuple[dict[str, str], tuple[Problem, ...]]:
        """Return the metadata of a dataset, and what to think over in its parameters."""
        metadata = _parameters(order.parameters, self.application)
        if order.reference is not None:
            metadata[REFERENCE] = _text(REFERENCE, order.reference)
        if order.notify_url is not None:
            metadata[NOTIFY_URL] = order.notify_url
        if order.force:
            metadata[FORCE] = "true"
        if order.proof is not None:
            metadata[PROOF] = str(order.proof).lower()
        try:
            owner_fields(metadata, self.notify_hosts)
            resolved = resolve(
                key=key,
                training_json=None,
                metadata=metadata,
                trigger_seed=NO_JOB_YET,
                application=self.application,
            )
        except DatasetRejectedError as rejected:
            raise DatasetRejectedError(
                [said_of_place(each, "parameters") for each in rejected.problems]
            ) from None
        size = sum(len(name) + len(value) for name, value in metadata.items())
        if size > MAX_METADATA:
            raise InvalidQueryError(
                f"parameters, reference and notify_url have {size} bytes together; "
                f"S3 keeps {MAX_METADATA} of them with a file"
            )
        return metadata, advice(resolved)


def _parameters(given: Mapping[str, bool | int | float | str], application: str) -> dict[str, str]:
    """Return the parameters as metadata; raises DatasetRejectedError for what is none at all."""
    sent = {name.lower(): _text(name, value) for name, value in given.items()}
    if len(sent) < len(given):
        raise InvalidQueryError("parameters: one of them is there twice, in capitals and without")
    if names := foreign(sent):
        trainer = trainer_of(application) or DEFAULT
        layer = Layer("parameters", None, text=True, given={})
        problems = [unknown_parameter(layer, name, trainer) for name in names]
        raise DatasetRejectedError([said_of_place(each, "parameters") for each in problems])
    return sent


def _text(name: str, value: object) -> str:
    """Return a value as metadata, which is ASCII on one line; raises InvalidQueryError."""
    text = metadata_text(value)
    if text is None:
        raise InvalidQueryError(f"{name[:60]}: it takes printable text on one line")
    return text


def _zip(name: str) -> str:
    return name if name.lower().endswith(".zip") else f"{name}.zip"

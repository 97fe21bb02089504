"""What crosses a process boundary: S3's notices, fal's webhook, our own queue message."""

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Literal, Self
from urllib.parse import quote_plus, unquote_plus

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lora_drop.fal.status import FalStatus, failed, finished
from lora_drop.jobs.errors import InvalidQueryError, InvalidWebhookError
from lora_drop.jobs.ids import JOB_ID, MAX_JOB_ID
from lora_drop.jobs.job import DatasetVersion
from lora_drop.jobs.status import Status

# Sent once, when a bucket's notifications are switched on.
TEST_EVENT = "s3:TestEvent"


class _Message(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="ignore", populate_by_name=True, hide_input_in_errors=True
    )


class _Bucket(_Message):
    name: str


class _Object(_Message):
    key: str
    size: int = 0
    etag: str = Field(default="", alias="eTag")
    version_id: str = Field(default="", alias="versionId")


class _S3(_Message):
    bucket: _Bucket
    object: _Object


class _Record(_Message):
    event_name: str = Field(alias="eventName")
    s3: _S3


class S3Notice(_Message):
    """S3's notification: of new objects, or that the subscription works (``s3:TestEvent``)."""

    records: tuple[_Record, ...] = Field(default=(), alias="Records")
    event: str = Field(default="", alias="Event")

    @model_validator(mode="after")
    def _is_s3s(self) -> Self:
        """Refuse every other message: it must not pass for a handled one."""
        if not self.records and self.event != TEST_EVENT:
            raise ValueError("this is no notification of S3's")
        return self

    def datasets(self) -> tuple[DatasetVersion, ...]:
        """Return the object versions that were created, keys decoded; folder markers are left out."""
        return tuple(
            DatasetVersion(
                bucket=record.s3.bucket.name,
                key=unquote_plus(record.s3.object.key),
                version_id=record.s3.object.version_id,
                etag=record.s3.object.etag,
                size=record.s3.object.size,
            )
            for record in self.records
            if "ObjectCreated:" in record.event_name and not record.s3.object.key.endswith("/")
        )


def s3_notice_for(dataset: DatasetVersion) -> dict[str, Any]:
    """Return S3's own notification for an object that is already there, for the inbox queue."""
    record = _Record(
        event_name="ObjectCreated:Put",
        s3=_S3(
            bucket=_Bucket(name=dataset.bucket),
            object=_Object(
                key=quote_plus(dataset.key, safe="/"),
                size=dataset.size,
                etag=dataset.etag,
                version_id=dataset.version_id,
            ),
        ),
    )
    return {"Records": [record.model_dump(by_alias=True)]}


class WebhookBody(_Message):
    """fal's webhook body; ``status`` speaks of the model's answer, not of the queue."""

    request_id: str
    gateway_request_id: str | None = None  # of fal's last try; the same unless fal tried again
    status: str
    payload: Any = None
    error: Any = None

    @classmethod
    def parse(cls, body: bytes) -> Self:
        """Return the body of a verified delivery; raises InvalidWebhookError when it is not of fal's form."""
        try:
            return cls.model_validate_json(body)
        except ValueError as error:
            raise InvalidWebhookError("the body is not a fal webhook") from error

    def fact(self) -> FalStatus:
        """Return what the body says; raises InvalidWebhookError for a status fal does not document."""
        if self.status == "OK":
            return finished(
                self.request_id, self.payload if isinstance(self.payload, dict) else None
            )
        if self.status == "ERROR":
            return failed(self.request_id, str(self.error or "no reason given"), self.payload)
        raise InvalidWebhookError(
            "unknown status: neither OK nor ERROR"
        )  # its words end up in a log


class StoreRequest(_Message):
    """Our message to the store worker and to the fetch worker: this job's file is ready to be copied."""

    schema_version: Literal[1] = 1
    job_id: str


class ProofRequest(_Message):
    """Our message to the submitter: a picture of this training's proof sheet has ended."""

    schema_version: Literal[1] = 1
    proof_of: str = Field(pattern=JOB_ID.pattern, max_length=MAX_JOB_ID)


class _Kind(_Message):
    proof_of: str | None = None


def inbox_message(body: str) -> S3Notice | ProofRequest:
    """Return what a message of the inbox queue says; raises ValueError for any that is not one of the two."""
    ours = _Kind.model_validate_json(body).proof_of is not None
    return (ProofRequest if ours else S3Notice).model_validate_json(body)


class StatusCheckRequest(_Message):
    """Our message to the reconciler: ask fal about this job now."""

    schema_version: Literal[1] = 1
    job_id: str


class JobsQuery(_Message):
    """The query of ``GET /jobs``; a misspelt part is not passed over."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    status: Status | None = None
    limit: int = Field(default=20, ge=1, le=100)
    cursor: str | None = None

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> Self:
        """Return the query; raises InvalidQueryError and says what is wrong with each parameter."""
        try:
            return cls.model_validate(parameters)
        except ValidationError as error:
            wrong = (f"{row['loc'][0]}: {row['msg']}" for row in error.errors())
            raise InvalidQueryError("; ".join(wrong)) from error


class LogsQuery(_Message):
    """The query of ``GET /jobs/{id}/logs``: how many lines the caller has."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    after: int = Field(default=0, ge=0, le=10_000_000)

    @classmethod
    def parse(cls, parameters: Mapping[str, str] | None) -> Self:
        """Return the query; raises InvalidQueryError."""
        try:
            return cls.model_validate(parameters or {})
        except ValidationError as error:
            raise InvalidQueryError(
                "the only part of the query is after, a number of lines: ?after=120"
            ) from error


class RetryRequest(_Message):
    """The body of ``POST /jobs/{id}/retry``."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    resume: bool = False

    @classmethod
    def parse(cls, body: str | None) -> Self:
        """Return the order, which may be left out; raises InvalidQueryError."""
        try:
            return cls.model_validate_json(body or "{}")
        except ValidationError as error:
            raise InvalidQueryError('the body is {"resume": true}, or none at all') from error


class ForgetRequest(_Message):
    """The body of ``POST /jobs/{id}/forget``; a ``look`` asks who would go, and erases nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)

    family: bool = False
    look: bool = False

    @classmethod
    def parse(cls, body: str | None) -> Self:
        """Return the order, which may be left out; raises InvalidQueryError."""
        try:
            return cls.model_validate_json(body or "{}")
        except ValidationError as error:
            raise InvalidQueryError('the body is {"family": true, "look": true} or less') from error


class ResolveRequest(_Message):
    """The body of ``POST /jobs/{id}/resolve``: one of the two, and nothing else."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    request_id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-]{1,128}$")
    not_submitted: bool = False

    @classmethod
    def parse(cls, body: str | None) -> Self:
        """Return the body; raises InvalidQueryError."""
        try:
            resolution = cls.model_validate_json(body or "")
        except ValueError as error:
            raise InvalidQueryError('say {"request_id": "…"} or {"not_submitted": true}') from error
        if (resolution.request_id is None) is not resolution.not_submitted:
            raise InvalidQueryError("say either request_id or not_submitted")
        return resolution


def raw_delivery(event: Mapping[str, Any]) -> tuple[dict[str, list[str]], bytes]:
    """Return every header with all its values, and the exact bytes, of a REST API event.

    Raises InvalidWebhookError for base64 that is none, and for text that has no bytes.
    """
    several = event.get("multiValueHeaders") or {
        name: [value] for name, value in (event.get("headers") or {}).items()
    }
    try:
        body = (event.get("body") or "").encode()
        if event.get("isBase64Encoded"):
            body = base64.b64decode(body, validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise InvalidWebhookError("the body cannot be read as bytes") from error
    return several, body


def job_id_in(event: Mapping[str, Any]) -> str:
    """Return the job id in the path of a REST API event; empty for none, and for what cannot be one."""
    job_id = str((event.get("pathParameters") or {}).get("job_id") or "")
    return job_id if JOB_ID.fullmatch(job_id) else ""


KEY_CALLER = "api-key/"  # what the name of a caller with a key begins with


def caller_of(event: Mapping[str, Any]) -> str:
    """Return who called a REST API, as API Gateway says: with IAM by name, with a key by the key's id."""
    identity = (event.get("requestContext") or {}).get("identity") or {}
    if not identity.get("userArn") and (key_id := identity.get("apiKeyId")):
        return f"{KEY_CALLER}{key_id}"
    return str(identity.get("userArn") or identity.get("caller") or "unknown")


def called_by_key(event: Mapping[str, Any]) -> bool:
    """Return whether the caller has a key, and no name in IAM."""
    return caller_of(event).startswith(KEY_CALLER)


def base_path_of(event: Mapping[str, Any]) -> str:
    """Return the path that the API lies under: its stage, or what a domain's base path mapping says."""
    context = event.get("requestContext") or {}
    path, resource = str(context.get("path") or ""), str(event.get("resource") or "")
    return path.removesuffix(resource) if path.endswith(resource) else f"/{context.get('stage')}"

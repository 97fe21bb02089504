"""Webhooks for programs that receive them at an address of their own: fal's deliveries, and a stack's notifications.

::

    delivery = lora_drop.webhooks.unwrap(body, request.headers, user_id="my-fal-user")
    if isinstance(delivery, lora_drop.webhooks.TrainingResult):
        print(delivery.lora.url)

    changed = lora_drop.webhooks.unwrap_event(body, request.headers, secret="whsec_…")
    print(changed.change.job_id, changed.change.status)
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any

from lora_drop.adapters.signing_keys import JwksKeys, verify_signature
from lora_drop.fal.hosts import JWKS_URL
from lora_drop.fal.status import Failed
from lora_drop.jobs.artifacts import CONFIGURATION, KNOWN_OUTPUTS, WEIGHTS
from lora_drop.jobs.errors import (
    InvalidSecretError,
    InvalidSignatureError,
    InvalidWebhookError,
    SigningKeysUnavailableError,
)
from lora_drop.jobs.events import StatusChange
from lora_drop.jobs.notifications import Notification, key_of, verified_id
from lora_drop.jobs.problems import Problem
from lora_drop.ports import SigningKeys
from lora_drop.services.webhook import body_of, verified

__all__ = [
    "Delivery",
    "FailedTraining",
    "File",
    "Headers",
    "InvalidSecretError",
    "InvalidSignatureError",
    "JobChanged",
    "SigningKeysUnavailableError",
    "StatusChange",
    "TrainingResult",
    "unwrap",
    "unwrap_event",
]

type Headers = Mapping[str, str | Sequence[str]] | Iterable[tuple[str | bytes, str | bytes]]
"""Headers in any framework's form: a mapping, of texts or lists of texts, or pairs (ASGI's are bytes)."""


@dataclass(frozen=True, slots=True)
class File:
    """A file of a result with every field of fal's File type; ``output`` is the result's field that holds it.

    ``file_size`` in bytes; ``file_data`` is the content in base64 where fal sends it along.
    """

    output: str
    url: str
    content_type: str | None = None
    file_name: str | None = None
    file_size: int | None = None
    file_data: str | None = None


@dataclass(frozen=True, slots=True)
class TrainingResult:
    """A training that succeeded.

    ``files`` is empty where fal could not put the result into the delivery (its ``payload_error``): read
    the result of ``request_id`` from fal's queue then.
    """

    request_id: str
    user_id: str
    files: tuple[File, ...]

    @property
    def lora(self) -> File | None:
        """The trained weights, whatever the trainer calls them."""
        return self._kept_as(WEIGHTS)

    @property
    def config(self) -> File | None:
        """The configuration that the training ran with."""
        return self._kept_as(CONFIGURATION)

    def _kept_as(self, name: str) -> File | None:
        return next((file for file in self.files if KNOWN_OUTPUTS.get(file.output) == name), None)


@dataclass(frozen=True, slots=True)
class FailedTraining:
    """A training that failed; ``billed`` is None where fal does not say whether it costs money."""

    request_id: str
    user_id: str
    problem: Problem
    billed: bool | None


type Delivery = TrainingResult | FailedTraining


def unwrap(
    body: bytes,
    headers: Headers,
    *,
    user_id: str | None,
    keys: SigningKeys | None = None,
    now: datetime | None = None,
) -> Delivery:
    """Return what a delivery says, once it is sure that fal sent it within the last 300 seconds.

    ``body`` is the raw bytes, before any framework decodes them. ``user_id`` is your own user id at fal:
    fal signs the deliveries of all its customers with the same keys, so without it (None) any of them can
    send you one; then compare the delivery's ``user_id`` and ``request_id`` with what you sent. ``keys``
    are fal's published keys by default (``FAL_JWKS_URL`` names others), kept for a day.

    Raises InvalidSignatureError: answer 401, and use nothing of the delivery. Raises
    SigningKeysUnavailableError: answer 503, and fal sends it again.
    Source: https://fal.ai/docs/model-endpoints/webhooks
    """
    try:
        delivery = verified(
            _by_name(headers),
            body,
            keys or _fal_keys(),
            verify_signature,
            now=now or datetime.now(UTC),
        )
        said = body_of(delivery)
        fact = said.fact()
    except InvalidWebhookError as error:
        raise InvalidSignatureError(str(error)) from error
    if user_id is not None and delivery.user_id != user_id:
        raise InvalidSignatureError("the delivery belongs to another user of fal")
    if isinstance(fact, Failed):
        return FailedTraining(said.request_id, delivery.user_id, fact.problem, fact.billed)
    return TrainingResult(said.request_id, delivery.user_id, tuple(files_in(said.payload)))


@dataclass(frozen=True, slots=True)
class JobChanged:
    """A notification of a stack: a job has changed its state.

    ``webhook_id`` is the change's, the same however often it is sent: do nothing for one that you have seen. ``timestamp``
    says when the job changed. ``change.version`` grows with each change of a job: a smaller one than the last is older.
    """

    webhook_id: str
    timestamp: datetime
    change: StatusChange


def unwrap_event(
    body: bytes,
    headers: Headers,
    *,
    secret: str | Sequence[str],
    now: datetime | None = None,
) -> JobChanged:
    """Return what a stack's notification says, once it is sure that it was signed within the last five minutes.

    ``body`` is the raw bytes, before any framework decodes them. ``secret`` is what ``lora-drop notify-secret`` prints;
    several of them are tried, which a receiver needs while a secret is changed.

    Raises InvalidSignatureError: answer 401, and use nothing of it. Raises InvalidSecretError for a
    ``secret`` that is none.
    Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
    """
    keys = [key_of(each) for each in ([secret] if isinstance(secret, str) else secret)]
    given = {name.lower(): values for name, values in _by_name(headers).items()}
    try:
        webhook_id = verified_id(given, body, keys=keys, now=now or datetime.now(UTC))
        said = Notification.model_validate_json(body)
    except InvalidWebhookError as error:
        raise InvalidSignatureError(str(error)) from error
    except ValueError as error:
        raise InvalidSignatureError("the body is no notification of lora-drop's") from error
    if said.webhook_id != webhook_id:
        raise InvalidSignatureError("webhook-id is not that of the change in the body")
    return JobChanged(webhook_id, said.timestamp, said.data)


@cache
def _fal_keys() -> SigningKeys:
    return JwksKeys(os.environ.get("FAL_JWKS_URL") or JWKS_URL)


def _by_name(headers: Headers) -> dict[str, list[str]]:
    """Return every value of every header, so that one that is given twice is seen."""
    # The standard library's headers are no Mapping, and have its items.
    pairs: Iterable[tuple[Any, Any]] = headers.items() if hasattr(headers, "items") else headers
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        listed = isinstance(value, Sequence) and not isinstance(value, str | bytes)
        values = value if listed else [value]
        found.setdefault(_text(name), []).extend(map(_text, values))
    return found


def _text(value: object) -> str:
    """Return a name or value as text; what is none becomes an empty one, which no signed header may be."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return value if isinstance(value, str) else ""


def files_in(payload: object) -> Iterable[File]:
    """Yield the files of a result; a File is an object with a ``url``."""
    for output, value in payload.items() if isinstance(payload, Mapping) else ():
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict) and isinstance(item.get("url"), str):
                yield File(
                    output,
                    item["url"],
                    content_type=_kind(item.get("content_type"), str),
                    file_name=_kind(item.get("file_name"), str),
                    file_size=_kind(item.get("file_size"), int),
                    file_data=_kind(item.get("file_data"), str),
                )


def _kind[T](value: object, kind: type[T]) -> T | None:
    return value if type(value) is kind else None

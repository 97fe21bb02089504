"""A webhook delivery: is it fal's, is it about our job, and what does it say."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from lora_drop.fal.webhooks import (
    RawDelivery,
    VerifySignature,
    WebhookDelivery,
    signed_headers,
    verify,
)
from lora_drop.jobs.errors import InvalidWebhookError, JobNotFoundError, StaleWebhookError
from lora_drop.jobs.ids import token_matches
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from lora_drop.messages import WebhookBody
from lora_drop.ports import Clock, Deliveries, SigningKeys, StatusCheckTrigger
from lora_drop.services.fal_updates import FalUpdateHandler

# How long a job is not asked about again because of stale deliveries, however many there are.
ASK_AGAIN = timedelta(minutes=1)


def verified(
    headers: Mapping[str, Sequence[str]],
    body: bytes,
    signing_keys: SigningKeys,
    verify_signature: VerifySignature,
    *,
    now: datetime,
) -> WebhookDelivery:
    """Return a delivery that fal has signed just now; raises as ``verify`` and ``SigningKeys`` do.

    The keys at hand come first; a key that fal has just added gets a second try.
    """
    signed = signed_headers(headers)
    keys = signing_keys.keys(now=now)
    try:
        return verify(signed, body, keys=keys, verify_signature=verify_signature, now=now)
    except StaleWebhookError:
        raise  # the key is known, and it is the time that is not right
    except InvalidWebhookError:
        newer = signing_keys.newer_keys(now=now)
        if not newer:
            raise
        return verify(signed, body, keys=newer, verify_signature=verify_signature, now=now)


def body_of(delivery: WebhookDelivery) -> WebhookBody:
    """Return what a verified delivery says; raises InvalidWebhookError where it speaks of another request."""
    said = WebhookBody.parse(delivery.body)
    # fal does not say which of the two it signs after a retry of its own.
    if delivery.request_id not in (said.request_id, said.gateway_request_id):
        raise InvalidWebhookError("header and body name different requests")
    return said


@dataclass(frozen=True, slots=True)
class WebhookHandler:
    """Handles webhook deliveries. ``fal_user_id`` empty accepts every user of fal's.

    ``asked``: when it had fal asked about a job because of a delivery that was too old.
    """

    fal_updates: FalUpdateHandler
    deliveries: Deliveries
    signing_keys: SigningKeys
    verify_signature: VerifySignature
    webhook_secret: Callable[[], bytes]
    fal_user_id: str
    status_check: StatusCheckTrigger
    clock: Clock
    asked: dict[str, datetime] = field(default_factory=dict)

    def deliver(
        self, job_id: str, token: str, headers: Mapping[str, Sequence[str]], body: bytes
    ) -> Job:
        """Return the job after this delivery, which is kept as it came before anything is done with it.

        Raises JobNotFoundError for a wrong token (a guess learns nothing), InvalidWebhookError for
        whatever is not fal's, ForeignRequestError for another job's request, SigningKeysUnavailableError.
        StaleWebhookError changes nothing and has fal asked: it may be all that will ever come of a
        result, for fal does not say whether it signs a repeated delivery again.
        """
        if not token_matches(self.webhook_secret(), job_id, token):
            raise JobNotFoundError(job_id)
        try:
            delivery = self._verified(headers, body)
        except StaleWebhookError as stale:
            self._check_user(stale.user_id)
            self._ask_instead(job_id, WebhookBody.parse(body).request_id)
            raise
        self._check_user(delivery.user_id)
        job = self.fal_updates.record.known(job_id)
        self.deliveries.keep(job, RawDelivery(headers, body), sent_at=delivery.sent_at)
        return self.fal_updates.receive(job_id, body_of(delivery).fact(), read=job)

    def _verified(self, headers: Mapping[str, Sequence[str]], body: bytes) -> WebhookDelivery:
        now = self.clock()
        return verified(headers, body, self.signing_keys, self.verify_signature, now=now)

    def _check_user(self, user_id: str) -> None:
        # fal's keys are the same for all its customers, so a signature does not say whose job it is.
        if self.fal_user_id and user_id != self.fal_user_id:
            raise InvalidWebhookError("the delivery belongs to another user of fal")

    def _ask_instead(self, job_id: str, request_id: str) -> None:
        """Have fal asked about a job that still waits for this request, once a minute at most."""
        now, job = self.clock(), self.fal_updates.record.known(job_id)
        waits = job.status in (Status.SUBMITTED, Status.TRAINING) and job.request_id == request_id
        if not waits and job.status is not Status.SUBMIT_UNKNOWN:
            return
        for earlier in [each for each, at in self.asked.items() if now - at >= ASK_AGAIN]:
            del self.asked[earlier]
        if job_id not in self.asked:
            self.asked[job_id] = now
            self.status_check.request_status_check(job_id)

"""A webhook delivery: is it fal's, is it about our job, and what does it say."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from shared.domain.errors import BadDelivery, UnknownJob
from shared.domain.jobs import Job
from shared.domain.signatures import (
    Delivery,
    RawDelivery,
    SignedHeaders,
    VerifySignature,
    signed_headers,
    verify,
)
from shared.domain.tokens import token_matches
from shared.messages import WebhookBody
from shared.ports import Clock, Deliveries, SigningKeys
from shared.services.receive import Receiver


@dataclass(frozen=True, slots=True)
class Doorkeeper:
    """The receiver of webhooks. ``fal_user_id`` empty accepts every user of fal's."""

    receiver: Receiver
    deliveries: Deliveries
    signing_keys: SigningKeys
    verify_signature: VerifySignature
    webhook_secret: Callable[[], bytes]
    fal_user_id: str
    clock: Clock

    def deliver(
        self, job_id: str, token: str, headers: Mapping[str, Sequence[str]], body: bytes
    ) -> Job:
        """The job after this delivery, which is kept as it came before anything is done with it.

        Raises UnknownJob for a wrong token (whoever guesses learns nothing), BadDelivery for
        whatever is not fal's, ForeignRequest for another job's request, SigningKeysUnavailable.
        """
        if not token_matches(self.webhook_secret(), job_id, token):
            raise UnknownJob(job_id)
        delivery = self._verified(signed_headers(headers), body)
        # fal's keys are the same for all its customers, so a signature does not say whose job it is.
        if self.fal_user_id and delivery.user_id != self.fal_user_id:
            raise BadDelivery("the delivery belongs to another user of fal")
        job = self.receiver.record.known(job_id)
        self.deliveries.keep(job, RawDelivery(headers, body), sent_at=delivery.sent_at)
        said = WebhookBody.parse(delivery.body)
        if said.request_id != delivery.request_id:
            raise BadDelivery("header and body name different requests")
        return self.receiver.receive(job_id, said.fact())

    def _verified(self, headers: SignedHeaders, body: bytes) -> Delivery:
        """Tried with the keys at hand first; a key that fal has just added gets a second try."""
        now = self.clock()
        keys = self.signing_keys.keys(now=now)
        try:
            return verify(headers, body, keys=keys, verify_signature=self.verify_signature, now=now)
        except BadDelivery:
            newer = self.signing_keys.newer_keys(now=now)
            if not newer:
                raise
            return verify(
                headers, body, keys=newer, verify_signature=self.verify_signature, now=now
            )

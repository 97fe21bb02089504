"""fal's end of the wire, under the unmodified fal_client."""

from collections.abc import Callable

import httpx

from lora_drop.adapters.fal import FalQueueClient
from lora_drop.ports import Submission
from tests.support.builders import APPLICATION, REQUEST_ID
from tests.support.fal_keys import FixedKey

WEBHOOK_URL = "https://api.example/live/webhooks/fal/ada-0123456789/5ec4e7"
SIGNED_URL = "https://datasets.s3.amazonaws.com/a.zip?X-Amz-Signature=5167"
RECEIPT = {
    "request_id": REQUEST_ID,
    "response_url": f"https://queue.fal.run/fal-ai/x/requests/{REQUEST_ID}/response",
    "status_url": f"https://queue.fal.run/fal-ai/x/requests/{REQUEST_ID}/status",
    "cancel_url": f"https://queue.fal.run/fal-ai/x/requests/{REQUEST_ID}/cancel",
    "queue_position": 0,
}


def of_fal(status: int) -> httpx.Response:
    return httpx.Response(status, json={"detail": "no"})


def of_nginx(status: int) -> httpx.Response:
    return httpx.Response(status, html="<html><center>nginx</center></html>")


class Wire:
    """What fal would be: counts what reaches it and answers with one thing."""

    def __init__(self, outcome: httpx.Response | Exception) -> None:
        self.requests: list[httpx.Request] = []
        self._outcome = outcome

    def __call__(self) -> httpx.BaseTransport:
        return httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome


def submit(wire: Callable[[], httpx.BaseTransport], key: str = "key-id:key-secret") -> Submission:
    trainer = FalQueueClient(FixedKey(key), wire=wire)
    arguments = {"images_data_url": SIGNED_URL, "steps": 1000}
    return trainer.submit(APPLICATION, arguments, webhook_url=WEBHOOK_URL)

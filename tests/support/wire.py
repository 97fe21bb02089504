"""fal's end of the wire, under the unmodified clients, and the key in a test's hand."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import httpx

from lora_drop.adapters.fal import FalQueueClient
from lora_drop.jobs.errors import FalUnavailableError
from lora_drop.ports import Submission
from tests.support.builders import APPLICATION, REQUEST_ID

WEBHOOK_URL = "https://api.example/live/webhooks/fal/ada-0123456789/5ec4e7"
SIGNED_URL = "https://datasets.s3.amazonaws.com/a.zip?X-Amz-Signature=5167"
RECEIPT = {
    "request_id": REQUEST_ID,
    **{
        f"{name}_url": f"https://queue.fal.run/fal-ai/x/requests/{REQUEST_ID}/{name}"
        for name in ("response", "status", "cancel")
    },
    "queue_position": 0,
}
type Said = httpx.Response | Exception


def of_fal(status: int) -> httpx.Response:
    return httpx.Response(status, json={"detail": "no"})


def of_nginx(status: int) -> httpx.Response:
    return httpx.Response(status, html="<html><center>nginx</center></html>")


class Body(httpx.SyncByteStream):
    """A body that comes in these pieces, and breaks after them or just ends."""

    def __init__(self, pieces: Iterable[bytes], error: Exception | None = None) -> None:
        self._pieces, self._error = pieces, error

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces
        if self._error:
            raise self._error


class Wire:
    """Notes what reaches it, and gives its answers in turn, the last one again and again."""

    def __init__(self, *answers: Said | Callable[[httpx.Request], Said]) -> None:
        self.requests: list[httpx.Request] = []
        self._answers = list(answers)

    def __call__(self) -> httpx.MockTransport:
        return httpx.MockTransport(self.answer)

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        said = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if not isinstance(said, httpx.Response | Exception):
            said = said(request)
        if isinstance(said, Exception):
            raise said
        return httpx.Response(said.status_code, headers=said.headers, stream=said.stream)

    @property
    def urls(self) -> list[str]:
        """The addresses that were called, without their queries."""
        return [str(request.url.copy_with(query=None)) for request in self.requests]


def submit(wire: Callable[[], httpx.BaseTransport], key: str = "key-id:key-secret") -> Submission:
    trainer = FalQueueClient(FixedKey(key), wire=wire)
    arguments = {"images_data_url": SIGNED_URL, "steps": 1000}
    return trainer.submit(APPLICATION, arguments, webhook_url=WEBHOOK_URL)


@dataclass
class FixedKey:
    """A key that never changes; ``then`` is what it is once fal has refused it."""

    key: str = "key-id:key-secret"
    then: str | None = None
    refused: list[str] = field(default_factory=list)

    def __call__(self) -> str:
        return self.key

    def newer(self, refused: str) -> str | None:
        self.refused.append(refused)
        if self.then is None or self.then == refused:
            return None
        self.key = self.then
        return self.then


@dataclass
class NoKey:
    """A secret without a value."""

    newer: Callable[[str], None] = lambda _: None

    def __call__(self) -> str:
        raise FalUnavailableError("the secret fal-key has no value yet")

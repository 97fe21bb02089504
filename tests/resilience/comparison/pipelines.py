"""What every pipeline is put through, and how its end is read from outside."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol
from unittest.mock import patch

import fal_client
import httpx

from tests.support.builders import APPLICATION
from tests.support.fal_answers import Post

WEBHOOK_URL = "https://api.example/webhooks/fal"


class Killed(BaseException):
    """The process ends here, after so long; no ``except Exception`` hears of it."""

    def __init__(self, after: timedelta = timedelta()) -> None:
        super().__init__()
        self.after = after


@dataclass(frozen=True, slots=True)
class Ending:
    """How it ended: the request ids it knows for this dataset's, what it says, what is kept.

    ``done``: it says that the LoRA is there. ``notified``: it has asked a person to act.
    """

    known: frozenset[str]
    says: str
    weights: bytes | None = None
    done: bool = False
    notified: bool = False


class Sender(Protocol):
    """A submitter of datasets, one at a time."""

    name: str

    def drop(self, timeout: httpx.Timeout) -> None:
        """A new dataset is there, its event still under way; calls to fal have these timeouts."""

    def arrive(self) -> None:
        """The event arrives; what fails is repeated as AWS does it, by itself."""

    def recover(self) -> None:
        """Half an hour without faults: whatever is done by itself."""

    def ending(self, posts: Sequence[Post]) -> Ending:
        """What has become of the dataset."""


class Pipeline(Sender, Protocol):
    """A way from a ZIP in S3 to a LoRA in S3."""

    lifetime: timedelta

    def pass_time(self, span: timedelta) -> None:
        """So much later."""

    def call_back(self, post: Post, body: bytes, *, forged: bool = False) -> bool:
        """Deliver this webhook once; True if it was answered with 2xx."""

    def failing_write(self) -> AbstractContextManager[None]:
        """The first write after the POST fails, as a throttled one does."""

    def dying_copy(self) -> AbstractContextManager[None]:
        """The first copy of a result file takes its process with it."""

    def whole_copy(self) -> AbstractContextManager[None]:
        """Files are read whole before they are written, where that can be had."""


@dataclass
class Bare:
    """fal_client.submit() and nothing around it: called once for each event."""

    name: str = "fal_client"
    known: set[str] = field(default_factory=set)
    says: str = ""
    timeout: httpx.Timeout = field(default_factory=lambda: httpx.Timeout(10.0))

    def drop(self, timeout: httpx.Timeout) -> None:
        self.timeout = timeout
        self.known.clear()
        self.says = ""

    def arrive(self) -> None:
        with client(self.timeout) as fal:
            arguments = {"images_data_url": "https://datasets.example/ada.zip"}
            try:
                request = fal.submit(APPLICATION, arguments, webhook_url=WEBHOOK_URL)
            except Exception as error:  # noqa: BLE001  # whatever a caller would have to handle
                self.says = type(error).__name__
            else:
                self.known.add(request.request_id)
                self.says = "submitted"

    def recover(self) -> None:
        """Nothing: it has no memory."""

    def ending(self, _: Sequence[Post]) -> Ending:
        return Ending(frozenset(self.known), self.says)


@contextmanager
def client(timeout: httpx.Timeout) -> Iterator[fal_client.SyncClient]:
    """The unmodified client with shorter timeouts than its own 120 seconds; closed at the end."""
    made = fal_client.SyncClient(key="key-id:key-secret", default_timeout=timeout)  # type: ignore[arg-type]  # httpx takes both
    try:
        yield made
    finally:
        made._client.close()  # it has no other way


@contextmanager
def right_after(method: str, host: str, then: Callable[[], None]) -> Iterator[None]:
    """Do this once the next such request has its answer, and before its sender hears of it."""
    real, pending = httpx.HTTPTransport.handle_request, [then]

    def handle(transport: httpx.HTTPTransport, request: httpx.Request) -> httpx.Response:
        response = real(transport, request)
        try:
            if (request.method, request.url.host) == (method, host) and pending:
                pending.pop()()
        except BaseException:
            response.close()
            raise
        return response

    with patch.object(httpx.HTTPTransport, "handle_request", handle):
        yield


def raising(error: Callable[[], BaseException]) -> Callable[[], None]:
    """A function that raises this."""

    def raise_it() -> None:
        raise error()

    return raise_it

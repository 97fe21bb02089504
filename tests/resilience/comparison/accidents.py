"""What every pipeline is put through around the POST and after it, and how its end is read."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Protocol
from unittest.mock import patch

import fal_client
import httpx

from tests.support.builders import APPLICATION
from tests.support.fal_answers import LARGE, CdnFault, Post
from tests.support.faulty_fal import FIRST, FaultyFal

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
    def raise_it() -> None:
        raise error()

    return raise_it


MINUTE = timedelta(minutes=1)
LIFETIME = timedelta(minutes=15)  # of a function, where nothing else is said
after_the_post = partial(right_after, "POST", FIRST)
type Step = Callable[[Pipeline, FaultyFal], object]


@dataclass(frozen=True, slots=True)
class Accident:
    """A story, in a sentence and in its steps; ``lifetime`` is the submit function's timeout."""

    name: str
    steps: Sequence[Step]
    lifetime: timedelta = LIFETIME

    def story(self, pipeline: Pipeline, fal: FaultyFal) -> None:
        for step in self.steps:
            step(pipeline, fal)


def arrive(pipeline: Pipeline, _: FaultyFal) -> None:
    pipeline.arrive()


def later(minutes: int) -> Step:
    return lambda pipeline, _: pipeline.pass_time(minutes * MINUTE)


def call_back(pipeline: Pipeline, fal: FaultyFal) -> None:
    """Deliver fal's webhooks for what was accepted, each again until it is answered with 2xx."""
    for post in fal.paid:
        for pause in (0, 1, 5, 20):
            pipeline.pass_time(pause * MINUTE)
            if pipeline.call_back(post, json.dumps(fal.exchange.webhook(post)).encode()):
                break


def during(fault: Callable[[Pipeline], AbstractContextManager[None]], *steps: Step) -> Step:
    def story(pipeline: Pipeline, fal: FaultyFal) -> None:
        with fault(pipeline):
            for step in steps:
                step(pipeline, fal)

    return story


def killed(after: timedelta = timedelta()) -> Step:
    """The process ends right after the POST, or so long after it."""
    return during(lambda _: after_the_post(raising(lambda: Killed(after))), arrive)


def called_back_early(pipeline: Pipeline, fal: FaultyFal) -> None:
    def early() -> None:
        [post] = fal.exchange.posts  # not settled: this very call is under way
        pipeline.call_back(post, json.dumps(fal.exchange.webhook(post)).encode())

    with after_the_post(early):
        pipeline.arrive()


def forge(pipeline: Pipeline, fal: FaultyFal) -> None:
    """A forger names another file in the place of the weights."""
    for post in fal.paid:
        body = fal.exchange.webhook(post)
        payload = body["payload"]
        payload["diffusers_lora_file"] |= {"url": payload["config_file"]["url"]}
        pipeline.call_back(post, json.dumps(body).encode(), forged=True)


def cut(*, length: bool) -> Step:
    def story(pipeline: Pipeline, fal: FaultyFal) -> None:
        fal.exchange.weights = LARGE
        fal.exchange.cut.append(CdnFault(length=length))
        pipeline.arrive()
        call_back(pipeline, fal)

    return story


def read_whole(step: Step) -> Step:
    return during(lambda pipeline: pipeline.whole_copy(), step)


WRITE_FAILED = during(lambda pipeline: pipeline.failing_write(), arrive)
KILLED_IN_COPY = during(lambda pipeline: pipeline.dying_copy(), call_back)
AROUND_THE_POST = (
    Accident("the event is delivered twice", [arrive, arrive, call_back]),
    Accident("killed right after the POST", [killed(), call_back]),
    Accident("the same, and redriven 16 minutes later", [killed(), later(16), arrive, call_back]),
    Accident(
        "Lambda's timeout of 60 s strikes after the POST",
        [killed(MINUTE), call_back],
        lifetime=MINUTE,
    ),
    Accident("DynamoDB refuses the write after the POST", [WRITE_FAILED, call_back]),
    Accident("redriven 61 minutes after it went well", [arrive, later(61), arrive, call_back]),
)
AFTER_IT = (
    Accident("the webhook never comes", [arrive]),
    Accident("the webhook comes before the write after the POST", [called_back_early]),
    Accident("the webhook comes twice", [arrive, call_back, call_back]),
    Accident("a forged webhook comes after the real one", [arrive, call_back, forge]),
    Accident("killed while copying the files", [arrive, KILLED_IN_COPY]),
    Accident("the CDN hangs up in mid-file", [cut(length=True)]),
    Accident(
        "the CDN hangs up in mid-file; copied with httpx.get()", [read_whole(cut(length=True))]
    ),
    Accident("the CDN hangs up in mid-file, length unknown", [cut(length=False)]),
    Accident(
        "the CDN hangs up, length unknown; copied with httpx.get()", [read_whole(cut(length=False))]
    ),
)

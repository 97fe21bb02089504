"""fal as its ledger has it: what was accepted, what it is doing, what it still has, whom it calls."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from nacl.signing import SigningKey

from lora_drop.fal.status import FalStatus, Finished, Gone, LogEntry, RequestLog, Running, failed
from lora_drop.fal.trainers.trainer import Price
from lora_drop.jobs.artifacts import WEIGHTS, Artifact, artifacts_in
from lora_drop.jobs.evidence import is_of, is_of_picture
from lora_drop.jobs.job import Job
from lora_drop.ports import Clock, Submission
from tests.support.builders import KEY, USER_ID, make_jpeg, make_weights, signed

# fal: "about 1 hour after the request completes".
KEPT = timedelta(hours=1)
# Each redelivery waits longer; fal makes 31 at the most, within the time it keeps the result.
BACKOFF = tuple(timedelta(seconds=seconds) for seconds in (10, 30, 60, 120, 300, 600))
MAX_DELIVERIES = 32


class End(StrEnum):
    DONE = "done"
    BILLED_FAILURE = "billed failure"
    FREE_FAILURE = "free failure"
    NOT_FETCHED = "dataset not fetched"
    CANCELLED = "cancelled"
    NOT_FETCHED_BILLED = "dataset not fetched, billed"


ERRORS: Mapping[End, tuple[str, str]] = {
    End.BILLED_FAILURE: ("image_load_error", "Failed to load the image."),
    End.FREE_FAILURE: ("internal_server_error", "Internal server error"),
    End.NOT_FETCHED: ("file_download_error", "Failed to download the file."),
    End.NOT_FETCHED_BILLED: ("file_download_error", "Failed to download the file."),
    End.CANCELLED: ("client_cancelled", "The client cancelled the request."),
}

# fal bills none of these; a cancelled one never started.
FREE = frozenset({End.FREE_FAILURE, End.NOT_FETCHED, End.CANCELLED})


@cache
def _files(request_id: str, *, picture: bool) -> dict[str, bytes]:
    base = f"https://v3.fal.media/files/{request_id}"
    config = json.dumps({"request": request_id}).encode()
    if picture:
        return {f"{base}/one.jpeg": make_jpeg(request_id, width=768)}
    return {
        f"{base}/{WEIGHTS}": make_weights(64, request_id.encode()),
        f"{base}/config.json": config,
    }


@dataclass
class Request:
    """One POST that fal has accepted: it is paid for, unless it ends for free."""

    request_id: str
    job_id: str
    webhook_url: str
    given: Mapping[str, Any]
    accepted_at: datetime
    started_at: datetime
    ended_at: datetime
    kept_until: datetime
    listed_at: datetime
    end: End = End.DONE
    payload_missing: bool = False
    copied: bool = False
    webhook_lost: bool = False
    stored: bool = False  # also after the queue has forgotten it
    called_at: datetime | None = None
    gateway_id: str = ""  # where fal has tried once more by itself
    files_at: datetime | None = None  # until then the CDN has none of them
    whole_takes: timedelta | None = None  # without ranges, a file
    signed_before: timedelta = timedelta(0)

    @property
    def picture(self) -> bool:
        """Whether it was asked to make a picture, not to train."""
        return "loras" in self.given

    @property
    def payload(self) -> dict[str, Any]:
        if self.end is End.DONE and self.picture:
            [url] = self.files
            image = {"url": url, "width": 768, "height": 1024, "content_type": "image/jpeg"}
            return {"images": [image], "has_nsfw_concepts": [False], "prompt": self.given["prompt"]}
        if self.end is End.DONE:
            return {
                output: {"url": url, "file_size": len(self.files[url]), "file_name": "any.bin"}
                for output, url in zip(
                    ("diffusers_lora_file", "config_file"), self.files, strict=True
                )
            }
        kind, message = ERRORS[self.end]
        return {"detail": [{"loc": ["body"], "msg": message, "type": kind}]}

    @property
    def files(self) -> dict[str, bytes]:
        """What the CDN has for this request: no two requests have the same bytes."""
        return _files(self.request_id, picture=self.picture)

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        return artifacts_in(self.payload) if self.end is End.DONE else ()

    def body(self) -> bytes:
        said: dict[str, Any] = {
            "request_id": self.request_id,
            "gateway_request_id": self.gateway_id or self.request_id,
            "status": "OK" if self.end is End.DONE else "ERROR",
            "error": None if self.end is End.DONE else "Invalid status code: 422",
            "payload": self.payload,
        }
        if self.payload_missing and self.end is End.DONE:
            said |= {"payload": None, "payload_error": "Response payload is not JSON serializable."}
        return json.dumps(said, sort_keys=True).encode()


@dataclass
class WebhookDelivery:
    request: Request
    at: datetime
    attempt: int = 1


@dataclass
class Fal:
    """A Trainer and its RequestHistory that keep a ledger; ``training`` is how long one takes."""

    clock: Clock
    training: timedelta = timedelta(minutes=6)
    requests: dict[str, Request] = field(default_factory=dict)
    outbox: list[WebhookDelivery] = field(default_factory=list)
    on_accept: Callable[[Request], None] = lambda _: None
    # What the next POSTs get for an answer, where it is not a receipt: before fal has accepted, or after.
    refusals: list[Exception] = field(default_factory=list)
    lost_answers: list[Exception] = field(default_factory=list)

    def submit(
        self, application: str, arguments: Mapping[str, Any], *, webhook_url: str
    ) -> Submission:
        assert application
        if self.refusals:
            raise self.refusals.pop(0)
        now = self.clock()
        ended = now + self.training
        request = Request(
            request_id=f"00000000-0000-4000-8000-{len(self.requests) + 1:012}",
            job_id=urlsplit(webhook_url).path.rsplit("/", 2)[-2],
            webhook_url=webhook_url,
            given=arguments,
            accepted_at=now,
            started_at=now + self.training / 3,
            ended_at=ended,
            kept_until=ended + KEPT,
            listed_at=now,
        )
        self.on_accept(request)
        self.requests[request.request_id] = request
        if not request.webhook_lost:
            self.outbox.append(WebhookDelivery(request, request.called_at or request.ended_at))
        if self.lost_answers:
            raise self.lost_answers.pop(0)
        return Submission(request.request_id)

    def ask(self, application: str, request_id: str) -> FalStatus:
        assert application
        now, request = self.clock(), self.requests.get(request_id)
        if request is None or now >= request.kept_until:
            return Gone(request_id)
        if now < request.ended_at:
            started = now >= request.started_at
            return Running(request_id, started=started, log=self._log_of(request, now))
        if request.end is End.DONE:
            return Finished(request_id, request.artifacts)
        units = "0" if request.end in FREE else "1000"
        said = "Invalid status code: 422"
        return failed(request_id, said, request.payload, billable_units=units)

    def _log_of(self, request: Request, now: datetime) -> RequestLog:
        """What a runner has written by now, and nothing before it has begun."""
        if now < request.started_at:
            return RequestLog(queue_position=1)
        part = (now - request.started_at) / (request.ended_at - request.started_at)
        line = f"{part:4.0%}|#| {int(1000 * part)}/1000 [00:01<00:01, 1.00it/s]"
        return RequestLog(started=True, lines=(LogEntry(line, now),))

    def log(self, application: str, request_id: str) -> RequestLog:
        said = self.ask(application, request_id)
        return (said.log if isinstance(said, Running) else None) or RequestLog()

    def cancel(self, application: str, request_id: str) -> bool:
        """Stop a request that waits; one that runs goes on to its end, as it often does at fal."""
        assert application
        now, request = self.clock(), self.requests.get(request_id)
        if request is None or now >= request.ended_at:
            return False
        if now < request.started_at:
            request.end, request.ended_at = End.CANCELLED, now
            for delivery in self.outbox:
                if delivery.request is request:
                    delivery.at = now
        return True

    def take_back(self, request: Request) -> None:
        request.end, request.payload_missing = End.DONE, False
        request.kept_until = self.clock() + KEPT
        self.outbox = [each for each in self.outbox if each.request is not request]
        self.outbox.append(WebhookDelivery(request, self.clock()))

    def price(self, application: str) -> Price | None:
        assert application
        return None

    def requests_for(self, job: Job, *, since: datetime) -> Sequence[str]:
        now = self.clock()
        return [
            request.request_id
            for request in self.requests.values()
            if since <= request.accepted_at and request.listed_at <= now and _is_of(job, request)
        ]

    def stored_result(self, application: str, request_id: str) -> Finished | None:
        assert application
        request = self.requests.get(request_id)
        if request is None or not request.stored or request.end is not End.DONE:
            return None
        return Finished(request_id, request.artifacts)

    def next_at(self) -> datetime | None:
        return min((delivery.at for delivery in self.outbox), default=None)

    def due(self) -> list[WebhookDelivery]:
        now = self.clock()
        return sorted(
            (delivery for delivery in self.outbox if delivery.at <= now), key=lambda each: each.at
        )

    def answered(self, delivery: WebhookDelivery, status: int) -> None:
        """Take the answer to a webhook: 2xx and 3xx end it, anything else is tried again."""
        if delivery not in self.outbox:
            return
        self.outbox.remove(delivery)
        if status < 400:  # a class of HTTP's
            return
        at = self.clock() + BACKOFF[min(delivery.attempt, len(BACKOFF)) - 1]
        if delivery.attempt < MAX_DELIVERIES and at < delivery.request.kept_until:
            self.outbox.append(WebhookDelivery(delivery.request, at, delivery.attempt + 1))

    def headers(
        self,
        request: Request,
        body: bytes,
        *,
        at: datetime | None = None,
        key: SigningKey = KEY,
        user_id: str = USER_ID,
    ) -> dict[str, list[str]]:
        moment = self.clock() if at is None else at
        named = request.gateway_id or request.request_id
        return signed(body, request_id=named, user_id=user_id, at=moment, key=key)


def _is_of(job: Job, request: Request) -> bool:
    if job.picture is not None:
        return is_of_picture(job, request.given)
    return is_of(job, request.given.get("images_data_url", ""))

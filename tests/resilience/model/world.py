"""Everything outside the services at one moment: fal, its webhooks, the queues, the table."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from lora_drop.fal.status import Failed, FalStatus, Finished, Gone, Running
from lora_drop.jobs.artifacts import Artifact
from lora_drop.jobs.job import Job
from lora_drop.jobs.problems import Problem
from tests.resilience.model.table import Frozen, rows_of
from tests.support.builders import USER_ID, signed, webhook_body

STRANGER = "a-strangers-request"
BY_HAND = "a-request-made-by-hand"


class End(StrEnum):
    """How a training may end."""

    OK = "succeeds"
    FAILED = "fails, and is billed"
    UNBILLED = "fails, and is not billed"
    UNFETCHED = "does not get the dataset, and is not billed"
    UNFETCHED_BILLED = "does not get the dataset, and it is unknown whether it is billed"
    CANCELLED = "is cancelled"


FREE = frozenset({End.UNBILLED, End.UNFETCHED})
ERRORS: Mapping[End, tuple[str, bool | None]] = MappingProxyType(
    {
        End.FAILED: ("invalid_archive", True),
        End.UNBILLED: ("internal_server_error", False),
        End.UNFETCHED: ("file_download_error", False),
        End.UNFETCHED_BILLED: ("file_download_error", None),
        End.CANCELLED: ("client_cancelled", True),
    }
)


@dataclass(frozen=True, slots=True)
class Request:
    """A POST that fal has accepted.

    ``doubted``: fal has said once that it knows no such request; ``denied``: twice. ``stopping``: it was asked to stop it.
    ``missed``: a person has said that there is no such request, and was wrong. ``settled``: a
    person has let its job go on, knowing how it ended. ``delivered``: its result was delivered, and we
    have answered 200; a denial after that is believed.
    """

    request_id: str
    job_id: str
    end: End | None = None
    kept: bool = True
    doubted: bool = False
    denied: bool = False
    stopping: bool = False
    missed: bool = False
    settled: bool = False
    delivered: bool = False

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        """The files of its result; the address tells whose they are."""
        url = f"https://v3.fal.media/files/{self.request_id}/lora.safetensors"
        return (Artifact(name="lora.safetensors", url=url),)

    @property
    def paid(self) -> bool:
        """Whether it has to be the only one of its job."""
        return not self.missed and not self.settled and self.end not in FREE

    def fact(self) -> FalStatus:
        """What fal says of it when it is asked."""
        if self.end is None:
            return Running(self.request_id, started=True)
        if not self.kept:
            return Gone(self.request_id)
        if self.end is End.OK:
            return Finished(self.request_id, self.artifacts)
        kind, billed = ERRORS[self.end]
        return Failed(self.request_id, Problem(code=f"fal_{kind}", message=kind), billed=billed)


@dataclass(frozen=True, slots=True)
class Webhook:
    """A delivery that fal still tries; ``to`` is the job in its address."""

    request_id: str
    to: str
    end: End
    bare: bool = False

    def __str__(self) -> str:
        return f"{self.request_id} {self.end}{', without the result' if self.bare else ''}"

    def delivery(self) -> tuple[dict[str, list[str]], bytes]:
        body = webhook_body(request_id=self.request_id, gateway_request_id=self.request_id)
        if self.end is not End.OK:
            detail: Any = [{"type": ERRORS[self.end][0], "msg": "it did not work"}]
            body = webhook_body(
                request_id=self.request_id, status="ERROR", error="x", payload={"detail": detail}
            )
        elif self.bare:
            body = webhook_body(request_id=self.request_id, payload=None)
        else:
            url = Request(self.request_id, self.to).artifacts[0].url
            payload = {"diffusers_lora_file": {"url": url, "file_name": "pytorch_lora.safetensors"}}
            body = webhook_body(request_id=self.request_id, payload=payload)
        return signed(body, request_id=self.request_id, user_id=USER_ID), body


QUEUED_AT_MOST = 2  # equal messages in a queue; more would change nothing


@dataclass(frozen=True, slots=True)
class World:
    """One moment. ``wrong`` is what the last step has broken, if it has."""

    faults: int
    rounds: int
    decisions: int
    table: Frozen = ()
    requests: tuple[Request, ...] = ()
    files: tuple[tuple[str, str], ...] = ()  # (key, address it was copied from)
    inbox: tuple[str, ...] = ()
    handed: tuple[str, ...] = ()
    webhooks: tuple[Webhook, ...] = ()
    paying: tuple[str, ...] = ()  # jobs with a living worker that has begun to pay for them
    copying: tuple[str, ...] = ()  # the names of the living store workers
    doubtful: tuple[str, ...] = ()  # jobs of which it is unknown whether a POST was accepted
    strays: int = 1
    wrong: str = ""

    @property
    def jobs(self) -> dict[str, Job]:
        rows = rows_of(self.table)
        return {pk: item["job"].job for (pk, sk), item in rows.items() if sk == "job"}

    def of_job(self, job_id: str) -> list[Request]:
        """What fal has accepted for this job, the oldest first."""
        return [request for request in self.requests if request.job_id == job_id]

    def wronged(self, job_id: str) -> bool:
        """Whether a person has said of a request for this job that there is none.

        It may come after all, and then two are paid for one job, which can wait for one of them.
        """
        return any(request.missed for request in self.of_job(job_id))

    def request(self, request_id: str) -> Request | None:
        return next((each for each in self.requests if each.request_id == request_id), None)

    def fewer_faults(self) -> "World":
        return replace(self, faults=self.faults - 1)

    def in_doubt(self, *job_ids: str) -> "World":
        """After something that leaves it open whether these jobs are at fal."""
        return replace(self, doubtful=tuple(sorted({*self.doubtful, *job_ids})))

    def with_request(self, new: Request) -> "World":
        """With this request, in the place of the one with the same id."""
        others = [each for each in self.requests if each.request_id != new.request_id]
        ordered = tuple(sorted((*others, new), key=lambda each: each.request_id))
        return replace(self, requests=ordered)


def queued[M](queue: tuple[M, ...], message: M) -> tuple[M, ...]:
    """The queue with one message more; queues keep no order."""
    if queue.count(message) >= QUEUED_AT_MOST:
        return queue
    return tuple(sorted((*queue, message), key=str))

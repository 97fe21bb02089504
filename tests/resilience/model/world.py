"""The bounds of a check, and everything outside the services at one moment of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from lora_drop.fal.status import Failed, FalStatus, Finished, Gone, Running
from lora_drop.jobs.artifacts import Artifact
from lora_drop.jobs.job import Job
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.proof import PICTURE_NAME
from tests.resilience.model.table import Frozen, rows_of
from tests.support.builders import USER_ID, signed, webhook_body


class Role(StrEnum):
    SUBMIT = "submit"
    WEBHOOK = "webhook"
    STORE = "store"
    RECONCILE = "reconcile"
    PERSON = "person"


class Fault(StrEnum):
    """What may go wrong; each fault uses one of the number left."""

    CRASH = "a worker dies between two effects"
    DOUBLED = "a message is delivered to two workers"
    LOST = "a message is given up"
    CONTENDED = "a conditional write loses, and no one has written"
    UNANSWERED = "the answer to the POST is lost, accepted or not"
    UNSENT = "the POST never leaves"
    REFUSED = "fal refuses the POST"
    FAILED = "the training fails: billed, unbilled, or the dataset was not fetched"
    BARE = "the webhook comes without the result"
    FORGOTTEN = "fal keeps the result no longer"
    DENIED = "fal says that it does not know a request which it has"
    UNLISTED = "fal's list lacks the newest request"
    ELSEWHERE = "fal's list has a second request for the dataset, made by hand"
    UNREACHABLE = "fal does not answer a question"
    INTERRUPTED = "a download breaks off"
    EARLY = "a deadline passes although the worker it is about still lives"
    STRAY = "a signed webhook about a stranger's request comes to our address"


# Lambda ends a worker minutes before another may think it dead.
LIKELY = frozenset(Fault) - {Fault.EARLY}


class Decision(StrEnum):
    """What a person may decide; each uses one of the number left."""

    NOT_SUBMITTED = "not submitted"
    ACCEPTED = "accepted"
    APPROVE = "approve"
    CANCEL = "cancel"
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class Bounds:
    name: str
    jobs: int = 1
    duplicates: bool = False  # whether the datasets have the same content
    proof: bool = False  # whether a sheet of one picture is ordered with each
    slots: int = 1
    budget: float = 100.0  # US dollars a month
    faults: int = 0
    kinds: frozenset[Fault] = LIKELY
    rounds: int = 0  # of the reconciler
    decisions: int = 0  # of a person
    says: frozenset[Decision] = frozenset(Decision)
    submitters: int = 1
    webhook_workers: int = 1
    storers: int = 1
    most_states: int = 50_000_000

    @property
    def roles(self) -> tuple[Role, ...]:
        counts = {
            Role.SUBMIT: self.submitters,
            Role.WEBHOOK: self.webhook_workers,
            Role.STORE: self.storers,
        }
        return tuple(role for role in Role for _ in range(counts.get(role, 1)))


EVERY = frozenset(Fault)

# Some 100,000 states, for the test suite.
SMALL: Sequence[Bounds] = (
    Bounds("any two faults", faults=2),
    Bounds("any fault, two of each worker", faults=1, submitters=2, webhook_workers=2, storers=2),
    Bounds("any fault, and a round", faults=1, rounds=1),
    Bounds("any fault, and a person", faults=1, decisions=1),
    Bounds("any fault, or a deadline too early", faults=1, kinds=EVERY, rounds=1, storers=2),
    Bounds("two jobs, one slot", jobs=2),
    Bounds("two equal jobs", jobs=2, slots=2, duplicates=True, submitters=2),
    Bounds("two jobs, money for one", jobs=2, slots=2, budget=4.0),
    Bounds("a proof sheet", proof=True),
    Bounds("a proof sheet, any fault", proof=True, faults=1),
    Bounds("a proof sheet, no money for it", proof=True, budget=3.6, decisions=1),
)

# Some ten million states, in minutes.
FULL: Sequence[Bounds] = (
    *SMALL,
    Bounds("any three faults", faults=3),
    Bounds("any two faults, and a round", faults=2, rounds=1),
    Bounds("any two faults, and a person", faults=2, decisions=1),
    Bounds("any fault, a round, a person", faults=1, rounds=1, decisions=1),
    Bounds("any fault, a round, two of each", faults=1, rounds=1, submitters=2, webhook_workers=2),
    Bounds("any two, or a deadline too early", faults=2, kinds=EVERY, rounds=1, storers=2),
    Bounds("any fault, and a person decides twice", faults=1, decisions=2),
    Bounds("two jobs, one slot, two submitters", jobs=2, submitters=2),
    Bounds("two jobs, one slot, any fault", jobs=2, faults=1),
    Bounds("two equal jobs, any fault", jobs=2, slots=2, duplicates=True, faults=1, submitters=2),
    Bounds("two jobs, money for one, any fault", jobs=2, slots=2, budget=4.0, faults=1),
    Bounds("a proof sheet, any fault, a round", proof=True, faults=1, rounds=1),
    Bounds("a proof sheet, any fault, a person", proof=True, faults=1, decisions=1),
    Bounds("a proof sheet, any fault, two of each", proof=True, faults=1, submitters=2, storers=2),
    Bounds("two jobs, money for one, a person", jobs=2, slots=2, budget=4.0, decisions=1),
)


STRANGER = "a-strangers-request"
BY_HAND = "a-request-made-by-hand"


class End(StrEnum):
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
    picture: bool = False

    @property
    def artifacts(self) -> tuple[Artifact, ...]:
        if self.picture:
            url = f"https://v3.fal.media/files/{self.request_id}/one.jpeg"
            return (Artifact(name=PICTURE_NAME, url=url, content_type="image/jpeg"),)
        url = f"https://v3.fal.media/files/{self.request_id}/lora.safetensors"
        return (Artifact(name="lora.safetensors", url=url),)

    @property
    def paid(self) -> bool:
        """Whether it has to be the only one of its job."""
        return not self.missed and not self.settled and self.end not in FREE

    def fact(self) -> FalStatus:
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
    picture: bool = False

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
        elif self.picture:
            url = Request(self.request_id, self.to, picture=True).artifacts[0].url
            image = {"url": url, "content_type": "image/jpeg"}
            made = {"images": [image], "prompt": "a photo"}
            body = webhook_body(request_id=self.request_id, payload=made)
        else:
            url = Request(self.request_id, self.to).artifacts[0].url
            payload = {"diffusers_lora_file": {"url": url, "file_name": "pytorch_lora.safetensors"}}
            body = webhook_body(request_id=self.request_id, payload=payload)
        return signed(body, request_id=self.request_id, user_id=USER_ID), body


SHEET = "sheet of "  # what a message of the inbox begins with that asks for a proof sheet
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
        others = [each for each in self.requests if each.request_id != new.request_id]
        ordered = tuple(sorted((*others, new), key=lambda each: each.request_id))
        return replace(self, requests=ordered)


def queued[M](queue: tuple[M, ...], message: M) -> tuple[M, ...]:
    """The queue with one message more; queues keep no order."""
    if queue.count(message) >= QUEUED_AT_MOST:
        return queue
    return tuple(sorted((*queue, message), key=str))

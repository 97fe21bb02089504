"""fal as the model has it: what it has accepted, what became of it, and what it says of that."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from lora_drop.fal.status import Failed, FalStatus, Finished, Gone, Running
from lora_drop.jobs.artifacts import Artifact
from lora_drop.jobs.problems import Problem
from tests.support.builders import USER_ID, signed, webhook_body

STRANGER = "a-strangers-request"
BY_HAND = "a-request-made-by-hand"


class End(StrEnum):
    """How a training may end."""

    OK = "succeeds"
    FAILED = "fails, and is billed"
    UNBILLED = "fails, and is not billed"
    UNFETCHED = "does not get the dataset, and is not billed"
    UNFETCHED_BILLED = "does not get the dataset, and nobody knows whether it is billed"
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
    person has let its job go on, knowing how it ended. ``told``: its result was delivered, and we
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
    told: bool = False

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
        """Headers and body, signed by fal."""
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

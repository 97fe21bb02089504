"""What services need of fal: submitting, status, files, prices, keys."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from lora_drop.datasets.archives import RangedReader
from lora_drop.fal.drift import PublishedTrainer
from lora_drop.fal.status import FalStatus, Finished, RequestLog
from lora_drop.fal.trainers.trainer import Price
from lora_drop.jobs.artifacts import Artifact
from lora_drop.jobs.job import Job
from lora_drop.results.copies import OpenArtifact


@dataclass(frozen=True, slots=True)
class Submission:
    """fal's receipt for a request it has accepted."""

    request_id: str


class FalClient(Protocol):
    """The calls to fal that a job needs."""

    def submit(
        self, application: str, arguments: Mapping[str, Any], *, webhook_url: str
    ) -> Submission:
        """Pay: exactly one POST. Raises NotSubmittedError, SubmissionRefusedError or SubmissionUnknownError."""

    def ask(self, application: str, request_id: str) -> FalStatus:
        """Return what fal says of a request now, with its log while it runs; raises FalUnavailableError."""

    def log(self, application: str, request_id: str) -> RequestLog:
        """Return the log of a request so far, by one short call; raises FalUnavailableError."""

    def cancel(self, application: str, request_id: str) -> bool:
        """Ask fal to stop a request; False when it is over already. Raises FalUnavailableError."""


class RequestHistory(Protocol):
    """fal's own list of what was asked of it with our key."""

    def requests_for(self, job: Job, *, since: datetime) -> Sequence[str]:
        """Return the ids of the requests that sent this job's dataset; raises FalUnavailableError."""

    def stored_result(self, application: str, request_id: str) -> Finished | None:
        """Return the files of a request whose output fal has stored; None for none. Raises FalUnavailableError."""


class Prices(Protocol):
    """What fal asks for a training."""

    def price(self, application: str) -> Price | None:
        """Return fal's own price of the moment; None when it cannot be had."""


class PublishedTrainers(Protocol):
    """fal's list of its trainers."""

    def published(self, application: str) -> PublishedTrainer | None:
        """Return what fal publishes of a trainer; None when it cannot be had."""


class Balances(Protocol):
    """What our account at fal has left."""

    def usd(self) -> float | None:
        """Return fal's balance now; None where the key may not see it, or fal does not say."""


class FileStorage(Protocol):
    """fal's own storage of files."""

    def upload(self, archive: RangedReader, name: str, seconds: int) -> str:
        """Return the address of a copy that fal drops after so many seconds.

        Raises what reading the archive raises, NotSubmittedError when fal cannot be reached, and
        SubmissionRefusedError when it does not take it.
        """


class ArtifactSource(Protocol):
    """fal's CDN, where result files come from."""

    def open(
        self, artifact: Artifact, *, until: float, whole: bool = False
    ) -> AbstractContextManager[OpenArtifact]:
        """Return the file, to be read until that moment of the monotonic clock; ``whole``: in one go.

        Raises DownloadInterruptedError, ResultGoneError when it is no more, and HostNotAllowedError.
        """


@dataclass(frozen=True, slots=True)
class PayloadsErased:
    """What fal deleted of a request: so many output files; ``left`` is what it kept, in sentences."""

    files: int = 0
    left: tuple[str, ...] = ()


class Payloads(Protocol):
    """What fal stores of a request: what went in, what came out, and its files."""

    def erase(self, request_id: str) -> PayloadsErased:
        """Have it deleted, as far as the key allows; raises FalUnavailableError to be asked again."""


class SigningKeys(Protocol):
    """fal's public keys for webhooks."""

    def keys(self, *, now: datetime) -> Sequence[bytes]:
        """Return the keys at hand, fetched when there are none or they are old; SigningKeysUnavailableError."""

    def newer_keys(self, *, now: datetime) -> Sequence[bytes]:
        """Return the keys fetched again for a signature no key made, at most once a minute; may be empty."""

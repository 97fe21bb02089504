"""A training without a stack: only a fal key is needed, and the same checks and the single POST stand before it."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from lora_drop.client.direct_requests import (
    FailedRequest,
    FinishedRequest,
    Parameters,
    Queued,
    RequestStatus,
    Training,
)
from lora_drop.client.errors import CommandError, TrainingFailedError
from lora_drop.client.submissions import SentTraining, Submissions
from lora_drop.fal.hosts import API_URL, CDN_URL, REST_URL
from lora_drop.fal.trainers.table import DEFAULT
from lora_drop.jobs.errors import (
    FalUnavailableError,
    NotSubmittedError,
    ResultGoneError,
    SubmissionRefusedError,
    SubmissionUnknownError,
)

if TYPE_CHECKING:
    from lora_drop.adapters.fal_direct import FalDirectClient
    from lora_drop.client.direct_dataset import DatasetSource, PreparedDataset
    from lora_drop.datasets.report import Report
    from lora_drop.webhooks import TrainingResult

UPLOAD_KEPT = timedelta(days=1)
POLL = 2.0  # seconds
REQUESTS_PAGE = "https://fal.ai/dashboard/requests"


class PortraitTrainer:
    """fal's trainer with one key.

    What was sent is written into a file on this machine before it is sent (``state``), so that neither a
    killed process nor a lost answer is paid for twice. The key is ``FAL_KEY`` unless one is given.
    """

    def __init__(
        self,
        key: str | None = None,
        *,
        application: str = DEFAULT.application,
        state: Path | None = None,
        poll: float = POLL,
    ) -> None:
        given = key or os.environ.get("FAL_KEY", "")
        if not given.strip():
            raise CommandError(
                "There is no fal key. Set FAL_KEY; https://fal.ai/dashboard/keys has yours."
            )
        self.application = application
        self._key = given
        self.poll = poll
        self._submissions = Submissions(state or _default_state())

    def check(self, dataset: "DatasetSource", **parameters: Unpack[Parameters]) -> "Report":
        """Return the report of a dataset; raises DatasetRejectedError for one that cannot train. It is free."""
        with self._ready(dataset, parameters) as (ready, _):
            return ready.report

    def upload(self, path: Path) -> str:
        """Return the address of a copy at fal, which fal drops after a day; raises NotSubmittedError."""
        from lora_drop.adapters.fal_key import SingleKey  # noqa: PLC0415
        from lora_drop.adapters.fal_storage import FalStorage  # noqa: PLC0415
        from lora_drop.adapters.local_files import open_range  # noqa: PLC0415

        hosts = [os.environ.get(name) or host for name, host in STORAGE_HOSTS]
        with open_range(path) as file:
            seconds = int(UPLOAD_KEPT.total_seconds())
            return FalStorage(SingleKey(self._key), *hosts).upload(file, path.name, seconds)

    def submit(
        self,
        dataset: "DatasetSource",
        *,
        webhook_url: str | None = None,
        again: bool = False,
        **parameters: Unpack[Parameters],
    ) -> str:
        """Return the id of the request at fal that trains this dataset with these parameters.

        It is paid for once: a second call returns the first request, and where the answer to the first was
        lost, the request that fal's list shows for it, whose webhook goes where the first call said. ``again``
        orders another training of the same, also where the first has failed or was cancelled.

        Raises DatasetRejectedError, CommandError, NotSubmittedError and SubmissionRefusedError where nothing
        was paid; SubmissionUnknownError where fal may have accepted it.
        """
        with self._ready(dataset, parameters) as (ready, arguments):
            fingerprint = self._fingerprint(ready, arguments)
            if again:
                self._submissions.withdraw(fingerprint)
            elif earlier := self._submissions.find(fingerprint):
                return earlier.request_id or self._resolved(earlier)
            address = ready.given or self.upload(ready.file)
            training = SentTraining(fingerprint, self.application, address, datetime.now(UTC))
            if not self._submissions.intend(training):
                raise SubmissionUnknownError("another process sends this training right now")
        return self._pay(
            training, {**ready.parameters.arguments(address), **arguments}, webhook_url
        )

    def status(self, request_id: str) -> RequestStatus:
        """Return where a request stands; raises FalUnavailableError."""
        from lora_drop.fal.status import Failed, Finished, Running  # noqa: PLC0415

        match self._client.ask(self.application, request_id):
            case Running(started=started):
                place = self._client.place(self.application, request_id)
                if started:
                    return Training(request_id, place.logs)
                return Queued(request_id, place.position)
            case Finished():
                return FinishedRequest(request_id)
            case Failed(problem=problem):
                return FailedRequest(request_id, problem.message)
            case _:
                return FailedRequest(
                    request_id, f"fal does not keep request {request_id} any more."
                )

    def result(self, request_id: str) -> "TrainingResult":
        """Return the files of a request that has succeeded.

        Raises TrainingFailedError, ResultGoneError, and FalUnavailableError while there is none yet.
        """
        from lora_drop.fal.status import Failed, Finished, Gone  # noqa: PLC0415
        from lora_drop.webhooks import TrainingResult, files_in  # noqa: PLC0415

        match self._client.ask(self.application, request_id):
            case Finished():
                payload = self._client.payload(self.application, request_id)
                return TrainingResult(request_id, "", tuple(files_in(payload)))
            case Failed(problem=problem, billed=billed):
                raise TrainingFailedError(problem, request_id=request_id, billed=billed)
            case Gone():
                raise ResultGoneError(request_id)
            case _:
                raise FalUnavailableError(f"request {request_id} is not done yet")

    def cancel(self, request_id: str) -> bool:
        """Ask fal to stop a request; False where it had ended before. Raises FalUnavailableError."""
        return self._client.cancel(self.application, request_id)

    def train(
        self,
        dataset: "DatasetSource",
        *,
        on_update: Callable[[RequestStatus], None] = lambda _: None,
        again: bool = False,
        **parameters: Unpack[Parameters],
    ) -> "TrainingResult":
        """Train and wait for the files; ``on_update`` is called with each new status.

        A caller that dies finds the same request with the next call. Raises what ``submit`` and ``result`` raise.
        """
        request_id = self.submit(dataset, again=again, **parameters)
        return self.wait(request_id, on_update=on_update)

    def wait(
        self, request_id: str, *, on_update: Callable[[RequestStatus], None] = lambda _: None
    ) -> "TrainingResult":
        """Wait for the files of a request; raises what ``result`` raises."""
        watch = self.watch(request_id, on_update)
        while (done := next(watch)) is None:
            time.sleep(self.poll)
        return done

    def watch(
        self, request_id: str, on_update: Callable[[RequestStatus], None]
    ) -> Iterator["TrainingResult | None"]:
        """Yield None at each look while it is not done, and at last the result."""
        last: RequestStatus | None = None
        while True:
            try:
                status = self.status(request_id)
                if status != last:
                    on_update(status)
                last = status
                yield None if isinstance(status, Queued | Training) else self.result(request_id)
            except FalUnavailableError:
                yield None  # it says nothing of the training, which goes on at fal

    @contextmanager
    def _ready(
        self, dataset: "DatasetSource", parameters: Parameters
    ) -> Iterator[tuple["PreparedDataset", dict[str, Any]]]:
        """Yield the dataset, and the inputs that are passed on as they are."""
        from lora_drop.client.direct_dataset import prepared_dataset  # noqa: PLC0415
        from lora_drop.client.parameters import metadata_of  # noqa: PLC0415

        given = dict(parameters)
        passed_on = {name: given.pop(name) for name in PASSED_ON if given.get(name)}
        with prepared_dataset(
            dataset, application=self.application, metadata=metadata_of(given)
        ) as ready:
            yield ready, passed_on

    def _pay(
        self, training: SentTraining, arguments: dict[str, Any], webhook_url: str | None
    ) -> str:
        from lora_drop.adapters.fal_transport import APPROVE  # noqa: PLC0415

        try:
            receipt = self._client.submit(self.application, arguments, webhook_url=webhook_url)
        except NotSubmittedError:
            self._submissions.withdraw(training.fingerprint)
            raise
        except SubmissionRefusedError as refused:
            self._submissions.withdraw(training.fingerprint)
            problem = refused.problem.model_copy(
                update={"message": refused.problem.message.replace(APPROVE, "")}
            )
            raise SubmissionRefusedError(problem, held=refused.held) from refused
        self._submissions.accepted(training.fingerprint, receipt.request_id)
        return receipt.request_id

    def _resolved(self, training: SentTraining) -> str:
        """Return the request of a submission whose answer was lost, by fal's own list."""
        from lora_drop.adapters.fal_history import FalHistory  # noqa: PLC0415
        from lora_drop.adapters.fal_key import SingleKey  # noqa: PLC0415
        from lora_drop.services.evidence import SKEW  # noqa: PLC0415

        host = os.environ.get("FAL_API_URL") or API_URL
        lost = f"this dataset was sent at {training.intended_at:%Y-%m-%d %H:%M} UTC and fal's answer was lost"
        try:
            found = FalHistory(SingleKey(self._key), host).requests_with(
                training.application,
                lambda url: url == training.address,
                since=training.intended_at - SKEW,
            )
        except FalUnavailableError as error:
            raise SubmissionUnknownError(
                f"{lost}; {error}, so it is not known yet. Nothing was sent now: try again later"
            ) from error
        if len(found) != 1:
            raise SubmissionUnknownError(
                f"{lost}; fal's list shows {len(found) or 'no'} requests for it. Nothing was sent now. Look at "
                f"{REQUESTS_PAGE}: if it is not there, order it with again=True"
            )
        self._submissions.accepted(training.fingerprint, found[0])
        return found[0]

    def _fingerprint(self, ready: "PreparedDataset", arguments: dict[str, Any]) -> str:
        """Return what makes two trainings the same: the server, the key, what fal gets and what it is to do with it."""
        what = {
            "server": os.environ.get("FAL_QUEUE_RUN_HOST", ""),
            "key": hashlib.sha256(self._key.strip().encode()).hexdigest(),
            "application": self.application,
            "dataset": ready.sha256,
            **ready.parameters.arguments(""),
            **arguments,
        }
        return hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()

    @property
    def _client(self) -> "FalDirectClient":
        from lora_drop.adapters.fal_direct import FalDirectClient  # noqa: PLC0415
        from lora_drop.adapters.fal_key import SingleKey  # noqa: PLC0415

        return FalDirectClient(SingleKey(self._key))


# Inputs that the stack does not take: a job goes on from a job, and an archive's format is seen.
PASSED_ON = ("data_archive_format", "resume_from_checkpoint")
STORAGE_HOSTS = (("FAL_REST_URL", REST_URL), ("FAL_CDN_URL", CDN_URL))


def _default_state() -> Path:
    from platformdirs import user_data_path  # noqa: PLC0415

    return user_data_path("lora-drop", appauthor=False) / "submissions.sqlite"

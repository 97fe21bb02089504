"""A training without a stack: only a fal key is needed, and the same checks and the single POST stand before it."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

from lora_drop.client.direct_errors import advised
from lora_drop.client.direct_patience import Deadline, Patience
from lora_drop.client.direct_requests import (
    DirectRequests,
    FailedRequest,
    Parameters,
    Queued,
    RequestStatus,
    Training,
    Unanswered,
)
from lora_drop.client.direct_training import (
    PreparedTraining,
    fingerprint,
    former_fingerprint,
    given_key,
    hold,
    lost_request,
    passed_on,
    settled,
    unlisted,
    uploaded,
)
from lora_drop.client.direct_webhooks import check_webhook, digest_of, warn_of_unused
from lora_drop.client.errors import DatasetRejectedError
from lora_drop.client.face_check import FaceCheck
from lora_drop.client.submissions import SentTraining, Submissions
from lora_drop.fal.trainers.table import DEFAULT
from lora_drop.jobs.errors import (
    FalUnavailableError,
    NotSubmittedError,
    SubmissionRefusedError,
    SubmissionUnknownError,
)

if TYPE_CHECKING:
    from lora_drop.client.direct_dataset import DatasetSource
    from lora_drop.client.direct_result import DirectResult
    from lora_drop.datasets.report import Report
    from lora_drop.fal.status import FalStatus

POLL = 2.0  # seconds
type Again = bool | Literal["seen", "failed"]


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
        self._key = given_key(key)
        self.application = application
        self.poll = poll
        self.submissions = Submissions(state)

    @property
    def _requests(self) -> DirectRequests:
        return DirectRequests(self._key, self.application)

    def check(
        self, dataset: "DatasetSource", *, faces: bool = True, **parameters: Unpack[Parameters]
    ) -> "Report":
        """Return the report of a dataset, also of one that ``submit`` would refuse. It is free, and nothing is sent.

        ``faces``, and what it raises, as LoraDrop.check.
        """
        try:
            with self.prepared(dataset, faces=faces, **parameters) as training:
                return training.dataset.report
        except DatasetRejectedError as refused:
            return refused.report

    def upload(self, path: Path, *, sha256: str | None = None) -> str:
        """Return the address of a copy at fal, which fal drops after a day.

        Raises CommandError for a file that cannot be read, or that does not have this SHA-256 (in hex),
        NotSubmittedError and SubmissionRefusedError.
        """
        return uploaded(self._key, path, sha256=sha256)

    def submit(
        self,
        dataset: "DatasetSource",
        *,
        webhook_url: str | None = None,
        again: Again = False,
        faces: bool = True,
        **parameters: Unpack[Parameters],
    ) -> str:
        """Return the id of the request at fal that trains this dataset with these parameters.

        It is paid for once: a second call returns the first request, and where the answer to the first was
        lost, the request that fal's list shows for it, whose webhook goes where the first call said. ``again``
        orders another training of the same once the one before has ended, also where it has failed or was
        cancelled; one that goes on is returned, and so is one that fal does not know until an hour has passed
        since it was sent. ``again="seen"`` does the same, and is the word of a person who has looked at fal's
        dashboard that none goes on there: it counts where fal's list cannot be read, from that hour on. ``again="failed"`` orders another only
        where fal states that the one before has failed or was cancelled, so a second call never replaces one
        that has succeeded. Where an earlier request is returned and fal does not call this
        ``webhook_url`` for it, EarlierRequestWarning says so. ``faces`` as in ``check``.

        Raises DatasetRejectedError, CommandError, NotSubmittedError and SubmissionRefusedError where nothing
        was paid; SubmissionUnknownError where fal may have accepted it.
        """
        check_webhook(webhook_url)
        with self.prepared(dataset, faces=faces, **parameters) as training:
            return self.send(training, webhook_url=webhook_url, again=again)

    @contextmanager
    def prepared(
        self, dataset: "DatasetSource", *, faces: bool = True, **parameters: Unpack[Parameters]
    ) -> Iterator[PreparedTraining]:
        """Check a dataset for ``send``, for as long as the block lasts; it is free. ``faces`` as in ``check``.

        Raises DatasetRejectedError and CommandError.
        """
        from lora_drop.client.direct_dataset import prepared_dataset  # noqa: PLC0415
        from lora_drop.client.parameters import metadata_of  # noqa: PLC0415

        given = {name: value for name, value in parameters.items() if value is not None}
        passed = passed_on(given)
        with prepared_dataset(
            dataset,
            application=self.application,
            metadata=metadata_of(given),
            faces=FaceCheck(wanted=faces),
        ) as ready:
            what = self._key, self.application, ready, passed
            which, former = fingerprint(*what), former_fingerprint(*what)
            earlier = self.submissions.find(which, former)
            yield PreparedTraining(ready, self.application, passed, which, former, earlier)

    def send(
        self, training: PreparedTraining, *, webhook_url: str | None = None, again: Again = False
    ) -> str:
        """Return the id of the request that this training has become; as ``submit``."""
        check_webhook(webhook_url)
        request_id, ended = self._order(training, again=again)
        if request_id:
            warn_of_unused(webhook_url, request_id, self._about(request_id))
            return request_id
        ready = training.dataset
        address = ready.given or self.upload(ready.file, sha256=ready.sha256)
        sent = SentTraining(training.fingerprint, training.application, address, datetime.now(UTC))
        since = time.monotonic()
        if not self.submissions.intend(sent, instead_of=ended):
            raise SubmissionUnknownError(
                "another process or thread sends this training right now; this one sent nothing. Wait a minute and run "
                "the same again: it returns that request"
            )
        hold(self.submissions, sent, since)
        return self._pay(sent, training, webhook_url)

    def ordered(self, training: PreparedTraining, *, again: Again = False) -> str | None:
        """Return the request that ``send`` would return without paying; None where it would pay."""
        return self._order(training, again=again)[0]

    def _order(
        self, training: PreparedTraining, *, again: Again
    ) -> tuple[str | None, SentTraining | None]:
        """Return the request that stands for this training, or the ended one that ``again`` replaces."""
        earlier = self.submissions.find(training.fingerprint, training.former)
        if earlier is None:
            return None, None
        request_id = earlier.request_id
        if request_id is None:
            request_id = lost_request(
                self._key, earlier, training, self.submissions.known(), seen=again == "seen"
            )
            if request_id is None:
                if again and again != "failed" and settled(earlier.intended_at):
                    return None, earlier
                raise SubmissionUnknownError(unlisted(earlier))
            self.submissions.accepted(earlier, request_id, training.about())
        with advised():
            if not again or not self._replaceable(request_id, earlier, again):
                return request_id, None
        return None, replace(earlier, request_id=request_id)

    def _replaceable(self, request_id: str, earlier: SentTraining, again: Again) -> bool:
        """Return whether another training may be paid in the place of this request."""
        if again == "failed":
            return self._requests.has_failed(request_id)
        return self._requests.has_ended(request_id, earlier.intended_at, seen=again == "seen")

    def status(self, request_id: str) -> RequestStatus:
        """Return where a request stands; raises FalUnavailableError."""
        with advised():
            return self._look(request_id)[0]

    def result(self, request_id: str) -> "DirectResult":
        """Return the files of a request that has succeeded.

        Raises TrainingFailedError, ResultGoneError, and FalUnavailableError while there is none yet.
        """
        with advised():
            return self._result(request_id, self._look(request_id)[1])

    def cancel(self, request_id: str) -> bool:
        """Ask fal to stop a request; False where it had ended before. Raises FalUnavailableError."""
        with advised():
            return self._requests.client.cancel(self.application, request_id)

    def train(
        self,
        dataset: "DatasetSource",
        *,
        on_update: Callable[[RequestStatus], None] = lambda _: None,
        timeout: float | None = None,
        again: Again = False,
        faces: bool = True,
        **parameters: Unpack[Parameters],
    ) -> "DirectResult":
        """Train and wait for the files; ``on_update`` and ``timeout`` as ``wait``, ``faces`` as ``check``.

        A caller that dies finds the same request with the next call. Raises what ``submit`` and ``wait`` raise.
        """
        request_id = self.submit(dataset, again=again, faces=faces, **parameters)
        return self.wait(request_id, on_update=on_update, timeout=timeout)

    def wait(
        self,
        request_id: str,
        *,
        on_update: Callable[[RequestStatus], None] = lambda _: None,
        timeout: float | None = None,
    ) -> "DirectResult":
        """Wait for the files of a request; ``on_update`` is called with each new status.

        That is also an Unanswered while fal says nothing of it. Raises what ``result`` raises, ResultGoneError
        only after minutes; ResultUnreadableError where the result cannot be read for an hour; CommandError for
        a key that fal refuses; and JobTimeoutError after ``timeout`` seconds, while the training goes on.
        """
        watch, deadline = self.watch(request_id, on_update), Deadline(request_id, timeout)
        while (done := next(watch)) is None:
            time.sleep(deadline.pause(self.poll))
        return done

    def watch(
        self, request_id: str, on_update: Callable[[RequestStatus], None]
    ) -> Iterator["DirectResult | None"]:
        """Yield None at each look while it is not done, also where fal does not answer, and at last the result."""
        last, patience = None, Patience(request_id)
        while True:
            done = None
            try:
                status, said = self._look(request_id)
                heard = patience.looked(status)
                if isinstance(heard, FailedRequest):
                    on_update(heard)  # what comes next raises why
                done = self._result_of(request_id, status, said)
            except FalUnavailableError as error:
                heard = patience.looked(error)
            if heard != last:
                on_update(heard)
            last = heard
            yield done

    def look(self, request_id: str) -> "tuple[RequestStatus, DirectResult | None]":
        """Return where a request stands, and its result once it has one; raises what ``result`` raises."""
        status, said = self._look(request_id)
        return status, self._result_of(request_id, status, said)

    def _result_of(
        self, request_id: str, status: RequestStatus, said: "FalStatus"
    ) -> "DirectResult | None":
        running = isinstance(status, Queued | Training | Unanswered)
        return None if running else self._result(request_id, said)

    def _look(self, request_id: str) -> "tuple[RequestStatus, FalStatus]":
        steps = self._about(request_id).get("steps")
        return self._requests.look(request_id, steps if isinstance(steps, int) else None)

    def _result(self, request_id: str, said: "FalStatus") -> "DirectResult":
        return self._requests.result(request_id, said, self._about(request_id))

    def _about(self, request_id: str) -> Mapping[str, Any]:
        """Return what this machine knows of the order; nothing of a request that another one has sent."""
        known = self.submissions.request(request_id)
        return known.about if known else {}

    def _pay(self, sent: SentTraining, training: PreparedTraining, webhook_url: str | None) -> str:
        arguments = training.arguments(sent.address)
        about = {**training.about(), "webhook_sha256": digest_of(webhook_url)}
        try:
            with advised():
                receipt = self._requests.client.submit(
                    self.application, arguments, webhook_url=webhook_url
                )
        except (NotSubmittedError, SubmissionRefusedError):
            self.submissions.withdraw(sent)
            raise
        self.submissions.accepted(sent, receipt.request_id, about)
        return receipt.request_id

"""The requests at fal that this machine has sent, looked at while the page runs; each result is fetched once."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from lora_drop.client.direct_errors import PAY_AGAIN, sentence
from lora_drop.client.direct_folders import folder_of, is_here
from lora_drop.client.direct_patience import Patience
from lora_drop.client.direct_requests import Queued, RequestStatus, Training, Unanswered
from lora_drop.client.direct_result import DirectResult, save_result
from lora_drop.client.errors import TrainingFailedError
from lora_drop.client.portrait_trainer import PortraitTrainer
from lora_drop.client.result_files import record_in
from lora_drop.client.submissions import SentRequest, Submissions
from lora_drop.fal.progress import visible
from lora_drop.jobs.errors import FalUnavailableError, LoraDropError, ResultGoneError
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.progress import PublicProgress
from lora_drop.jobs.status import Status
from lora_drop.ui.backends import LogLine
from lora_drop.ui.stack_cards import last_lines

EVERY = 5.0  # seconds between two rounds
LEAST = 1.0  # seconds between two looks at one request, however many tabs ask
FETCH_AGAIN = 60.0  # seconds after a fetch that failed
KEPT = timedelta(days=7)  # fal's FAQ: files are kept "at least 7 days by default"
READ = 200  # of the log's last lines
PAY_HERE = "drop the photos again, or press “Train again with changes” below, where the page still has them."
CANCELLED = "fal_client_cancelled"
PAGE_WORDS = (
    ("Run the same command again", "Press Train again"),
    ("run the same command again", "try it once more"),
    ("pay for it with --force", f"pay for it with {PAY_AGAIN}"),
)


@dataclass(frozen=True, slots=True)
class RequestView:
    """What the last look at a request has shown; ``problem`` says why it has ended without a result."""

    status: Status = Status.SUBMITTED
    progress: PublicProgress | None = None
    queue_position: int | None = None
    log: tuple[LogLine, ...] = ()
    silence: str | None = None
    problem: Problem | None = None
    billed: bool | None = None


@dataclass(slots=True)
class RequestWatch:
    """Looks at one request. ``wanted``: its result is fetched, because it ran while the page did, or is looked at."""

    trainer: PortraitTrainer
    request_id: str
    wanted: bool = False
    seen: RequestView = field(default_factory=RequestView)
    result: DirectResult | None = None
    unfetched: str | None = None
    fetch_at: float = 0.0
    _patience: Patience = field(init=False)
    _looked_at: float = float("-inf")
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._patience = Patience(self.request_id)

    @property
    def ended(self) -> bool:
        """Whether fal has ended it, with a result or without."""
        return self.result is not None or self.seen.status.terminal

    def look(self) -> RequestView:
        """Return what there is to see of it; fal is asked once in a second at the most."""
        with self._lock:
            if not self.ended and time.monotonic() - self._looked_at >= LEAST:
                self._look()
                self._looked_at = time.monotonic()
            return self.seen

    def _look(self) -> None:
        try:
            found = self._asked()
        except TrainingFailedError as failed:
            status = Status.CANCELLED if failed.code == CANCELLED else Status.FAILED
            self._end(status, failed.code, page_sentence(failed, PAY_HERE), failed.billed)
        except ResultGoneError as gone:
            self._end(Status.EXPIRED, "result_expired", page_sentence(gone), None)
        except LoraDropError as error:
            self.seen = replace(self.seen, silence=page_sentence(error))
        else:
            self.seen = self._shown(found)

    def _asked(self) -> RequestStatus:
        try:
            found, self.result = self.trainer.look(self.request_id)
        except FalUnavailableError as error:
            return self._patience.looked(error)
        return self._patience.looked(found)

    def _shown(self, found: RequestStatus) -> RequestView:
        match found:
            case Queued(position=position):
                self.wanted = True
                return RequestView(queue_position=position)
            case Training(logs=logs, progress=progress):
                self.wanted = True
                parts = (part for line in logs[-READ:] for part in line.split("\n"))
                lines = [{"message": text} for part in parts if (text := visible(part))]
                far = self._furthest(progress)
                return RequestView(Status.TRAINING, far, log=last_lines(lines))
            case Unanswered(message=message):
                return replace(self.seen, silence=message)
        return replace(self.seen, status=Status.STORING, queue_position=None, silence=None)

    def _furthest(self, progress: PublicProgress | None) -> PublicProgress | None:
        """Return the progress, which never falls within one total."""
        before = self.seen.progress
        if progress is None or before is None:
            return progress or before
        falls = before.steps == progress.steps and progress.percent < before.percent
        return before if falls else progress

    def _end(self, status: Status, code: str, says: str, billed: bool | None) -> None:  # noqa: FBT001
        problem = Problem(code=code, message=says)
        self.seen = replace(
            self.seen,
            status=status,
            problem=problem,
            billed=billed,
            silence=None,
            queue_position=None,
        )


class RequestFollower:
    """Follows what this machine has sent and fetches the results, in a thread that ends with ``close``.

    A result that is there at the first look is fetched by itself only into a folder that is there: else it may have
    been fetched before and moved away. A person who looks at it wants it.
    """

    def __init__(
        self, submissions: Submissions, trainer_of: Callable[[str], PortraitTrainer]
    ) -> None:
        self._submissions = submissions
        self._trainer_of = trainer_of
        self._watches: dict[str, RequestWatch] = {}
        self._lock = threading.Lock()
        self._wake, self._closed = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Follow in a thread from now on; called again, only where that has died of a bug."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="fal requests", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """End the thread; a fetch that is under way is left, and the next start begins it again."""
        self._closed.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout=1.0)

    def watch(self, request: SentRequest) -> RequestWatch:
        """Return the watch of a request, the same for all who ask."""
        with self._lock:
            found = self._watches.get(request.request_id)
            if found is None:
                trainer = self._trainer_of(request.application)
                found = self._watches[request.request_id] = RequestWatch(
                    trainer, request.request_id
                )
            return found

    def seen(self, request: SentRequest) -> tuple[RequestView, Status]:
        """Return what was seen of a request last, and where it stands; fal is not asked."""
        watch = self._watches.get(request.request_id)
        seen = watch.seen if watch else RequestView()
        done = watch is not None and watch.result is not None and not _is_fetched(request, watch)
        return seen, Status.SUCCEEDED if done or is_here(request) else seen.status

    def want(self, request: SentRequest) -> None:
        """Have a result fetched soon."""
        watch = self.watch(request)
        watch.wanted = True
        if watch.result is not None and self._thread is not None:
            self.start()
            self._wake.set()

    def round(self) -> None:
        """Look once at each request that is not done, and fetch what is; raises CommandError for an unusable record."""
        for request in self._unfinished():
            if self._closed.is_set():
                return
            watch = self.watch(request)
            watch.look()
            if watch.result and _is_fetched(request, watch) and time.monotonic() >= watch.fetch_at:
                _fetch(request, watch, watch.result)

    def _unfinished(self) -> list[SentRequest]:
        if not self._submissions.exists:
            return []
        since = datetime.now(UTC) - KEPT
        return [each for each in self._submissions.sent() if self._goes_on(each, since)]

    def _goes_on(self, request: SentRequest, since: datetime) -> bool:
        """Whether there is something to see or to fetch: of an old request only where a person looks at it."""
        watch = self._watches.get(request.request_id)
        if watch is None:
            return request.sent_at > since and not is_here(request)
        return not watch.seen.status.terminal and not is_here(request)

    def _run(self) -> None:
        while not self._closed.is_set():
            with suppress(LoraDropError):  # the list and each card read the same record, and say it
                self.round()
            self._wake.wait(EVERY)
            self._wake.clear()


def page_sentence(error: Exception, pay: str = PAY_AGAIN) -> str:
    """Return what an error of a training without a stack says, in words of the page; ``pay`` orders another one."""
    words = sentence(error, pay)
    for command, page in PAGE_WORDS:
        words = words.replace(command, page)
    return words


def _is_fetched(request: SentRequest, watch: RequestWatch) -> bool:
    """Whether its result is fetched by itself: it is wanted, or its folder waits for it since it was sent."""
    folder = folder_of(request)
    return watch.wanted or (folder.is_dir() and not record_in(folder))


def _fetch(request: SentRequest, watch: RequestWatch, result: DirectResult) -> None:
    """Fetch the files into the request's folder, with ``job.json``; what failed is tried again after a while."""
    try:
        save_result(result, folder_of(request), about=request.about)
    except LoraDropError as error:
        watch.unfetched = page_sentence(error)
        watch.fetch_at = time.monotonic() + FETCH_AGAIN
    else:
        watch.unfetched, watch.wanted = None, False

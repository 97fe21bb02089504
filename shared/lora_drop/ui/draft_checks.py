"""Checks of datasets that are looked through: of the newest revision, by a process for pictures."""

import fcntl
from collections import Counter

from lora_drop.client.archive import key_of
from lora_drop.client.errors import CommandError
from lora_drop.client.parameters import metadata_of
from lora_drop.datasets.images.header import Flaw, InvalidImageError
from lora_drop.services.internal_errors import INTERNAL_ERRORS, internal_error
from lora_drop.ui.check_queue import CheckQueue
from lora_drop.ui.draft_check import CheckProblem, CheckResult, CheckTask, Looking, keep_refusal
from lora_drop.ui.draft_files import contents, photos_of
from lora_drop.ui.draft_state import FILES, LOOKS, CheckProgress, DraftState, UnknownDraftError
from lora_drop.ui.draft_store import DraftStore
from lora_drop.ui.workers import WorkerDiedError, Workers, WorkersEndedError

ELSEWHERE = 1.0  # seconds until it is asked again whether another server still checks a dataset
AFTER_TROUBLE = 5.0  # seconds
MOST_DEATHS = 10  # of processes in one check
TWICE = 2  # a process that dies at the same photo again dies of it
KILLS = InvalidImageError(
    Flaw.TOO_MUCH_WORK,
    "cannot be opened: the program that decodes it ends each time. Open it in an image program and save it "
    "again as JPEG, or leave it out.",
)


class DraftChecks:
    """Checks what has changed, in a thread of its own."""

    def __init__(self, store: DraftStore, workers: Workers) -> None:
        self._store = store
        self._workers = workers
        self._done: dict[str, int] = {}
        self._trouble: dict[str, str] = {}
        self._queue = CheckQueue(self._check)

    def begin(self, draft_id: str, state: DraftState, *, pause: bool = False) -> None:
        """Have the newest revision checked, unless it was, or waits; ``pause``: more changes may follow."""
        if _open(state) and (pause or draft_id not in self._queue):
            self._queue.put(draft_id) if pause else self._queue.put(draft_id, 0.0)

    def progress(self, draft_id: str, state: DraftState) -> CheckProgress | None:
        """Return how far the check is; None where nothing is being checked."""
        if not _open(state) or draft_id not in self._queue:
            return None
        total = photos_of(state)
        return CheckProgress(min(self._done.get(draft_id, 0), total), total)

    def trouble(self, draft_id: str) -> str | None:
        """Return why the result of a check could not be kept; it is tried again."""
        return self._trouble.get(draft_id)

    def close(self) -> None:
        """Begin no more checks; what waits is checked by the next server."""
        self._queue.close()

    def _check(self, draft_id: str) -> float | None:
        """Check a dataset once; the seconds after which to try again, None where it is done."""
        try:
            with (self._store.path(draft_id) / "checking").open("ab") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                state = self._store.read(draft_id)
                found = self._found(draft_id, state) if _open(state) else None
                if found is not None:
                    self._record(draft_id, state, found)
            self._trouble.pop(draft_id, None)
        except BlockingIOError:
            return ELSEWHERE
        except UnknownDraftError:
            return None  # it was discarded
        except (OSError, *INTERNAL_ERRORS) as error:
            if draft_id not in self._store.ids():
                return None
            self._trouble[draft_id] = f"The result of the check cannot be kept: {error}."
            return AFTER_TROUBLE
        finally:
            self._done.pop(draft_id, None)
        return None

    def _found(self, draft_id: str, state: DraftState) -> CheckResult | CheckProblem | None:
        """Return what a check finds; None where the server ends."""
        try:
            return self._checked(draft_id, self._task(draft_id, state))
        except CommandError as refused:
            return CheckProblem(str(refused))
        except WorkersEndedError:
            return None
        except WorkerDiedError as died:
            return CheckProblem(f"The photos could not be checked: {died}. Check them again.")
        except INTERNAL_ERRORS as mistake:
            return CheckProblem(internal_error(mistake).message)

    def _task(self, draft_id: str, state: DraftState) -> CheckTask:
        """Return what there is to check, and to pack before it; raises CommandError."""
        folder = self._store.path(draft_id)
        known = state.packed == state.content and state.sha256 is not None
        packed = None
        if not known and (state.edited or state.archive is None):
            packed = contents(state, folder / FILES)
            if not packed.files:
                raise CommandError(
                    f"{state.name} holds no photos. Drop a folder with at least 10 of them."
                )
        return CheckTask(
            archive=folder / state.sent,
            looks=folder / LOOKS,
            name=state.name,
            key=key_of(state.name),
            folder=state.archive is None,
            metadata=metadata_of(state.parameters),
            application=state.application or "",
            faces=state.faces,
            sha256=state.sha256 if known else None,
            files=packed.files if packed else None,
            masks=packed.masks if packed else frozenset(),
        )

    def _checked(self, draft_id: str, task: CheckTask) -> CheckResult | CheckProblem:
        """Check, and go on where a process dies; a photo that it dies of twice counts as one that cannot be opened.

        Raises WorkerDiedError where that does not help, and UnknownDraftError for a dataset that was discarded.
        """
        deaths: Counter[str] = Counter()
        while True:
            seen: list[str] = []

            def heard(looking: Looking, seen: list[str] = seen) -> None:
                self._store.path(draft_id)  # one that was discarded is checked no further
                seen.append(looking.sha256)
                self._done[draft_id] = len(seen)

            try:
                return self._workers.check(task, heard)
            except WorkersEndedError:
                raise
            except WorkerDiedError:
                last = seen[-1] if seen else ""
                deaths[last] += 1
                if deaths.total() >= MOST_DEATHS or deaths[""] >= TWICE:
                    raise
                if deaths[last] == TWICE:
                    keep_refusal(task.looks / f"{last}.json", KILLS)

    def _record(self, draft_id: str, state: DraftState, found: CheckResult | CheckProblem) -> None:
        """Keep the result as that of the revision that was checked, whatever has changed since."""
        if isinstance(found, CheckResult):
            self._store.write_report(draft_id, state.revision, found.report)
        with self._store.changed(draft_id) as now:
            if isinstance(found, CheckProblem):
                now.problem, now.problem_revision = found.problem, state.revision
                return
            now.report_revision = state.revision
            now.packed, now.sha256 = state.content, found.sha256
        self._store.discard_reports(draft_id, state.revision)


def _open(state: DraftState) -> bool:
    """Return whether there is something to check."""
    return state.complete and not state.checked and state.order is None

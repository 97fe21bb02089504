"""The order of a training: written down before anything is sent, once, whatever asks for it, and however often."""

import fcntl
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from io import BufferedWriter
from pathlib import Path

from lora_drop.adapters.local_files import sha256_of
from lora_drop.client.errors import CommandError
from lora_drop.datasets.owner_metadata import PROOF
from lora_drop.datasets.report import Report
from lora_drop.fal.trainers.parameters import TRAINER
from lora_drop.jobs.errors import LoraDropError
from lora_drop.ui.backends import Progress
from lora_drop.ui.draft_state import DraftState, Order, WrittenOrder, is_locked, sent_elsewhere
from lora_drop.ui.draft_store import DraftStore

ORDERING = "ordering"
INTERRUPTED = (
    "The page was closed before the training had an id. Press Train again: it goes on where it was, and nothing "
    "is paid twice."
)
AGAIN = "Press Train again: nothing is paid twice."

type Train = Callable[[Path, Mapping[str, object], Progress], str]
"""(archive, parameters, progress): the id of the job"""


class Orders:
    """Runs orders, each in a thread of its own."""

    def __init__(self, store: DraftStore) -> None:
        self._store = store
        self._sent: dict[str, int] = {}  # bytes, of what this process sends

    def begin(
        self, draft_id: str, revision: int, train: Train, backend: str, *, proof: bool | None = None
    ) -> None:
        """Order a training unless it is ordered already; raises CommandError where it cannot be, or not over this backend.

        ``proof`` as for ``Drafts.order``; an order that is repeated has the one of the first.
        """
        folder = self._store.path(draft_id)
        with ExitStack() as undo:
            with self._store.changed(draft_id) as state:
                if state.order and (elsewhere := sent_elsewhere(state.order.backend, backend)):
                    raise CommandError(elsewhere)
                running = _is_open(state.order) and is_locked(folder / ORDERING)
                if running or (state.order and state.order.job_id):
                    return  # one whose end is written holds the lock for a moment only
                report = self._checked(draft_id, state, revision)
                proof = state.order.proof if state.order else proof
                parameters = _sent_parameters(state, report, proof)
                archive = folder / state.sent
                state.order = WrittenOrder(
                    at=datetime.now(UTC),
                    total=archive.stat().st_size,
                    backend=backend,
                    proof=proof,
                )
                held = undo.enter_context((folder / ORDERING).open("ab"))
                # Only a look whether it is held can hold it now, which takes no time.
                fcntl.flock(held, fcntl.LOCK_EX)
            undo.pop_all()  # the thread's from here on
        send = partial(train, archive, parameters)
        self._sent[draft_id] = 0
        threading.Thread(
            target=self._run, args=(draft_id, send, held), name="order", daemon=True
        ).start()

    def seen(self, draft_id: str, state: DraftState) -> Order | None:
        """Return what the page shows of the order of a dataset."""
        order = state.order
        running = _is_open(order) and is_locked(self._store.path(draft_id) / ORDERING)
        if _is_open(order) and not running:  # its end is written before the lock is free
            order = self._store.read(draft_id).order
        if order is None:
            return None
        return Order(
            at=order.at,
            sent=order.total if order.job_id else self._sent.get(draft_id, 0),
            total=order.total,
            running=running,
            job_id=order.job_id,
            problem=INTERRUPTED if _is_open(order) and not running else order.problem,
            backend=order.backend,
            proof=order.proof,
        )

    def _checked(self, draft_id: str, state: DraftState, revision: int) -> Report:
        """Return the report of this very revision.

        Raises CommandError unless it was accepted, and its archive is the one that was checked.
        """
        if revision != state.revision:
            raise CommandError(
                "The dataset has changed since this page was loaded. Look at it, and press Train again."
            )
        report = self._store.report(draft_id, state)
        if report is None or state.report_revision != state.revision:
            raise CommandError("The dataset is still being checked. Wait for the result.")
        if not report.accepted:
            raise CommandError("The dataset cannot be trained on. Put right what the check says.")
        archive = self._store.path(draft_id) / state.sent
        if state.packed != state.content or sha256_of(archive) != state.sha256:
            raise CommandError(
                f"{archive} is not the file that was checked: something else has changed it. Nothing was "
                "sent. Drop the photos again."
            )
        return report

    def _run(self, draft_id: str, send: Callable[[Progress], str], held: BufferedWriter) -> None:
        """Send the archive, and write down what became of it."""

        def progress(sent: int, total: int) -> None:  # noqa: ARG001  # of the same archive
            self._sent[draft_id] = sent

        job_id, problem = None, None
        with held:
            try:
                job_id = send(progress)
            except LoraDropError as error:
                problem = str(error) or AGAIN
            except OSError as error:
                problem = f"The training was not ordered: {error}. {AGAIN}"
            except Exception as mistake:  # noqa: BLE001  # whatever it is, a person reads it
                name = type(mistake).__name__
                problem = (
                    f"The training was not ordered: {name}: {mistake}. Please report it. {AGAIN}"
                )
            with self._store.changed(draft_id) as state:
                if state.order is not None:
                    state.order.job_id, state.order.problem = job_id, problem
        self._sent.pop(draft_id, None)


def _sent_parameters(
    state: DraftState,
    report: Report,
    proof: bool | None,  # noqa: FBT001  # None is neither
) -> Mapping[str, object]:
    """Return what a person has set, with the trainer and the proof sheet whose price was shown.

    The stack's own may be others by now.
    """
    given = {name: value for name, value in state.parameters.items() if value not in (None, "")}
    given.pop(PROOF, None)
    sheet = {} if proof is None else {PROOF: proof}
    return {TRAINER: report.trainer, **given, **sheet}


def _is_open(order: WrittenOrder | None) -> bool:
    """Return whether it is not known what became of an order."""
    return order is not None and order.job_id is None and order.problem is None

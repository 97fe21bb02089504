"""Datasets that are looked through and not sent yet: dropped, checked, edited, ordered.

What a person does is on the disk before a method returns; a server that is killed, and another one on the same
folder, see the same.
"""

import secrets
import shutil
from collections.abc import Collection, Mapping
from contextlib import suppress
from copy import deepcopy
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import JsonValue, TypeAdapter

from lora_drop.client.archive import key_of
from lora_drop.client.errors import CommandError
from lora_drop.client.face_check import FaceCheck
from lora_drop.client.parameters import metadata_of, resolved_here
from lora_drop.datasets.archives import is_junk
from lora_drop.datasets.caption_text import MAX_CAPTION
from lora_drop.datasets.parameters import MAX_TRAINING_JSON
from lora_drop.ui import draft_files
from lora_drop.ui.draft_captions import DraftCaptions
from lora_drop.ui.draft_checks import DraftChecks
from lora_drop.ui.draft_orders import ORDERING, Orders, Train
from lora_drop.ui.draft_pictures import DraftPictures
from lora_drop.ui.draft_state import (
    FILES,
    INCOMING,
    LOOKS,
    THUMBNAILS,
    CheckProgress,
    Draft,
    DraftFile,
    DraftState,
    Order,
    UnknownDraftError,
    is_locked,
)
from lora_drop.ui.draft_store import DraftStore
from lora_drop.ui.workers import Workers

__all__ = ["CheckProgress", "Draft", "DraftFile", "Drafts", "Order", "UnknownDraftError"]

MOST_FILES = 5_000
SENT_KEPT = timedelta(days=7)
UPLOADS_KEPT = timedelta(days=1)
_PARAMETERS = TypeAdapter(dict[str, JsonValue])
ORDERED = "The dataset was ordered, and stays as it was sent. Drop the photos again to train them in another way."


class Drafts:
    """The datasets in a folder of this machine; ``application`` is fal's name of the trainer.

    ``faces`` is what their checks do about faces.
    Every method may be called in any thread, takes as long as its files need, and raises CommandError, whose text
    says what to do, and UnknownDraftError.
    """

    def __init__(
        self, folder: Path, workers: Workers, application: str, faces: FaceCheck | None = None
    ) -> None:
        self._store = DraftStore(folder)
        self._workers = workers
        self._application = application
        self._faces = faces or FaceCheck()
        self._orders = Orders(self._store)
        self._captions = DraftCaptions(self._store)
        self._checks = DraftChecks(self._store, workers)
        self._pictures = DraftPictures(self._store, workers)

    def create(self, name: str) -> Draft:
        """Begin a dataset; ``name`` is that of the folder or the ZIP."""
        last = name.replace("\\", "/").rstrip("/").rpartition("/")[2].replace("\0", "")
        return self.get(
            self._store.create(
                last.encode(errors="replace").decode()[:200] or "dataset",
                *(self._application, self._faces),
            )
        )

    def all(self) -> list[Draft]:
        """Return all datasets without their reports, the newest first; one that another version has written is left out."""
        found = []
        for draft_id in self._store.ids():
            with suppress(UnknownDraftError):
                found.append(self._seen(draft_id, self._store.read(draft_id), report=False))
        return sorted(found, key=lambda draft: draft.created_at, reverse=True)

    def of_jobs(self, job_ids: Collection[str]) -> list[Draft]:
        """Return the datasets that have become these jobs, without their reports, the newest first."""
        return [each for each in self.all() if each.order and each.order.job_id in job_ids]

    def get(self, draft_id: str) -> Draft:
        """Return a dataset as it is now, and begin its check where that was interrupted, or was for another trainer."""
        state = self._read(draft_id)
        self._checks.begin(draft_id, state)
        return self._seen(draft_id, state)

    def again(self, draft_id: str) -> Draft:
        """Return a new dataset with the same files and everything that was decided, which can be changed and sent."""
        before, folder = self._store.read(draft_id), self._store.path(draft_id)
        new = self._store.create(before.name, self._application, self._faces)
        for each in (FILES, THUMBNAILS, LOOKS):
            for file in (folder / each).iterdir():
                _share(file, self._store.path(new) / each / file.name)
        kept = (
            "archive",
            "whole",
            "next_number",
            "files",
            "rejected",
            "captions",
            "found",
            "parameters",
        )
        with self._store.changed(new) as state:
            for name in kept:
                setattr(state, name, deepcopy(getattr(before, name)))
            state.complete = before.complete
            state.change()
        return self.get(new)

    def discard(self, draft_id: str) -> None:
        """Delete a dataset with its files, unless its order runs."""
        with self._store.changed(draft_id):
            if is_locked(self._store.path(draft_id) / ORDERING):
                raise CommandError("The dataset is being sent. Wait until that has ended.")
            self._store.discard(draft_id)

    def tidy(self, now: datetime) -> None:
        """Delete what became a job a week ago, and what is left of uploads that a killed server was taking in."""
        for draft in self.all():
            if draft.order and draft.order.job_id and now - draft.order.at > SENT_KEPT:
                self.discard(draft.id)
                continue
            for left in (self._store.path(draft.id) / INCOMING).iterdir():
                if now.timestamp() - left.stat().st_mtime > UPLOADS_KEPT.total_seconds():
                    left.unlink(missing_ok=True)

    def incoming(self, draft_id: str) -> Path:
        """Return where an upload can be written; there is no such file yet."""
        return self._store.path(draft_id) / INCOMING / secrets.token_hex(8)

    def add(self, draft_id: str, name: str, received: Path) -> DraftFile:
        """Take a file that was received, which is moved; one of the same name is replaced.

        What is hidden, or a computer's own, gets the number 0 and is left out.
        """
        name = draft_files.relative_name(name)
        try:
            size = received.stat().st_size
        except FileNotFoundError as error:
            raise CommandError(f"{name} did not arrive. Drop it again.") from error
        folder = self._store.path(draft_id)
        with self._store.changed(draft_id) as state:
            _refuse_ordered(state)
            if state.archive is not None:
                raise CommandError(
                    "A ZIP was dropped here. Drop other photos as a dataset of their own."
                )
            if is_junk(name):
                received.unlink()
                return DraftFile(number=0, name=name, size=size)
            if len(state.files) >= MOST_FILES:
                raise CommandError(
                    f"There are more than {MOST_FILES:,} files. Drop 20 to 50 photos: they are best."
                )
            file = DraftFile(number=state.next_number, name=name, size=size)
            received.replace(folder / FILES / str(file.number))
            replaced = [each for each in state.files if each.name == name]
            state.files = [*(each for each in state.files if each.name != name), file]
            state.next_number += 1
            state.found = {}  # it may be a file of captions
            state.complete = False
            state.change()
        for each in replaced:
            (folder / FILES / str(each.number)).unlink(missing_ok=True)
        return file

    def finish(self, draft_id: str) -> Draft:
        """Take what was added for everything: unpack a ZIP, and begin the check; also one that has failed."""
        with self._store.changed(draft_id) as state:
            state.problem = state.problem_revision = None
            if not state.complete:
                self._unpack(draft_id, state)
                state.complete = True
                for left in (self._store.path(draft_id) / INCOMING).iterdir():
                    left.unlink()  # of an upload that broke off
        return self.get(draft_id)

    def reject(self, draft_id: str, number: int) -> Draft:
        """Leave a photo out, with its caption and its mask."""
        with self._store.changed(draft_id) as state:
            photo = _photo(state, number)
            if photo not in state.rejected:
                state.rejected.add(photo)
                state.change()
        return self._changed(draft_id)

    def keep(self, draft_id: str, number: int) -> Draft:
        """Use a photo that was left out after all."""
        with self._store.changed(draft_id) as state:
            photo = _photo(state, number)
            if photo in state.rejected:
                state.rejected.remove(photo)
                state.change()
        return self._changed(draft_id)

    def caption(self, draft_id: str, number: int) -> str:
        """Return a photo's caption as it was written on the page, lies beside the photo, or was found elsewhere."""
        state = self._store.read(draft_id)
        return self._captions.text(draft_id, state, state.file(number).name)

    def write_caption(self, draft_id: str, number: int, text: str) -> Draft:
        """Write a photo's caption; photos that share one share it still. A blank one is none."""
        if len(text.encode(errors="replace")) > MAX_CAPTION or "\0" in text:
            raise CommandError(f"A caption has {MAX_CAPTION:,} bytes at most. Shorten it.")
        with self._store.changed(draft_id) as state:
            photo = _photo(state, number)
            self._captions.write(draft_id, state, photo, text)
        return self._changed(draft_id)

    def set_parameters(self, draft_id: str, parameters: Mapping[str, object]) -> Draft:
        """Set all parameters of the training; wrong ones change nothing, and are said as the command says them."""
        metadata = metadata_of(parameters)
        with self._store.changed(draft_id) as state:
            _refuse_ordered(state)
            resolved_here(
                self._training_json(draft_id, state),
                key=key_of(state.name),
                metadata=metadata,
                application=self._application,
            )
            if state.parameters != parameters:
                state.parameters = _PARAMETERS.validate_python(dict(parameters))
                state.change(content=False)
        return self._changed(draft_id)

    def thumbnail(self, draft_id: str, number: int) -> bytes:
        """Return a photo as a JPEG of at most 320 pixels a side; "No preview" for what cannot be shown."""
        return self._pictures.small(draft_id, number)

    def picture(self, draft_id: str, number: int) -> bytes:
        """Return a photo as a JPEG of at most 1,600 pixels a side; "No preview" for what cannot be shown."""
        return self._pictures.large(draft_id, number)

    def order(
        self, draft_id: str, revision: int, train: Train, backend: str, *, proof: bool | None = None
    ) -> Draft:
        """Train a dataset that was accepted in this very revision, once; ``train`` is called in a thread.

        ``backend`` is the name of where it is sent: another one refuses it from then on. A second order returns the first, also in another server. The order is on the disk before ``train`` is called.
        ``proof`` says whether a proof sheet goes with it; None says nothing of one.
        """
        self._orders.begin(draft_id, revision, train, backend, proof=proof)
        return self.get(draft_id)

    def close(self) -> None:
        """Begin no more checks; close the processes for pictures after this. An order that runs goes on."""
        self._checks.close()

    def _changed(self, draft_id: str) -> Draft:
        """Begin the check of what was changed, once nothing more changes."""
        state = self._read(draft_id)
        self._checks.begin(draft_id, state, pause=True)
        return self._seen(draft_id, state)

    def _read(self, draft_id: str) -> DraftState:
        """Return what is known of a dataset, which becomes another revision where it was checked for another trainer.

        The price is that trainer's, and so is what is refused. The same where its check did otherwise about faces.
        What was ordered stays as it was sent.
        """
        state = self._store.read(draft_id)
        now = self._application, self._faces
        if (state.application, state.faces) == now or state.order is not None:
            return state
        with self._store.changed(draft_id) as changed:
            if changed.order is None:
                changed.application, changed.faces = now
                changed.change(content=False)
        return self._store.read(draft_id)

    def _seen(self, draft_id: str, state: DraftState, *, report: bool = True) -> Draft:
        known = state.problem if state.problem_revision == state.revision else None
        return Draft(
            id=draft_id,
            name=state.name,
            created_at=state.created_at,
            zipped=state.archive is not None,
            complete=state.complete,
            files=tuple(state.files),
            rejected=frozenset(state.rejected),
            captions=dict(state.captions),
            parameters=dict(state.parameters),
            revision=state.revision,
            report=self._store.report(draft_id, state) if report else None,
            report_revision=state.report_revision,
            checking=self._checks.progress(draft_id, state),
            problem=known or self._checks.trouble(draft_id),
            order=self._orders.seen(draft_id, state),
        )

    def _unpack(self, draft_id: str, state: DraftState) -> None:
        """Take the files of a ZIP where one was dropped, and nothing else."""
        folder = self._store.path(draft_id) / FILES
        if not draft_files.is_zip(state.files, folder):
            return
        state.archive = state.files[0].number
        state.files, state.whole = draft_files.unpack(
            folder / str(state.archive), folder, state.next_number
        )
        state.next_number += len(state.files)
        state.change()

    def _training_json(self, draft_id: str, state: DraftState) -> bytes | None:
        found = draft_files.selection(state).training_json
        if found is None or found.size > MAX_TRAINING_JSON:
            return None
        number = next(file.number for file in state.files if file.name == found.name)
        return (self._store.path(draft_id) / FILES / str(number)).read_bytes()


def _share(file: Path, target: Path) -> None:
    """Make one file two names of the same bytes, which nothing changes; a copy where the disk knows no such thing."""
    try:
        target.hardlink_to(file)
    except OSError:
        shutil.copyfile(file, target)


def _photo(state: DraftState, number: int) -> str:
    """Return the name of a photo that can be edited; raises CommandError."""
    _refuse_ordered(state)
    name = state.file(number).name
    if not state.whole:
        raise CommandError(
            "A part of this ZIP cannot be read, so it cannot be changed here. Make it again as the check says, and "
            "drop it again."
        )
    if name not in {each.name for each in draft_files.selection(state).others}:
        raise CommandError(f"{name} is no photo.")
    return name


def _refuse_ordered(state: DraftState) -> None:
    if state.order is not None:
        raise CommandError(ORDERED)

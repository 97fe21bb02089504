"""The pictures of a dataset that is looked through, made when they are asked for."""

import secrets
from importlib.resources import files
from pathlib import Path

from lora_drop.ui.draft_state import FILES, THUMBNAILS, UnknownDraftError
from lora_drop.ui.draft_store import DraftStore
from lora_drop.ui.worker_tasks import LARGE, SMALL
from lora_drop.ui.workers import NoPreviewError, WorkerDiedError, Workers


class DraftPictures:
    """Small pictures, which are kept, and large ones, which are not: JPEGs; "No preview" where there is none."""

    def __init__(self, store: DraftStore, workers: Workers) -> None:
        self._store = store
        self._workers = workers
        self._hopeless: set[Path] = (
            set()
        )  # what has no preview, or killed a process: not tried again

    def small(self, draft_id: str, number: int) -> bytes:
        """Return a picture of at most 320 pixels a side; raises CommandError where there is no such file."""
        self._store.read(draft_id).file(number)
        folder = self._store.path(draft_id)
        kept = folder / THUMBNAILS / f"{number}.jpg"
        try:
            return kept.read_bytes()
        except FileNotFoundError:
            picture = self._made(folder / FILES / str(number), SMALL)
        if picture is None:
            return _placeholder()
        try:
            temporary = kept.with_suffix(f".{secrets.token_hex(4)}")
            temporary.write_bytes(picture)
            temporary.replace(kept)
        except FileNotFoundError as error:
            raise UnknownDraftError("The dataset was discarded.") from error
        return picture

    def large(self, draft_id: str, number: int) -> bytes:
        """Return a picture of at most 1,600 pixels a side; raises CommandError where there is no such file."""
        self._store.read(draft_id).file(number)
        made = self._made(self._store.path(draft_id) / FILES / str(number), LARGE)
        return _placeholder() if made is None else made

    def _made(self, file: Path, side: int) -> bytes | None:
        if file in self._hopeless:
            return None
        try:
            return self._workers.preview(file, side)
        except (NoPreviewError, WorkerDiedError):
            self._hopeless.add(file)
            return None


def _placeholder() -> bytes:
    return (files("lora_drop.ui") / "static" / "no-preview.jpg").read_bytes()

"""Captions that are written on the page, and what counts where none is."""

from collections.abc import Iterable

from lora_drop.fal.trainers.demands import stem
from lora_drop.jobs.problems import MAX_NAME, shortened
from lora_drop.ui import draft_files
from lora_drop.ui.draft_state import FILES, DraftState
from lora_drop.ui.draft_store import DraftStore

EDITED = "caption_edited"  # in a report


class DraftCaptions:
    """The captions of all datasets of a store."""

    def __init__(self, store: DraftStore) -> None:
        self._store = store

    def text(self, draft_id: str, state: DraftState, photo: str) -> str:
        """Return a photo's caption as it was written on the page, lies beside the photo, or was found elsewhere."""
        if photo in state.captions:
            return state.captions[photo]
        return self._found(draft_id, state, photo) or ""

    def write(self, draft_id: str, state: DraftState, photo: str, text: str) -> None:
        """Change a photo's caption in the state, and that of the photos that share it; what lies there takes it back."""
        others = draft_files.selection(state).others
        shared = [each.name for each in others if stem(each.name) == stem(photo)]
        self._remember(draft_id, state, shared)
        written = {**state.captions, **dict.fromkeys(shared, text)}
        if text == self._found(draft_id, state, photo):
            written = {name: each for name, each in written.items() if name not in shared}
        if written != state.captions:
            state.captions = written
            state.change()

    def _found(self, draft_id: str, state: DraftState, photo: str) -> str | None:
        """Return what counts without what is written on the page: the caption beside a photo, or one from elsewhere.

        None where it is not known: no check has looked at the photo as it was dropped.
        """
        own = draft_files.caption_of(state, photo, self._store.path(draft_id) / FILES)
        if own or photo in state.found:
            return own or state.found[photo]
        report = self._store.report(draft_id, state)
        if report is None:
            return None
        if (EDITED, shortened(photo, MAX_NAME)) in {
            (each.code, each.member) for each in report.changes
        }:
            return None
        return next((each.caption_text for each in report.photos if each.member == photo), None)

    def _remember(self, draft_id: str, state: DraftState, photos: Iterable[str]) -> None:
        """Keep what counts for photos without what is about to be written: no later check sees it any more."""
        for photo in photos:
            if (text := self._found(draft_id, state, photo)) is not None:
                state.found.setdefault(photo, text)

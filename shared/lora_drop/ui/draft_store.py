"""Datasets that are looked through, on the disk: several threads and servers see and change the same."""

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from lora_drop.client.face_check import FaceCheck
from lora_drop.datasets.report import Report
from lora_drop.ui.draft_state import (
    FILES,
    INCOMING,
    LOOKS,
    THUMBNAILS,
    DraftState,
    UnknownDraftError,
    locked,
    write_durably,
)

ID = re.compile(r"[0-9a-f]{16}")
REPORTS = 10  # that are kept in memory: one of 500 photos takes a megabyte
GONE = ".gone-"  # what was discarded, until all of its files are deleted

type Signature = tuple[int, int, int]


class DraftStore:
    """A folder with a folder for each dataset, which only this person may read."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._states: dict[str, tuple[Signature, DraftState]] = {}
        self._reports: dict[str, tuple[int, Report]] = {}  # the newest last
        for left in folder.glob(f"{GONE}*"):
            shutil.rmtree(left, ignore_errors=True)  # another server may be deleting it

    def create(self, name: str, application: str, faces: FaceCheck) -> str:
        """Make an empty dataset for this trainer and this check, and return its id."""
        draft_id = secrets.token_hex(8)
        folder = self._folder / draft_id
        folder.mkdir(mode=0o700)
        for each in (FILES, THUMBNAILS, LOOKS, INCOMING):
            (folder / each).mkdir(mode=0o700)
        state = DraftState(
            name=name, created_at=datetime.now(UTC), application=application, faces=faces
        )
        write_durably(folder / "draft.json", state.model_dump_json().encode())
        return draft_id

    def ids(self) -> list[str]:
        """Return the ids of all datasets."""
        return [each.name for each in self._folder.iterdir() if ID.fullmatch(each.name)]

    def path(self, draft_id: str) -> Path:
        """Return a dataset's folder; raises UnknownDraftError."""
        folder = self._folder / draft_id
        if not ID.fullmatch(draft_id) or not folder.is_dir():
            raise _unknown()
        return folder

    def read(self, draft_id: str) -> DraftState:
        """Return what is known of a dataset now, which is not to be changed; raises UnknownDraftError."""
        file = self.path(draft_id) / "draft.json"
        try:
            found = file.stat()
            signature = found.st_ino, found.st_mtime_ns, found.st_size
            known = self._states.get(draft_id)
            if known is None or known[0] != signature:
                known = signature, DraftState.model_validate_json(file.read_bytes())
                self._states[draft_id] = known
        except FileNotFoundError as error:
            raise _unknown() from error
        except ValidationError as error:
            raise UnknownDraftError(
                f"{file} cannot be read: another version of lora-drop has written it. Drop the photos again."
            ) from error
        return known[1]

    @contextmanager
    def changed(self, draft_id: str) -> Iterator[DraftState]:
        """Change a dataset, alone; it is on the disk at the end of the block, and as it was where that raises."""
        folder = self.path(draft_id)
        try:
            with locked(folder / "lock"):
                before = self.read(draft_id)
                state = before.model_copy(deep=True)
                yield state
                if state != before:
                    write_durably(folder / "draft.json", state.model_dump_json().encode())
        except FileNotFoundError as error:
            if folder.is_dir():
                raise
            raise _unknown() from error

    def report(self, draft_id: str, state: DraftState) -> Report | None:
        """Return the report of the newest check that has ended; None where there is none."""
        revision = state.report_revision
        if revision is None:
            return None
        known = self._reports.get(draft_id)
        if known is None or known[0] != revision:
            try:
                data = (self.path(draft_id) / _report_name(revision)).read_bytes()
            except FileNotFoundError:  # a newer one has taken its place
                return None
            known = revision, Report.model_validate_json(data)
            self._remember(draft_id, *known)
        return known[1]

    def write_report(self, draft_id: str, revision: int, report: Report) -> None:
        """Keep a report, before the state says that there is one; the older ones go."""
        folder = self.path(draft_id)
        write_durably(folder / _report_name(revision), report.model_dump_json().encode())
        self._remember(draft_id, revision, report)

    def _remember(self, draft_id: str, revision: int, report: Report) -> None:
        self._reports.pop(draft_id, None)
        self._reports[draft_id] = (revision, report)
        for oldest in [*self._reports][:-REPORTS]:
            self._reports.pop(oldest, None)

    def discard_reports(self, draft_id: str, newest: int) -> None:
        """Delete the reports of other revisions."""
        for each in self.path(draft_id).glob("report-*.json"):
            if each.name != _report_name(newest):
                each.unlink(missing_ok=True)

    def discard(self, draft_id: str) -> None:
        """Delete a dataset with all of its files."""
        gone = self._folder / f"{GONE}{draft_id}"
        os.replace(self.path(draft_id), gone)  # noqa: PTH105  # whole or not at all
        self._states.pop(draft_id, None)
        self._reports.pop(draft_id, None)
        shutil.rmtree(gone)


def _report_name(revision: int) -> str:
    return f"report-{revision}.json"


def _unknown() -> UnknownDraftError:
    return UnknownDraftError("There is no such dataset here any more. Drop the photos again.")

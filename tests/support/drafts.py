"""Datasets that are looked through, as tests drop them: in a folder of the test, over processes of the file."""

import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_socket

from lora_drop.datasets.report import Report
from lora_drop.ui.drafts import Draft, Drafts
from lora_drop.ui.workers import Workers
from tests.support.client_fixtures import photo

APPLICATION = "fal-ai/flux-lora-portrait-trainer"


@pytest.fixture(autouse=True)
def sockets_off() -> None:
    pytest_socket.disable_socket(allow_unix_socket=True)


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    made = Workers()
    yield made
    made.close()


@pytest.fixture
def drafts(tmp_path: Path, workers: Workers) -> Iterator[Drafts]:
    made = Drafts(tmp_path / "drafts", workers, APPLICATION)
    yield made
    made.close()


@pytest.fixture
def album(tmp_path: Path) -> Path:
    """A folder with everything: captions, parameters, a folder below, a computer's own files, no photo."""
    folder = tmp_path / "Ada: Lovelace?"
    (folder / "more").mkdir(parents=True)
    for number in range(12):
        (folder / f"{number}.jpg").write_bytes(photo(600, number))
    (folder / "more" / "x.JPEG").write_bytes(photo(620, 99))
    (folder / "3.txt").write_text("a photo of [trigger] in a garden")
    (folder / "4.caption").write_text("a photo of [trigger] on a boat")
    (folder / "training.json").write_text('{"steps": 700}')
    (folder / ".DS_Store").write_bytes(b"x")
    (folder / "more" / "._x.JPEG").write_bytes(b"x")
    (folder / "notes.pdf").write_bytes(b"%PDF-1.7")
    return folder


def put(drafts: Drafts, draft_id: str, name: str, data: bytes) -> int:
    received = drafts.incoming(draft_id)
    received.write_bytes(data)
    return drafts.add(draft_id, name, received).number


def dropped(drafts: Drafts, path: Path) -> Draft:
    """Drop a folder or a ZIP, and wait for its check."""
    draft = drafts.create(path.name)
    if path.is_file():
        put(drafts, draft.id, path.name, path.read_bytes())
    for file in path.rglob("*") if path.is_dir() else ():
        if file.is_file():
            put(drafts, draft.id, file.relative_to(path).as_posix(), file.read_bytes())
    drafts.finish(draft.id)
    return checked(drafts, draft.id)


def checked(drafts: Drafts, draft_id: str) -> Draft:
    """Wait until a dataset was checked as it is now."""
    for _ in range(2400):  # on a loaded machine
        draft = drafts.get(draft_id)
        if draft.current or draft.problem:
            return draft
        time.sleep(0.05)
    raise AssertionError("the check does not end")


def number_of(draft: Draft, name: str) -> int:
    return next(file.number for file in draft.files if file.name == name)


def names_in(archive: Path) -> list[str]:
    with zipfile.ZipFile(archive) as opened:
        return opened.namelist()


def said(report: Report | None) -> dict[str, Any]:
    """A report but for what differs from one check to the next."""
    assert report is not None
    return report.model_dump(mode="json", exclude={"seconds", "bytes_read", "requests"})

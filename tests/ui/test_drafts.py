"""Datasets that are looked through: dropped, checked as the command checks them, and kept over a killed server."""

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from lora_drop.client.archive import archive_of
from lora_drop.client.check import check_dataset
from lora_drop.client.errors import CommandError
from lora_drop.ui.draft_check import CheckProblem, CheckResult, CheckTask, Looking
from lora_drop.ui.drafts import Drafts, UnknownDraftError
from lora_drop.ui.workers import Workers
from tests.support.client_fixtures import phone_data, photo
from tests.support.drafts import (
    APPLICATION,
    album,
    checked,
    drafts,
    dropped,
    names_in,
    put,
    said,
    sockets_off,
    workers,
)
from tests.support.zips import Part, assembled

__all__ = ["album", "drafts", "sockets_off", "workers"]
LONG = "a" * 256
SAFE = {
    "photo.jpg": "photo.jpg",
    "more/photo.jpg": "more/photo.jpg",
    "more\\photo.jpg": "more/photo.jpg",
    "/etc/passwd": "etc/passwd",
    "C:\\Users\\ada\\photo.jpg": "Users/ada/photo.jpg",
    "./more//photo.jpg": "more/photo.jpg",
    "<b onload=x>.jpg": "<b onload=x>.jpg",
    "é".ljust(200): "é".ljust(200),
}
HOSTILE = [
    "",
    "/",
    "..",
    "../photo.jpg",
    "more\\..\\..\\photo.jpg",
    "a\0.jpg",
    f"{LONG}.jpg",
    "\udc80.jpg",
]


@pytest.mark.promise("never pay for a dataset that cannot train")
def test_the_page_finds_what_the_command_finds_of_a_folder(drafts: Drafts, album: Path) -> None:
    """What `lora-drop ui` says of a folder is what `lora-drop check` says of it, from the same archive."""
    draft = dropped(drafts, album)

    with archive_of(album) as archive:
        packed = archive.path.read_bytes()
    assert (drafts._store.path(draft.id) / "dataset.zip").read_bytes() == packed
    assert said(draft.report) == said(check_dataset(album))
    assert not draft.zipped


@pytest.mark.promise("never pay for a dataset that cannot train")
def test_the_page_finds_what_the_command_finds_of_a_zip(drafts: Drafts, tmp_path: Path) -> None:
    """What `lora-drop ui` says of a ZIP is what `lora-drop check` says of it, from its very bytes."""
    file = tmp_path / "phone.zip"
    file.write_bytes(phone_data())

    draft = dropped(drafts, file)

    assert said(draft.report) == said(check_dataset(file))
    assert (draft.zipped, draft.name) == (True, "phone.zip")
    kept = [name for name in names_in(file) if not name.endswith("/")]
    assert {each.name for each in draft.files} <= set(kept)
    assert all(drafts.thumbnail(draft.id, each.number)[:2] == b"\xff\xd8" for each in draft.files)


def test_a_first_preview_is_there_before_the_last_file(drafts: Drafts) -> None:
    draft = drafts.create("album")
    number = put(drafts, draft.id, "a.jpg", photo(600, 1))
    assert drafts.thumbnail(draft.id, number) == drafts.thumbnail(draft.id, number)
    assert not drafts.get(draft.id).complete


def test_a_large_picture_is_as_large_as_a_screen(drafts: Drafts) -> None:
    draft = drafts.create("album")
    number = put(drafts, draft.id, "a.jpg", photo(600, 1))
    assert len(drafts.picture(draft.id, number)) > len(drafts.thumbnail(draft.id, number))


@pytest.mark.parametrize("name", SAFE)
def test_a_name_is_one_within_what_was_dropped(drafts: Drafts, name: str) -> None:
    draft = drafts.create("album")
    put(drafts, draft.id, name, b"x")

    assert [file.name for file in drafts.get(draft.id).files] == [SAFE[name]]
    assert sorted(each.name for each in (drafts._store.path(draft.id) / "files").iterdir()) == ["1"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_that_is_none_is_refused(drafts: Drafts, name: str) -> None:
    draft = drafts.create("album")
    with pytest.raises(CommandError, match=r"Rename|again"):
        put(drafts, draft.id, name, b"x")
    assert drafts.get(draft.id).files == ()


@pytest.mark.parametrize("draft_id", ["", "..", "../x", "0" * 15, "0" * 16, "A" * 16])
def test_an_id_is_no_path(drafts: Drafts, draft_id: str) -> None:
    with pytest.raises(UnknownDraftError):
        drafts.get(draft_id)


def test_the_same_name_again_replaces_the_file(drafts: Drafts) -> None:
    draft = drafts.create("album")
    first = put(drafts, draft.id, "a.jpg", photo(600, 1))
    second = put(drafts, draft.id, "a.jpg", photo(600, 2))

    assert [file.number for file in drafts.get(draft.id).files] == [second]
    with pytest.raises(CommandError, match="no such file"):
        drafts.thumbnail(draft.id, first)


def test_hidden_files_are_taken_and_left_out(drafts: Drafts) -> None:
    draft = drafts.create("album")
    assert put(drafts, draft.id, "more/.DS_Store", b"x") == 0
    assert drafts.get(draft.id).files == ()


def test_an_empty_folder_says_what_to_do(drafts: Drafts, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    draft = dropped(drafts, tmp_path / "empty")
    assert draft.problem == "empty holds no photos. Drop a folder with at least 10 of them."


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "archive_empty"),
        (b"PK is no ZIP", "archive_invalid_format"),
        (
            assembled([Part(content=bytes(10**8), packed=None, entry={"size": 10})]),
            "archive_header_mismatch",
        ),
        (assembled([Part(content=bytes(10**7))]), "archive_bomb"),
        (assembled([Part(name=b"../a.jpg")]), "archive_unsafe_name"),
        (assembled([Part(flags=1)]), "dataset_encrypted"),
    ],
)
def test_a_zip_that_cannot_be_unpacked_is_said_by_the_check(
    drafts: Drafts, tmp_path: Path, data: bytes, code: str
) -> None:
    """A bomb, a damaged and an encrypted ZIP are refused in the words of the command, and unpacked nowhere."""
    file = tmp_path / "album.zip"
    file.write_bytes(data)

    draft = dropped(drafts, file)

    assert draft.report is not None
    assert [problem.code for problem in draft.report.errors][:1] == [code]
    assert said(draft.report) == said(check_dataset(file))
    assert draft.files == ()


def test_no_more_is_unpacked_than_a_dataset_may_hold(
    drafts: Drafts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left out of the look through such a ZIP is not left out of the check, so it cannot be edited."""
    monkeypatch.setattr("lora_drop.ui.draft_files.MAX_DATASET_BYTES", len(photo(600, 1)) + 1)
    parts = [
        Part(name=name, content=photo(600, seed)) for seed, name in ((1, b"a.jpg"), (2, b"b.jpg"))
    ]
    (tmp_path / "album.zip").write_bytes(assembled(parts))

    draft = dropped(drafts, tmp_path / "album.zip")

    assert [file.name for file in draft.files] == ["a.jpg"]
    assert said(draft.report) == said(check_dataset(tmp_path / "album.zip"))
    with pytest.raises(CommandError, match="cannot be read"):
        drafts.reject(draft.id, draft.files[0].number)


def test_folders_are_this_persons_alone(drafts: Drafts) -> None:
    path = drafts._store.path(drafts.create("album").id)
    assert {each.stat().st_mode & 0o777 for each in (path.parent, path, path / "files")} == {0o700}


def test_newest_come_first(drafts: Drafts) -> None:
    made = [drafts.create(name).id for name in ("a", "b", "c")]
    assert [draft.id for draft in drafts.all()] == made[::-1]


def test_a_discarded_dataset_is_gone(drafts: Drafts, album: Path) -> None:
    draft = dropped(drafts, album)
    path = drafts._store.path(draft.id)

    drafts.discard(draft.id)

    assert not path.exists()
    with pytest.raises(UnknownDraftError):
        drafts.get(draft.id)
    assert drafts.all() == []


def test_everything_is_there_after_a_killed_server(
    drafts: Drafts, workers: Workers, tmp_path: Path
) -> None:
    """A killed page forgets nothing, and a check that it interrupted is made again when one looks."""
    draft = drafts.create("album")
    for number in range(12):
        put(drafts, draft.id, f"{number}.jpg", photo(600, number))
    drafts.close()  # it was killed before the check
    drafts.finish(draft.id)

    again = Drafts(tmp_path / "drafts", workers, APPLICATION)
    found = checked(again, draft.id)
    again.close()

    assert found.report is not None
    assert found.report.images == 12
    third = Drafts(tmp_path / "drafts", workers, APPLICATION)
    assert third.get(draft.id) == found
    third.close()


def looked_at(workers: Workers, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count the photos that checks look at, by the name of the dataset."""
    counts, check = Counter[str](), workers.check

    def counted(task: CheckTask, heard: Callable[[Looking], None]) -> CheckResult | CheckProblem:
        def each(looking: Looking) -> None:
            counts[task.name] += 1
            heard(looking)

        return check(task, each)

    monkeypatch.setattr(workers, "check", counted)
    return counts


def test_two_servers_check_once(
    drafts: Drafts, workers: Workers, album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two servers on the same folder agree, and one of them checks."""
    checks = looked_at(workers, monkeypatch)
    other = Drafts(tmp_path / "drafts", workers, APPLICATION)
    draft = drafts.create(album.name)
    for number in range(12):
        put(drafts, draft.id, f"{number}.jpg", photo(600, number))
    drafts.finish(draft.id)
    assert other.get(draft.id).checking

    assert checked(other, draft.id) == checked(drafts, draft.id)
    assert checks == {album.name: 12}
    other.close()


def test_a_discarded_dataset_is_checked_no_further(
    drafts: Drafts, workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next one does not wait for photos that nobody wants."""
    checks = looked_at(workers, monkeypatch)
    first, second = (drafts.create(name).id for name in ("many", "few"))
    for number in range(60):
        put(drafts, first, f"{number}.jpg", photo(2400, number))
    put(drafts, second, "a.jpg", photo(600, 1))
    drafts.finish(first)
    while not (progress := drafts.get(first).checking) or not progress.done:
        time.sleep(0.02)
    drafts.finish(second)
    drafts.discard(first)

    assert checked(drafts, second).report
    assert checks["many"] < 60

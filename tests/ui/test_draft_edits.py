"""What a person leaves out and writes on the page is in the archive that is checked and sent."""

import hashlib
import os
import signal
import time
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest

from lora_drop.client.check import check_dataset
from lora_drop.client.errors import CommandError
from lora_drop.datasets.edits import read_edits
from lora_drop.ui.drafts import Draft, Drafts
from lora_drop.ui.workers import Workers
from tests.support.client_fixtures import phone_data, photo
from tests.support.drafts import (
    album,
    checked,
    drafts,
    dropped,
    names_in,
    number_of,
    put,
    said,
    sockets_off,
    workers,
)
from tests.support.photos import encoded, picture

__all__ = ["album", "drafts", "sockets_off", "workers"]


def archive_of(drafts: Drafts, draft: Draft) -> Path:
    """The archive that is sent."""
    return drafts._store.path(draft.id) / drafts._store.read(draft.id).sent


def read(archive: Path, name: str) -> bytes:
    with zipfile.ZipFile(archive) as opened:
        return opened.read(name)


@pytest.mark.promise("never pay for a dataset that cannot train")
def test_what_was_edited_is_in_the_archive(drafts: Drafts, album: Path) -> None:
    """A photo that was left out on the page is not in the dataset that is sent, and a caption written there is."""
    draft = dropped(drafts, album)
    drafts.reject(draft.id, number_of(draft, "3.jpg"))
    drafts.write_caption(draft.id, number_of(draft, "4.jpg"), "ein Bild von [trigger] im Süden")

    draft = checked(drafts, draft.id)

    archive = archive_of(drafts, draft)
    before = {file.name for file in draft.files}
    assert {*names_in(archive)} == before - {"3.jpg", "3.txt", "4.caption"} | {
        "4.txt",
        "edits.json",
    }
    assert read(archive, "4.txt").decode() == "ein Bild von [trigger] im Süden"
    edits = read_edits(read(archive, "edits.json"))
    assert edits
    assert (edits.rejected, edits.captions) == (("3.jpg",), ("4.jpg",))
    report = draft.report
    assert report
    assert {"image_rejected", "caption_edited"} <= {change.code for change in report.changes}
    assert "3.jpg" not in {each.member for each in report.photos}


def test_the_edited_archive_is_found_to_be_what_the_command_finds(
    drafts: Drafts, album: Path, tmp_path: Path
) -> None:
    draft = dropped(drafts, album)
    drafts.reject(draft.id, number_of(draft, "3.jpg"))
    report = checked(drafts, draft.id).report

    copy = tmp_path / "copy" / album.name
    copy.mkdir(parents=True)
    with zipfile.ZipFile(archive_of(drafts, draft)) as opened:
        opened.extractall(copy)

    assert said(report) == said(check_dataset(copy))


def test_a_zip_is_edited_like_a_folder(drafts: Drafts, tmp_path: Path) -> None:
    file = tmp_path / "phone.zip"
    file.write_bytes(phone_data())
    draft = dropped(drafts, file)
    photo_ = next(each for each in draft.files if each.name.endswith(".HEIC"))

    drafts.reject(draft.id, photo_.number)
    edited = archive_of(drafts, checked(drafts, draft.id))
    drafts.keep(draft.id, photo_.number)
    kept = archive_of(drafts, checked(drafts, draft.id))

    assert photo_.name not in names_in(edited)
    assert kept.read_bytes() == file.read_bytes()


def test_a_caption_comes_back_as_it_lies_or_as_it_was_written(drafts: Drafts, album: Path) -> None:
    draft = dropped(drafts, album)
    numbers = {name: number_of(draft, name) for name in ("3.jpg", "4.jpg", "5.jpg")}
    assert {name: drafts.caption(draft.id, number) for name, number in numbers.items()} == {
        "3.jpg": "a photo of [trigger] in a garden",
        "4.jpg": "a photo of [trigger] on a boat",
        "5.jpg": "",
    }

    drafts.write_caption(draft.id, numbers["5.jpg"], "on a hill")
    drafts.write_caption(draft.id, numbers["3.jpg"], "")

    assert drafts.caption(draft.id, numbers["5.jpg"]) == "on a hill"
    assert drafts.caption(draft.id, numbers["3.jpg"]) == ""
    names = names_in(archive_of(drafts, checked(drafts, draft.id)))
    assert ("5.txt" in names, "3.txt" in names) == (True, True)


def test_what_is_written_as_it_was_is_no_edit(drafts: Drafts, album: Path) -> None:
    draft = dropped(drafts, album)
    number = number_of(draft, "3.jpg")
    drafts.write_caption(draft.id, number, "other")
    again = drafts.write_caption(draft.id, number, "a photo of [trigger] in a garden")
    assert again.captions == {}


@pytest.mark.parametrize("text", ["a" * 16_385, "a\0b"])
def test_a_caption_that_is_none_is_refused(drafts: Drafts, album: Path, text: str) -> None:
    draft = dropped(drafts, album)
    with pytest.raises(CommandError, match="caption"):
        drafts.write_caption(draft.id, number_of(draft, "3.jpg"), text)
    assert drafts.get(draft.id) == draft


def test_a_mask_goes_with_its_photo(drafts: Drafts, tmp_path: Path) -> None:
    """A grey image that is named as a mask is one; one in colour is a photo of its own."""
    folder = tmp_path / "album"
    folder.mkdir()
    for number in range(12):
        (folder / f"{number}.jpg").write_bytes(photo(600, number))
    mask = picture(600, 600).convert("L").point(lambda value: 255 * (value > 100))
    (folder / "3_mask.png").write_bytes(encoded(mask, "PNG"))
    (folder / "4-mask.jpg").write_bytes(photo(600, 50))
    draft = dropped(drafts, folder)
    for name in ("3.jpg", "4.jpg"):
        drafts.reject(draft.id, number_of(draft, name))

    names = names_in(archive_of(drafts, checked(drafts, draft.id)))

    assert ("3_mask.png" in names, "4-mask.jpg" in names) == (False, True)


def test_what_is_of_a_photo_goes_with_it(drafts: Drafts, album: Path) -> None:
    """The raw photo beside it, the clip of it, and what exiftool has kept of it: it would be trained on."""
    for name in ("5.CR2", "5.mov", "5.jpg_original", "6.mov"):
        (album / name).write_bytes(photo(600, 5))
    draft = dropped(drafts, album)
    drafts.reject(draft.id, number_of(draft, "5.jpg"))
    names = names_in(archive_of(drafts, checked(drafts, draft.id)))
    assert [name for name in names if name[:2] in ("5.", "6.")] == ["6.jpg", "6.mov"]


def test_a_caption_from_elsewhere_is_shown_and_can_be_taken_away(
    drafts: Drafts, album: Path
) -> None:
    line = '{"file_name": "5.jpg", "text": "a photo of [trigger] by the sea"}'
    (album / "metadata.jsonl").write_text(line)
    draft = dropped(drafts, album)
    number = number_of(draft, "5.jpg")
    found = drafts.caption(draft.id, number)

    assert found == "a photo of [trigger] by the sea"
    assert drafts.write_caption(draft.id, number, found) == draft
    drafts.write_caption(draft.id, number, "")
    report = checked(drafts, draft.id).report
    assert report
    assert [each.caption_text for each in report.photos if each.member == "5.jpg"] == [""]


METADATA = '{"file_name": "5.jpg", "text": "by the sea"}'
ELSEWHERE = (
    {"metadata.jsonl": METADATA},
    {"metadata.csv": "file_name,text\n5.jpg,by the sea\n"},
    {"captions/5.txt": "by the sea"},
    {"5.json": '{"caption": "by the sea"}'},
    {"5.txt": "by the sea", "metadata.jsonl": METADATA},
    {"5.txt": "by the sea", "captions/5.txt": "by the sea"},
)


@pytest.mark.parametrize("files", ELSEWHERE, ids="+".join)
def test_a_blank_caption_stays_blank(drafts: Drafts, album: Path, files: dict[str, str]) -> None:
    """Wherever the photo's caption lies: blanked at once, or after it was changed, until it is written as it lies."""
    (album / "captions").mkdir()
    for name, text in files.items():
        (album / name).write_text(text)
    draft = dropped(drafts, album)
    number = number_of(draft, "5.jpg")
    for text in ("", "in a red hat", "", "by the sea", "on a hill", "by the sea", ""):
        drafts.write_caption(draft.id, number, text)
        assert drafts.caption(draft.id, number) == text
        draft = checked(drafts, draft.id)
        report = draft.report
        assert report
        assert [each.caption_text for each in report.photos if each.member == "5.jpg"] == [text]
        assert ("5.jpg" in draft.captions) == (text != "by the sea")


def test_quick_edits_take_back_only_what_is_written_as_it_lies(drafts: Drafts, album: Path) -> None:
    """The check of one edit has not ended when the next one is made."""
    (album / "metadata.jsonl").write_text(METADATA)
    draft = dropped(drafts, album)
    number = number_of(draft, "5.jpg")
    drafts.write_caption(draft.id, number, "in a red hat")
    checked(drafts, draft.id)
    drafts.write_caption(draft.id, number, "by the sea")
    assert drafts.caption(draft.id, number) == "by the sea"
    assert drafts.write_caption(draft.id, number, "in a red hat").captions
    assert drafts.write_caption(draft.id, number, "").captions == {"5.jpg": ""}


@pytest.mark.parametrize("act", ["write", "reject"])
def test_an_edit_of_one_photo_gives_no_other_one_a_caption(
    drafts: Drafts, album: Path, act: str
) -> None:
    """A caption that may be meant for two photos is neither's, and stays so when one of them gets its own or goes."""
    for folder in ("a", "b", "captions"):
        (album / folder).mkdir()
    for name, number in (("5.jpg", 60), ("a/5.jpg", 61), ("b/5.jpg", 62)):
        (album / name).write_bytes(photo(600, number))
    (album / "a" / "5.txt").write_text("at the sea")
    (album / "captions" / "5.txt").write_text("on a red boat")
    draft = dropped(drafts, album)
    before = captions_of(draft)
    number = number_of(draft, "5.jpg")
    if act == "write":
        drafts.write_caption(draft.id, number, "reads")
    else:
        drafts.reject(draft.id, number)
    after = captions_of(checked(drafts, draft.id))
    assert before["b/5.jpg"] == ""
    assert after == {name: before[name] for name in after} | (
        {"5.jpg": "reads"} if act == "write" else {}
    )


def captions_of(draft: Draft) -> dict[str, str]:
    assert draft.report
    return {each.member: each.caption_text for each in draft.report.photos}


def test_only_photos_are_left_out(drafts: Drafts, album: Path) -> None:
    draft = dropped(drafts, album)
    with pytest.raises(CommandError, match="no photo"):
        drafts.reject(draft.id, number_of(draft, "training.json"))


def test_a_damaged_zip_is_not_edited(drafts: Drafts, tmp_path: Path) -> None:
    """What cannot be unpacked would be missing from an edited ZIP, and nobody would notice."""
    data = bytearray(phone_data())
    data[len(data) // 2] ^= 255
    (tmp_path / "phone.zip").write_bytes(data)
    draft = dropped(drafts, tmp_path / "phone.zip")

    assert draft.report
    assert [each.code for each in draft.report.errors] == ["archive_crc_mismatch"]
    with pytest.raises(CommandError, match="cannot be read"):
        drafts.reject(draft.id, draft.files[0].number)


def test_wrong_parameters_change_nothing_and_are_said_as_the_command_says_them(
    drafts: Drafts, album: Path
) -> None:
    draft = dropped(drafts, album)
    for wrong, says in (({"steps": 0}, "your options"), ({"stepz": 700}, "stepz")):
        with pytest.raises(CommandError, match=says):
            drafts.set_parameters(draft.id, wrong)
    assert drafts.get(draft.id) == draft


def test_parameters_change_the_price_and_pack_nothing(drafts: Drafts, album: Path) -> None:
    draft = dropped(drafts, album)
    before = archive_of(drafts, draft).stat()

    drafts.set_parameters(draft.id, {"steps": 1500, "trigger_phrase": "ADA"})
    after = checked(drafts, draft.id)

    assert after.report
    assert after.report.estimate
    assert after.report.estimate.steps == 1500
    assert archive_of(drafts, draft).stat() == before
    assert dict(after.parameters) == {"steps": 1500, "trigger_phrase": "ADA"}


def test_several_quick_edits_are_one_check_and_none_is_decoded_twice(
    drafts: Drafts, album: Path
) -> None:
    draft = dropped(drafts, album)
    looks = drafts._store.path(draft.id) / "looks"
    before = {each.name: each.stat().st_mtime_ns for each in looks.iterdir()}
    reports = set()
    for number in range(5):
        shown = drafts.reject(draft.id, number_of(draft, f"{number}.jpg"))
        assert not shown.current
        reports.add(shown.report_revision)

    draft = checked(drafts, draft.id)

    assert draft.report
    assert draft.report.images == 8
    assert reports == {draft.revision - 5}
    assert {each.name: each.stat().st_mtime_ns for each in looks.iterdir()} == before


def opened_by_a_reader(pipe: Path) -> int:
    """Wait until a process reads a named pipe, and keep it waiting; the number to close (fifo(7))."""
    for _ in range(6000):
        with suppress(OSError):  # ENXIO: none reads it
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        time.sleep(0.01)
    raise AssertionError("no process has come to it")


def test_a_photo_that_kills_each_process_is_refused_and_the_others_are_checked(
    drafts: Drafts, workers: Workers, album: Path
) -> None:
    """A photo that ends the decoder each time is refused with a sentence; the check goes on."""
    draft = drafts.create("album")
    for file in sorted(album.glob("*.jpg")):
        put(drafts, draft.id, file.name, file.read_bytes())
    deadly = f"{hashlib.sha256(photo(600, 5)).hexdigest()}.json"
    waited_at = drafts._store.path(draft.id) / "looks" / deadly
    os.mkfifo(waited_at)  # which a process waits at for ever
    drafts.finish(draft.id)

    for _ in range(2):
        writing = opened_by_a_reader(waited_at)
        [pid] = workers.busy
        os.kill(pid, signal.SIGKILL)
        while pid in workers.processes:  # until then it may count as a reader
            time.sleep(0.01)
        os.close(writing)
    report = checked(drafts, draft.id).report

    assert report
    assert [(each.code, each.member) for each in report.errors] == [
        ("image_too_much_work", "5.jpg")
    ]
    assert "the program that decodes it ends each time" in report.errors[0].message
    assert report.images == 11

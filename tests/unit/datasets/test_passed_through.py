"""An archive goes to fal unchanged only where every trainer sees just what the check has seen."""

import io
import struct
import zipfile
from collections.abc import Callable, Mapping

import pytest

from lora_drop.datasets.report import ImageOutcome
from lora_drop.services.check import Checked, ValidDataset
from lora_drop.services.mend import Mender
from tests.support.builders import APPLICATION, make_archive, make_jpeg, make_png
from tests.support.checking import checked, errors, good, warnings
from tests.support.memory_files import MemoryRange
from tests.support.pictures import BlindPictures
from tests.support.zips import Part, assembled, unicode_path

FAST = "fal-ai/flux-lora-fast-training"
FLUX_2 = "fal-ai/flux-2-trainer"
PHOTOS = {f"photo-{number:02}.jpg": make_jpeg(number) for number in range(12)}


def packed(members: Mapping[str, bytes]) -> bytes:
    return make_archive(images=0, members=members)


def codes(found: Checked) -> set[str]:
    return {change.code for change in found.report.changes}


def copy_of(data: bytes, found: ValidDataset) -> dict[str, bytes]:
    """What fal gets, by name; fails where two members have one name."""
    assert found.plan, "it would be passed through"
    pieces = Mender(BlindPictures()).mended(MemoryRange(data), found.structure, found.plan)
    with zipfile.ZipFile(io.BytesIO(b"".join(pieces))) as archive:
        assert len(set(archive.namelist())) == len(archive.namelist())
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize(
    "raw", [b"p%d.bin", b"../../p%d.jpg", b"p%d.txt", b"p%d\0.jpg", b"same.jpg"]
)
def test_ambiguous_names_reach_no_trainer(raw: bytes) -> None:
    """A name that only some programs see never reaches a trainer."""
    parts = []
    for number in range(12):
        name = raw % number if b"%d" in raw else raw
        path = unicode_path(name, b"p%d.jpg" % number)
        content = make_jpeg(number)
        parts.append(Part(name=name, content=content, extra=path, local_extra=path))
    data = assembled(parts)
    assert set(copy_of(data, good(data))) == {f"p{number}.jpg" for number in range(12)}


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize(
    "others",
    [
        {"notes/" + "x" * 250 + ".txt": b"far too long"},
        {"y" * 300 + "/": b""},
        {"notes.txt": b"+49 30 1234567"},
        {"folder/": b""},
        {"photo-00.txt": b" \n"},
        *(
            {junk: make_jpeg(77)}
            for junk in ("Icon\r", "__MACOSX/._Icon\r", "@eaDir/a.jpg/SYNOFILE_THUMB_M.jpg")
        ),
    ],
    ids=ascii,
)
def test_needless_files_are_left_out(others: dict[str, bytes]) -> None:
    """What no trainer needs is left out of the copy."""
    data = packed(PHOTOS | others)
    assert set(copy_of(data, good(data))) == set(PHOTOS)


def test_long_names_fit_every_file_system() -> None:
    data = packed({f"{chr(0x1F600 + number) * 75}.jpg": make_jpeg(number) for number in range(12)})
    names = copy_of(data, good(data))
    assert len(names) == 12
    assert max(len(name.encode()) for name in names) < 200


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize(
    "name", ["photo-00.TXT", "photo-00.caption", "photo-00.jpg.txt", "PHOTO-00.txt"]
)
def test_a_caption_is_renamed_for_trainers(name: str) -> None:
    """A caption lies where trainers look for it."""
    data = packed(PHOTOS | {name: b"a [trigger]"})
    found = checked(data)
    assert found.good
    assert copy_of(data, found.good)["photo-00.txt"] == b"a [trigger]"
    assert "caption_renamed" in codes(found)
    assert "caption_orphan" not in warnings(data)


def with_comment(data: bytes) -> bytes:
    with zipfile.ZipFile(buffer := io.BytesIO(data), "a") as archive:
        archive.comment = b"52.5200 N 13.4050 E"
    return buffer.getvalue()


def with_times(data: bytes) -> bytes:
    """As Info-ZIP has it: when a file was last used, and whose it is."""
    times = struct.pack("<2HBL", 0x5455, 5, 1, 1_700_000_000)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        files = [(name.encode(), archive.read(name)) for name in archive.namelist()]
    return assembled([Part(name=name, content=it, local_extra=times) for name, it in files])


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("with_metadata", [with_comment, with_times])
def test_an_archives_metadata_is_removed(with_metadata: Callable[[bytes], bytes]) -> None:
    """The comment and the times of an archive are removed, unless they are to be kept."""
    data = with_metadata(packed(PHOTOS))
    found = checked(data)
    assert found.good
    assert copy_of(data, found.good) == PHOTOS
    assert codes(found) == {"archive_metadata_removed"}
    assert good(data, keep_metadata=True).plan == ()


def test_the_captioned_duplicate_is_used() -> None:
    members = PHOTOS | {"a (1).jpg": PHOTOS["photo-03.jpg"], "photo-03.txt": b"in the garden"}
    data = packed(members)
    found = checked(data)
    assert found.good
    copy = copy_of(data, found.good)
    assert copy["photo-03.txt"] == b"in the garden"
    assert "a (1).jpg" not in copy
    assert not {"caption_orphan"} & set(warnings(data))


def test_a_refused_photos_caption() -> None:
    found = checked(packed(PHOTOS | {"broken.jpg": b"no photo", "broken.txt": b"a photo"}))
    assert [each.code for each in found.report.errors] == ["image_invalid_format"]
    assert "caption_orphan" not in [each.code for each in found.report.warnings]


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize(
    ("application", "caption"),
    [(FLUX_2, b"a photo of ada"), (APPLICATION, b"a photo of [trigger]")],
)
def test_a_trigger_becomes_the_phrase(application: str, caption: bytes) -> None:
    """A trainer that does not know the trigger gets the phrase itself."""
    captions = {f"photo-{number:02}.txt": b"a photo of [Trigger]" for number in range(12)}
    data = packed(PHOTOS | captions)
    found = checked(data, application=application, metadata={"trigger-phrase": "ada"})
    assert found.good
    assert copy_of(data, found.good)["photo-00.txt"] == caption
    assert "caption_trigger_filled" in codes(found)


@pytest.mark.parametrize("folders", [("x/", "x/", "y/"), ("x/", "", "y/")])
def test_no_photo_becomes_a_mask(folders: tuple[str, ...]) -> None:
    photo, mask, other = folders
    members = {f"z/{name}": data for name, data in PHOTOS.items()} | {
        f"{photo}p0.jpg": make_jpeg(90),
        f"{mask}p0_mask.png" if mask else "unused.jpg": make_png(91) if mask else make_jpeg(91),
        f"{other}p0_mask.jpg": make_jpeg(92),
    }
    data = packed(members)
    names = set(copy_of(data, good(data, application=FAST)))

    assert ("p0_mask.png" in names) == bool(mask)
    assert "p0_mask.jpg" not in names
    assert "p0-photo.jpg" in names
    assert len(names) == 15


def test_a_mask_goes_with_its_photo() -> None:
    """The mask of a photo that is dropped is dropped as well, and masks get no hints."""
    copy, own = "photo-03 copy_mask.png", "photo-00_mask.png"
    masks = {copy: make_png(5, side=100), own: make_png(6, side=100)}
    data = packed(PHOTOS | {"photo-03 copy.jpg": PHOTOS["photo-03.jpg"]} | masks)
    found = checked(data, application=FAST)
    fates = {each.member: each.fate for each in found.report.photos}
    warned = {each.code for each in found.report.warnings if each.member in masks}
    assert found.good
    assert set(copy_of(data, found.good)) == {*PHOTOS, own}
    assert (fates[copy], warned) == (ImageOutcome.DROPPED, {"image_mask_differs"})


def test_masks_are_no_photos() -> None:
    photos = {f"{number}.jpg": make_jpeg(number) for number in range(9)}
    masks = {f"{number}_mask.png": make_png(number) for number in range(9)}
    enough = photos | masks | {"9.jpg": make_jpeg(9)}
    assert errors(packed(photos | masks), application=FAST) == ["dataset_insufficient_images"]
    assert len(good(packed(enough), application=FAST).dataset.images) == 10
    assert "image_mask_unused" in warnings(packed(photos | masks))


def test_a_raw_beside_its_jpeg() -> None:
    raw = b"FUJIFILMCCD-RAW " + bytes(5000)
    data = packed(PHOTOS | {"photo-00.RAF": raw})
    assert "image_other_format_beside" in warnings(data)
    assert set(copy_of(data, good(data))) == set(PHOTOS)
    assert errors(packed(PHOTOS | {"other.RAF": raw})) == ["image_unsupported_format"]


@pytest.mark.promise("never pay for a dataset that cannot train")
def test_a_misnamed_training_json_is_refused() -> None:
    """A training.json with a hidden second suffix is refused and not passed over."""
    data = packed(PHOTOS | {"training.json.txt": b'{"steps": 1100}'})
    assert errors(data) == ["parameter_file_misnamed"]


def test_an_unknown_parameter_hides_no_trigger() -> None:
    data = make_archive(training={"triger_phrase": "ada"}, members={"photo-00.txt": b"[trigger]"})
    assert errors(data) == ["parameter_unknown"]
    assert "caption_trigger_unset" not in warnings(data)


def test_needed_captions_get_no_advice() -> None:
    found = checked(packed(PHOTOS), application=FLUX_2)
    assert [each.code for each in found.report.errors] == ["caption_missing"]
    assert "dataset_no_captions" not in [each.code for each in found.report.warnings]

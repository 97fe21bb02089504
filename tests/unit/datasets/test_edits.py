"""What a person left out and wrote on the page is in the report, and nowhere else."""

import io
import json
import zipfile
from pathlib import Path

import pytest

from lora_drop.client.direct_dataset import prepared_dataset
from lora_drop.datasets.dataset import MAX_IMAGES, content_digest
from lora_drop.datasets.edits import MAX_EDITS, Edits, read_edits
from lora_drop.datasets.report import ImageOutcome, Report
from lora_drop.datasets.reports import html_text
from lora_drop.fal.trainers.table import DEFAULT
from tests.support.builders import make_archive, make_jpeg
from tests.support.checking import checked, good
from tests.support.client_fixtures import photo
from tests.support.reports import Page
from tests.support.world import World

CAPTION = {"photo-01.txt": b"ada in Rome"}
EDITS = Edits(rejected=("IMG_1.jpg",), captions=("photo-01.jpg",)).written()
SAID = [
    ("image_rejected", "IMG_1.jpg", "was left out by you, on the page of lora-drop ui."),
    (
        "caption_edited",
        "photo-01.jpg",
        "has a caption that you wrote or changed, on the page of lora-drop ui.",
    ),
]
TWIN = "photo-03 copy.jpg"
SCRIPT = "<script>alert(1)</script>.jpg"
HOSTILE = {
    "empty": b"",
    "no JSON": b"{",
    "no object": b'["a.jpg"]',
    "another's": b'{"IMG_1.jpg": "brighter"}',
    "half": b'{"rejected": []}',
    "more": b'{"rejected": [], "captions": [], "steps": 9000}',
    "types": b'{"rejected": "photo-01.jpg", "captions": [1, null]}',
    "objects": b'{"rejected": [{"name": "a.jpg"}], "captions": []}',
    "nested": b'{"rejected": ' + b"[" * 50_000 + b"]" * 50_000 + b', "captions": []}',
    "a million names": b'{"rejected": [' + b'"a",' * 10**6 + b'"a"], "captions": []}',
    "one long name": b'{"rejected": ["' + b"x" * MAX_EDITS + b'"], "captions": []}',
    "no UTF-8": b'{"rejected": ["\xff\xfe"], "captions": []}',
    "half a character": rb'{"rejected": ["\ud800"], "captions": []}',
}


def edited(edits: bytes = EDITS, *, folder: str = "", at: str = "") -> bytes:
    members = {f"{folder}{name}": data for name, data in CAPTION.items()}
    return make_archive(folder=folder, members={**members, f"{at}edits.json": edits})


def said(report: Report) -> list[tuple[str, str, str]]:
    return [(each.code, each.member, each.message) for each in report.changes]


def of_edits(report: Report) -> list[tuple[str, str, str]]:
    """The changes that speak of edits, without the name at their beginning."""
    return [
        (code, member, message.removeprefix(f"{member} "))
        for code, member, message in said(report)
        if code in ("image_rejected", "caption_edited")
    ]


@pytest.mark.promise("it can be operated")
def test_edits_are_in_the_report(world: World) -> None:
    """What a person left out and wrote on the page stands in the job's report, as changes."""
    job = world.submit(world.drop(data=edited()))
    written = json.loads(world.results.text(job, "report.json") or "")
    assert of_edits(Report.model_validate(written)) == SAID
    page = Page(world.results.text(job, "report.html") or "")
    for _, member, message in SAID:
        assert f"{member} {message.removesuffix('.')}" in page.text
    # On the card of its photo as well, which is kept byte for byte.
    assert page.text.count("as a caption that you wrote or changed") == 2
    [card] = [each for each in written["photos"] if each["member"] == "photo-01.jpg"]
    assert card["fate"] == ImageOutcome.KEPT


@pytest.mark.promise("nothing leaks")
def test_fal_never_gets_the_edits(world: World) -> None:
    """fal gets a copy without the names of the photos that were left out."""
    job = world.submit(world.drop(data=edited()))
    [(_, arguments, _)] = world.fal.posts
    assert job.clean
    assert arguments["images_data_url"].endswith(job.clean.key)
    copy = zipfile.ZipFile(io.BytesIO(world.results.files[job.clean.key]))
    assert sorted(copy.namelist()) == sorted(
        [*(f"photo-{number:02}.jpg" for number in range(12)), "photo-01.txt"]
    )


@pytest.mark.promise("never pay twice")
def test_edits_change_no_digest(world: World) -> None:
    """A training with edits is the same as one without: it is paid for once."""
    plain = make_archive(members=CAPTION)
    digests = {content_digest(each.dataset, each.resolved) for each in map(good, (plain, edited()))}
    assert len(digests) == 1
    for key, data in {"portrait/a.zip": plain, "portrait/b.zip": edited()}.items():
        world.submit(world.drop(key, data=data))
    assert len(world.fal.posts) == 1


def test_edits_without_a_stack(tmp_path: Path) -> None:
    """Without a stack the report has them as well, and fal's file and the digest do not."""
    found = []
    for name, extra in {"plain": {}, "edited": {"edits.json": EDITS}}.items():
        photos = {f"photo-{number:02}.jpg": photo(600, number) for number in range(12)}
        file = tmp_path / f"{name}.zip"
        file.write_bytes(make_archive(images=0, members={**photos, **CAPTION, **extra}))
        with prepared_dataset(file, application=DEFAULT.application, metadata={}) as ready:
            names = set(zipfile.ZipFile(ready.file).namelist())
            found.append((ready.content, names, of_edits(ready.report)))
    (content, names, nothing), (with_edits, same_names, changes) = found
    assert (with_edits, same_names, changes, nothing) == (content, names, SAID, [])


@pytest.mark.parametrize(
    ("folder", "at"), [("", ""), ("ada/", ""), ("ada/", "ada/")], ids=["flat", "beside", "within"]
)
def test_edits_lie_in_the_root(folder: str, at: str) -> None:
    """They lie in the root, also beside the one folder with everything; in a folder they name its files."""
    named = "" if at else folder
    edits = Edits(rejected=(f"{named}IMG_1.jpg",), captions=(f"{named}photo-01.jpg",))
    found = of_edits(checked(edited(edits.written(), folder=folder, at=at)).report)
    assert [(code, member) for code, member, _ in found] == [
        ("image_rejected", f"{named}IMG_1.jpg"),
        ("caption_edited", f"{folder}photo-01.jpg"),
    ]


def test_parameters_stay_where_they_were() -> None:
    """Beside a folder with everything, training.json in that folder counts as without edits."""
    data = make_archive(folder="ada/", training={"steps": 1007}, members={"edits.json": EDITS})
    assert good(data).resolved.values.steps == 1007


def test_only_true_edits_are_said() -> None:
    """A photo that is there was not left out; a caption of a photo that is not used was not edited."""
    names = ("photo-00.jpg", "gone.jpg", "photo-01.txt", TWIN, "clip.mov")
    edits = Edits(rejected=("photo-00.jpg",), captions=names).written()
    twin = {TWIN: make_jpeg(3), "clip.mov": b"moving", "edits.json": edits}
    report = checked(make_archive(members={**CAPTION, **twin})).report
    emptied = "has no caption any more: you emptied it, on the page of lora-drop ui."
    assert of_edits(report) == [("caption_edited", "photo-00.jpg", emptied)]


def test_no_edits_are_no_news() -> None:
    nothing = Edits(rejected=(), captions=()).written()
    report = checked(edited(nothing)).report
    assert [each.code for each in report.changes] == ["dataset_repacked"]
    assert [each.member for each in report.photos if each.member == "edits.json"] == []


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_another_file_is_one_like_any_other(content: bytes) -> None:
    """A file that is only called edits.json does what any file does that is not used, and no more."""
    found, other = (
        checked(
            make_archive(members={**CAPTION, name: content}, compression=zipfile.ZIP_STORED)
        ).report
        for name in ("edits.json", "notes.json")
    )
    unlike = {"bytes_read": 0, "requests": 0, "seconds": 0, "size": 0}

    def plain(report: Report) -> str:
        return (
            report.model_copy(update=unlike).model_dump_json().replace("notes.json", "edits.json")
        )

    assert plain(found) == plain(other)
    assert found.accepted


@pytest.mark.promise("nothing leaks")
def test_a_hostile_name_is_only_text() -> None:
    """A name in edits.json is nothing but text in report.html, and not longer than others."""
    names = (SCRIPT, f"{'x' * 5000}.jpg", "a\u202egpj.exe", '"><img src=x>', "../../etc/passwd")
    report = checked(edited(Edits(rejected=names, captions=names).written())).report
    page = Page(html_text(report))
    plain = Page(html_text(checked(edited()).report))
    assert {tag for tag, _ in page.elements} <= {tag for tag, _ in plain.elements} | {
        "details",
        "summary",
    }
    assert SCRIPT in page.text
    assert "\u202e" not in page.text
    assert max(len(each.member) for each in report.changes) == 200


def test_the_file_is_bounded() -> None:
    """Whatever is written can be read; of too many or too long names the first ones are kept."""
    many = [f"{number}-{'é' * 300}\ud800" for number in range(2 * MAX_IMAGES)]
    edits = Edits(rejected=tuple(many), captions=("a.jpg", "a.jpg"))
    assert (len(edits.rejected), edits.captions) == (MAX_IMAGES, ("a.jpg",))
    written = edits.written()
    assert len(written) <= MAX_EDITS
    read = read_edits(written)
    assert read
    assert read.rejected == edits.rejected[: len(read.rejected)]
    assert len(read.rejected) == MAX_IMAGES // 2
    assert read_edits(EDITS + bytes(MAX_EDITS)) is None


def test_the_file_counts_as_no_photo() -> None:
    photos = {f"{number}.jpg": make_jpeg(number) for number in range(MAX_IMAGES)}
    data = make_archive(images=0, members={**photos, "edits.json": EDITS})
    assert checked(data).report.images == MAX_IMAGES

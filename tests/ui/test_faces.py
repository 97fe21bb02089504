"""Faces on the page: what the command says of them, with what was seen kept beside the photos, and no embedding."""

import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from lora_drop.client import face_check
from lora_drop.client.check import check_dataset
from lora_drop.client.face_check import FaceCheck
from lora_drop.datasets.report import FaceMark, FaceReport, ImageReport, Report
from lora_drop.jobs.problems import Problem
from lora_drop.ui.app import make_app
from lora_drop.ui.draft_check import CheckResult, CheckTask, Looking, run_check
from lora_drop.ui.drafts import Draft, Drafts
from lora_drop.ui.face_notice import face_notices
from lora_drop.ui.workers import Workers
from tests.security.canary.embeddings import scanned
from tests.security.canary.plugin import WATCH
from tests.support.drafts import APPLICATION, checked, dropped, number_of, said, sockets_off
from tests.support.face_photos import BACK, FIVE, as_archive, five_photos
from tests.support.page_backend import StubBackend
from tests.support.page_client import PageClient

__all__ = ["sockets_off"]


@pytest.fixture(scope="module")
def five(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("five") / "ada"
    folder.mkdir()
    for name, data in five_photos().items():
        (folder / name).write_bytes(data)
        (folder / name).with_suffix(".txt").write_text("a photo of [trigger]")
    return folder


@pytest.fixture(scope="module")
def workers() -> Iterator[Workers]:
    """Processes that look for faces, as they do for a person."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LORA_DROP_FACES", "true")
        made = Workers()
    yield made
    made.close()


@pytest.fixture(scope="module")
def drafts(tmp_path_factory: pytest.TempPathFactory, workers: Workers) -> Iterator[Drafts]:
    made = Drafts(tmp_path_factory.mktemp("page") / "drafts", workers, APPLICATION)
    yield made
    made.close()


@pytest.fixture(scope="module")
def draft(drafts: Drafts, five: Path) -> Draft:
    return dropped(drafts, five)


def codes(draft: Draft) -> dict[str | None, str]:
    """The code of each warning about faces, by the photo."""
    assert draft.report
    about = ("image_face_", "dataset_face_")
    return {each.member: each.code for each in draft.report.warnings if each.code.startswith(about)}


def files_of(drafts: Drafts, draft: Draft) -> Iterator[tuple[str, bytes]]:
    for file in drafts._store.path(draft.id).rglob("*"):
        if file.is_file():
            yield file.name, file.read_bytes()


@pytest.mark.promise("never pay for a dataset that cannot train")
def test_page_names_the_five(
    drafts: Drafts, draft: Draft, five: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `lora-drop ui` says of the faces in a folder is what `lora-drop check` says, with a box on each photo."""
    monkeypatch.setenv("LORA_DROP_FACES", "true")
    assert codes(draft) == FIVE
    here = said(check_dataset(five))
    assert said(draft.report) == {**here, "photos": said(draft.report)["photos"]}
    assert [each["faces"] for each in said(draft.report)["photos"]] == [
        each["faces"] for each in here["photos"]
    ]
    text = PageClient(make_app(StubBackend(), drafts)).get(f"/drafts/{draft.id}").text
    assert [code in text for code in FIVE.values()] == [True] * 5
    assert len(re.findall('class="mark"', text)) == 5
    assert text.count("<rect ") == 14


def test_faces_stand_beside_the_verdict(drafts: Drafts, draft: Draft) -> None:
    """Another person and a photo without a face are not folded away; each leads to its photos."""
    text = PageClient(make_app(StubBackend(), drafts)).get(f"/drafts/{draft.id}").text
    said = text.partition('id="faces">')[2].partition("</p>")[0]
    assert re.sub("<[^>]*>", "", said) == (
        "1 photo seems to show another person than the others. 1 photo has no face that can be seen."
    )
    assert [f"?show={each}" in said for each in ("image_face_other_person", "image_face_none")] == [
        True,
        True,
    ]
    assert 'id="unlooked"' not in text


def test_notices_have_the_number() -> None:
    second = FaceReport(
        left=0, top=0, width=1, height=1, pixels=200, mark=FaceMark.SECOND_PERSON, similarity=None
    )
    photos = tuple(
        ImageReport(member=f"{each}.jpg", fate="kept", size=1, faces=(second,)) for each in range(4)
    )
    rows = [
        ({}, []),
        ({"image_face_small": 2, "image_blurred": 1}, []),
        ({"image_face_other_person": 3}, ["3 photos seem to show another person than the others."]),
        ({"dataset_face_none": 1, "image_face_none": 3}, ["No photo has a face that can be seen."]),
        ({"dataset_face_two_people": 1}, ["The photos seem to show two people: the second one is in 4."]),
        ({"dataset_face_many_people": 1}, ["The photos show many people, and none of them in most of the photos."]),
    ]  # fmt: skip
    for codes_, words in rows:
        warnings = tuple(
            Problem(code=code, message="x.")
            for code, number in codes_.items()
            for _ in range(number)
        )
        report = Report(file="ada", verdict="accepted", warnings=warnings, photos=photos)
        assert [each.sentence for each in face_notices(report)] == words


def test_page_says_once_that_faces_were_not_looked_for(
    tmp_path: Path, five: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the extra; where they are not wanted nothing is said."""
    monkeypatch.setenv("LORA_DROP_FACES", "true")
    with closing(Workers()) as own:
        unseen = FaceCheck(wanted=False)
        with closing(Drafts(tmp_path / "drafts", own, APPLICATION, unseen)) as made_:
            draft = dropped(made_, five)
            monkeypatch.setattr(face_check, "_available", lambda: False)
            backend = StubBackend()
            app = PageClient(make_app(backend, made_))
            text = app.get(f"/drafts/{draft.id}").text
            backend.faces = unseen
            silent = app.get(f"/drafts/{draft.id}").text
    assert text.count("Faces were not looked for: pip install") == 1
    assert "not looked for" not in silent


def test_second_check_looks_at_no_photo(drafts: Drafts, draft: Draft) -> None:
    """What was seen of faces is kept, so that a photo that is left out costs no second look at the others."""
    looks = drafts._store.path(draft.id) / "looks"
    before = {file.name: file.stat().st_mtime_ns for file in looks.iterdir()}
    drafts.reject(draft.id, number_of(draft, BACK))
    without = checked(drafts, draft.id)
    drafts.keep(draft.id, number_of(draft, BACK))
    again = checked(drafts, draft.id)
    assert codes(without) == {name: code for name, code in FIVE.items() if name != BACK}
    assert codes(again) == FIVE
    assert {file.name: file.stat().st_mtime_ns for file in looks.iterdir()} == before


@pytest.mark.promise("nothing leaks")
def test_page_keeps_no_embedding(
    five: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drafts: Drafts, draft: Draft
) -> None:
    """No file that the page keeps of a dataset holds an embedding of a face; what it keeps of one is deleted with the photo."""
    monkeypatch.setenv("LORA_DROP_FACES", "true")
    before = WATCH.scan.embeddings.count
    run_check(task(five, tmp_path), unheard)
    result = run_check(task(five, tmp_path), unheard)  # what was seen is read
    assert isinstance(result, CheckResult)
    assert WATCH.scan.embeddings.count - before >= 2 * 2 * 10
    left = [*files_of(drafts, draft), *((each.name, each.read_bytes()) for each in made(tmp_path))]
    left.append(("report", result.report.model_dump_json().encode()))
    assert len(left) > 2 * len(FIVE)
    assert scanned(WATCH.scan.embeddings, iter(left)) == []


def made(folder: Path) -> list[Path]:
    return [file for file in folder.rglob("*") if file.is_file()]


def task(five: Path, folder: Path, **how: bool) -> CheckTask:
    archive = folder / "dataset.zip"
    archive.write_bytes(as_archive({each.name: each.read_bytes() for each in five.glob("*.jpg")}))
    (folder / "looks").mkdir(exist_ok=True)
    return CheckTask(
        *(archive, folder / "looks", "ada.zip", "ada.zip"),
        folder=False,
        metadata={},
        application=APPLICATION,
        faces=FaceCheck(**how),
    )


def unheard(_: Looking) -> None:
    pass


@pytest.mark.promise("interfaces stay")
def test_kept_looks_of_an_earlier_version_are_completed(
    five: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an earlier version has kept of photos is read, and faces are looked for once more; a refusal stays one."""
    monkeypatch.setenv("LORA_DROP_FACES", "true")
    first = run_check(task(five, tmp_path, wanted=False), unheard)
    files = sorted((tmp_path / "looks").iterdir())
    for file in files:
        kept = json.loads(file.read_text())
        del kept["faces"], kept["look"]["faces"]
        file.write_text(json.dumps(kept))
    files[0].write_text(json.dumps({"look": None, "flaw": "image_damaged", "says": "is cut off."}))

    second = run_check(task(five, tmp_path), unheard)

    assert isinstance(first, CheckResult)
    assert isinstance(second, CheckResult)
    assert (first.report.faces_checked, second.report.faces_checked) == (False, True)
    assert [each.code for each in second.report.errors] == ["image_damaged"]
    assert all(json.loads(file.read_text())["look"]["faces"] for file in files[1:])


def test_faces_that_are_not_wanted_are_not_shown(
    five: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LORA_DROP_FACES", "true")
    seen = run_check(task(five, tmp_path), unheard)
    again = run_check(task(five, tmp_path, wanted=False), unheard)
    assert isinstance(seen, CheckResult)
    assert isinstance(again, CheckResult)
    assert seen.report.faces_checked
    assert [each.faces for each in again.report.photos] == [None] * len(again.report.photos)


@pytest.mark.promise("never pay for a dataset that cannot train")
def test_another_choice_is_another_check(drafts: Drafts, workers: Workers, five: Path) -> None:
    """A dataset that was checked for another stack's rules about faces is checked again before it can be ordered."""
    draft = dropped(drafts, five)
    strict = Drafts(drafts._store._folder, workers, APPLICATION, FaceCheck(one_person=True))
    with closing(strict):
        again = checked(strict, draft.id)
    assert draft.report
    assert again.report
    assert (draft.report.accepted, again.report.accepted) == (True, False)
    assert again.revision > draft.revision

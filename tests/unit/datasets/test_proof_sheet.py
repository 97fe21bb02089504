"""The page of a proof sheet: what a person reads, and that it is safe to open."""

import base64
import hashlib
import json
import re
from typing import Any

import pytest

from lora_drop.datasets.reports.proof_sheet import (
    ProofPhoto,
    ProofPicture,
    ProofReport,
    proof_html,
    proof_json,
    remarks_on,
)
from lora_drop.jobs.status import Status
from tests.support.reports import THUMBNAIL, Page
from tests.unit.datasets.test_report_page import HOSTILE


def make_picture(number: int = 1, **deviating: Any) -> ProofPicture:
    usual = {
        "number": number,
        "job_id": f"ada-{number:010x}",
        "status": Status.SUCCEEDED,
        "prompt": "a photo of ada in a garden",
        "seed": 1000 + number,
        "width": 768,
        "height": 1024,
        "file": f"{number}/picture.jpg",
        "sha256": "ab",
        "likeness": 0.71,
        "thumbnail": THUMBNAIL,
    }
    return ProofPicture(**{**usual, **deviating})


def make_sheet(**deviating: Any) -> ProofReport:
    photo = ProofPhoto(name="anna.jpg", likeness=0.86, thumbnail=THUMBNAIL)
    usual = {
        "job_id": "ada-0123456789",
        "application": "fal-ai/flux-lora-portrait-trainer",
        "preset": "portrait",
        "trigger_phrase": "ada",
        "steps": 1500,
        "images": 24,
        "likeness": 0.72,
        "among_photos": 0.84,
        "pictures": (make_picture(1), make_picture(2)),
        "photos": (photo, photo.model_copy(update={"thumbnail": b""})),
    }
    return ProofReport(**{**usual, **deviating})


@pytest.mark.promise("it can be operated")
def test_page_says_what_was_reached() -> None:
    """A proof sheet says in one sentence how much its pictures look like the photos."""
    page = Page(proof_html(make_sheet()))

    assert (
        "Looks like the photos: 0.72 of the 0.84 that the photos reach among themselves."
        in page.text
    )
    assert "Proof sheet: 2 pictures" in page.text
    assert (
        "The pictures were compared with 2 photos of the person, of which 1 are shown" in page.text
    )
    assert [each["href"] for each in page.all("a")] == ["1/picture.jpg", "2/picture.jpg"]
    assert len(page.all("img")) == 3


def test_advice_is_in_the_band() -> None:
    page = Page(proof_html(make_sheet(advice="The pictures look less like the person.")))

    assert page.with_class("advice")
    assert "The pictures look less like the person." in page.text
    assert not Page(proof_html(make_sheet())).with_class("advice")


def test_low_picture_has_another_badge() -> None:
    pictures = (make_picture(1), make_picture(2, likeness=0.41))
    page = Page(proof_html(make_sheet(pictures=pictures)))

    assert [len(page.with_class(kind)) for kind in ("kept", "low")] == [1, 1]


def test_sheet_without_likeness_has_no_number() -> None:
    bare = make_picture(1, likeness=None)
    page = Page(
        proof_html(make_sheet(likeness=None, among_photos=None, pictures=(bare,), photos=()))
    )

    assert "Looks like" not in page.text
    assert "no face" not in page.text
    assert page.with_class("plain")
    assert "The photos" not in page.text


def test_numbers_are_explained_where_there_are_some() -> None:
    faceless = make_sheet(likeness=None, pictures=(make_picture(likeness=None),))

    assert "The number says" in Page(proof_html(make_sheet())).text
    page = Page(proof_html(faceless)).text
    assert "The number says" not in page
    assert "were compared with" not in page
    assert "2 photos of the person, of which" in page


def test_simulator_is_said_calmly() -> None:
    """A sheet without a number of a simulator's pictures says first who made them, and is no warning."""
    said = {"simulated": "A simulator drew them.", "advice": "The pictures have no face."}
    sheet = make_sheet(likeness=None, pictures=(make_picture(likeness=None),), **said)
    page = Page(proof_html(sheet))

    assert page.with_class("plain")
    assert not page.with_class("advice")
    assert "It has no face" not in page.text
    assert page.text.index("A simulator drew them.") < page.text.index("The pictures have no face.")


REMARKS: list[tuple[dict[str, Any], list[str]]] = [
    ({}, []),
    ({"file": None, "problem": "It was not made: no room."}, ["It was not made: no room."]),
    ({"file": None}, ["It was not made."]),
    ({"blackened": True, "likeness": None}, ["fal's safety checker has made it black."]),
    ({"likeness": None}, ["It has no face that can be compared."]),
    ({"likeness": 0.09}, ["It shows another person than the photos."]),
    ({"copy_of": "anna.jpg"}, ["Is nearly the same as the photo anna.jpg."]),
]


@pytest.mark.parametrize(("deviating", "said"), REMARKS)
def test_remarks_say_what_is_special(deviating: dict[str, Any], said: list[str]) -> None:
    picture = make_picture(1, **deviating)
    sheet = make_sheet(pictures=(picture,))

    assert list(remarks_on(picture, sheet)) == said
    assert all(each in Page(proof_html(sheet)).text for each in said)


def test_missing_pictures_are_counted() -> None:
    sheet = make_sheet(pictures=(make_picture(1), make_picture(2, file=None, thumbnail=b"")))

    assert "Proof sheet: 1 of 2 pictures" in Page(proof_html(sheet)).text


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("text", HOSTILE)
def test_foreign_text_is_only_text(text: str) -> None:
    """A prompt, a photo's name and fal's words are nothing but text on a proof sheet."""

    def sheet(said: str) -> ProofReport:
        picture = make_picture(1, prompt=said, copy_of=said)
        unmade = make_picture(2, file=None, problem=said)
        photo = ProofPhoto(name=said, likeness=0.8, thumbnail=THUMBNAIL)
        return make_sheet(
            pictures=(picture, unmade),
            photos=(photo,),
            advice=said,
            trigger_phrase=said,
            preset=said,
            job_id=said,
            application=said,
        )

    hostile, plain = Page(proof_html(sheet(text))), Page(proof_html(sheet("anna")))
    assert [(tag, sorted(each)) for tag, each in hostile.elements] == [
        (tag, sorted(each)) for tag, each in plain.elements
    ]


def test_page_fetches_nothing() -> None:
    text = proof_html(make_sheet())
    [style] = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    [policy] = [each["content"] for each in Page(text).all("meta") if each.get("http-equiv")]

    assert policy
    assert "default-src 'none'" in policy
    assert f"'sha256-{digest}'" in policy
    assert "<script" not in text
    assert "url(" not in style


def test_only_a_jpeg_is_shown() -> None:
    picture = make_picture(1, thumbnail=b"<svg onload=alert(1)>")
    text = proof_html(make_sheet(pictures=(picture,), photos=()))

    assert "data:" not in text.replace("img-src data:", "")
    assert "No picture" in text


def test_json_has_no_picture() -> None:
    report = json.loads(proof_json(make_sheet()))

    assert "thumbnail" not in json.dumps(report)
    assert ProofReport.model_validate(report).likeness == 0.72
    assert "?" in proof_json(make_sheet(advice="half \ud800"))

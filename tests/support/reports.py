"""Reports of datasets: valid by default, keyword to deviate."""

from html.parser import HTMLParser
from typing import Any, override

from lora_drop.datasets.report import (
    ImageOutcome,
    ImageReport,
    ParameterReport,
    Report,
    ReportedChange,
    Verdict,
)
from lora_drop.fal.trainers.parameters import ParameterSource
from lora_drop.jobs.problems import Problem

THUMBNAIL = b"\xff\xd8\xff\xe0 not much of a picture"
# HTML Living Standard, 13.1.2; "path" is no void element, and is closed here.
VOID = frozenset({"br", "img", "input", "meta"})


def make_photo(member: str = "anna.jpg", **deviating: Any) -> ImageReport:
    usual = {
        "fate": ImageOutcome.KEPT,
        "name": member,
        "format": "jpeg",
        "width": 3024,
        "height": 4032,
        "size": 2_400_000,
        "thumbnail": THUMBNAIL,
    }
    return ImageReport(member=member, **{**usual, **deviating})


def make_report(**deviating: Any) -> Report:
    photos = deviating.get("photos", ())
    usual = {
        "file": "anna.zip",
        "verdict": Verdict.ACCEPTED,
        "images": sum(photo.fate in (ImageOutcome.KEPT, ImageOutcome.MENDED) for photo in photos),
        "size": 48_000_000,
    }
    return Report(**{**usual, **deviating})


def whole_report() -> Report:
    """One with something in every field."""
    dark = Problem(
        code="image_very_dark", message="b.jpg is very dark. Brighten it.", member="b.jpg"
    )
    empty = Problem(code="image_empty", message="c.jpg is empty. Leave it out.", member="c.jpg")
    turned = ReportedChange(
        code="image_turned", member="a.heic", message="a.heic was turned upright."
    )
    mended = make_photo(
        "a.heic", name="a.jpg", fate=ImageOutcome.MENDED, caption=True, changes=(turned,)
    )
    refused = make_photo(
        "c.jpg", name=None, fate=ImageOutcome.REFUSED, format=None, errors=(empty,)
    )
    steps = ParameterReport(name="steps", value=1500, source=ParameterSource.TRAINING_JSON)
    return make_report(
        verdict=Verdict.REJECTED,
        errors=(empty,),
        warnings=(dark,),
        photos=(mended, make_photo("b.jpg", warnings=(dark,)), refused),
        changes=(turned,),
        mended=True,
        job_id="anna-0123456789",
        trainer="fal-ai/flux-lora-portrait-trainer",
        preset="portrait",
        parameters=(steps,),
        estimated_cost_usd=3.6,
        bytes_read=65_536,
        requests=3,
        seconds=0.25,
    )


class Page(HTMLParser):
    """A page as a browser takes it apart: its elements and its text.

    Raises AssertionError where a tag is closed that is not the last one opened.
    """

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.declarations: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names))
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    @override
    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    @override
    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.text += data

    @override
    def handle_decl(self, decl: str) -> None:
        self.declarations.append(decl)

    @override
    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of every element of this name."""
        return [attributes for name, attributes in self.elements if name == tag]

    def with_class(self, name: str) -> list[dict[str, str | None]]:
        """The attributes of every element of this class."""
        return [
            attributes
            for _, attributes in self.elements
            if name in (attributes.get("class") or "").split()
        ]

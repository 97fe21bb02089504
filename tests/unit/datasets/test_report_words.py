"""The report's page says what a person needs to know, once, in plain words."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from lora_drop.datasets.report import (
    FaceMark,
    FaceReport,
    ImageOutcome,
    ParameterReport,
    ReportedChange,
    Verdict,
)
from lora_drop.datasets.reports import html_text
from lora_drop.datasets.reports.face_words import face_words
from lora_drop.datasets.reports.markup import counted, first_sentence, remark, shown, size_of
from lora_drop.datasets.reports.sections import by_importance, groups_of, shared_end
from lora_drop.datasets.reports.style import DARK, LIGHT, STYLE
from lora_drop.fal.trainers.parameters import ParameterSource
from lora_drop.jobs.problems import Problem
from tests.support.reports import Page, make_photo, make_report, whole_report

READABLE = 4.5  # WCAG 2.2, 1.4.3
ADVICE = "Keep the better one."


def alike(number: int) -> tuple[Problem, ...]:
    said = f"looks almost the same as a.jpg. {ADVICE}"
    names = [f"IMG_{each:02}.jpg" for each in range(number)]
    return tuple(
        Problem(code="image_near_duplicate", message=f"{name} {said}", member=name)
        for name in names
    )


def page(**facts: Any) -> Page:
    return Page(html_text(make_report(**facts)))


@pytest.mark.promise("it can be operated")
def test_an_accepted_dataset_says_its_cost() -> None:
    """The page of an accepted dataset says so, and what the training costs where that is known."""
    photos = tuple(make_photo(f"{number}.jpg") for number in range(24))
    text = page(photos=photos, estimated_cost_usd=3.6).text
    assert "Ready to train: 24 photos" in text
    assert "It costs about $3.60." in text
    assert "fal gets your photos as they are, byte for byte" in text
    assert "The cost is not known." in page().text


@pytest.mark.promise("it can be operated")
def test_a_rejected_dataset_says_why() -> None:
    """The page of a rejected dataset says that nothing was paid and what to do first."""
    errors = (
        Problem(code="parameter_unknown", message="There is no lr. Correct it."),
        Problem(code="image_empty", message="a.jpg is empty. Leave it out.", member="a.jpg"),
        Problem(code="archive_damaged", message="The ZIP is damaged. Make it again."),
    )
    report = make_report(verdict=Verdict.REJECTED, errors=errors, job_id="ada-0123456789")
    text = Page(html_text(report)).text
    at_home = Page(html_text(report.model_copy(update={"job_id": None}))).text

    places = [
        text.index(each)
        for each in (
            *("Not sent to training", "Nothing was paid.", "3 things have to be mended"),
            *("What to do", "The ZIP is damaged", "a.jpg is empty", "There is no lr"),
        )
    ]
    assert places[1:] == sorted(places[1:])  # the first is in the title as well
    assert "costs" not in text
    # What was only checked was never to be sent.
    assert "Cannot be trained on yet" in at_home
    assert "paid" not in at_home


def test_what_was_done_is_said_once() -> None:
    named, left = "x/a.jpg is called a.jpg now.", "b.jpg is left out."
    renamed = ReportedChange(code="dataset_flattened", member="x/a.jpg", message=named)
    twice = Problem(code="image_exact_duplicate", message="b.jpg is used once.", member="b.jpg")
    dropped = ReportedChange(code="image_exact_duplicate", member="b.jpg", message=left)
    photos = (
        make_photo("x/a.jpg", name="a.jpg", changes=(renamed,), caption_text="ada <in> Rome"),
        make_photo("b.jpg", fate=ImageOutcome.DROPPED, warnings=(twice,), changes=(dropped,)),
        make_photo("c.mov", fate=ImageOutcome.DROPPED, format=None),
    )
    text = page(photos=photos, warnings=(twice,)).text
    said = ("Is called a.jpg now.", "ada <in> Rome", "1 of 2")
    unsaid = ("in the copy.", "Is used once", "c.mov")
    assert [each for each in (*said, *unsaid) if each in text] == [*said]


def test_a_broken_archive_has_no_photos() -> None:
    errors = (Problem(code="archive_truncated", message="Its end is missing. Upload it again."),)
    shown = page(verdict=Verdict.REJECTED, errors=errors)
    assert "One thing has to be mended" in shown.text
    assert [each.get("id") for each in shown.all("section")] == ["errors"]
    assert shown.with_class("photo") == []


@pytest.mark.promise("it can be operated")
def test_the_page_has_everything_known() -> None:
    """Everything in a report is on its page."""
    text = Page(html_text(whole_report())).text
    known = [
        *(
            "anna.zip",
            "48.0 MB",
            "2 of 3",
            "fal-ai/flux-lora-portrait-trainer",
            "portrait",
            "$3.60",
        ),
        *("a.heic", "b.jpg", "c.jpg", "was turned upright", "is very dark", "Brighten it."),
        *("steps", "1,500", "training.json", "anna-0123456789"),
        *("image_empty", "image_very_dark", "image_turned"),
        "The check read 65.5 KB in 3 requests and took 0.2 seconds.",
    ]
    assert [said for said in known if said not in text] == []


def test_a_parameter_says_its_source() -> None:
    parameters = tuple(
        ParameterReport(name="steps", value=1500, source=source) for source in ParameterSource
    )
    said = html_text(make_report(preset="portrait", parameters=parameters))
    assert sorted(re.findall(r"<td>1,500</td><td>(.*?)</td>", said)) == [
        *("default", "made up for this job", "metadata of the upload", "preset portrait"),
        "training.json",
    ]


def test_equal_problems_are_one_group() -> None:
    shown = page(warnings=alike(30))
    assert len(shown.with_class("group")) == 1
    assert "A photo looks almost the same as another 30 photos" in shown.text
    assert "Show 27 more" in shown.text
    assert shown.text.count(ADVICE) == 1
    assert shown.text.count("looks almost the same as a.jpg.") == 30
    # A group is not folded where that saves no room.
    assert page(warnings=alike(4)).all("details") == []


def test_advice_stands_on_the_page_once() -> None:
    text = page(photos=(make_photo("IMG_00.jpg", warnings=alike(1)),), warnings=alike(1)).text
    assert text.count(ADVICE) == 1
    assert "Looks almost the same as a.jpg." in text


def test_a_change_is_reported_once() -> None:
    """A change is reported once, whether the dataset reports it as well or not."""
    said = "a.jpg was turned upright."
    change = ReportedChange(code="image_turned", member="a.jpg", message=said)
    photos = (make_photo("a.jpg", fate=ImageOutcome.MENDED, changes=(change,)),)
    text = html_text(make_report(photos=photos, changes=(change,)))
    assert text == html_text(make_report(photos=photos))
    assert len(Page(text).with_class("group")) == 1


def test_an_unknown_code_is_reported() -> None:
    strange = Problem(code="mystery", message="Something is odd.")
    assert "mystery 2 times" in page(errors=(strange, strange), verdict=Verdict.REJECTED).text


def test_the_most_important_group_comes_first() -> None:
    codes = ["image_empty", "dataset_link", "image_empty", "archive_bomb", "image_damaged"]
    groups = groups_of([Problem(code=code, message="m") for code in codes])
    assert {group.code: len(group.cases) for group in groups} == Counter(codes)
    assert [group.code for group in groups] == list(dict.fromkeys(codes))
    assert [group.code for group in by_importance(groups)] == [
        *("archive_bomb", "dataset_link", "image_empty", "image_damaged")
    ]


def test_a_shared_end_is_whole_sentences() -> None:
    """What all messages share is found by whole sentences, and none ends within a name."""
    message = "Dr. Who.jpg is dark. Brighten it. Soon."
    assert shared_end(["a is bad. Do it. Now.", "b is bad. Do it. Now."]) == "Do it. Now."
    assert shared_end(["a is bad.", "b is bad."]) == ""
    assert shared_end(["a. One.", "b. Two."]) == ""
    assert first_sentence(message, "Dr. Who.jpg") == ("Dr. Who.jpg is dark.", "Brighten it. Soon.")
    assert first_sentence("There are 1.5 photos", None) == ("There are 1.5 photos", "")


def test_a_missing_name_is_added() -> None:
    """A member's name is added where the message does not say it, and left out beside a name."""
    said = "A name misleads. Change it."
    problem = Problem(code="archive_unsafe_name", message=said, member="a\\x00")
    text = page(verdict=Verdict.REJECTED, errors=(problem,)).text
    long = f"{'x' * 300}.jpg"
    assert "A name misleads (a\\x00)Change it." in text
    assert remark("anna.jpg is dark.", "anna.jpg") == "Is dark."
    assert remark(f"{long} is dark.", long) == "Is dark."
    assert remark("The file anna.jpg is dark.", "anna.jpg") == "The file anna.jpg is dark."


def test_numbers_are_written_for_people() -> None:
    sizes = {0: "0 bytes", 999: "999 bytes", 1000: "1.0 KB", 999_999: "1.0 MB"}
    sizes |= {2_449_999: "2.4 MB", 5 * 10**12: "5,000.0 GB"}
    counts = {0: "no photos", 1: "1 photo", 1200: "1,200 photos"}
    assert {size: size_of(size) for size in sizes} == sizes
    assert {count: counted(count, "photo") for count in counts} == counts
    words = ["yes", "0.00015", "2,000", "TOK", "(empty)"]
    assert [shown(value) for value in (True, 0.00015, 2000, "TOK", "")] == words


def luminance(colour: str) -> float:
    """WCAG 2.2, relative luminance."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in channels
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_all_text_can_be_read(colours: dict[str, str]) -> None:
    pairs = [(paper, ink) for paper in ("paper", "card") for ink in ("ink", "faint", "link")]
    pairs += [(kind, f"{kind}-ink") for kind in ("good", "bad", "warn", "mend", "calm")]
    for paper, ink in pairs:
        low, high = sorted((luminance(colours[paper]), luminance(colours[ink])))
        assert (high + 0.05) / (low + 0.05) >= READABLE, (paper, ink)


def test_both_themes_have_every_colour() -> None:
    """Each colour that is used exists in the light and in the dark theme."""
    used = set(re.findall(r"var\(--([a-z-]+)\)", STYLE)) - {"edge"}
    assert used == LIGHT.keys() == DARK.keys()


def face(mark: FaceMark | None = None, similarity: float | None = 0.8) -> FaceReport:
    """A face with this mark, which was compared unless its similarity is None."""
    place = {"left": 0.4, "top": 0.2, "width": 0.2, "height": 0.2, "pixels": 300}
    return FaceReport(**place, mark=mark, similarity=similarity)


@pytest.mark.parametrize(
    ("seen", "words"),
    [
        ([(face(),)] * 14, "one person in 14 of 14 photos"),
        (
            [(face(),), (face(FaceMark.OTHER_PERSON, 0.1),), (), (face(FaceMark.TURNED),)],
            "one person in 2 of 4 photos",
        ),
        (
            [(face(),), (face(FaceMark.PROFILE, None),), None],
            "one person in 1 of 2 photos (1 seen from the side)",
        ),
        (
            [(face(FaceMark.SECOND_PERSON),), (face(), face(similarity=None))],
            "two people in 2 of 2 photos",
        ),
        (
            [(face(),), (face(),), (face(FaceMark.SECOND_PERSON, 0.2),)],
            "two people in 3 of 3 photos",
        ),
        ([(face(similarity=None),), ()], "seen in 1 of 2 photos"),
        ([()], "seen in 0 of 1 photo"),
        ([None], ""),
        ([], ""),
    ],
)
def test_the_person_is_counted(seen: Sequence[tuple[FaceReport, ...] | None], words: str) -> None:
    photos = tuple(make_photo(f"{n}.jpg", faces=faces) for n, faces in enumerate(seen))
    assert face_words(make_report(photos=photos, faces_checked=True)) == words
    assert face_words(make_report(photos=photos)) == ""

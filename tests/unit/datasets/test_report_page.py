"""The report's page is safe to open: foreign names are nothing but text, and nothing is fetched."""

import base64
import hashlib
import re

import pytest

from lora_drop.datasets.report import ImageOutcome, ParameterReport, Report, ReportedChange, Verdict
from lora_drop.datasets.reports import html_text
from lora_drop.fal.trainers.parameters import ParameterSource
from lora_drop.jobs.problems import Problem
from tests.support.reports import THUMBNAIL, Page, make_photo, make_report, whole_report

HOSTILE = (
    *("<img src=x onerror=alert(1)>.jpg", '"><script>alert(1)</script>.jpg'),
    *("' onmouseover='alert(1).jpg", "</style><script>alert(1)</script>", "<!-- anna.jpg"),
    *("&lt;anna&gt;&amp;.jpg", "javascript:alert(1)//.jpg", "{{7*7}}${7*7}%s{0}.jpg"),
)


def report_of(name: str) -> Report:
    """One in which everything that a stranger may write says the same."""
    problem = Problem(
        code="image_damaged", message=f"{name} is damaged. Leave it out.", member=name
    )
    unknown = Problem(code=name, message=name, member=name)
    change = ReportedChange(code="image_turned", member=name, message=f"{name} was turned upright.")
    photo = make_photo(
        name, format=name, errors=(problem,), warnings=(problem, unknown), changes=(change,)
    )
    return make_report(
        file=name,
        verdict=Verdict.REJECTED,
        errors=(problem, unknown),
        warnings=(problem, problem, unknown, unknown),
        photos=(photo, photo.model_copy(update={"name": f"{name}2"})),
        changes=(change, change.model_copy(update={"code": name})),
        job_id=name,
        trainer=name,
        preset=name,
        parameters=(ParameterReport(name=name, value=name, source=ParameterSource.PRESET),),
    )


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_name_is_only_text(name: str) -> None:
    """A file name on the page is nothing but text."""
    page, plain = (Page(html_text(report_of(each))) for each in (name, "anna.jpg"))
    assert [(tag, sorted(each)) for tag, each in page.elements] == [
        (tag, sorted(each)) for tag, each in plain.elements
    ]
    assert name in page.text


@pytest.mark.parametrize("control", ["\u202e", "\u2066", "\u202b", "\n", "\x00", "\ud800"])
def test_control_characters_are_shown(control: str) -> None:
    """A control character in a name is shown, and does not turn its reader around."""
    name = f"anna{control}gpj.exe"
    text = html_text(report_of(name))
    page = Page(text)
    assert f"[U+{ord(control):04X}]gpj.exe" in page.text
    assert control not in page.text + (page.all("img")[0]["alt"] or "")
    assert text.encode()


def test_any_script_is_shown_apart() -> None:
    for name in ("מסיבה.jpg", "عيد.jpg", "👩‍👧.jpg", "été.jpg", "נ\u200dכ.jpg"):
        text = html_text(report_of(name))
        assert f'<bdi class="name">{name}</bdi>' in text
        assert "[U+" not in text


def test_a_long_name_is_shortened() -> None:
    """A name of a thousand characters keeps its ends and may break anywhere."""
    text = html_text(report_of(f"first{'x' * 1000}last.jpg"))
    names = re.findall(r'<bdi class="name">(.*?)</bdi>', text)
    assert {len(name) for name in names} == {200}
    assert all(re.fullmatch(r"firstx+…x+last\.jpg2?", name) for name in names)
    assert "overflow-wrap:anywhere" in text


@pytest.mark.promise("nothing leaks")
def test_the_page_fetches_and_runs_nothing() -> None:
    """The page fetches nothing and runs nothing."""
    text = html_text(whole_report())
    page = Page(text)

    assert re.findall(r"https?:|//[a-z]|@import|url\(", text) == []
    assert {"script", "link", "iframe", "object", "form", "base"} & {
        tag for tag, _ in page.elements
    } == set()
    assert {name for _, each in page.elements for name in each} <= {
        *("alt", "aria-hidden", "charset", "checked", "class", "content", "d", "decoding", "for"),
        *("href", "http-equiv", "id", "lang", "loading", "name", "scope", "src", "type", "viewbox"),
    }
    assert all((each["href"] or "").startswith("#") for each in page.all("a"))
    assert all(
        (each["src"] or "").startswith("data:image/jpeg;base64,") for each in page.all("img")
    )


@pytest.mark.promise("nothing leaks")
def test_the_content_policy_is_strict() -> None:
    """The page's content policy lets in its own style sheet and pictures alone."""
    text = html_text(whole_report())
    [policy] = [
        each["content"]
        for each in Page(text).all("meta")
        if each.get("http-equiv") == "Content-Security-Policy"
    ]
    [style] = re.findall(r"<style>(.*?)</style>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()

    assert policy == (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; base-uri 'none'; "
        "form-action 'none'"
    )


def test_a_link_leads_to_its_photo() -> None:
    page = Page(html_text(whole_report()))
    places = [each["id"] for each in page.with_class("photo")]
    assert places == ["photo-1", "photo-2", "photo-3"]
    assert {each["href"] for each in page.all("a")} == {"#photo-1", "#photo-2", "#photo-3"}


def test_ids_on_the_page_are_unique() -> None:
    photos = (make_photo("anna.jpg"), make_photo("anna.jpg"), make_photo("x" * 300)) * 10
    page = Page(html_text(make_report(photos=photos)))
    ids = [each["id"] for _, each in page.elements if "id" in each]
    assert len(ids) == len(set(ids))


def test_only_jpegs_are_shown() -> None:
    """A thumbnail that is no JPEG is not shown; one that is has a text, and is loaded late."""
    svg = make_photo(thumbnail=b"<svg onload=alert(1)>")
    page = Page(html_text(make_report(photos=(svg, make_photo(), make_photo(thumbnail=b"")))))
    [picture] = page.all("img")
    encoded = base64.b64encode(THUMBNAIL).decode()
    assert picture["src"] == f"data:image/jpeg;base64,{encoded}"
    assert (picture["loading"], picture["alt"]) == ("lazy", "Preview of anna.jpg")
    assert page.text.count("No preview") == 2


def test_every_photo_has_its_badge() -> None:
    photos = tuple(make_photo(f"{fate}.jpg", fate=fate) for fate in ImageOutcome)
    badges = Page(html_text(make_report(photos=photos))).with_class("badge")
    assert [each["class"] for each in badges] == [f"badge {fate}" for fate in ImageOutcome]


def test_a_photo_says_what_it_is() -> None:
    photo = make_photo("a.heic", name="a.jpg", format="heif", caption=True)
    page = Page(html_text(make_report(photos=(photo,))))
    assert "3,024 × 4,032HEIC · 2.4 MB · captioned" in page.text  # noqa: RUF001  # as on the page
    assert "Is called a.jpg in the copy." in page.text


def test_photos_are_filtered_without_script() -> None:
    photos = [make_photo(f"{number}.jpg") for number in range(20)]
    photos[3] = make_photo("3.jpg", fate=ImageOutcome.REFUSED)
    text = html_text(make_report(photos=tuple(photos)))
    shown = [each["id"] for each in Page(text).all("input")]
    assert shown == ["show-all", "show-kept", "show-refused"]
    assert "#photos:has(#show-refused:checked) .photo:not(.refused){display:none}" in text


def test_a_thousand_photos_fit_a_page() -> None:
    thumbnail = b"\xff\xd8\xff" + bytes(8_000)
    photos = tuple(make_photo(f"IMG_{n:04}.jpg", thumbnail=thumbnail) for n in range(1000))
    text = html_text(make_report(photos=photos))
    assert len(Page(text).with_class("photo")) == 1000
    assert len(text) < 1000 * (len(thumbnail) * 4 / 3 + 1000)

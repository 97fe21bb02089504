"""Every state of the page in a real Chromium: axe finds nothing, nothing is cut off, and the keyboard does it all."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from lora_drop.fal.trainers.table import DEFAULT
from lora_drop.ui.app import make_app
from lora_drop.ui.drafts import Drafts
from lora_drop.ui.workers import Workers
from tests.support.browser import violations
from tests.support.page_backend import StubBackend, jobs
from tests.support.portraits import ALIKE, CAPTIONED, DAMAGED, portrait_folder

pytestmark = pytest.mark.proof

LONG = 60_000  # milliseconds, on a loaded machine
WIDTHS = (390, 768, 1440, 1920)


@dataclass(frozen=True)
class Opened:
    """A page with three datasets and a job in each state, and a browser that is let in."""

    context: BrowserContext
    origin: str
    drafts: Drafts
    places: dict[str, str]

    def page(self, place: str, scheme: str = "light", width: int = 1440) -> Page:
        """Show a state of the page in this scheme and width."""
        page = self.context.pages[0]
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of two words
        page.set_viewport_size({"width": width, "height": 900})
        page.goto(self.origin + self.places[place])
        return page


@pytest.fixture(scope="module")
def opened(
    page_server: Callable[[Any], Any],
    chromium: Browser,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Opened]:
    folder = tmp_path_factory.mktemp("page")
    photos = portrait_folder(folder / "ada", long_side=800)
    workers = Workers()
    drafts = Drafts(folder / "drafts", workers, DEFAULT.application)
    served = page_server(make_app(StubBackend(), drafts))
    context = chromium.new_context()
    context.set_default_timeout(LONG)
    expect.set_options(timeout=LONG)
    page = context.new_page()
    page.goto(served.address)
    places = _places(page, photos)
    yield Opened(context, served.origin, drafts, places)
    context.close()
    drafts.close()
    workers.close()


def _places(page: Page, photos: Path) -> dict[str, str]:
    """The address of each state, made as a person makes them."""
    page.set_input_files("#folder", photos)
    page.wait_for_url("**/drafts/*")
    expect(page.locator("#verdict .band.bad")).to_be_visible()
    rejected = _path(page)
    page.goto(page.url.partition("/drafts")[0])
    page.set_input_files("#folder", photos)
    page.wait_for_url("**/drafts/*")
    page.click(f"#cards .photo:has(.name:text-is('{DAMAGED}')) .decide button")
    expect(page.locator("#verdict .band.good")).to_be_visible()
    accepted = _path(page)
    numbers = {
        name: str(page.locator(f"#cards .photo:has(.name:text-is('{name}'))").get_attribute("id"))
        for name in (ALIKE, CAPTIONED, DAMAGED)
    }
    photo = {name: f"{accepted}/photos/{place[6:]}" for name, place in numbers.items()}
    left_out = page.request.post(
        f"{page.url.partition('/drafts')[0]}/drafts",
        form={"name": "half"},
        headers={"Origin": page.url.partition("/drafts")[0]},
    ).json()
    return {
        "home": "/",
        "filtered": "/?status=HELD",
        "nothing fits": "/?search=nothing",
        "not all here": left_out["address"],
        "to be mended": rejected,
        "one problem": f"{rejected}?show=image_blurred",
        "ready": accepted,
        "photo": photo[CAPTIONED],
        "pair": photo[ALIKE],
        "left out": photo[DAMAGED],
        "delete": f"{accepted}/discard",
        "no such page": "/nothing",
        **{f"job {name}": f"/jobs/{name}" for name in jobs()},
        **{action: f"/jobs/ada-succeeded/{action}" for action in ("retry", "forget")},
        **{action: f"/jobs/ada-held/{action}" for action in ("approve", "cancel")},
    }  # fmt: skip


def _path(page: Page) -> str:
    return "/drafts/" + page.url.partition("/drafts/")[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(opened: Opened, scheme: str) -> None:
    """axe's rules for WCAG 2.2 A and AA hold in every state, light and dark."""
    found = {place: violations(opened.page(place, scheme)) for place in opened.places}
    assert {place: rules for place, rules in found.items() if rules} == {}
    page = opened.page("ready", scheme)
    page.locator("#details summary").click()
    page.locator("#advice summary").click()
    assert violations(page) == []


def test_nothing_is_wider_than_the_screen(opened: Opened) -> None:
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    over = {
        (place, width): more
        for place in opened.places
        for width in WIDTHS
        if (more := opened.page(place, width=width).evaluate(wide))
    }
    assert over == {}


def test_keyboard_decides_about_photos(opened: Opened) -> None:
    """Tab to a photo, arrows to the next, X, K and C: the focus stays where it was."""
    page = opened.page("ready")
    first = page.locator("#cards .photo .decide button").first
    first.focus()
    page.keyboard.press("ArrowRight")
    focused = page.locator(":focus")
    assert focused.get_attribute("id") != first.get_attribute("id")
    second = str(focused.get_attribute("id"))
    for key, words in (("x", "Keep"), ("x", "Keep"), ("k", "Leave out"), ("k", "Leave out")):
        page.keyboard.press(key)
        expect(page.locator(f"#{second}")).to_contain_text(words)
        expect(page.locator(":focus")).to_have_attribute("id", second)
    page.keyboard.press("c")
    page.wait_for_url("**/photos/*")
    expect(page.locator("#caption")).to_be_visible()


def test_what_is_typed_stays_while_the_check_goes_on(opened: Opened) -> None:
    page = opened.page("ready")
    expect(page.locator("#train")).to_be_enabled()
    page.locator("#details summary").click()
    page.fill("#input-trigger_phrase", "ada")
    other = opened.context.new_page()
    other.goto(page.url)
    other.locator("#preset-quality").click()
    expect(other.locator("#train")).to_contain_text("$9.60")
    assert page.input_value("#input-trigger_phrase") == "ada"
    page.click("#set-details")
    expect(other.locator("#input-trigger_phrase")).to_have_value("ada")
    other.close()


def test_report_runs_no_script(opened: Opened) -> None:
    page = opened.page("job ada-succeeded")
    with page.context.expect_page() as shown:
        page.click("#report")
    expect(shown.value.locator("p")).to_have_text("ada-succeeded")
    assert shown.value.title() == "Report"
    shown.value.close()

"""Every state of the page in a real Chromium: axe finds nothing, nothing is cut off, and the keyboard does it all."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import violations
from tests.support.client_fixtures import photo
from tests.support.page_states import Opened, opened_states
from tests.support.portraits import CAPTIONED

pytestmark = pytest.mark.proof

WIDTHS = (390, 768, 1440, 1920)


@pytest.fixture(scope="module")
def opened(chromium: Browser) -> Iterator[Opened]:
    with opened_states(chromium) as states:
        yield states


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
    """What another tab does changes the price here and not the field one types in; left, the field is set everywhere."""
    page = opened.page("ready")
    expect(page.locator("#train")).to_be_enabled()
    page.fill("#input-trigger_phrase", "ada")
    other = opened.context.new_page()
    other.goto(page.url)
    other.locator("#preset-quality").click()
    expect(other.locator("#train")).to_contain_text("$9.60")
    expect(page.locator("#train")).to_contain_text("$9.60")
    assert page.input_value("#input-trigger_phrase") == "ada"
    page.press("#input-trigger_phrase", "Tab")
    expect(other.locator("#input-trigger_phrase")).to_have_value("ada")
    expect(other.locator("#price")).to_contain_text("“ada”")
    other.close()


def test_box_of_the_proof_sheet_is_in_the_price(opened: Opened) -> None:
    """Space on the box orders a proof sheet and takes it back; the price has it on a phone as well."""
    page = opened.page("ready", width=390)
    box = page.locator("#input-proof")
    box.focus()
    price = page.locator("#price")
    for on in (True, False):
        page.keyboard.press("Space")
        said = expect(price)
        (said.to_contain_text if on else said.not_to_contain_text)("with a proof sheet")
        expect(page.locator("#train")).to_be_enabled()
        expect(box).to_be_checked(checked=on)
        page.reload()
        expect(box).to_be_checked(checked=on)
        box.focus()


def test_caption_that_is_left_is_saved(opened: Opened) -> None:
    page = opened.page("photo")
    expect(page.locator("#caption")).to_be_focused()
    page.fill("#caption", "[trigger] in the garden")
    page.click("#after")
    page.click("#before")
    expect(page.locator("#caption")).to_have_value("[trigger] in the garden")
    page.fill("#caption", "[trigger] on a boat")
    page.click("#save-next")
    expect(page.locator(".band.good")).to_contain_text("The caption is saved.")
    page.click("#before")
    expect(page.locator("#caption")).to_have_value("[trigger] on a boat")


def test_photos_are_added_and_none_is_replaced(opened: Opened, tmp_path: Path) -> None:
    """Another folder on a sheet: a photo of a name that is there goes into a folder of its own; what is there stays."""
    more = tmp_path / "more"
    more.mkdir()
    (more / CAPTIONED).write_bytes(photo(900, 7))
    (more / "new.jpg").write_bytes(photo(900, 8))
    page = opened.page("to be mended")
    expect(page.locator("#cards .photo")).to_have_count(30)
    page.set_input_files("#folder", more)
    expect(page.locator("#cards .photo")).to_have_count(32)
    for name in (CAPTIONED, f"more/{CAPTIONED}", "new.jpg"):
        expect(page.locator(f"#cards .name:text-is('{name}')")).to_have_count(1)
    page.set_input_files("#folder", more)  # once more
    expect(page.locator("#upload")).to_be_hidden()
    expect(page.locator("#cards .photo")).to_have_count(32)


def test_hidden_tab_lets_its_stream_go_and_is_right_again(opened: Opened) -> None:
    """Seven sheets open at once: the seventh loads, since those that nobody sees hold no connection."""
    tabs = [opened.context.new_page() for _ in range(7)]
    for tab in tabs:
        tab.goto(opened.origin + opened.places["to be mended"])
        expect(tab.locator("#cards .photo").first).to_be_visible()
        _look(tab, hidden=True)
    tabs[0].request.post(
        f"{opened.origin}{opened.places['to be mended']}/photos/1/reject",
        headers={"Origin": opened.origin},
    )
    _look(tabs[0], hidden=False)
    expect(tabs[0].locator("#decide-1")).to_contain_text("Keep")
    for tab in tabs:
        tab.close()


def _look(tab: Page, *, hidden: bool) -> None:
    """Let a tab believe that it is hidden, or seen again."""
    seen = "false" if not hidden else "true"
    tab.evaluate(
        f"Object.defineProperty(document, 'hidden', {{configurable: true, get: () => {seen}}})"
    )
    tab.evaluate("document.dispatchEvent(new Event('visibilitychange', {bubbles: true}))")


def test_report_runs_no_script(opened: Opened) -> None:
    page = opened.page("job ada-succeeded")
    with page.context.expect_page() as shown:
        page.click("#report")
    expect(shown.value.locator("p")).to_have_text("ada-succeeded")
    assert shown.value.title() == "Report"
    shown.value.close()

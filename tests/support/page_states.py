"""The states of the page in a real Chromium; run as a module, their pictures for the docs.

``python -m tests.support.page_states docs/images`` writes all states at 1440 and 390 pixels, light and dark, on four
sheets, and the pictures of docs/page.md.
"""

import io
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from starlette.types import ASGIApp

from lora_drop.fal.trainers.table import DEFAULT
from lora_drop.ui import server
from lora_drop.ui.app import make_app
from lora_drop.ui.drafts import Drafts
from lora_drop.ui.security import Access, SecurityMiddleware
from lora_drop.ui.workers import Workers
from tests.support.browser import SANDBOX, found_chromium
from tests.support.page_backend import StubBackend, jobs
from tests.support.portraits import ALIKE, CAPTIONED, DAMAGED, portrait_folder

LONG = 60_000  # milliseconds, on a loaded machine


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


def state_places(page: Page, photos: Path) -> dict[str, str]:
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


@contextmanager
def served(app: ASGIApp) -> Iterator[tuple[str, str]]:
    """The page behind its real server: the address to open, and its origin."""
    with server.listening(0) as listener:
        access = Access(listener.getsockname()[1])
        page = server.PageServer(SecurityMiddleware(app, access), listener, ended=lambda: None)
        page.start()
        try:
            yield access.address, f"http://{access.hosts[0]}"
        finally:
            page.stop()


def pictures(opened: Opened, target: Path) -> None:
    """Write the sheets of all states, and the pictures of the docs."""
    for width, height, columns, factor in ((1440, 900, 5, 3), (390, 844, 10, 2)):
        for scheme in ("light", "dark"):
            shots = [_shot(opened.page(place, scheme, width)) for place in opened.places]
            size = (width // factor, height // factor)
            _sheet(
                [shot.resize(size) for shot in shots],
                columns,
                target / f"states-{width}-{scheme}.webp",
            )
    for name, place, width in (
        ("sheet", "to be mended", 1100),
        ("strip-phone", "ready", 390),
        ("job", "job ada-training", 1100),
    ):
        shot = _shot(opened.page(place, "light", width))
        shot.save(target / f"{name}.webp", quality=75)


def _shot(page: Page) -> Image.Image:
    page.wait_for_load_state("load")
    page.wait_for_timeout(500)  # the previews
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB")


def _sheet(shots: list[Image.Image], columns: int, target: Path) -> None:
    width, height = shots[0].width + 8, shots[0].height + 8
    rows = -(-len(shots) // columns)
    sheet = Image.new("RGB", (columns * width, rows * height), "#808080")
    for number, shot in enumerate(shots):
        sheet.paste(shot, (number % columns * width + 4, number // columns * height + 4))
    sheet.save(target, quality=60)


@contextmanager
def opened_states(browser: Browser, **context: Any) -> Iterator[Opened]:
    """Every state of the page, behind its real server, in a browser that is let in."""
    with ExitStack() as ends:
        made = Path(ends.enter_context(tempfile.TemporaryDirectory()))
        photos = portrait_folder(made / "ada", long_side=800)
        workers = ends.enter_context(closing(Workers()))
        drafts = ends.enter_context(closing(Drafts(made / "drafts", workers, DEFAULT.application)))
        address, origin = ends.enter_context(served(make_app(StubBackend(), drafts)))
        opened = ends.enter_context(browser.new_context(**context))
        opened.set_default_timeout(LONG)
        expect.set_options(timeout=LONG)
        page = opened.new_page()
        page.goto(address)
        yield Opened(opened, origin, drafts, state_places(page, photos))


def main(target: Path) -> None:
    """Make the pictures."""
    target.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found_chromium(), args=SANDBOX)
        with opened_states(browser, reduced_motion="reduce") as opened:
            pictures(opened, target)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""A real Chromium, and the rules of axe-core that a page is held against."""

import os
import shutil
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
# As root, in a container, it has no sandbox of its own; it sees pages of this machine alone.
SANDBOX = ["--no-sandbox"]
# What WCAG 2.2 asks for at levels A and AA, and axe's own best practices.
RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "resultTypes": ["violations"],
}


def found_chromium() -> str | None:
    """Where the machine's Chromium is."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@pytest.fixture(scope="module")  # its event loop would be in the way of others in the same thread
def chromium() -> Iterator[Browser]:
    """The machine's own Chromium; where there is none, a test is skipped, or fails with LORA_DROP_BROWSER."""
    if (found := found_chromium()) is None:
        reason = f"no Chromium on this machine ({', '.join(NAMES)})"
        if os.environ.get("LORA_DROP_BROWSER"):
            pytest.fail(reason)
        pytest.skip(reason)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=SANDBOX)
        yield browser
        browser.close()


def violations(page: Page) -> list[str]:
    """What axe finds on the page as it stands: the rule, and the first elements that break it."""
    found = Axe().run(page, options=RULES).response["violations"]
    return [
        f"{rule['id']}: {rule['help']}: {[node['html'][:160] for node in rule['nodes'][:3]]}"
        for rule in found
    ]

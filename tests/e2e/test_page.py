"""The page in a real Chromium, over the deployed stack: from a dropped folder to the LoRA's file."""

import hashlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from lora_drop.local.stack import HOME, SAMPLE
from tests.e2e.conftest import Deployed
from tests.support.browser import chromium
from tests.support.portraits import ALIKE, CAPTIONED, DAMAGED, portrait_folder

__all__ = ["chromium"]
pytestmark = [pytest.mark.stack, pytest.mark.proof]

OPEN = re.compile(r"http://127\.0\.0\.1:\d+/\?token=\S+")
LONG = 120_000.0  # milliseconds, on a loaded machine
WRITTEN = "[trigger] laughs, in a red jacket & <b>bold</b>"


@contextmanager
def page_of(stack: Deployed, data: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """`lora-drop ui` over the stack, and the address that it prints."""
    with subprocess.Popen(  # the project's own command
        [sys.executable, "-m", "lora_drop", "ui", "--no-open"],
        env={**os.environ, HOME: str(stack.local.state), "XDG_DATA_HOME": str(data)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as server:
        try:
            assert server.stdout is not None
            line = next(line for line in server.stdout if OPEN.search(line))
            found = OPEN.search(line)
            assert found
            yield found[0], server
        finally:
            server.send_signal(signal.SIGINT)
            server.wait(30)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The user's data folder."""
    return tmp_path / "data"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return portrait_folder(tmp_path_factory.mktemp("photos") / "ada")


@pytest.fixture
def opened(stack: Deployed, data: Path, chromium: Browser) -> Iterator[Page]:
    """The page, open in a browser whose console is silent."""
    with page_of(stack, data) as (address, _), chromium.new_context() as context:
        page, said = context.new_page(), list[str]()
        page.set_default_timeout(LONG)
        page.on("console", lambda line: said.append(line.text) if line.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        expect.set_options(timeout=LONG)
        page.goto(address)
        yield page
        assert said == []


def drop(page: Page, folder: Path) -> None:
    """Choose a folder, as a person does in the dialog; its contact sheet comes."""
    page.set_input_files("#folder", folder)
    page.wait_for_url("**/drafts/*")


def drag(page: Page, folder: Path) -> None:
    """Drag a folder from the desktop onto the page (Chrome DevTools Protocol, Input.dispatchDragEvent)."""
    session = page.context.new_cdp_session(page)
    held = {"items": [], "files": [str(folder)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 500, "y": 200, "data": held})
    page.wait_for_url("**/drafts/*")


def card(name: str) -> str:
    """The selector of a photo's card."""
    return f"#cards .photo:has(.name:text-is('{name}'))"


def number_of(page: Page, name: str) -> str:
    return str(page.locator(card(name)).get_attribute("id")).removeprefix("photo-")


def job_of(page: Page) -> str:
    page.wait_for_url("**/jobs/*")
    return page.url.rpartition("/")[2]


@pytest.mark.promise("never lose a result")
def test_from_the_folder_to_the_file(stack: Deployed, opened: Page, photos: Path) -> None:
    """A folder dropped on the page becomes a LoRA that can be downloaded; what was left out and written there counts."""
    page = opened
    drag(page, photos)
    expect(page.locator("#verdict .band.bad")).to_be_visible()
    expect(page.locator("#train")).to_be_disabled()
    expect(page.locator("#cards .photo")).to_have_count(30)
    page.click(f"{card(DAMAGED)} .decide button")
    expect(page.locator("#verdict .band.good")).to_contain_text("29 photos")
    page.click(f"{card(ALIKE)} .frame a")
    expect(page.locator(".pair figure")).to_have_count(2)
    page.click("#decide")
    page.goto(f"{page.url.rpartition('/')[0]}/{number_of_captioned(page)}")
    page.fill("#caption", WRITTEN)
    page.click("#save")
    page.click("#all-photos")
    page.click("#preset-fast")
    page.fill("#input-trigger_phrase", "ada")
    page.press("#input-trigger_phrase", "Tab")
    expect(page.locator("#price")).to_contain_text("“ada”")
    expect(page.locator("#verdict .band.good")).to_contain_text("28 photos")
    expect(page.locator("#train")).to_contain_text("$2.40")
    page.click("#train")

    job_id = job_of(page)
    expect(page.locator(".state")).to_have_text("Done")

    document = json.loads(stack.run("job", job_id, "--json"))
    files = stack.files_of({**document, "job_id": job_id})
    with page.expect_download() as download:
        page.click("text=lora.safetensors")
    assert download.value.path().read_bytes() == files["lora.safetensors"]
    assert_decided(files)
    assert len(stack.posts_of(document)) == 1
    trained = zipfile.ZipFile(io.BytesIO(files["dataset.zip"]))
    assert len([name for name in trained.namelist() if name.endswith(".jpg")]) == 28
    assert document["parameters"]["trigger_phrase"] == "ada"


def number_of_captioned(page: Page) -> str:
    """The number of the captioned photo, read from the sheet in another tab."""
    tab = page.context.new_page()
    tab.goto(page.url.rpartition("/photos/")[0])
    number = number_of(tab, CAPTIONED)
    tab.close()
    return number


def assert_decided(files: dict[str, bytes]) -> None:
    """The copy that fal got has the caption that was written, and not the photos that were left out; the report says both."""
    copy = zipfile.ZipFile(io.BytesIO(files["dataset.zip"]))
    names = copy.namelist()
    assert DAMAGED not in names
    assert ALIKE not in names
    assert "edits.json" not in names
    text = copy.read(CAPTIONED.replace(".jpg", ".txt")).decode()
    assert text == WRITTEN  # this trainer fills in the phrase itself
    report = json.loads(files["report.json"])
    changed = {(each["code"], each["member"]) for each in report["changes"]}
    assert {("image_rejected", DAMAGED), ("image_rejected", ALIKE)} <= changed
    assert ("caption_edited", CAPTIONED) in changed
    assert b"<b>bold" not in files["report.html"]


def test_cancelled_on_the_page(stack: Deployed, opened: Page) -> None:
    stack.simulator.inject("training_slow", seconds=300.0)
    page = opened
    job_id = trained(stack, "page-cancel.zip")
    page.goto(f"{page.url.partition('/drafts')[0].rstrip('/')}/jobs/{job_id}")
    expect(page.locator(".state")).to_have_text(re.compile("Training|queue"))
    page.click("#cancel")
    page.click("#do-cancel")
    expect(page.locator(".state")).to_have_text("Cancelled")
    assert json.loads(stack.run("job", job_id, "--json"))["status"] == "CANCELLED"


def test_approved_on_the_page(stack: Deployed, opened: Page) -> None:
    stack.simulator.inject("balance_exhausted")
    page = opened
    job_id = trained(stack, "page-held.zip")
    page.goto(f"{page.url.rstrip('/')}/jobs/{job_id}")
    expect(page.locator(".state")).to_have_text("Waits for you")
    page.click("#approve")
    page.click("#do-approve")
    expect(page.locator(".state")).to_have_text("Done")
    assert [each["accepted"] for each in stack.posts_of({"job_id": job_id})] == [False, True]


def trained(stack: Deployed, key: str) -> str:
    """A job that the command has begun, as another person may have."""
    words = ("train", str(SAMPLE), "--key", key, "--force", "--no-wait", "--json")
    job_id: str = json.loads(stack.run(*words))["job_id"]
    return job_id


def test_killed_page_changes_nothing(
    stack: Deployed, data: Path, chromium: Browser, photos: Path
) -> None:
    """A page, a browser or a server that is killed ends no job, and what was decided is there again."""
    stack.simulator.inject("training_slow", seconds=8.0)
    expect.set_options(timeout=LONG)
    with page_of(stack, data) as (address, server):
        context = chromium.new_context()
        page = context.new_page()
        page.set_default_timeout(LONG)
        page.goto(address)
        drop(page, photos)
        page.click(f"{card(DAMAGED)} .decide button")
        expect(page.locator("#verdict .band.good")).to_be_visible()
        where = page.url.partition("/drafts")[2]
        server.kill()
        server.wait(30)
        context.close()
    with page_of(stack, data) as (address, server):
        context = chromium.new_context()
        page = context.new_page()
        page.set_default_timeout(LONG)
        page.goto(address)
        page.goto(f"{page.url.rstrip('/')}/drafts{where}")
        expect(page.locator(f"{card(DAMAGED)} .badge")).to_have_text("Left out")
        expect(page.locator("#train")).to_be_enabled()
        page.click("#train")
        job_id = job_of(page)
        server.kill()
        server.wait(30)
        context.close()
    wait_until(lambda: json.loads(stack.run("job", job_id, "--json"))["status"] == "SUCCEEDED")
    assert len(stack.posts_of({"job_id": job_id})) == 1


def test_two_tabs_agree(opened: Page, photos: Path) -> None:
    page = opened
    drop(page, photos)
    expect(page.locator("#verdict .band.bad")).to_be_visible()
    other = page.context.new_page()
    other.goto(page.url)
    page.click(f"{card(DAMAGED)} .decide button")
    expect(other.locator(f"{card(DAMAGED)} .badge")).to_have_text("Left out")
    expect(other.locator("#verdict .band.good")).to_be_visible()
    other.click(f"{card(DAMAGED)} .decide button")
    expect(page.locator("#verdict .band.bad")).to_be_visible()
    # Each tab hears of the check by its own stream.
    wait_until(lambda: page.locator("#cards").inner_text() == other.locator("#cards").inner_text())
    other.close()


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.5)


def test_files_are_what_was_hashed(stack: Deployed, opened: Page) -> None:
    job = stack.train(SAMPLE, "--key", "page-files.zip")
    page = opened
    page.goto(f"{page.url.rstrip('/')}/jobs/{job['job_id']}")
    with page.expect_download() as download:
        page.click("text=lora.safetensors")
    [weights] = [each for each in job["files"] if each["name"] == "lora.safetensors"]
    content = download.value.path().read_bytes()
    assert hashlib.sha256(content).hexdigest() == weights["sha256"]
    expect(page.locator(".files")).to_contain_text(weights["sha256"])

"""The same drop through a real Chromium and ``lora-drop ui``: ``python -m benchmarks.page_browser [COUNT]``.

Times are from the choice of the folder on: until the previews that a screen of 1440 by 900 shows are there, until the last
file is copied, until the check has ended. Memory is the server's and that of all its processes, as PSS.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from benchmarks.page import COUNT, make
from benchmarks.page_run import MIB, WATCHED, pss

ADDRESS = re.compile(r"http://\S+")
# How many previews are there, and whether those on the screen are.
SEEN = (
    "() => { const all = [...document.querySelectorAll('#cards img')];"
    "const whole = each => each.complete && each.naturalWidth;"
    "const seen = all.filter(each => each.getBoundingClientRect().top < innerHeight);"
    "return [all.filter(whole).length, seen.length > 5 && seen.every(whole)] }"
)
LONG = 900_000  # milliseconds


class Peaks(threading.Thread):
    """The most memory that a server had, alone and with its processes."""

    def __init__(self, server: int) -> None:
        super().__init__(daemon=True)
        self.process, self.server, self.all = server, 0, 0

    def run(self) -> None:
        """Look until the benchmark ends."""
        while True:
            own = pss(self.process)
            children = Path(f"/proc/{self.process}/task/{self.process}/children")
            below = children.read_text().split() if children.exists() else []
            self.server = max(self.server, own)
            self.all = max(self.all, own + sum(pss(int(each)) for each in below))
            time.sleep(WATCHED)


def drop(page: Page, folder: Path) -> dict[str, float]:
    """Choose the folder, and return the seconds until each thing was there."""
    began = time.monotonic()
    page.set_input_files("#folder", folder)
    page.wait_for_url("**/drafts/*")
    seconds = {"its sheet": time.monotonic() - began}
    page.wait_for_selector("#cards img")
    while True:
        there, screen = page.evaluate(SEEN)
        if there:
            seconds.setdefault("the first previews", time.monotonic() - began)
        if screen:
            break
        page.wait_for_timeout(20)
    seconds["the previews on the screen"] = time.monotonic() - began
    page.wait_for_selector("#upload", state="hidden")
    seconds["all files copied"] = time.monotonic() - began
    page.wait_for_selector("#train:not([disabled])")
    seconds["the price"] = time.monotonic() - began
    return seconds


def main(count: int = COUNT) -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory(prefix="page-") as temporary, sync_playwright() as playwright:
        folder = Path(temporary) / "photos"
        folder.mkdir()
        print(f"{count} JPEGs, {make(folder, count) / 1e6:.0f} MB")
        own = {**os.environ, "FAL_KEY": "never:sent", "XDG_DATA_HOME": f"{temporary}/data"}
        line = [sys.executable, "-m", "lora_drop", "ui", "--direct", "--no-open"]
        with subprocess.Popen(line, env=own, stdout=subprocess.PIPE, text=True) as server:  # noqa: S603  # our own words
            try:
                assert server.stdout  # noqa: S101  # a pipe
                found = ADDRESS.search(server.stdout.readline())
                assert found  # noqa: S101  # the server prints it first
                peaks = Peaks(server.pid)
                peaks.start()
                path, sandbox = shutil.which("chromium"), ["--no-sandbox"]
                browser = playwright.chromium.launch(executable_path=path, args=sandbox)
                page = browser.new_page(viewport={"width": 1440, "height": 900})
                page.set_default_timeout(LONG)
                page.goto(found[0])
                for name, value in drop(page, folder).items():
                    print(f"{name:28} {value:7.2f} s")
                browser.close()
            finally:
                server.terminate()
        print(f"{'server, at its peak':28} {peaks.server / MIB:7.0f} MiB PSS")
        print(f"{'with its processes':28} {peaks.all / MIB:7.0f} MiB PSS")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

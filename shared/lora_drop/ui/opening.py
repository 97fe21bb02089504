"""A browser gets the page's address from a file that only its owner can read.

Every user of a machine can read the command line that a browser is started with, and with it the token of an address there.
"""

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from html import escape
from pathlib import Path

from lora_drop.jobs.errors import LoraDropError

OLD = 24 * 3600.0  # seconds; an older file is of a page that was killed
LEADING = """<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="0; url={0}">
<meta name="color-scheme" content="light dark"><title>Opening · lora-drop</title><p><a href="{0}">Open the page</a></p></html>
"""


class OpeningError(LoraDropError):
    """Raised when the file that leads to the page cannot be written."""


class Opening:
    """A file in ``folder`` that leads ``browser`` to the page, until the page was opened or ends."""

    def __init__(self, folder: Path, browser: Callable[[str], object]) -> None:
        self._folder, self._browser = folder, browser
        self._file: Path | None = None

    @contextmanager
    def to(self, address: str) -> Iterator[None]:
        """Lead there: write the file and start the browser with it, which may take its time; raises OpeningError."""
        try:
            self._write(address)
        except OSError as failed:
            raise OpeningError(
                f"{self._folder} cannot be written ({failed.strerror}). Mend that, or start the page with --no-open "
                "and open the address yourself."
            ) from failed
        try:
            threading.Thread(target=self._open, daemon=True).start()
            yield
        finally:
            self.remove()

    def remove(self) -> None:
        """Remove the file, which leads nowhere any more."""
        if self._file is not None:
            with suppress(
                OSError
            ):  # Windows, while a browser reads it; the page removes it at its end
                self._file.unlink()

    def _write(self, address: str) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder.chmod(0o700)
        for each in self._folder.glob("*.html"):
            with suppress(FileNotFoundError):  # another page has removed it
                if each.stat().st_mtime < time.time() - OLD:
                    each.unlink()
        handle, name = tempfile.mkstemp(".html", dir=self._folder)  # of mode 0600
        self._file = Path(name)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(LEADING.format(escape(address)))

    def _open(self) -> None:
        if self._file is not None and not self._browser(self._file.as_uri()):
            self.remove()  # there is no browser that reads it

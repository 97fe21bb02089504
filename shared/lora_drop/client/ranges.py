"""One file of a bucket, by ranges that are fetched side by side, and go on where an earlier try broke off."""

import json
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError

RANGE = 8 * 1024**2  # bytes
AT_ONCE = 4
BLOCK = 1 << 20
# A range that broke off is asked for again; botocore does so itself until the answer begins.
PAUSES = (0.2, 1.0, 3.0)  # seconds


@dataclass(frozen=True, slots=True)
class Ranges:
    """The unfinished copy of an object: ``part`` has the bytes, a file beside it the ranges that are there.

    Nothing is locked: two processes write the same bytes to the same places.
    """

    s3: Any
    bucket: str
    key: str
    size: int
    part: Path
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _stop: threading.Event = field(default_factory=threading.Event, repr=False)

    def fetch(self) -> None:
        """Bring what is missing; raises OSError, BotoCoreError and ClientError, and keeps what came until then."""
        there = self._begin()
        missing = [n for n, _ in enumerate(range(0, self.size, RANGE)) if n not in there]
        try:
            with ThreadPoolExecutor(AT_ONCE, "lora-drop-range") as pool:
                try:
                    deque(pool.map(self._bring, missing), maxlen=0)
                except BaseException:
                    self._stop.set()
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
        except BaseException:
            if not self._there():
                self.drop()
            raise

    def finish(self, path: Path) -> None:
        """Give the file its name."""
        self.part.replace(path)
        self._written.unlink(missing_ok=True)

    def drop(self) -> None:
        """Delete the unfinished copy."""
        self.part.unlink(missing_ok=True)
        self._written.unlink(missing_ok=True)

    @property
    def _written(self) -> Path:
        return self.part.with_suffix(".ranges")

    def _begin(self) -> set[int]:
        """Make the file in its size, and return the ranges that an earlier try has written."""
        if not self.part.exists():
            self._written.unlink(missing_ok=True)
            self.part.touch()
        with self.part.open("r+b") as file:
            file.truncate(self.size)
        return self._there()

    def _there(self) -> set[int]:
        """The numbers of the ranges that are written; a last line that was cut off is none."""
        numbers: set[int] = set()
        with suppress(FileNotFoundError):
            for line in self._written.read_text().splitlines(keepends=True):
                with suppress(ValueError):
                    numbers |= {int(json.loads(line))} if line.endswith("\n") else set()
        return numbers

    def _bring(self, number: int) -> None:
        """Copy one range, and write down that it is there once it is whole."""
        for pause in (*PAUSES, None):
            try:
                self._copy(number * RANGE)
                break
            except BotoCoreError:
                if pause is None:
                    raise
                time.sleep(pause)
        if self._stop.is_set():
            return
        with self._lock, self._written.open("a") as written:
            written.write(f"{number}\n")

    def _copy(self, start: int) -> None:
        end = min(start + RANGE, self.size) - 1
        asked = {"Bucket": self.bucket, "Key": self.key, "Range": f"bytes={start}-{end}"}
        body = self.s3.get_object(**asked)["Body"]
        with self.part.open("r+b") as file:
            file.seek(start)
            for block in body.iter_chunks(BLOCK):
                if self._stop.is_set():
                    return
                file.write(block)

"""One file's requests to the CDN, each answer bounded in time, each failure one of our own errors."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import Event
from typing import Self

import httpx

from lora_drop.jobs.errors import (
    DownloadInterruptedError,
    DownloadTimeoutError,
    ResultGoneError,
    ResultUnusableError,
)
from lora_drop.jobs.problems import Problem

READ_TIMEOUT = 20.0  # seconds without a byte
CONNECT_TIMEOUT = 5.0
# The address is of no use any more: a signed one answers 400, 401 or 403 once it has run out.
GONE = frozenset({400, 401, 403, 404, 410})
REDIRECTS = frozenset({301, 302, 303, 307, 308})
HOPS = 3
CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})", re.ASCII)


class BrokenDownloadError(DownloadInterruptedError):
    """Raised when the line broke: what is left may well arrive on another one, now."""


@dataclass(frozen=True, slots=True)
class Range:
    """The bytes from one on and before another; ``total`` as a server says it, 0 in a request."""

    start: int
    end: int
    total: int = 0

    def __str__(self) -> str:
        return f"bytes={self.start}-{self.end - 1}"

    @classmethod
    def served(cls, response: httpx.Response) -> Self | None:
        """Return the range that an answer says it is; None where it is none, or not to be relied on."""
        found = CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        partial = response.status_code == httpx.codes.PARTIAL_CONTENT
        if not (partial and found and encoding(response) == ""):
            return None
        first, last, total = map(int, found.groups())
        length = response.headers.get("Content-Length", str(last + 1 - first))
        sound = first <= last < total and length == str(last + 1 - first)
        return cls(first, last + 1, total) if sound else None

    def starts(self, asked: int) -> bool:
        """Return whether it is all that was asked for of the beginning."""
        return (self.start, self.end) == (0, min(asked, self.total))


def encoding(response: httpx.Response) -> str:
    """Return how the body is packed; empty where it is not."""
    packed: str = response.headers.get("Content-Encoding", "").strip().lower()
    return "" if packed == "identity" else packed


@dataclass(frozen=True, slots=True)
class Wire:
    """The way to one file; each of ``stopped`` ends what is being read of it.

    ``allowed`` gives an address that may be fetched, or raises HostNotAllowedError; ``most``: bytes.
    """

    client: httpx.Client
    url: httpx.URL
    name: str
    until: float
    now: Callable[[], float]
    allowed: Callable[[str, str], httpx.URL]
    most: int
    stopped: tuple[Event, ...] = field(default_factory=lambda: (Event(),))

    def stop(self) -> None:
        """End what is being read this way, and on the ways that were made of it."""
        self.stopped[-1].set()

    def apart(self) -> "Wire":
        """Return the same way for what is stopped by itself, and with everything else."""
        return replace(self, stopped=(*self.stopped, Event()))

    def get(self, span: Range | None, *, etag: str = "") -> httpx.Response:
        """Return the answer, its body not read yet; a redirect is followed, to where the first may lead as well.

        Raises ResultGoneError where the address is of no use (404 and the like), HostNotAllowedError, BrokenDownloadError and DownloadInterruptedError.
        """
        headers = {"Range": str(span)} if span else {}
        if etag:
            headers["If-Range"] = etag
        url = self.url
        for _ in range(HOPS + 1):
            response = self._sent(url, headers)
            if response.status_code not in REDIRECTS:
                return response
            response.close()
            url = self._next(url, response)
        raise DownloadInterruptedError(f"{self.name} is redirected more than {HOPS} times")

    def check_size(self, size: int) -> None:
        """Raise ResultUnusableError for more bytes than any result has."""
        if size > self.most:
            message = f"{self.name} is larger than {self.most:,} bytes, and no result is."
            raise ResultUnusableError(Problem(code="result_too_large", message=message))

    def _next(self, url: httpx.URL, response: httpx.Response) -> httpx.URL:
        location = response.headers.get("Location", "")
        try:
            target = str(url.join(location))
        except httpx.InvalidURL as error:
            raise DownloadInterruptedError(f"{self.name} is redirected to nowhere") from error
        return self.allowed(target if location.isascii() else location, self.name)

    def _sent(self, url: httpx.URL, headers: dict[str, str]) -> httpx.Response:
        left = self._left()
        timeout = httpx.Timeout(min(READ_TIMEOUT, left), connect=min(CONNECT_TIMEOUT, left))
        request = self.client.build_request("GET", url, headers=headers, timeout=timeout)
        with self._told():
            response = self.client.send(request, stream=True, follow_redirects=False)
        if response.status_code in GONE:
            response.close()
            raise ResultGoneError(f"{self.name} is gone: {response.status_code}")
        return response

    def chunks(self, response: httpx.Response) -> Iterator[bytes]:
        """Yield the body as it comes, packed or not; raises BrokenDownloadError, DownloadInterruptedError when time is over."""
        try:
            with self._told():
                for chunk in response.iter_raw() if encoding(response) else response.iter_bytes():
                    self._left()
                    yield chunk
        finally:
            response.close()

    def _left(self) -> float:
        if any(each.is_set() for each in self.stopped):
            raise DownloadInterruptedError(f"{self.name} is not read on")
        if (left := self.until - self.now()) <= 0:
            # However steadily it trickles: the function ends soon, and what has arrived is kept.
            raise DownloadTimeoutError(f"{self.name} takes longer than there is time for")
        return left

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except httpx.TransportError as error:
            raise BrokenDownloadError(f"{self.name}: {type(error).__name__}") from error
        # InvalidURL: httpx reads where a redirect leads, whether or not it is to follow it.
        except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as error:
            raise DownloadInterruptedError(f"{self.name}: {type(error).__name__}") from error

"""Files from the browser: the body of a request, streamed to the disk with a cap.

A file is the whole body of its request (no form with parts), so that it is written once and its length is known first.
"""

import errno
import shutil
from asyncio import timeout
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request

from lora_drop.datasets.reports.markup import size_of
from lora_drop.jobs.errors import LoraDropError

PIECE = 1024**2  # bytes that are collected before they are written
SPARE = 256 * 1024**2  # bytes of the disk that are left alone
SILENCE = 120.0  # seconds without a byte
FULL = (errno.ENOSPC, errno.EDQUOT)


class UploadTooLargeError(LoraDropError):
    """Raised when an upload has more bytes than it may have."""


class UploadBrokenError(LoraDropError):
    """Raised when an upload did not arrive whole, or the disk does not take it."""


class Room:
    """How much several uploads into one dataset may have together: ``most`` bytes, what is under way among them."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._under_way: Counter[str] = Counter()

    @asynccontextmanager
    async def left(
        self, request: Request, dataset: str, there: Callable[[], int]
    ) -> AsyncIterator[int]:
        """What this upload may have, in bytes; it counts as it was announced, or as all, until the block ends.

        ``there`` returns the bytes that the dataset has, and is called in a thread. An upload that ends meanwhile may count
        twice for a moment, and none is left out.
        """
        others = self._under_way[dataset]
        own = _announced(request) if "content-length" in request.headers else self._most
        self._under_way[dataset] += own
        try:
            yield self._most - others - await run_in_threadpool(there)
        finally:
            self._under_way[dataset] -= own
            if not self._under_way[dataset]:
                del self._under_way[dataset]


async def receive(request: Request, target: Path, most: int) -> int:
    """Write a request's body to the file ``target`` and return its bytes, ``most`` of them at the most.

    1 MiB of it is in memory at once. Raises UploadTooLargeError, before a byte is read where the length is announced, and
    UploadBrokenError; the file is gone then, as it is when the browser hangs up or the server ends.
    """
    announced = _announced(request)
    if announced > most:
        raise _too_large(most)
    try:
        with await run_in_threadpool(_opened, target, announced) as file:
            return await _written(request, file, most)
    except BaseException as failed:
        target.unlink(missing_ok=True)  # noqa: ASYNC240  # a moment, also where the task is cancelled
        if said := _said(failed):
            raise said from failed
        raise


async def _written(request: Request, file: IO[bytes], most: int) -> int:
    """The bytes that a body had, once they are all in the file."""
    chunks, piece, total = request.stream(), bytearray(), 0
    while True:
        try:
            async with timeout(SILENCE):
                chunk = await anext(chunks, None)
        except TimeoutError as silent:
            raise UploadBrokenError(
                f"Nothing of the upload came for {SILENCE:.0f} seconds. Drop the file once more."
            ) from silent
        total += len(chunk or b"")
        if total > most:
            raise _too_large(most)
        piece += chunk or b""
        if len(piece) >= PIECE or (chunk is None and piece):
            await run_in_threadpool(file.write, bytes(piece))
            piece.clear()
        if chunk is None:
            return total


def _announced(request: Request) -> int:
    """The length of a body as its request says it, 0 where it does not."""
    length = request.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() else 0


def _opened(target: Path, announced: int) -> IO[bytes]:
    """A file to be written, where the disk has room for it."""
    free = shutil.disk_usage(target.parent).free
    if announced + SPARE > free:
        raise UploadBrokenError(
            f"The disk has {size_of(free)} left, which is too little for {size_of(announced)} more. "
            "Free some space, then drop the file once more."
        )
    return target.open("wb")


def _too_large(most: int) -> UploadTooLargeError:
    return UploadTooLargeError(
        f"The dataset has room for {size_of(max(most, 0))} more, and this is larger. "
        "Choose fewer photos: 20 to 50 are enough."
    )


def _said(failed: BaseException) -> UploadBrokenError | None:
    """What a failure of the browser or of the disk means, in words."""
    if isinstance(failed, ClientDisconnect):
        return UploadBrokenError("The upload broke off. Drop the file once more.")
    if not isinstance(failed, OSError):
        return None
    if failed.errno in FULL:
        return UploadBrokenError("The disk is full. Free some space, then drop the file once more.")
    return UploadBrokenError(
        f"The file cannot be written ({failed.strerror}). Mend that, then drop it once more."
    )

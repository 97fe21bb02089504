"""The CDN: public files, whole or in ranges (RFC 9110, section 14), and an account of each byte."""

import asyncio
import hashlib
import re
from http import HTTPStatus
from typing import Any

from aiohttp import web

from lora_drop.simulator.fault_table import Place
from lora_drop.simulator.faults import ActiveFault, Faults
from lora_drop.simulator.files import CHUNK, PublicFile, PublicFiles
from lora_drop.simulator.ledger import Ledger
from lora_drop.simulator.wire import answer, error_answer, hang_up

RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
TRICKLES = 10  # a second


class UnsatisfiableRangeError(Exception):
    """Raised when a range lies outside its file."""


def read_range(header: str | None, size: int) -> tuple[int, int] | None:
    """First byte and the one after the last; None for the whole file; raises UnsatisfiableRangeError.

    What is not one well-formed range of bytes is ignored, as RFC 9110 has it.
    """
    found = RANGE.fullmatch(header or "")
    if found is None or not any(found.groups()):
        return None
    first, last = found.groups()
    if not first:
        start, end = max(size - int(last), 0), size
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < int(first):
            return None
    if start >= size or start >= end:
        raise UnsatisfiableRangeError
    return start, end


class Cdn:
    """Serves files to anybody who knows their path."""

    def __init__(self, files: PublicFiles, *, faults: Faults, ledger: Ledger) -> None:
        self._files = files
        self._faults = faults
        self._ledger = ledger

    def routes(self) -> list[web.RouteDef]:
        """Where the CDN is."""
        return [web.get("/files/{folder}/{name}", self.serve)]

    async def serve(self, http: web.Request) -> web.StreamResponse:
        """The file, or the part of it that was asked for; HEAD has the headers alone."""
        file = self._files.get(http.path)
        if file is None:
            return answer({"detail": "Not Found"}, HTTPStatus.NOT_FOUND)
        fault = self._fault(file) if http.method == "GET" else None
        if fault and "status" in fault.settings:
            return error_answer(fault.settings)
        whole = bool(fault and fault.settings.get("whole"))
        headers = {"Content-Type": file.content_type}
        headers |= {} if whole else {"ETag": file.etag, "Accept-Ranges": "bytes"}
        try:
            part = None if whole else self._part(http, file)
        except UnsatisfiableRangeError:
            headers["Content-Range"] = f"bytes */{file.size}"
            return web.Response(status=HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, headers=headers)
        start, end = part or (0, file.size)
        if part:
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{file.size}"
        status = HTTPStatus.PARTIAL_CONTENT if part else HTTPStatus.OK
        response = web.StreamResponse(status=status, headers=headers)
        response.content_length = end - start
        await response.prepare(http)
        if http.method == "GET":
            await self._send(http, response, file, (start, end), fault)
        return response

    def _fault(self, file: PublicFile) -> ActiveFault | None:
        return self._faults.take(
            Place.DOWNLOAD,
            request_id=file.request_id,
            endpoint_id=file.endpoint_id,
            file_name=file.name,
        )

    @staticmethod
    def _part(http: web.Request, file: PublicFile) -> tuple[int, int] | None:
        # RFC 9110 defines ranges for GET alone.
        if http.method != "GET" or http.headers.get("If-Range", file.etag) != file.etag:
            return None
        return read_range(http.headers.get("Range"), file.size)

    async def _send(
        self,
        http: web.Request,
        response: web.StreamResponse,
        file: PublicFile,
        part: tuple[int, int],
        fault: ActiveFault | None,
    ) -> None:
        settings = fault.settings if fault else {}
        start, end = part
        stop = min(end, start + settings.get("bytes", end - start))
        rate = settings.get("bytes_per_second")
        piece = max(rate // TRICKLES, 1) if rate else CHUNK
        sent = _Sent()
        try:
            for chunk in file.chunks(start, stop, piece):
                await response.write(chunk)
                sent.add(chunk)
                if rate:
                    await asyncio.sleep(len(chunk) / rate)
            if stop < end:
                hang_up(http)
            else:
                await response.write_eof()
                sent.complete = True
        finally:
            self._ledger.serving(
                **sent.public(),
                file_name=file.name,
                file_size=file.size,
                file_sha256=file.sha256,
                url=self._files.url(file.path),
                request_id=file.request_id,
                range=http.headers.get("Range"),
                status=response.status,
            )


class _Sent:
    """What has left of an answer."""

    def __init__(self) -> None:
        self.complete = False
        self._digest = hashlib.sha256()
        self._count = 0

    def add(self, data: bytes) -> None:
        self._digest.update(data)
        self._count += len(data)

    def public(self) -> dict[str, Any]:
        return {
            "bytes": self._count,
            "sha256": self._digest.hexdigest(),
            "complete": self.complete,
        }

"""The fault proxy's own start, with four things mended.

Runs in the proxy's environment, not in ours. microburst 0.10.0 takes an UploadPart for a PutObject,
and the like; it drops the length of every answer, so that a HEAD tells none; it names another host
than the one that was signed, which no presigned address outlives; and it cannot hang up after a
call that is answered without a body.
"""

import logging
import sys
from collections.abc import Mapping
from typing import Any

from aiohttp import web
from microburst import cli, forward  # type: ignore[import-not-found]  # it is not in ours
from microburst.core import pipeline  # type: ignore[import-not-found]

LENGTH = "content-length"
# What the name of a query parameter makes of S3's verbs.
BY_PARAMETER = {
    ("PUT", "partNumber"): "UploadPart",
    ("GET", "uploadId"): "ListParts",
    ("POST", "uploadId"): "CompleteMultipartUpload",
    ("DELETE", "uploadId"): "AbortMultipartUpload",
    ("POST", "uploads"): "CreateMultipartUpload",
}

if LENGTH not in forward.HOP_BY_HOP:
    raise SystemExit(
        "this microburst keeps lengths; look at shared/lora_drop/local/wire_faults_main.py"
    )
forward.HOP_BY_HOP -= {LENGTH}
_detect = pipeline.detect
_headers = forward.Upstream._outbound_headers  # noqa: SLF001
_to_client = forward._stream_to_client  # noqa: SLF001  # the seams it has


def _detected(
    headers: Any, method: str, path: str, query: Mapping[str, str], body: bytes | None
) -> Any:
    found = _detect(headers, method, path, query, body)
    named = [BY_PARAMETER[method, name] for name in query if (method, name) in BY_PARAMETER]
    if found.service == "s3" and named:
        found.operation = named[0]
    return found


def _as_signed(upstream: Any, request: web.Request) -> dict[str, str]:
    return {**_headers(upstream, request), "host": request.headers["Host"]}


async def _answer(
    request: web.Request, status: int, headers: Any, mutator: Any, chunks: Any
) -> web.StreamResponse:
    """The upstream has done the work by now, whether or not the caller learns of it."""
    if mutator is None or mutator.abort_bytes != 0:
        answer: web.StreamResponse = await _to_client(request, status, headers, mutator, chunks)
        return answer
    async for _ in chunks:
        pass
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


pipeline.detect = _detected
forward.Upstream._outbound_headers = _as_signed  # noqa: SLF001
forward._stream_to_client = _answer  # noqa: SLF001
logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
sys.exit(cli.main())

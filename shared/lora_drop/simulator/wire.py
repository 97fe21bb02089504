"""Answers in fal's forms, and answers that break."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web

NGINX = """<html>
<head><title>{status} {phrase}</title></head>
<body>
<center><h1>{status} {phrase}</h1></center>
<hr><center>nginx</center>
</body>
</html>
"""
NOT_FOUND = {"status": "NOT_FOUND"}
GARBAGE = b"\x00\xffnot json at all\n"


def answer(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A JSON answer."""
    return web.json_response(body, status=status, headers=headers)


def authorized(http: web.Request, key: str) -> bool:
    """Whether the call carries this key, as ``Authorization: Key …``."""
    return http.headers.get("Authorization") == f"Key {key}"


def unauthorized() -> web.Response:
    """The queue's and the storage's answer to a wrong key."""
    detail = "Authentication is required to access this application."
    return answer({"detail": detail}, HTTPStatus.UNAUTHORIZED)


def error_answer(settings: Mapping[str, Any]) -> web.Response:
    """An error of any status, as fal (JSON) or the proxy before it (``form`` nginx) answers."""
    status = settings["status"]
    if settings["form"] == "nginx":
        phrase = HTTPStatus(status).phrase if status in set(HTTPStatus) else "Error"
        text = NGINX.format(status=status, phrase=phrase)
        return web.Response(status=status, text=text, content_type="text/html")
    return answer({"detail": settings["detail"]}, status)


def abort(http: web.Request) -> web.Response:
    """Break the connection without an answer; what is returned goes nowhere."""
    if http.transport is not None:
        http.transport.abort()
    return web.Response()


async def truncated(http: web.Request, body: Any) -> web.StreamResponse:
    """Half of the answer, then the end of the connection."""
    data = json.dumps(body).encode()
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(data)
    await response.prepare(http)
    await response.write(data[: len(data) // 2])
    hang_up(http)
    return response


def hang_up(http: web.Request) -> None:
    """End the connection after what was written has left."""
    if http.transport is not None:
        http.transport.close()

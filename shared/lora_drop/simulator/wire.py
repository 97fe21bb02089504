"""The wire as fal has it: times, TLS and signatures, answers in its forms, and answers that break.

The keys lie in the state folder, so a program that trusts a simulator trusts its successor.
"""

import base64
import json
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Self

import trustme
from aiohttp import web
from nacl.signing import SigningKey


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(UTC)


def stamp(moment: datetime) -> str:
    """The moment as fal writes it: ``2026-02-17T10:30:01.123Z``."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


PRIVATE = 0o600


def server_context(state: Path, host: str) -> tuple[ssl.SSLContext, Path]:
    """A TLS context for this host, 127.0.0.1 and localhost, and the file of its authority."""
    ca_file, ca_key = state / "ca.pem", state / "ca.key"
    if ca_file.exists() and ca_key.exists():
        authority = trustme.CA.from_pem(ca_file.read_bytes(), ca_key.read_bytes())
    else:
        authority = trustme.CA(organization_name="fal simulator")
        ca_file.write_bytes(authority.cert_pem.bytes())
        _write_private(ca_key, authority.private_key_pem.bytes())
    certificate = authority.issue_cert(*dict.fromkeys((host, "127.0.0.1", "localhost")))
    _write_private(state / "server.pem", certificate.private_key_and_cert_chain_pem.bytes())
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(state / "server.pem")
    return context, ca_file


def client_context(ca_file: Path) -> ssl.SSLContext:
    """Trusts what this machine trusts, and the simulator itself: its files can be datasets."""
    context = ssl.create_default_context()
    context.load_verify_locations(ca_file)
    return context


class WebhookKey:
    """The Ed25519 key that webhooks are signed with."""

    def __init__(self, key: SigningKey) -> None:
        self._key = key

    @classmethod
    def of(cls, state: Path) -> Self:
        """The key of this state folder, made when it has none."""
        file = state / "webhook.key"
        if not file.exists():
            _write_private(file, bytes(SigningKey.generate()))
        return cls(SigningKey(file.read_bytes()))

    @classmethod
    def stranger(cls) -> Self:
        """A key that no JWKS lists."""
        return cls(SigningKey.generate())

    def sign(self, message: bytes) -> str:
        """The signature, 64 bytes in hex."""
        return self._key.sign(message).signature.hex()

    def jwks(self) -> Mapping[str, Any]:
        """The public key as RFC 8037 writes it: base64url without padding, 43 characters."""
        x = base64.urlsafe_b64encode(bytes(self._key.verify_key)).rstrip(b"=").decode()
        return {"keys": [{"kty": "OKP", "crv": "Ed25519", "x": x}]}


def _write_private(file: Path, content: bytes) -> None:
    file.touch(mode=PRIVATE)
    file.write_bytes(content)


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

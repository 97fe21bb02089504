"""Who may ask for the page: its own address in a browser that has opened it with the token, and nothing else.

A server on loopback is reached by every page of the web that the person has open and by every program of the machine:

- Host is exactly this address (RFC 9110, 7.4; a name that is bound to 127.0.0.1 later, “DNS rebinding”, is another one:
  https://crypto.stanford.edu/dns/).
- A change comes from this very origin, by ``Origin`` or ``Sec-Fetch-Site`` (https://www.w3.org/TR/fetch-metadata/). Nothing of
  it is loaded into another page; another page may link to it. Ports are no sites and do not keep cookies apart (RFC 6265, 8.5), so
  that a program on another port is as foreign as any other.
- The cookie of this run, which the token of the printed address was exchanged for, once.
"""

import secrets
from asyncio import timeout
from collections.abc import Callable, Mapping
from contextlib import suppress
from html import escape
from urllib.parse import parse_qsl, quote, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = "127.0.0.1"
TOKEN = "token"  # noqa: S105  # its name in the address
SAFE = ("GET", "HEAD")
LINGER = 2.0  # seconds
CLEARED = '"cache", "storage"'  # of this origin, at the exchange of the token; "cookies" would be the new one too
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
# Of every answer. With no-referrer a browser would send “Origin: null” with a form (Fetch, “append a request Origin header”).
ALWAYS: Mapping[str, str] = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
AGAIN = (
    "End lora-drop ui in the terminal (Ctrl-C) and start it again: it prints an address that works."
)
NO_COOKIE = (
    "This page opens by the address that lora-drop ui has printed in the terminal, in the browser that opened it first. "
    + AGAIN
)
SPENT = "This address has been used, and it works once; or it is of an earlier start. " + AGAIN
NOT_HERE = "This server answers at its own address alone: the one that lora-drop ui has printed in the terminal."
FOREIGN = "Another page has asked for this. Open it by the address that lora-drop ui has printed in the terminal."


class Access:
    """The token of the address that is printed, and the cookie that it is exchanged for; both are of one run."""

    def __init__(self, port: int, *, spent: Callable[[], object] | None = None) -> None:
        self._spent = spent  # called once the token was used
        self.hosts = (f"{LOOPBACK}:{port}", f"localhost:{port}")
        self.cookie = f"lora-drop-{port}"
        self._token: str | None = secrets.token_urlsafe(32)
        self._value = secrets.token_urlsafe(32)

    @property
    def address(self) -> str:
        """The address to open; raises ValueError once it was used."""
        if self._token is None:
            raise ValueError("the token was used")
        return f"http://{self.hosts[0]}/?{urlencode({TOKEN: self._token})}"

    def spend(self, token: str) -> bool:
        """Whether this is the token, which counts once."""
        fits = self._token is not None and _same(token, self._token)
        if fits:
            self._token = None
            if self._spent is not None:
                self._spent()
        return fits

    def admits(self, headers: Headers) -> bool:
        """Whether a request has the cookie of this run; others of its name may stand beside it."""
        pairs = (
            each.partition("=") for line in headers.getlist("cookie") for each in line.split(";")
        )
        return any(
            name.strip() == self.cookie and _same(value.strip(), self._value)
            for name, _, value in pairs
        )

    def admit(self, answer: Response) -> Response:
        """Give an answer the cookie: no script reads it, no other site sends it, and it ends with the browser.

        What another server on this port has left in the browser (a service worker, cached scripts) goes with it
        (https://www.w3.org/TR/clear-site-data/).
        """
        answer.headers["clear-site-data"] = CLEARED
        answer.set_cookie(self.cookie, self._value, httponly=True, samesite="strict", path="/")
        return answer


class SecurityMiddleware:
    """Lets a request through to the application or answers it with a sentence, and gives each answer its headers."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self.app, self.access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; what is neither a request nor the start and the end of the server is refused."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] != "http":
            raise NotImplementedError(f"The page takes no {scope['type']}.")
        else:
            refusal = self._answer(scope)
            guarded = _Messages(scope, receive, send, admitted=refusal is None)
            answer = refusal or self.app
            await answer(scope, guarded.receive, guarded.send)

    def _answer(self, scope: Scope) -> Response | None:
        """What a request gets in place of what it asked for; None lets it through."""
        headers = Headers(scope=scope)
        host = _only(headers, "host")
        if host not in self.access.hosts or not scope["path"].startswith("/"):
            return _refusal(421, NOT_HERE)
        safe = scope["method"] in SAFE
        if not (_reads if safe else _writes)(headers, f"http://{host}"):
            return _refusal(403, FOREIGN)
        admitted = self.access.admits(headers)
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        token = dict(query).get(TOKEN)
        if safe and token is not None:
            if not admitted and (scope["method"] == "HEAD" or not self.access.spend(token)):
                return _refusal(403, SPENT)
            rest = urlencode([pair for pair in query if pair[0] != TOKEN])
            target = _plain(scope["path"]) + (f"?{rest}" if rest else "")
            return self.access.admit(_sent_on(target, headers))
        if admitted:
            return None
        linked = safe and headers.get("sec-fetch-site") in ("cross-site", "same-site")
        return _refusal(403, NO_COOKIE, _plain(scope["path"]) if linked else None)


class _Messages:
    """What a request and its answer are made of."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, *, admitted: bool) -> None:
        self._receive, self._send, self._admitted = receive, send, admitted
        self._early = False  # an answer before the end of the request, which it refuses
        headers = Headers(scope=scope)
        self._read = (  # the whole body
            "transfer-encoding" not in headers and headers.get("content-length", "0") == "0"
        )

    async def receive(self) -> Message:
        message = await self._receive()
        self._read = self._read or not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in ALWAYS.items():
                headers[name] = value
            headers.setdefault("cache-control", "no-store")
            if "sandbox" not in headers.get("content-security-policy", ""):
                headers["content-security-policy"] = POLICY
            self._early = message["status"] >= 400 and not self._read  # noqa: PLR2004
            # else all that still comes would be read, and who is refused would keep a connection
            if self._early or (message["status"] >= 400 and not self._admitted):  # noqa: PLR2004
                headers["connection"] = "close"
        elif self._early and self._admitted and not message.get("more_body", False):
            await self._send({**message, "more_body": True})
            await self._linger()
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)

    async def _linger(self) -> None:
        """Read on for a moment: a connection that is closed while its client sends may lose the answer (RFC 9112, 9.6)."""
        with suppress(TimeoutError):
            async with timeout(LINGER):
                while not self._read:
                    await self.receive()


def _reads(headers: Headers, own: str) -> bool:
    """Whether a page, picture or script is asked for by this origin, by a person, or by a link to the whole page."""
    if "origin" in headers and _only(headers, "origin") != own:
        return False
    if headers.get("sec-fetch-site", "none") in ("same-origin", "none"):
        return True
    return (
        headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    )


def _writes(headers: Headers, own: str) -> bool:
    """Whether a change is asked for by this origin, as the browser says in one header at least."""
    origin, site = _only(headers, "origin"), headers.get("sec-fetch-site")
    if "origin" not in headers:
        return site == "same-origin"
    return origin == own and site in (None, "same-origin")


def _only(headers: Headers, name: str) -> str | None:
    """The value of a header that is there once."""
    values = headers.getlist(name)
    return values[0] if len(values) == 1 else None


def _plain(path: str) -> str:
    """A path with one slash in front: with two it is the address of another host."""
    return "/" + quote(path.lstrip("/\\"))


def _same(given: str, secret: str) -> bool:
    return secrets.compare_digest(given.encode(), secret.encode())


def _sent_on(target: str, headers: Headers) -> Response:
    """Lead to the page without the token in its address.

    After a link on another site, a redirect would still be that site's request, without a cookie of SameSite=Strict
    (RFC 6265bis, 5.2); a page that loads the next one is a site of its own.
    """
    if headers.get("sec-fetch-site") in (None, "none", "same-origin"):
        return RedirectResponse(target, 303)
    page = _page("Opening", f'<a href="{escape(target)}">Open the page</a>')
    return HTMLResponse(page, headers={"refresh": f"0; url={target}"})


def _refusal(status: int, sentence: str, path: str | None = None) -> Response:
    """An answer in words, which the script of a page shows as well (``#said``).

    With a path, a link to it, which comes with the cookie where a link of another site has come without.
    """
    more = f'<p><a href="{escape(path)}">Open the page</a></p>' if path else ""
    return HTMLResponse(_page("Not opened", f'<p id="said">{escape(sentence)}</p>{more}'), status)


def _page(title: str, content: str) -> str:
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">'
    return f'<!doctype html><html lang="en">{head}<title>{title} · lora-drop</title><main><h1>{title}</h1>{content}</main></html>'

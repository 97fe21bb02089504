"""Nothing but the page itself, in the browser that opened it with the token, gets an answer of the page."""

import asyncio
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection
from pathlib import Path
from unittest.mock import Mock
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Browser, Page
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from lora_drop.ui import server
from lora_drop.ui.opening import Opening, OpeningError
from lora_drop.ui.security import ALWAYS, POLICY, Access, SecurityMiddleware
from tests.ui.conftest import Served

Serve = Callable[[ASGIApp], Served]
Open = Callable[[ASGIApp], httpx.Client]
OWN, COOKIE = "{own}", "{cookie}"
NAVIGATION = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


class Asked:
    """A page that keeps what has reached it."""

    def __init__(self) -> None:
        self.paths: list[str] = []
        every = ["GET", "HEAD", "POST", "PUT", "DELETE"]
        routes = [
            Route("/broken", self.broken),
            Route("/report", self.report),
            Route("/kept", self.kept),
            Route("/{path:path}", self.page, methods=every),
        ]
        self.app = Starlette(routes=routes)

    def page(self, request: Request) -> Response:
        if request.url.path != "/favicon.ico":  # asked for by the browser itself
            self.paths.append(request.url.path)
        return HTMLResponse(
            "<!doctype html><title>the page</title><form method=post action=/saved><button>Save</button></form>"
        )

    def broken(self, _: Request) -> Response:
        raise RuntimeError("a bug")

    def report(self, _: Request) -> Response:
        return PlainTextResponse("", headers={"content-security-policy": "sandbox"})

    def kept(self, _: Request) -> Response:
        headers = {
            "cache-control": "private, max-age=60",
            "content-security-policy": "default-src *",
        }
        return PlainTextResponse("", headers=headers)


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture(scope="module")
def shared(client: Open) -> tuple[Asked, httpx.Client]:
    """One page for the rows of a table."""
    asked = Asked()
    return asked, client(asked.app)


LET_IN: list[tuple[str, Mapping[str, str]]] = [
    ("GET", {}),
    ("HEAD", {}),
    ("GET", {"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty"}),
    ("GET", {"sec-fetch-site": "none", **NAVIGATION}),
    ("GET", {"sec-fetch-site": "cross-site", **NAVIGATION}),
    ("POST", {"origin": OWN}),
    ("PUT", {"origin": OWN, "sec-fetch-site": "same-origin"}),
    ("DELETE", {"sec-fetch-site": "same-origin"}),
    ("GET", {"cookie": f"lora-drop-1=x; {COOKIE}; other=y"}),
]
KEPT_OUT: list[tuple[int, str, Mapping[str, str]]] = [
    # Host: another name, a name that was bound to 127.0.0.1 with our port, our name with another port, none of it
    (421, "GET", {"host": "evil.example"}),
    (421, "GET", {"host": "evil.example:{port}"}),
    (421, "GET", {"host": "127.0.0.1:1"}),
    (421, "GET", {"host": "127.0.0.1"}),
    (421, "GET", {"host": "0.0.0.0:{port}"}),
    (421, "GET", {"host": "127.0.0.1:{port}.evil.example"}),
    (421, "POST", {"host": "evil.example:{port}", "origin": "http://evil.example:{port}"}),
    # A change from elsewhere: another site, a page in a sandbox, another port, another scheme, no word of where
    (403, "POST", {"origin": "https://evil.example"}),
    (403, "POST", {"origin": "null"}),
    (403, "POST", {"origin": "http://127.0.0.1:1"}),
    (403, "POST", {"origin": "http://localhost:{port}"}),
    (403, "POST", {"origin": "https://127.0.0.1:{port}"}),
    (403, "POST", {"origin": OWN, "sec-fetch-site": "cross-site"}),
    (403, "POST", {"sec-fetch-site": "cross-site", **NAVIGATION}),
    (403, "POST", {"sec-fetch-site": "same-site"}),
    (403, "POST", {"sec-fetch-site": "none"}),
    (403, "POST", {}),
    (403, "DELETE", {}),
    (403, "OPTIONS", {"origin": "https://evil.example", "access-control-request-method": "PUT"}),
    # Parts of another page: a picture, a script, a fetch, a frame; also of a page of another port
    (403, "GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}),
    (403, "GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "script"}),
    (403, "GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "cors", "sec-fetch-dest": "empty"}),
    (403, "GET", {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe"}),
    (403, "GET", {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image"}),
    (403, "GET", {"sec-fetch-site": "unheard-of"}),
    (403, "GET", {"origin": "https://evil.example"}),
    (403, "GET", {"origin": "null"}),
    # No cookie, or not this one
    (403, "GET", {"cookie": ""}),
    (403, "GET", {"cookie": "lora-drop-{port}="}),
    (403, "GET", {"cookie": "lora-drop-{port}=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}),
    (403, "GET", {"cookie": "lora-drop-1=x"}),
    (403, "POST", {"cookie": "", "origin": OWN}),
]  # fmt: skip


def sent(made: httpx.Client, method: str, headers: Mapping[str, str]) -> httpx.Response:
    """What a request with these headers gets, the client's own cookie among them unless another is given."""
    cookie = "; ".join(f"{name}={value}" for name, value in made.cookies.items())
    own = str(made.base_url).rstrip("/")
    filled = {
        name: value.format(own=own, cookie=cookie, port=made.base_url.port)
        for name, value in ({"cookie": COOKIE} | dict(headers)).items()
    }
    with httpx.Client(base_url=own, trust_env=False) as plain:
        return plain.request(method, "/drafts", headers=filled)


@pytest.mark.parametrize(("method", "headers"), LET_IN, ids=str)
def test_the_page_itself_is_answered(
    shared: tuple[Asked, httpx.Client], method: str, headers: dict[str, str]
) -> None:
    asked, made = shared
    asked.paths.clear()
    assert sent(made, method, headers).status_code == 200
    assert asked.paths == ["/drafts"]


@pytest.mark.parametrize(("status", "method", "headers"), KEPT_OUT, ids=str)
@pytest.mark.promise("nothing leaks")
def test_nothing_else_is_answered(
    shared: tuple[Asked, httpx.Client], status: int, method: str, headers: dict[str, str]
) -> None:
    """The page of `lora-drop ui` answers its own address in the browser that opened it: no other host name, site, port or cookie."""
    asked, made = shared
    asked.paths.clear()
    refused = sent(made, method, headers)

    assert (refused.status_code, asked.paths) == (status, [])
    assert "lora-drop ui" in refused.text
    assert refused.headers["content-security-policy"] == POLICY
    assert "access-control-allow-origin" not in refused.headers
    assert "set-cookie" not in refused.headers


def test_the_token_counts_once(asked: Asked, page_server: Serve) -> None:
    served = page_server(asked.app)
    token = urlsplit(served.address).query
    assert len(token.removeprefix("token=")) >= 43  # 256 bits

    def opened(address: str) -> httpx.Response:
        return httpx.get(f"{served.origin}{address}", trust_env=False)

    assert opened("/?token=wrong").status_code == 403
    assert (
        httpx.head(served.address, trust_env=False).status_code == 403
    )  # what looks ahead does not use it up
    first = opened(f"/drafts?{token}&kind=errors&kind=b%20c")
    assert (first.status_code, first.headers["location"]) == (
        303,
        "/drafts?kind=errors&kind=b+c",
    )
    name, _, rest = first.headers["set-cookie"].partition("=")
    assert first.headers["clear-site-data"] == '"cache", "storage"'
    value, *attributes = rest.split("; ")
    assert name == f"lora-drop-{urlsplit(served.origin).port}"
    assert sorted(attributes) == [
        "HttpOnly",
        "Path=/",
        "SameSite=strict",
    ]  # no Max-Age: until the browser is closed
    assert value not in token

    spent = opened(f"/?{token}")
    assert (spent.status_code, "it works once" in spent.text) == (403, True)
    assert "set-cookie" not in spent.headers
    assert asked.paths == []


def test_a_used_address_leads_its_browser_in(asked: Asked, page_server: Serve) -> None:
    served = page_server(asked.app)
    with httpx.Client(trust_env=False, follow_redirects=True) as made:
        for _ in range(2):
            assert "the page" in made.get(served.address).text
            assert "token" not in str(made.get(served.address).url)


@pytest.mark.parametrize("path", ["//evil.example/", "/\\evil.example/", "///evil.example/"])
def test_the_token_leads_to_no_other_host(asked: Asked, page_server: Serve, path: str) -> None:
    opened = urlsplit(page_server(asked.app).address)
    connection = HTTPConnection(opened.netloc)
    connection.request("GET", f"{path}?{opened.query}")
    assert connection.getresponse().headers["location"] == "/evil.example/"
    connection.close()


@pytest.mark.parametrize("target", ["*", "http://evil.example/", "http://127.0.0.1:1/"])
def test_only_paths_are_asked_for(shared: tuple[Asked, httpx.Client], target: str) -> None:
    """A target that is a whole address has an authority of its own (RFC 9112, 3.2.2), whatever Host says."""
    made = shared[1]
    connection = HTTPConnection(made.base_url.netloc.decode())
    cookie = "; ".join(f"{name}={value}" for name, value in made.cookies.items())
    connection.request("GET", target, headers={"cookie": cookie})
    assert connection.getresponse().status == 421
    connection.close()


def test_only_requests_are_taken() -> None:
    asking = SecurityMiddleware(None, Access(1))({"type": "websocket"}, None, None)  # type: ignore[arg-type]
    with pytest.raises(NotImplementedError):
        asking.send(None)


@pytest.mark.parametrize(
    ("path", "status"), [("/", 200), ("/broken", 500), ("/report/none", 200), ("/kept", 200)]
)
def test_every_answer_has_its_headers(client: Open, path: str, status: int) -> None:
    answer = client(Asked().app).get(path)
    assert answer.status_code == status
    assert ALWAYS.items() <= dict(answer.headers).items()
    assert answer.headers["content-security-policy"] == POLICY
    assert not {"server", "date"} & set(answer.headers)
    assert answer.headers["cache-control"] == (
        "private, max-age=60" if path == "/kept" else "no-store"
    )


def test_a_page_that_is_not_there_has_headers_too(client: Open) -> None:
    answer = client(Starlette()).get("/nothing")
    assert (answer.status_code, answer.headers["content-security-policy"]) == (404, POLICY)


def test_a_sandbox_stands_in_place_of_the_policy(client: Open) -> None:
    assert client(Asked().app).get("/report").headers["content-security-policy"] == "sandbox"


def test_a_refused_body_is_not_read(client: Open, asked: Asked) -> None:
    made = client(asked.app)
    refused = made.post("/", content=b"x" * 1000, headers={"origin": "null"})
    assert refused.headers["connection"] == "close"
    assert "connection" not in made.get("/").headers


@pytest.fixture
def tab(chromium: Browser) -> Iterator[Page]:
    with chromium.new_context() as context:
        yield context.new_page()


def linking(target: str, own: str) -> Starlette:
    """Another site: it links to a page, and loads what it can of it."""
    text = (
        f'<a href="{target}">go</a><img src="{own}a.png"><script src="{own}b.js"></script>'
        f'<iframe src="{own}c"></iframe><link rel=stylesheet href="{own}d.css">'
        f'<form method=post action="{own}e"><button>send</button></form>'
        f"<script>fetch('{own}f', {{credentials: 'include'}}).catch(() => 0);"
        f"fetch('{own}g', {{method: 'POST', mode: 'no-cors', credentials: 'include'}}).catch(() => 0)</script>"
    )
    return Starlette(routes=[Route("/", lambda _: HTMLResponse(text))])


@pytest.mark.parametrize("other", ["127.0.0.1", "localhost"], ids=["another port", "another site"])
@pytest.mark.parametrize("opened", [False, True])
def test_a_browser_opens_the_page(
    asked: Asked,
    page_server: Serve,
    plain_server: Callable[[Callable[[int], ASGIApp]], int],
    tab: Page,
    other: str,
    opened: bool,  # noqa: FBT001
) -> None:
    """Chromium ends on the page from outside and from a link; another site gets nothing of it."""
    served = page_server(asked.app)
    own = f"{served.origin}/"
    if opened:
        tab.goto(served.address)
        assert (tab.url, tab.title()) == (own, "the page")
        assert tab.evaluate("document.cookie") == ""
        asked.paths.clear()
    foreign = plain_server(lambda _: linking(own if opened else served.address, own))
    tab.goto(f"http://{other}:{foreign}/", wait_until="networkidle")
    assert asked.paths == []

    if opened:
        with tab.expect_navigation():
            tab.click("button")
        assert (asked.paths, tab.title()) == ([], "Not opened · lora-drop")
        tab.go_back()
    tab.click("a")
    if opened and other == "localhost":  # a link of another site comes without the cookie
        tab.click("a")
    tab.wait_for_url(own)
    assert (tab.title(), set(asked.paths)) == ("the page", {"/"})
    with tab.expect_navigation():
        tab.click("button")
    assert asked.paths[-1] == "/saved"


# Between the page and its server, from a program that had the port before.
WORKER = """self.addEventListener('install', () => self.skipWaiting());
self.addEventListener('activate', event => event.waitUntil(clients.claim()));
self.addEventListener('fetch', event => event.respondWith(
    event.request.mode === 'navigate' ? fetch(event.request) : new Response('theirs')));"""
REGISTERED = (
    "<script>navigator.serviceWorker.register('/sw.js');"
    "navigator.serviceWorker.oncontrollerchange = () => {document.title = 'ready'}</script>"
)


def preparing() -> Starlette:
    """Another program, which leaves a script between its origin and whatever is served there later."""
    script = {"content-type": "text/javascript", "cache-control": "max-age=3600"}
    return Starlette(
        routes=[
            Route("/", lambda _: HTMLResponse(REGISTERED)),
            Route("/sw.js", lambda _: Response(WORKER, headers=script)),
        ]
    )


@contextmanager
def serving(port: int, made: Callable[[int], ASGIApp]) -> Iterator[int]:
    with server.listening(port) as listener:
        port = listener.getsockname()[1]
        page = server.PageServer(made(port), listener, ended=lambda: None)
        page.start()
        yield port
        page.stop()


@pytest.mark.promise("nothing leaks")
def test_what_another_program_has_left_is_cleared(asked: Asked, tab: Page) -> None:
    """Opening the page of `lora-drop ui` clears what another program on the same port has left in the browser, and keeps the new cookie."""
    with serving(0, lambda _: preparing()) as port:
        tab.goto(f"http://127.0.0.1:{port}/")
        tab.wait_for_function("document.title === 'ready'")
        assert tab.evaluate("fetch('/drafts').then(it => it.text())") == "theirs"
    access = Access(port)
    with serving(port, lambda _: SecurityMiddleware(asked.app, access)):
        tab.goto(access.address)
        assert (tab.title(), asked.paths) == ("the page", ["/"])
        assert (
            tab.evaluate("navigator.serviceWorker.getRegistrations().then(all => all.length)") == 0
        )
        tab.reload()
        assert "the page" in tab.evaluate("fetch('/drafts').then(it => it.text())")
    assert asked.paths == ["/", "/", "/drafts"]


@pytest.mark.promise("nothing leaks")
def test_a_file_leads_to_the_page(asked: Asked, tab: Page, tmp_path: Path) -> None:
    """Chromium opens the page of `lora-drop ui` from a file that its owner alone can read, and the file is gone then."""
    folder, browser = tmp_path / "opening", Mock(return_value=True)
    opening = Opening(folder, browser)
    access: list[Access] = []

    def guarded(port: int) -> ASGIApp:
        access.append(Access(port, spent=opening.remove))
        return SecurityMiddleware(asked.app, access[0])

    with serving(0, guarded) as port, opening.to(access[0].address):
        [file] = folder.iterdir()
        assert (folder.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)
        tab.goto(file.as_uri())
        tab.wait_for_url(f"http://127.0.0.1:{port}/")
        assert (tab.title(), asked.paths) == ("the page", ["/"])
        assert [*folder.iterdir()] == []
    browser.assert_called_once_with(file.as_uri())


@pytest.mark.parametrize("there_is_a_browser", [True, False])
def test_the_file_goes_with_the_page(tmp_path: Path, there_is_a_browser: bool) -> None:  # noqa: FBT001
    old, other = tmp_path / "old.html", tmp_path / "other.html"
    old.touch()
    other.touch()  # of another page, which runs
    os.utime(old, (0, 0))
    asked_for = threading.Event()

    def browser(_: str) -> bool:
        asked_for.set()
        return there_is_a_browser

    with Opening(tmp_path, browser).to("http://127.0.0.1:1/?token=a&b"):
        assert asked_for.wait(10)
        assert len([*tmp_path.iterdir()]) in ((2,) if there_is_a_browser else (1, 2))
    assert [*tmp_path.iterdir()] == [other]


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    opening = Opening(tmp_path / "file" / "opening", pytest.fail)
    with pytest.raises(OpeningError, match="--no-open"), opening.to("http://127.0.0.1:1/"):
        pass


def said(made: httpx.Client, *lines: str) -> socket.socket:
    """A connection on which some lines were sent."""
    connection = socket.create_connection((made.base_url.host, made.base_url.port or 80), 10)
    connection.sendall("".join(f"{line}\r\n" for line in lines).encode())
    return connection


def closed_after(connection: socket.socket) -> float:
    """How many seconds the server leaves a connection open."""
    began = time.monotonic()
    with connection, suppress(ConnectionResetError):
        while connection.recv(65536):
            pass
    return time.monotonic() - began


def test_idle_connections_keep_nobody_out(client: Open, asked: Asked) -> None:
    made = client(asked.app)
    with ExitStack() as ends:
        for _ in range(2 * server.CONNECTIONS):
            ends.enter_context(said(made))
        assert made.get("/").status_code == 200
        made.close()
    assert asked.paths == ["/"]


@pytest.mark.parametrize("lines", [(), ("GET / HTTP/1.1",), ("GET / HTTP/1.1", "Host: a", "X: b")])
def test_headers_that_do_not_come_are_not_waited_for(
    client: Open, monkeypatch: pytest.MonkeyPatch, lines: tuple[str, ...]
) -> None:
    monkeypatch.setattr(server, "HEARD", 0.3)
    made = client(Asked().app)
    assert 0.1 < closed_after(said(made, *lines)) < 5
    second = said(
        made, "GET /drafts HTTP/1.1", f"Host: {made.base_url.netloc.decode()}", "", *lines
    )
    assert closed_after(second) < 5


def test_an_answer_may_take_longer_than_headers(
    client: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HEARD", 0.2)

    async def pieces() -> AsyncIterator[str]:
        for _ in range(10):
            yield "x"
            await asyncio.sleep(0.1)

    made = client(Starlette(routes=[Route("/", lambda _: StreamingResponse(pieces()))]))
    assert made.get("/").text == "x" * 10


@pytest.mark.parametrize(
    "lines",
    [("Host: evil.example",), ("Host: {host}", "Origin: https://evil.example"), ("Host: {host}",)],
)
def test_who_is_refused_keeps_no_connection(client: Open, lines: tuple[str, ...]) -> None:
    made = client(Asked().app)
    filled = [line.format(host=made.base_url.netloc.decode()) for line in lines]
    for head in (("GET / HTTP/1.1",), ("POST / HTTP/1.1", "Content-Length: 30000000")):
        assert closed_after(said(made, *head, *filled, "")) < 1

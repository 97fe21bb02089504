"""The page behind its real server, on loopback and nowhere else."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
import pytest
import pytest_socket
from starlette.types import ASGIApp

from lora_drop.ui import server
from lora_drop.ui.security import LOOPBACK, Access, SecurityMiddleware
from tests.support.browser import chromium

__all__ = ["chromium", "client", "page_server", "plain_server"]


@dataclass(frozen=True)
class Served:
    """A page that is served: the address that a person gets, and the origin that it is part of."""

    address: str
    origin: str


@pytest.fixture(autouse=True)
def _loopback_alone() -> None:
    pytest_socket.socket_allow_hosts(["127.0.0.1", "localhost", "::1"], allow_unix_socket=True)


@pytest.fixture(scope="module")
def plain_server() -> Iterator[Callable[[Callable[[int], ASGIApp]], int]]:
    """Serves what a function makes for its port, and returns the port."""
    with ExitStack() as ends:

        def serve(made: Callable[[int], ASGIApp]) -> int:
            listener = ends.enter_context(server.listening(0))
            port: int = listener.getsockname()[1]
            page = server.PageServer(made(port), listener, ended=lambda: None)
            page.start()
            ends.callback(page.stop)
            return port

        yield serve


@pytest.fixture(scope="module")
def page_server(
    plain_server: Callable[[Callable[[int], ASGIApp]], int],
) -> Callable[[ASGIApp], Served]:
    """Serves an application as `lora-drop ui` does, on a free port, until the file's tests end."""

    def serve(app: ASGIApp) -> Served:
        made: list[Access] = []

        def guarded(port: int) -> ASGIApp:
            made.append(Access(port))
            return SecurityMiddleware(app, made[0])

        port = plain_server(guarded)
        return Served(made[0].address, f"http://{LOOPBACK}:{port}")

    return serve


@pytest.fixture(scope="module")
def client(page_server: Callable[[ASGIApp], Served]) -> Iterator[Callable[[ASGIApp], httpx.Client]]:
    """Serves an application and returns a client that has opened its page, as a browser has."""
    with ExitStack() as ends:

        def opened(app: ASGIApp) -> httpx.Client:
            served = page_server(app)
            own = {"origin": served.origin}
            made = httpx.Client(base_url=served.origin, headers=own, timeout=30, trust_env=False)
            ends.enter_context(made)
            assert made.get(served.address).status_code == 303
            return made

        yield opened

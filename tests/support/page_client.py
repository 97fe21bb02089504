"""The page's application, asked without a server."""

import asyncio
from typing import Any

import httpx
from starlette.types import ASGIApp

ORIGIN = "http://127.0.0.1:8642"


class PageClient:
    """Asks an application, each time in an event loop of its own; redirects are not followed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def get(self, address: str, **more: Any) -> httpx.Response:
        """Ask for a page."""
        return self.ask("GET", address, **more)

    def post(self, address: str, **more: Any) -> httpx.Response:
        """Send a form."""
        return self.ask("POST", address, **more)

    def put(self, address: str, **more: Any) -> httpx.Response:
        """Send a file."""
        return self.ask("PUT", address, **more)

    def ask(self, method: str, address: str, **more: Any) -> httpx.Response:
        """Return the whole answer."""

        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
                return await client.request(method, address, **more)

        return asyncio.run(ask())

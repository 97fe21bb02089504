"""The page's one object: what all routes share, and how a template becomes an answer."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from anyio import to_thread
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from lora_drop.client.job_words import without_commands
from lora_drop.datasets.reports.markup import Html, counted, dollars, size_of, visible
from lora_drop.jobs.errors import LoraDropError
from lora_drop.ui.backends import Backend, Budget
from lora_drop.ui.words import clock, duration, meaning_of, state_of

if TYPE_CHECKING:
    from lora_drop.ui.drafts import Drafts

AT_END = 3600.0  # seconds: a stream that the server ends is an error in the browser, which hangs up by itself
BUDGET_KEPT = 10.0  # seconds
BUDGET_PATIENCE = 0.5  # seconds that a page waits for it
MOST_FORM = 128 * 1024  # bytes; a caption has 16 KiB, and its form three times as many


async def in_thread[Result](call: Callable[..., Result], *args: Any, **more: Any) -> Result:
    """Return what a call returns that waits for a disk or a network."""
    return await to_thread.run_sync(partial(call, *args, **more))


async def within[Result](
    seconds: float, call: Callable[..., Result], *args: Any, **more: Any
) -> Result:
    """Return what a call returns within this time; raises TimeoutError, and the call goes on by itself."""
    asked = asyncio.create_task(in_thread(call, *args, **more))
    done, _ = await asyncio.wait({asked}, timeout=seconds)
    if not done:
        asked.add_done_callback(lambda task: task.cancelled() or task.exception())
        raise TimeoutError
    return asked.result()


def templates() -> Environment:
    """Return the templates: every text is escaped, and what would mislead its reader is spelled out."""
    made = Environment(
        loader=PackageLoader("lora_drop.ui"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        dollars=dollars,
        size=size_of,
        counted=counted,
        clock=clock,
        duration=duration,
        state=state_of,
        meaning=meaning_of,
        as_it_is=as_it_is,
        out_of_band=out_of_band,
        without_commands=without_commands,
    )
    return made


def _shown(value: object) -> object:
    if isinstance(value, Html):
        return Markup(value.text)  # noqa: S704  # it is escaped where it is made
    if not isinstance(value, str) or isinstance(value, Markup):
        return value
    return "\n".join(map(visible, value.split("\n")))


def as_it_is(text: str) -> Markup:
    """Return text in which nothing is spelled out, for a field whose content comes back."""
    return Markup.escape(text)


@dataclass(slots=True)
class Page:
    """Where trainings run, the datasets that are not sent yet, and the templates."""

    backend: Backend
    drafts: "Drafts"
    templates: Environment
    _budget: Budget | None = None
    _budget_until: float = 0.0
    _asking: asyncio.Task[None] | None = None

    def render(self, name: str, **values: Any) -> str:
        """Return a template with these values."""
        return self.templates.get_template(name).render(backend=self.backend, **values)

    def answer(self, name: str, status: int = 200, **values: Any) -> Response:
        """Return a whole page."""
        return HTMLResponse(self.render(name, **{"job_id": None, **values}), status)

    async def budget(self) -> Budget | None:
        """Return the month's dollars as they were known last, None before that; what is old is asked for beside it."""
        if time.monotonic() >= self._budget_until and self._asking is None:
            self._asking = asyncio.create_task(self._ask_budget())
        if self._asking is not None:
            await asyncio.wait({self._asking}, timeout=BUDGET_PATIENCE)
        return self._budget

    async def _ask_budget(self) -> None:
        try:
            self._budget = await in_thread(self.backend.budget)
        except LoraDropError:
            self._budget = None  # what else needs the stack says why
        finally:
            self._budget_until, self._asking = time.monotonic() + BUDGET_KEPT, None

    def forget_budget(self) -> None:
        """Ask for the month's dollars when they are needed next: something was done that costs."""
        self._budget_until = 0.0


def out_of_band(card: Html) -> Html:
    """Return a card that takes the place of the one with its id (htmx, “hx-swap-oob”)."""
    return Html(card.text.replace("<li ", '<li hx-swap-oob="true" ', 1))


def page_of(request: Request) -> Page:
    """Return the page of a request."""
    page: Page = request.app.state.page
    return page


def asked_by_script(request: Request) -> bool:
    """Return whether htmx asks, which takes a part of the page, and not the browser itself."""
    return "hx-request" in request.headers


def see(request: Request, address: str) -> Response:
    """Return the way to another state of the page, after something was done."""
    if asked_by_script(request):
        return Response(headers={"HX-Redirect": address})
    return RedirectResponse(address, 303)


async def form_of(request: Request) -> Mapping[str, str]:
    """Return the fields of a form as HTML sends it by itself (application/x-www-form-urlencoded); the last of a name counts.

    Raises HTTPException for one that is larger than any form of the page.
    """
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MOST_FORM:
            raise HTTPException(413, "This form is too long.")
    return dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))

"""The page's Starlette application: every state has its own address and is rendered here."""

from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from lora_drop.client.errors import JobUnknownError
from lora_drop.datasets.reports import COLOURS, SHEET_STYLE
from lora_drop.jobs.errors import LoraDropError
from lora_drop.ui import draft_routes, job_routes
from lora_drop.ui.backends import Backend
from lora_drop.ui.page import Page, asked_by_script, page_of, templates

if TYPE_CHECKING:
    from lora_drop.ui.drafts import Drafts

STATIC = Path(__file__).parent / "static"
NOT_FOUND = 404
NOT_DONE = 409


def make_app(backend: Backend, drafts: "Drafts") -> Starlette:
    """Return the application; who may ask it is decided around it (``security``)."""
    app = Starlette(
        routes=[
            *job_routes.ROUTES,
            *draft_routes.ROUTES,
            Route("/static/sheet.css", _sheet_style),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        exception_handlers={
            LoraDropError: _refused,
            HTTPException: _no_page,
            Exception: _broken,
        },
    )
    app.state.page = Page(backend, drafts, templates())
    return app


async def _sheet_style(_: Request) -> Response:
    """Return the style sheet of the contact sheet, which report.html has as well."""
    return Response(COLOURS + SHEET_STYLE, media_type="text/css")


async def _refused(request: Request, error: Exception) -> Response:
    """Say what could not be done, and what to do."""
    unknown = isinstance(error, JobUnknownError)
    title = "There is no such job" if unknown else "That was not done"
    return _said(request, NOT_FOUND if unknown else NOT_DONE, title, str(error))


async def _no_page(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", NOT_FOUND)
    if status == NOT_FOUND:
        return _said(request, status, "There is no such page", "Begin at the first one.")
    return _said(request, status, "That cannot be asked", str(getattr(error, "detail", error)))


async def _broken(request: Request, error: Exception) -> Response:
    text = (
        f"This is a bug of lora-drop ({type(error).__name__}). Nothing was sent by it. The terminal of "
        "lora-drop ui shows where it happened. Load the page again."
    )
    return _said(request, 500, "Something went wrong here", text)


def _said(request: Request, status: int, title: str, text: str) -> Response:
    page = page_of(request)
    if asked_by_script(request) or "application/json" in request.headers.get("accept", ""):
        return HTMLResponse(page.render("notice.html", title=title, text=text), status)
    return page.answer("message.html", status, title=title, text=text)

"""The page's Starlette application: every state has its own address and is rendered here."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from lora_drop.client.errors import JobErasedError, JobUnknownError
from lora_drop.datasets.reports import COLOURS, SHEET_STYLE
from lora_drop.jobs.errors import LoraDropError
from lora_drop.ui import draft_routes, job_routes
from lora_drop.ui.backends import Backend
from lora_drop.ui.draft_state import UnknownDraftError
from lora_drop.ui.page import Page, asked_by_script, page_of, templates
from lora_drop.ui.uploads import UploadBrokenError, UploadTooLargeError

if TYPE_CHECKING:
    from lora_drop.ui.drafts import Drafts

STATIC = Path(__file__).parent / "static"
NOT_FOUND, NOT_DONE, TOO_LARGE, UNAVAILABLE = 404, 409, 413, 503
TITLES: Mapping[type[LoraDropError], tuple[int, str]] = {
    JobUnknownError: (NOT_FOUND, "There is no such job"),
    JobErasedError: (NOT_FOUND, "The job was erased"),
    UnknownDraftError: (NOT_FOUND, "These photos are not here any more"),
    UploadTooLargeError: (TOO_LARGE, "That is too large"),
    UploadBrokenError: (UNAVAILABLE, "That did not arrive"),  # a browser tries it again
}


def make_app(backend: Backend, drafts: "Drafts") -> Starlette:
    """Return the application; who may ask it is decided around it (``security``)."""
    app = Starlette(
        routes=[
            *job_routes.ROUTES,
            *draft_routes.ROUTES,
            Route("/static/sheet.css", _sheet_style),
            Mount("/static", _PageFiles(directory=STATIC)),
        ],
        exception_handlers={
            LoraDropError: _refused,
            HTTPException: _no_page,
            Exception: _broken,
        },
    )
    app.state.page = Page(backend, drafts, templates())
    return app


class _PageFiles(StaticFiles):
    """The page's own files, which a browser keeps: for an hour, and those with a version in their name for a year."""

    def file_response(self, *args: Any, **more: Any) -> Response:
        """Return a file, or that it has not changed."""
        response = super().file_response(*args, **more)
        kept = "31536000, immutable" if "/vendor/" in str(args[0]) else "3600"
        response.headers["Cache-Control"] = f"private, max-age={kept}"
        return response


async def _sheet_style(_: Request) -> Response:
    """Return the style sheet of the contact sheet, which report.html has as well."""
    return Response(COLOURS + SHEET_STYLE, media_type="text/css")


async def _refused(request: Request, error: Exception) -> Response:
    """Say what could not be done, and what to do."""
    status, title = next(
        (said for kind, said in TITLES.items() if isinstance(error, kind)),
        (NOT_DONE, "That was not done"),
    )
    return _said(request, status, title, str(error))


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
    job_id = request.path_params.get("job_id") if status == NOT_DONE else None
    return page.answer("message.html", status, title=title, text=text, job_id=job_id)

"""The datasets that are not sent yet: drop, look, decide, send."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from lora_drop.client.errors import CommandError
from lora_drop.datasets.owner_metadata import PROOF
from lora_drop.datasets.report import ImageOutcome
from lora_drop.datasets.reports.markup import Html
from lora_drop.ui.draft_state import UnknownDraftError
from lora_drop.ui.draft_view import (
    NUMBER,
    around,
    cards_of,
    requested_view,
    sheet_of,
    signature_of,
    training_parts,
    view_of,
)
from lora_drop.ui.drafts import Draft
from lora_drop.ui.page import AT_END, Page, asked_by_script, form_of, in_thread, page_of, see
from lora_drop.ui.photo_routes import ROUTES as PHOTO_ROUTES
from lora_drop.ui.proof_choice import proof_choice
from lora_drop.ui.sheet import photos_of
from lora_drop.ui.training_form import parameters_in
from lora_drop.ui.uploads import Room, receive

TYPED = "What you typed is set now. Look at the price, and press Train again."
LOOKS = 0.2  # seconds between two looks at a draft
# Of a draft: what a dataset may have, and clips and documents beside the photos.
ROOM = Room(4 * 1024**3)


async def create(request: Request) -> Response:
    """Begin a dataset, whose files come next."""
    form = await form_of(request)
    draft = await in_thread(page_of(request).drafts.create, form.get("name", ""))
    return JSONResponse({"id": draft.id, "address": f"/drafts/{draft.id}"}, 201)


async def put_file(request: Request) -> Response:
    """Take one file of a dataset in, under the name that it has in its folder."""
    drafts, draft_id = page_of(request).drafts, request.path_params["draft_id"]

    def there() -> int:
        return sum(file.size for file in drafts.get(draft_id).files)

    name = request.query_params.get("name", "")
    target = await in_thread(drafts.incoming, draft_id)
    async with ROOM.left(request, draft_id, there) as left:
        await receive(request, target, left)
        try:
            file = await in_thread(drafts.add, draft_id, name, target)
        finally:
            await in_thread(target.unlink, missing_ok=True)  # there still where it was refused
    return JSONResponse({"number": file.number, "name": file.name, "size": file.size}, 201)


async def files(request: Request) -> Response:
    """Return the files that are there, so that an upload that broke off goes on."""
    draft = await in_thread(page_of(request).drafts.get, request.path_params["draft_id"])
    there = [{"name": file.name, "size": file.size} for file in draft.files]
    return JSONResponse({"complete": draft.complete, "files": there})


async def finish(request: Request) -> Response:
    """All files are there: check them."""
    draft = await in_thread(page_of(request).drafts.finish, request.path_params["draft_id"])
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse({"address": f"/drafts/{draft.id}"})
    return see(request, f"/drafts/{draft.id}")


async def show(request: Request) -> Response:
    """Show the contact sheet, what it costs, and what can be done."""
    page = page_of(request)
    view = await requested_view(request, page)
    job_id = _job_of(view.draft, page)
    if job_id and not request.query_params.get("look"):
        return RedirectResponse(f"/jobs/{job_id}", 303)
    return page.answer(
        "draft.html", view=view, **training_parts(page, view), seen=signature_of(view.draft)
    )


async def events(request: Request) -> Response:
    """Say what changes about a draft, for as long as the browser listens."""
    return EventSourceResponse(_changes(request, page_of(request)), ping=15)


async def _changes(request: Request, page: Page) -> AsyncIterator[ServerSentEvent]:
    """Yield the parts of the page that have changed: the strip, and each card by itself."""
    seen, draft_id = request.query_params.get("seen", ""), request.path_params["draft_id"]
    cards: dict[str, str] | None = None
    sheet: tuple[object, ...] = ()
    while True:
        try:
            draft = await in_thread(page.drafts.get, draft_id)
        except UnknownDraftError:
            yield ServerSentEvent(draft_id, event="gone")
            await asyncio.sleep(AT_END)
            return
        if (signature := signature_of(draft)) != seen or cards is None:
            view = await view_of(request, page, draft)
            # The progress of a check or of an upload changes no card, and comes several times a second.
            if cards is None or sheet_of(draft) != sheet:
                now, sheet = await in_thread(cards_of, view), sheet_of(draft)
            else:
                now = cards
            if signature != seen:
                parts = _parts(cards, now)
                data = page.render(
                    "draft_changes.html",
                    view=view,
                    seen=signature,
                    **parts,
                    **training_parts(page, view),
                )
                yield ServerSentEvent(data, event="change")
            cards, seen = now, signature
        if job_id := _job_of(draft, page):
            yield ServerSentEvent(job_id, event="sent")
            await asyncio.sleep(AT_END)
        await asyncio.sleep(LOOKS)


def _job_of(draft: Draft, page: Page) -> str | None:
    """Return the job that a draft has become over this backend."""
    order = draft.order
    return order.job_id if order and not order.elsewhere(page.backend.name) else None


def _parts(before: dict[str, str] | None, now: dict[str, str]) -> dict[str, Any]:
    """Return which cards are sent: those that have changed and those that are new at the end, else the whole sheet.

    What a browser shows that has come back is not known (None): it gets the whole sheet.
    """
    if before is None or list(before) != list(now)[: len(before)]:
        return {"whole": True, "cards": [], "added": []}
    changed = [Html(now[place]) for place, text in before.items() if now[place] != text]
    added = [Html(text) for place, text in now.items() if place not in before]
    return {"whole": False, "cards": changed, "added": added}


async def reject_refused(request: Request) -> Response:
    """Leave out every photo that the check refuses."""
    page, draft_id = page_of(request), request.path_params["draft_id"]
    draft = await in_thread(page.drafts.get, draft_id)
    for photo in photos_of(draft):
        if photo.checked and photo.report.fate is ImageOutcome.REFUSED:
            await in_thread(page.drafts.reject, draft_id, photo.file.number)
    return see(request, f"/drafts/{draft_id}")


async def again(request: Request) -> Response:
    """Begin another dataset with the same photos and decisions."""
    draft = await in_thread(page_of(request).drafts.again, request.path_params["draft_id"])
    return see(request, f"/drafts/{draft.id}")


async def set_parameters(request: Request) -> Response:
    """Set the training's inputs."""
    page = page_of(request)
    draft = await in_thread(page.drafts.get, request.path_params["draft_id"])
    given = parameters_in(await form_of(request), draft.parameters, proof=page.backend.proof)
    draft = await in_thread(page.drafts.set_parameters, draft.id, given)
    if asked_by_script(request):
        return HTMLResponse(await around(request, page, draft))
    return see(request, f"/drafts/{draft.id}")


async def train(request: Request) -> Response:
    """Send the dataset, once, at the price that was shown."""
    page, form = page_of(request), dict(await form_of(request))
    draft = await in_thread(page.drafts.get, request.path_params["draft_id"])
    revision = form.pop("revision", "")
    if box := form.pop("proof_shown", ""):
        form.setdefault(PROOF, box)  # without a script the box itself does not come along
    # What stands in the fields may not be set yet, where the button was pressed right after a key.
    given = parameters_in(form, draft.parameters, proof=page.backend.proof)
    if draft.order is None and given != draft.parameters:
        await in_thread(page.drafts.set_parameters, draft.id, given)
        raise CommandError(TYPED)

    def send(archive: Any, parameters: Any, progress: Any) -> str:
        return page.backend.train(
            archive, name=draft.name, parameters=parameters, progress=progress
        )

    shown_revision = int(revision) if NUMBER.fullmatch(revision) else -1
    sheet = proof_choice(draft, page.backend.application, page.backend.proof)
    await in_thread(
        page.drafts.order,
        *(draft.id, shown_revision, send, page.backend.name),
        proof=sheet.ordered if sheet else None,
    )
    return see(request, f"/drafts/{draft.id}")


async def discard(request: Request) -> Response:
    """Delete a dataset from this machine that was not sent."""
    page, draft_id = page_of(request), request.path_params["draft_id"]
    if request.method == "GET":
        draft = await in_thread(page.drafts.get, draft_id)
        return page.answer("discard.html", draft=draft)
    await in_thread(page.drafts.discard, draft_id)
    return see(request, "/")


ROUTES = [
    *PHOTO_ROUTES,
    Route("/drafts", create, methods=["POST"]),
    Route("/drafts/{draft_id}", show),
    Route("/drafts/{draft_id}/events", events),
    Route("/drafts/{draft_id}/files", files),
    Route("/drafts/{draft_id}/files", put_file, methods=["PUT"]),
    Route("/drafts/{draft_id}/finish", finish, methods=["POST"]),
    Route("/drafts/{draft_id}/parameters", set_parameters, methods=["POST"]),
    Route("/drafts/{draft_id}/train", train, methods=["POST"]),
    Route("/drafts/{draft_id}/reject-refused", reject_refused, methods=["POST"]),
    Route("/drafts/{draft_id}/again", again, methods=["POST"]),
    Route("/drafts/{draft_id}/discard", discard, methods=["GET", "POST"]),
]

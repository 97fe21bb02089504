"""The datasets that are not sent yet: drop, look, decide, send."""

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from lora_drop.client.errors import CommandError
from lora_drop.datasets.report import ImageOutcome
from lora_drop.datasets.reports.markup import Html
from lora_drop.ui.draft_state import UnknownDraftError
from lora_drop.ui.draft_view import DraftView, cards_of, signature_of
from lora_drop.ui.drafts import Draft
from lora_drop.ui.page import Page, asked_by_script, form_of, in_thread, page_of, see
from lora_drop.ui.sheet import ALL, card_of, photos_of
from lora_drop.ui.training_form import inputs_of, parameters_in, presets_of
from lora_drop.ui.uploads import Room, receive

TYPED = "What you typed is set now. Look at the price, and press Train again."
NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)
LOOKS = 0.3  # seconds between two looks at a draft
AT_END = 3600.0  # seconds: a stream that the server ends is an error in the browser, which hangs up by itself
# Of a draft: what a dataset may have, and clips and documents beside the photos.
ROOM = Room(4 * 1024**3)


class FileNumber(Convertor[int]):
    """The number of a file in an address; one of more digits is of no file."""

    regex = "[0-9]{1,9}"

    def convert(self, value: str) -> int:
        """Return the number."""
        return int(value)

    def to_string(self, value: int) -> str:
        """Return it as it stands in an address."""
        return str(value)


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
    view = await _view(request, page)
    job_id = _job_of(view.draft, page)
    if job_id and not request.query_params.get("look"):
        return RedirectResponse(f"/jobs/{job_id}", 303)
    return page.answer(
        "draft.html", view=view, **_training(page, view), seen=signature_of(view.draft)
    )


async def events(request: Request) -> Response:
    """Say what changes about a draft, for as long as the browser listens."""
    return EventSourceResponse(_changes(request, page_of(request)), ping=15)


async def _changes(request: Request, page: Page) -> AsyncIterator[ServerSentEvent]:
    """Yield the parts of the page that have changed: the strip, and each card by itself."""
    seen, draft_id = request.query_params.get("seen", ""), request.path_params["draft_id"]
    cards: dict[str, str] | None = None
    while True:
        try:
            draft = await in_thread(page.drafts.get, draft_id)
        except UnknownDraftError:
            yield ServerSentEvent(draft_id, event="gone")
            await asyncio.sleep(AT_END)
            return
        if (signature := signature_of(draft)) != seen or cards is None:
            view = await _view_of(request, page, draft)
            now = await in_thread(cards_of, view)
            if signature != seen:
                parts = _parts(cards, now)
                data = page.render(
                    "draft_changes.html",
                    view=view,
                    seen=signature,
                    **parts,
                    **_training(page, view),
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


async def decide(request: Request) -> Response:
    """Leave a photo out, or keep it after all."""
    page, number = page_of(request), request.path_params["number"]
    act = page.drafts.reject if request.url.path.endswith("/reject") else page.drafts.keep
    draft = await in_thread(act, request.path_params["draft_id"], number)
    return await _changed(request, page, draft, number)


async def write_caption(request: Request) -> Response:
    """Give a photo the caption that a person wrote."""
    page, number = page_of(request), request.path_params["number"]
    form = await form_of(request)
    text = form.get("caption", "")
    call = page.drafts.write_caption
    draft = await in_thread(
        call, request.path_params["draft_id"], number, text.replace("\r\n", "\n")
    )
    after = form.get("after", "")
    kind = request.query_params.get("show", ALL)
    shown_ = "" if kind == ALL else f"&{urlencode({'show': kind})}"
    return see(
        request,
        f"/drafts/{draft.id}/photos/{after if after.isdecimal() else number}?saved={number}{shown_}",
    )


async def _changed(request: Request, page: Page, draft: Draft, number: int) -> Response:
    kind = request.query_params.get("show", ALL)
    back = request.query_params.get("back")
    if back == "photo":
        shown_ = "" if kind == ALL else f"?{urlencode({'show': kind})}"
        return see(request, f"/drafts/{draft.id}/photos/{number}{shown_}")
    if not asked_by_script(request):
        show_ = "" if kind == ALL else f"?show={kind}"
        return RedirectResponse(f"/drafts/{draft.id}{show_}#photo-{number}", 303)
    photo = next((each for each in photos_of(draft) if each.file.number == number), None)
    card = card_of(photo, editable=True, kind=kind).text if photo else ""
    return HTMLResponse(card + await _around(request, page, draft))


async def _around(request: Request, page: Page, draft: Draft) -> str:
    """Return everything of a draft's page but the sheet, for a page that is open."""
    view = await _view_of(request, page, draft)
    parts = {"whole": False, "cards": [], "added": [], "seen": ""}
    return page.render("draft_changes.html", view=view, **parts, **_training(page, view))


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


async def photo(request: Request) -> Response:
    """Show one photo large, with its caption, and the one that it looks like beside it."""
    page, number = page_of(request), request.path_params["number"]
    view = await _view(request, page)
    row = view.photos if all(each.file.number != number for each in view.shown) else view.shown
    at = next((n for n, each in enumerate(row) if each.file.number == number), None)
    if at is None:
        return page.answer(
            "message.html", 404, title="No such photo", text="It is not in this dataset."
        )
    it = row[at]
    names = {each.file.name: each for each in view.photos}
    caption = await in_thread(page.drafts.caption, view.draft.id, number)
    return page.answer(
        "photo.html",
        view=view,
        photo=it,
        like=names.get(it.report.similar_to or ""),
        before=row[at - 1] if at else None,
        after=row[at + 1] if at + 1 < len(row) else None,
        caption=caption,
        saved=request.query_params.get("saved"),
        at=at + 1,
        count=len(row),
        query="" if view.kind in (ALL, "") else f"?{urlencode({'show': view.kind})}",
    )


async def thumbnail(request: Request) -> Response:
    """Return a photo's small preview."""
    return await _jpeg(request, page_of(request).drafts.thumbnail)


async def picture(request: Request) -> Response:
    """Return a photo as large as a screen."""
    return await _jpeg(request, page_of(request).drafts.picture)


async def _jpeg(request: Request, make: Any) -> Response:
    data = await in_thread(make, request.path_params["draft_id"], request.path_params["number"])
    return Response(data, media_type="image/jpeg")


async def set_parameters(request: Request) -> Response:
    """Set the training's inputs."""
    page = page_of(request)
    draft = await in_thread(page.drafts.get, request.path_params["draft_id"])
    given = parameters_in(await form_of(request), draft.parameters)
    draft = await in_thread(page.drafts.set_parameters, draft.id, given)
    if asked_by_script(request):
        return HTMLResponse(await _around(request, page, draft))
    return see(request, f"/drafts/{draft.id}")


async def train(request: Request) -> Response:
    """Send the dataset, once, at the price that was shown."""
    page, form = page_of(request), dict(await form_of(request))
    draft = await in_thread(page.drafts.get, request.path_params["draft_id"])
    revision = form.pop("revision", "")
    # What stands in the fields may not be set yet, where the button was pressed right after a key.
    if draft.order is None and (given := parameters_in(form, draft.parameters)) != draft.parameters:
        await in_thread(page.drafts.set_parameters, draft.id, given)
        raise CommandError(TYPED)

    def send(archive: Any, parameters: Any, progress: Any) -> str:
        return page.backend.train(
            archive, name=draft.name, parameters=parameters, progress=progress
        )

    shown_revision = int(revision) if NUMBER.fullmatch(revision) else -1
    await in_thread(page.drafts.order, draft.id, shown_revision, send, page.backend.name)
    return see(request, f"/drafts/{draft.id}")


async def discard(request: Request) -> Response:
    """Delete a dataset from this machine that was not sent."""
    page, draft_id = page_of(request), request.path_params["draft_id"]
    if request.method == "GET":
        draft = await in_thread(page.drafts.get, draft_id)
        return page.answer("discard.html", draft=draft)
    await in_thread(page.drafts.discard, draft_id)
    return see(request, "/")


async def _view(request: Request, page: Page) -> DraftView:
    draft = await in_thread(page.drafts.get, request.path_params["draft_id"])
    return await _view_of(request, page, draft)


async def _view_of(request: Request, page: Page, draft: Draft) -> DraftView:
    kind = request.query_params.get("show", ALL)
    photos, budget = await in_thread(photos_of, draft), await page.budget()
    return DraftView(draft, photos, kind, budget, page.backend.name)


def _training(page: Page, view: DraftView) -> dict[str, Any]:
    application = page.backend.application
    return {
        "presets": presets_of(view.draft, application),
        "inputs": inputs_of(view.draft, application),
    }


register_url_convertor("file", FileNumber())
ROUTES = [
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
    Route("/drafts/{draft_id}/photos/{number:file}", photo),
    Route("/drafts/{draft_id}/photos/{number:file}/thumbnail", thumbnail),
    Route("/drafts/{draft_id}/photos/{number:file}/picture", picture),
    Route("/drafts/{draft_id}/photos/{number:file}/caption", write_caption, methods=["POST"]),
    Route("/drafts/{draft_id}/photos/{number:file}/reject", decide, methods=["POST"]),
    Route("/drafts/{draft_id}/photos/{number:file}/keep", decide, methods=["POST"]),
]

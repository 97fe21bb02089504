"""One photo of a dataset that is not sent yet: its previews, its caption, whether it is used."""

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from lora_drop.ui.draft_view import NUMBER, around, requested_view
from lora_drop.ui.drafts import Draft
from lora_drop.ui.page import Page, asked_by_script, form_of, in_thread, page_of, see
from lora_drop.ui.sheet import ALL, card_of, photos_of, query_of


def _number(request: Request) -> int:
    """Return the number of a file in an address; raises HTTPException for what is none."""
    number: str = request.path_params["number"]
    if not NUMBER.fullmatch(number):
        raise HTTPException(404)
    return int(number)


def _kind(request: Request) -> str:
    return request.query_params.get("show", ALL)


async def decide(request: Request) -> Response:
    """Leave a photo out, or keep it after all."""
    page, number = page_of(request), _number(request)
    act = page.drafts.reject if request.url.path.endswith("/reject") else page.drafts.keep
    draft = await in_thread(act, request.path_params["draft_id"], number)
    return await _changed(request, page, draft, number)


async def write_caption(request: Request) -> Response:
    """Give a photo the caption that a person wrote."""
    page, number = page_of(request), _number(request)
    form = await form_of(request)
    text = form.get("caption", "")
    call = page.drafts.write_caption
    draft = await in_thread(
        call, request.path_params["draft_id"], number, text.replace("\r\n", "\n")
    )
    after = form.get("after", "")
    target = after if NUMBER.fullmatch(after) else number
    kept = query_of(_kind(request)).replace("?", "&", 1)
    return see(request, f"/drafts/{draft.id}/photos/{target}?saved={number}{kept}")


async def _changed(request: Request, page: Page, draft: Draft, number: int) -> Response:
    kind = _kind(request)
    if request.query_params.get("back") == "photo":
        return see(request, f"/drafts/{draft.id}/photos/{number}{query_of(kind)}")
    if not asked_by_script(request):
        return RedirectResponse(f"/drafts/{draft.id}{query_of(kind)}#photo-{number}", 303)
    photo = next((each for each in photos_of(draft) if each.file.number == number), None)
    card = card_of(photo, editable=True, kind=kind).text if photo else ""
    return HTMLResponse(card + await around(request, page, draft))


async def photo(request: Request) -> Response:
    """Show one photo large, with its caption, and the one that it looks like beside it."""
    page, number = page_of(request), _number(request)
    view = await requested_view(request, page)
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
        query=query_of(view.kind),
    )


async def thumbnail(request: Request) -> Response:
    """Return a photo's small preview."""
    return await _jpeg(request, page_of(request).drafts.thumbnail)


async def picture(request: Request) -> Response:
    """Return a photo as large as a screen."""
    return await _jpeg(request, page_of(request).drafts.picture)


async def _jpeg(request: Request, make: Any) -> Response:
    data = await in_thread(make, request.path_params["draft_id"], _number(request))
    return Response(data, media_type="image/jpeg")


ROUTES = [
    Route("/drafts/{draft_id}/photos/{number}", photo),
    Route("/drafts/{draft_id}/photos/{number}/thumbnail", thumbnail),
    Route("/drafts/{draft_id}/photos/{number}/picture", picture),
    Route("/drafts/{draft_id}/photos/{number}/caption", write_caption, methods=["POST"]),
    Route("/drafts/{draft_id}/photos/{number}/reject", decide, methods=["POST"]),
    Route("/drafts/{draft_id}/photos/{number}/keep", decide, methods=["POST"]),
]

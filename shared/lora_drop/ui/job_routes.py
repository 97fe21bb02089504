"""Jobs: the list, a job's live card, what can be decided about it, and its files."""

import asyncio
from collections.abc import AsyncIterator, Collection
from urllib.parse import urlencode

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Route

from lora_drop.client.errors import CommandError
from lora_drop.datasets.images.formats import SNIFFED, ImageFormat, sniff
from lora_drop.jobs.errors import LoraDropError
from lora_drop.jobs.status import Status
from lora_drop.ui.backends import Action, JobCard, JobPage, Usage
from lora_drop.ui.page import AT_END, Page, form_of, in_thread, page_of, see, within

PATIENCE = 5.0  # seconds for the list; where to drop is shown without it
SILENT = (
    "The jobs are not known yet: there is no answer so far. It is asked again every few seconds."
)
LOOKS = 1.0  # seconds between two looks at a job
CHANGED = "It stands differently by now than it was shown. Go back, look at what it means now, and decide again."
MOST_PAUSE = 15.0  # seconds, after failures in a row
PICTURE_TYPES = {ImageFormat.JPEG: "image/jpeg", ImageFormat.PNG: "image/png"}
# Of a report, which comes from elsewhere: it is seen, in an origin of its own, and can do nothing.
REPORT_POLICY = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'"


async def home(request: Request) -> Response:
    """Show where to drop, what is not sent yet, and the jobs."""
    page = page_of(request)
    drafts = [
        each for each in await in_thread(page.drafts.all) if not (each.order and each.order.job_id)
    ]
    query = {name: request.query_params.get(name, "") for name in ("status", "search", "cursor")}
    found, problem = await _jobs(page, query)
    asked = {name: value for name, value in query.items() if value}
    kept = {name: value for name, value in asked.items() if name != "cursor"}
    return page.answer(
        "home.html",
        drafts=drafts,
        jobs=found,
        problem=problem,
        query=query,
        more=urlencode({**kept, "cursor": found.next}) if found.next else "",
        address=f"/?{urlencode(asked)}" if asked else "/",
        statuses=list(Status),
        budget=await page.budget(),
        erased="erased" in request.query_params,
        deleted="deleted" in request.query_params,
    )


async def _jobs(page: Page, query: dict[str, str]) -> tuple[JobPage, str | None]:
    """Return the jobs that are asked for, and why they cannot be had."""
    status = Status(query["status"]) if query["status"] in Status else None
    try:
        found = await within(
            PATIENCE,
            page.backend.jobs,
            status=status,
            search=query["search"] or None,
            cursor=query["cursor"] or None,
        )
    except TimeoutError:
        return JobPage(()), SILENT
    except LoraDropError as error:
        return JobPage(()), str(error)
    return found, None


async def show(request: Request) -> Response:
    """Show one job."""
    page, job_id = page_of(request), request.path_params["job_id"]
    card = await in_thread(page.backend.card, job_id)
    usage = await _usage(page, job_id) if card.status is Status.SUCCEEDED else None
    sheets = await in_thread(page.drafts.of_jobs, {job_id})
    return page.answer("job.html", card=card, usage=usage, sheet=next(iter(sheets), None))


async def _usage(page: Page, job_id: str) -> Usage | None:
    """Return how a LoRA is used; None also of a trainer whose use is not known."""
    try:
        return await in_thread(page.backend.usage, job_id)
    except LoraDropError:
        return None  # its files are what counts


async def events(request: Request) -> Response:
    """Say what changes about a job, for as long as the browser listens and it goes on."""
    return EventSourceResponse(_changes(page_of(request), request.path_params["job_id"]), ping=15)


async def _changes(page: Page, job_id: str) -> AsyncIterator[ServerSentEvent]:
    """Yield the job's card when it says something else, that it has ended, and why nothing new is known."""
    last: JobCard | None = None
    failures = 0
    while True:
        try:
            card = await in_thread(page.backend.card, job_id)
        except LoraDropError as error:
            failures += 1
            said = page.render("silence.html", silence=str(error))
            yield ServerSentEvent(said, event="change")
        else:
            if card.ended:
                yield ServerSentEvent(card.id, event="ended")  # the page shows its files now
                await asyncio.sleep(AT_END)
            if card != last or failures:
                yield ServerSentEvent(
                    page.render("job_card.html", card=card, oob=True), event="change"
                )
            last, failures = card, 0
        await asyncio.sleep(min(MOST_PAUSE, LOOKS * 2**failures))


async def question(request: Request) -> Response:
    """Ask whether it is meant, with what it means."""
    page, job_id = page_of(request), request.path_params["job_id"]
    asked = await in_thread(page.backend.question, job_id, _action(request))
    return page.answer("question.html", question=asked, job_id=job_id)


async def act(request: Request) -> Response:
    """Do what was asked about, once, and show what has come of it."""
    page, job_id = page_of(request), request.path_params["job_id"]
    action, form = _action(request), await form_of(request)
    asked = await in_thread(page.backend.question, job_id, action)
    if form.get("mark") != asked.mark:
        raise CommandError(CHANGED)
    after = await in_thread(page.backend.act, job_id, action)
    page.forget_budget()
    if action is Action.FORGET:
        await in_thread(_forget_photos, page, {job_id, *asked.jobs})
    return see(request, "/?erased=1" if action is Action.FORGET else f"/jobs/{after}")


def _forget_photos(page: Page, jobs: Collection[str]) -> None:
    """Delete the photos of erased jobs from this machine as well."""
    for draft in page.drafts.of_jobs(jobs):
        page.drafts.discard(draft.id)


def _action(request: Request) -> Action:
    return Action(request.url.path.rpartition("/")[2])


async def file(request: Request) -> Response:
    """Give a file of a job's result: from this machine, or by an address of the stack's bucket."""
    page, name = page_of(request), request.path_params["name"]
    found = await in_thread(page.backend.file, request.path_params["job_id"], name)
    if isinstance(found, str):
        return RedirectResponse(found, 302)
    return FileResponse(found, filename=name, media_type="application/octet-stream")


async def report(request: Request) -> Response:
    """Show the report of a job's dataset, which can do nothing but be seen."""
    page = page_of(request)
    content = await in_thread(page.backend.report, request.path_params["job_id"])
    if content is None:
        text = "It has one once its dataset is checked, until it expires."
        return page.answer("message.html", 404, title="There is no report", text=text)
    headers = {"Content-Security-Policy": REPORT_POLICY}
    return Response(content, media_type="text/html; charset=utf-8", headers=headers)


async def picture(request: Request) -> Response:
    """Show a picture of a job's proof sheet."""
    page, job_id = page_of(request), request.path_params["job_id"]
    content = await in_thread(page.backend.picture, job_id, request.path_params["number"])
    kind = sniff(content[:SNIFFED]) if content is not None else None
    if content is None or kind not in PICTURE_TYPES:
        return page.answer(
            "message.html", 404, title="There is no such picture", text="It was not made."
        )
    return Response(content, media_type=PICTURE_TYPES[kind])


ROUTES = [
    Route("/", home),
    Route("/jobs/{job_id}", show),
    Route("/jobs/{job_id}/events", events),
    Route("/jobs/{job_id}/report", report),
    Route("/jobs/{job_id}/files/{name}", file),
    Route("/jobs/{job_id}/proof/{number:int}", picture),
    *(
        route
        for action in Action
        for route in (
            Route(f"/jobs/{{job_id}}/{action}", question),
            Route(f"/jobs/{{job_id}}/{action}", act, methods=["POST"]),
        )
    ),
]

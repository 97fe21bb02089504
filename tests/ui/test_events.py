"""What a page that is open hears: each change of a dataset and of a job, and nothing else."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import httpx
import pytest
from starlette.types import ASGIApp

from lora_drop.jobs.status import Status
from lora_drop.ui.app import make_app
from lora_drop.ui.draft_routes import _parts
from lora_drop.ui.drafts import Drafts
from tests.support.client_fixtures import photo
from tests.support.drafts import checked, drafts, put, workers
from tests.support.page_backend import StubBackend

__all__ = ["drafts", "workers"]

type Opened = Callable[[ASGIApp], httpx.Client]


@pytest.fixture
def backend() -> StubBackend:
    return StubBackend()


@pytest.fixture
def browser(client: Opened, backend: StubBackend, drafts: Drafts) -> httpx.Client:
    return client(make_app(backend, drafts))


@contextmanager
def listening(browser: httpx.Client, address: str) -> Iterator[Iterator[tuple[str, str]]]:
    """The events of an address, each with its name and data."""
    with browser.stream("GET", address) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _events(answer.iter_lines())


def _events(lines: Iterator[str]) -> Iterator[tuple[str, str]]:
    name, data = "", list[str]()
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            data.append(line.removeprefix("data: "))
        elif not line and name:
            yield name, "\n".join(data)
            name, data = "", []


def test_open_sheet_hears_of_a_decision_elsewhere(browser: httpx.Client, drafts: Drafts) -> None:
    draft = drafts.create("album")
    numbers = [put(drafts, draft.id, f"{n}.jpg", photo(600, n)) for n in range(12)]
    drafts.finish(draft.id)
    checked(drafts, draft.id)
    with listening(browser, f"/drafts/{draft.id}/events?seen=old") as events:
        name, data = next(events)
        assert (name, data.count('class="photo ')) == ("change", 12)  # what it shows is not known
        browser.post(f"/drafts/{draft.id}/photos/{numbers[3]}/reject")
        _, data = next(event for event in events if "You left it out." in event[1])
        assert data.count('hx-swap-oob="true" class="photo ') == 1
        assert 'id="cards"' not in data
        _, data = next(event for event in events if "11 photos will be trained on." in event[1])


def test_sent_dataset_leads_to_its_job(browser: httpx.Client, drafts: Drafts) -> None:
    draft = drafts.create("album")
    for n in range(12):
        put(drafts, draft.id, f"{n}.jpg", photo(600, n))
    drafts.finish(draft.id)
    revision = checked(drafts, draft.id).revision
    with listening(browser, f"/drafts/{draft.id}/events?seen=") as events:
        next(events)
        browser.post(f"/drafts/{draft.id}/train", data={"revision": str(revision)})
        assert ("sent", "ada-training") in events


def test_job_is_heard_to_its_end(browser: httpx.Client, backend: StubBackend) -> None:
    card = backend.cards["ada-training"]
    with listening(browser, "/jobs/ada-training/events") as events:
        assert "Step <strong>740</strong>" in next(events)[1]
        backend.unreachable = True
        assert "No answer at the moment" in next(events)[1]
        backend.unreachable = False
        name, data = next(events)
        assert (name, "No answer at the moment" in data) == ("change", False)
        backend.cards["ada-training"] = replace(card, status=Status.SUCCEEDED)
        assert next(events) == ("ended", "ada-training")


@pytest.mark.parametrize(
    ("before", "now", "whole", "cards", "added"),
    [
        (None, {"1": "a"}, True, 0, 0),
        ({"1": "a"}, {"1": "a", "2": "b"}, False, 0, 1),
        ({"1": "a", "2": "b"}, {"1": "c", "2": "b"}, False, 1, 0),
        ({"1": "a", "2": "b"}, {"2": "b", "1": "a"}, True, 0, 0),
        ({"1": "a", "2": "b"}, {"1": "a"}, True, 0, 0),
    ],
)
def test_least_is_sent_that_makes_the_sheet_right(
    before: dict[str, str] | None, now: dict[str, str], *, whole: bool, cards: int, added: int
) -> None:
    parts = _parts(before, now)
    assert (parts["whole"], len(parts["cards"]), len(parts["added"])) == (whole, cards, added)


def test_silent_stack_hides_neither_drop_nor_sheet(
    browser: httpx.Client, backend: StubBackend, drafts: Drafts
) -> None:
    draft = drafts.create("album")
    put(drafts, draft.id, "0.jpg", photo(600, 0))
    drafts.finish(draft.id)
    checked(drafts, draft.id)
    backend.silent.clear()
    try:
        assert "There is no answer so far." in browser.get("/").text.replace("there", "There")
        assert "0.jpg" in browser.get(f"/drafts/{draft.id}").text
    finally:
        backend.silent.set()


def test_deleted_sheet_is_left_by_every_tab(browser: httpx.Client, drafts: Drafts) -> None:
    draft = drafts.create("album")
    with listening(browser, f"/drafts/{draft.id}/events?seen=") as events:
        next(events)
        browser.post(f"/drafts/{draft.id}/discard")
        assert ("gone", draft.id) in events

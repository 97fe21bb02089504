"""A key is rotated in its secret alone: who learns that it is old reads it anew, and nobody pays twice."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from lora_drop.adapters.fal import FalQueueClient
from lora_drop.adapters.fal_history import FalHistory
from lora_drop.adapters.fal_prices import FalPrices
from lora_drop.adapters.fal_storage import FalStorage
from lora_drop.adapters.secrets import Key
from lora_drop.jobs.errors import (
    FalUnavailableError,
    NotSubmittedError,
    SubmissionRefusedError,
    SubmissionUnknownError,
)
from lora_drop.ports import Submission
from tests.support.builders import APPLICATION, NOW, REQUEST_ID, make_job
from tests.support.fal_keys import FixedKey
from tests.support.memory_files import MemoryRange
from tests.support.wire import RECEIPT, WEBHOOK_URL, of_nginx

OLD, NEW = "old-id:old-secret", "new-id:new-secret"
API = "https://api.fal.ai/v1"
TOKEN = {
    "token": "t",
    "token_type": "Bearer",
    "base_url": "https://v3.fal.media",
    "expires_at": "2099-01-01T00:00:00+00:00",
}
PRICE = {"endpoint_id": APPLICATION, "unit_price": 0.0024, "unit": "step", "currency": "USD"}
ANSWERS: dict[str, Any] = {
    "/status": {"status": "IN_PROGRESS"},
    "/cancel": {"status": "CANCELLATION_REQUESTED"},
    "/by-endpoint": {"items": []},
    "/pricing": {"prices": [PRICE]},
    "/auth/token": TOKEN,
    "/files/upload": {"access_url": "https://v3.fal.media/files/a/x.zip"},
}


@dataclass
class Fal:
    """Knows one key, and refuses every other as fal does (fal, "Errors")."""

    knows: str = NEW
    shown: list[tuple[str, str]] = field(default_factory=list)
    refusal: httpx.Response = field(
        default_factory=lambda: httpx.Response(401, json={"detail": "Authentication required"})
    )

    def answer(self, request: httpx.Request) -> httpx.Response:
        self.shown.append((request.method, request.headers["Authorization"]))
        if request.headers["Authorization"] not in (f"Key {self.knows}", "Bearer t"):
            return self.refusal
        said = (body for end, body in ANSWERS.items() if request.url.path.endswith(end))
        return httpx.Response(200, json=next(said, RECEIPT))

    @property
    def wire(self) -> httpx.MockTransport:
        return httpx.MockTransport(self.answer)

    @property
    def posts(self) -> list[str]:
        """The keys of the paid POSTs."""
        return [key for method, key in self.shown if method == "POST"]


def trainer(fal: Fal, key: Key) -> FalQueueClient:
    return FalQueueClient(key, wire=lambda: fal.wire)


ASKED: dict[str, Callable[[Fal, Key], Any]] = {
    "a request": lambda fal, key: trainer(fal, key).ask(APPLICATION, REQUEST_ID),
    "a cancellation": lambda fal, key: trainer(fal, key).cancel(APPLICATION, REQUEST_ID),
    "the list": lambda fal, key: FalHistory(key, API, fal.wire).requests_for(make_job(), since=NOW),
    "the price": lambda fal, key: FalPrices(key, API, fal.wire).price(APPLICATION),
}


@pytest.mark.parametrize("what", ASKED)
def test_who_asks_with_an_old_key_asks_once_more_with_the_new_one(what: str) -> None:
    old, new = Fal(), Fal()

    answer = ASKED[what](old, FixedKey(OLD, then=NEW))

    assert answer == ASKED[what](new, FixedKey(NEW))
    assert [key for _, key in old.shown] == [f"Key {OLD}", f"Key {NEW}"]


@pytest.mark.parametrize("what", ASKED)
def test_a_key_that_is_refused_and_has_no_newer_one_is_shown_once(what: str) -> None:
    fal, key = Fal(), FixedKey(OLD)

    if what == "the price":
        assert ASKED[what](fal, key) is None
    else:
        with pytest.raises(FalUnavailableError, match="401"):
            ASKED[what](fal, key)

    assert [shown for _, shown in fal.shown] == [f"Key {OLD}"]
    assert key.refused == [OLD]


@pytest.mark.parametrize("what", ASKED)
def test_a_newer_key_that_is_refused_too_is_the_last_one(what: str) -> None:
    fal = Fal(knows="another")

    if what == "the price":
        assert ASKED[what](fal, FixedKey(OLD, then=NEW)) is None
    else:
        with pytest.raises(FalUnavailableError, match="401"):
            ASKED[what](fal, FixedKey(OLD, then=NEW))

    assert len(fal.shown) == 2


@pytest.mark.parametrize("status", [403, 404, 429, 500])
def test_nothing_else_is_a_reason_to_read_the_key_again(status: int) -> None:
    fal, key = Fal(refusal=httpx.Response(status, json={"detail": "no"})), FixedKey(OLD, then=NEW)

    with pytest.raises(FalUnavailableError):
        ASKED["the list"](fal, key)

    assert key.refused == []


def pay(fal: Fal, key: Key) -> Submission:
    return trainer(fal, key).submit(APPLICATION, {"steps": 1}, webhook_url=WEBHOOK_URL)


def test_a_submission_with_an_old_key_was_none_and_the_next_has_the_new_key() -> None:
    fal, key = Fal(), FixedKey(OLD, then=NEW)

    with pytest.raises(NotSubmittedError, match="newer"):
        pay(fal, key)

    assert fal.posts == [f"Key {OLD}"], "one POST for one intent, also here"
    assert pay(fal, key) == Submission(REQUEST_ID)
    assert fal.posts == [f"Key {OLD}", f"Key {NEW}"]


def test_a_submission_whose_key_has_no_newer_one_is_refused_and_waits_for_a_person() -> None:
    with pytest.raises(SubmissionRefusedError) as refused:
        pay(Fal(), FixedKey(OLD))

    assert (refused.value.problem.code, refused.value.held) == ("fal_key_refused", True)


@pytest.mark.parametrize(
    "answer",
    [of_nginx(401), httpx.Response(401), httpx.Response(401, json=["detail"])],
    ids=["a proxy's", "nobody's", "of another form"],
)
def test_a_401_that_is_not_fals_own_proves_nothing(answer: httpx.Response) -> None:
    fal, key = Fal(refusal=answer), FixedKey(OLD, then=NEW)

    with pytest.raises(SubmissionUnknownError):
        pay(fal, key)

    assert (len(fal.posts), key.refused) == (1, [])


@pytest.mark.parametrize("status", [400, 402, 403, 404, 413, 422])
def test_no_other_refusal_of_a_submission_asks_for_a_newer_key(status: int) -> None:
    fal, key = Fal(refusal=httpx.Response(status, json={"detail": "no"})), FixedKey(OLD, then=NEW)

    with pytest.raises(SubmissionRefusedError):
        pay(fal, key)

    assert (len(fal.posts), key.refused) == (1, [])


def test_an_upload_with_an_old_key_is_begun_once_more_with_the_new_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fal, key = Fal(), FixedKey(OLD, then=NEW)
    # fal_client fetches its upload token with a client of its own.
    monkeypatch.setattr(
        httpx.HTTPTransport, "handle_request", lambda _, request: fal.answer(request)
    )

    url = FalStorage(
        key, "https://rest.fal.ai", "https://v3.fal.media", wire=lambda: fal.wire
    ).upload(MemoryRange(json.dumps({}).encode()), "x.zip", 60)

    assert url == "https://v3.fal.media/files/a/x.zip"
    assert [shown for _, shown in fal.shown] == [f"Key {OLD}", f"Key {NEW}", "Bearer t"]


def test_an_upload_whose_key_has_no_newer_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    fal = Fal()
    monkeypatch.setattr(
        httpx.HTTPTransport, "handle_request", lambda _, request: fal.answer(request)
    )

    with pytest.raises(SubmissionRefusedError, match="fal_key_refused"):
        FalStorage(
            FixedKey(OLD), "https://rest.fal.ai", "https://v3.fal.media", wire=lambda: fal.wire
        ).upload(MemoryRange(b"zip"), "x.zip", 60)

    assert len(fal.shown) == 1

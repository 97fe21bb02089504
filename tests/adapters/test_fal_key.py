"""A key is rotated in its secret alone: a refused key is read again, and no job is paid twice."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from lora_drop.adapters.fal import FalQueueClient
from lora_drop.adapters.fal_history import FalHistory
from lora_drop.adapters.fal_key import Key
from lora_drop.adapters.fal_payloads import FalPayloads
from lora_drop.adapters.fal_prices import FalPrices
from lora_drop.adapters.fal_storage import FalStorage
from lora_drop.jobs.errors import (
    FalUnavailableError,
    NotSubmittedError,
    SubmissionRefusedError,
    SubmissionUnknownError,
)
from lora_drop.ports import Submission
from tests.support.builders import APPLICATION, NOW, REQUEST_ID, make_job
from tests.support.fal_keys import FixedKey, NoKey
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
    "/payloads": {"cdn_delete_results": [{"link": "https://v3.fal.media/x", "exception": None}]},
    "/pricing": {"prices": [PRICE]},
    "/auth/token": TOKEN,
    "/files/upload": {"access_url": "https://v3.fal.media/files/a/x.zip"},
}


@dataclass
class Fal:
    """fal that accepts one key and refuses every other as fal does (fal, "Errors")."""

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


type Call = Callable[[Fal, Key], Any]
ASKED: dict[str, Call] = {
    "a request": lambda fal, key: trainer(fal, key).ask(APPLICATION, REQUEST_ID),
    "a cancellation": lambda fal, key: trainer(fal, key).cancel(APPLICATION, REQUEST_ID),
    "the list": lambda fal, key: FalHistory(key, API, fal.wire).requests_for(make_job(), since=NOW),
    "the price": lambda fal, key: FalPrices(key, API, fal.wire).price(APPLICATION),
}
CALLS: dict[str, Call] = {
    **ASKED,
    "a deletion": lambda fal, key: FalPayloads(key, API, fal.wire).erase(REQUEST_ID),
}
# A key that is saved with its line end is a good key; these cannot be sent in a header.
UNUSABLE: dict[str, Key] = {
    "no value": NoKey(),
    **{
        ascii(key): FixedKey(key)
        for key in ("", " ", " \n", "two words", "key\u00e9", "a\nb", "key\nInjected: yes")
    },
}


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize("what", CALLS)
def test_read_repeats_with_the_newer_key(what: str) -> None:
    """A read with an old key is repeated once with the newer one."""
    old, new = Fal(), Fal()
    answer = CALLS[what](old, FixedKey(OLD, then=NEW))
    assert answer == CALLS[what](new, FixedKey(NEW))
    assert [key for _, key in old.shown] == [f"Key {OLD}", f"Key {NEW}"]


@pytest.mark.parametrize("what", ASKED)
@pytest.mark.parametrize(("then", "shown"), [(None, [OLD]), (NEW, [OLD, NEW])])
def test_refused_key_is_shown_once(what: str, then: str | None, shown: list[str]) -> None:
    """A key that fal refuses is shown once, and so is a newer one."""
    fal, key = Fal(knows="another"), FixedKey(OLD, then=then)
    if what == "the price":
        assert ASKED[what](fal, key) is None
    else:
        with pytest.raises(FalUnavailableError, match="401"):
            ASKED[what](fal, key)
    assert [key for _, key in fal.shown] == [f"Key {each}" for each in shown]
    assert key.refused == [OLD]


@pytest.mark.parametrize("status", [403, 404, 429, 500])
def test_other_refusals_keep_the_key(status: int) -> None:
    fal, key = Fal(refusal=httpx.Response(status, json={"detail": "no"})), FixedKey(OLD, then=NEW)
    with pytest.raises(FalUnavailableError):
        ASKED["the list"](fal, key)
    assert key.refused == []


def pay(fal: Fal, key: Key) -> Submission:
    return trainer(fal, key).submit(APPLICATION, {"steps": 1}, webhook_url=WEBHOOK_URL)


@pytest.mark.parametrize("key", UNUSABLE)
@pytest.mark.parametrize("what", [*CALLS, "a submission"])
def test_unusable_key_makes_no_request(what: str, key: str) -> None:
    fal, call = Fal(), {**CALLS, "a submission": pay}[what]
    if what == "the price":
        assert call(fal, UNUSABLE[key]) is None
    else:
        with pytest.raises(NotSubmittedError if what == "a submission" else FalUnavailableError):
            call(fal, UNUSABLE[key])
    assert fal.shown == []


@pytest.mark.promise("never pay twice")
def test_submission_is_not_repeated_at_once() -> None:
    """A submission with an old key is not repeated; the next attempt has the newer key."""
    fal, key = Fal(), FixedKey(OLD, then=NEW)
    with pytest.raises(NotSubmittedError, match="newer"):
        pay(fal, key)
    assert fal.posts == [f"Key {OLD}"], "one POST for one intent, also here"
    assert pay(fal, key) == Submission(REQUEST_ID)
    assert fal.posts == [f"Key {OLD}", f"Key {NEW}"]


def test_refused_key_holds_the_job() -> None:
    with pytest.raises(SubmissionRefusedError) as refused:
        pay(Fal(), FixedKey(OLD))
    assert (refused.value.problem.code, refused.value.held) == ("fal_key_refused", True)


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize(
    "answer",
    [of_nginx(401), httpx.Response(401), httpx.Response(401, json=["detail"])],
    ids=["a proxy's", "without a body", "of another form"],
)
def test_foreign_401_proves_nothing(answer: httpx.Response) -> None:
    """A 401 that is not fal's own leaves the submission unknown."""
    fal, key = Fal(refusal=answer), FixedKey(OLD, then=NEW)
    with pytest.raises(SubmissionUnknownError):
        pay(fal, key)
    assert (len(fal.posts), key.refused) == (1, [])


@pytest.mark.parametrize("status", [400, 402, 403, 404, 413, 422])
def test_other_refusals_read_no_key(status: int) -> None:
    fal, key = Fal(refusal=httpx.Response(status, json={"detail": "no"})), FixedKey(OLD, then=NEW)
    with pytest.raises(SubmissionRefusedError):
        pay(fal, key)
    assert (len(fal.posts), key.refused) == (1, [])


@pytest.mark.parametrize("then", [NEW, None])
def test_upload_repeats_with_the_newer_key(
    monkeypatch: pytest.MonkeyPatch, then: str | None
) -> None:
    """An upload with an old key is repeated with the newer one, or refused if there is none."""
    fal = Fal()
    # fal_client fetches its upload token with a client of its own.
    monkeypatch.setattr(
        httpx.HTTPTransport, "handle_request", lambda _, request: fal.answer(request)
    )
    hosts = ("https://rest.fal.ai", "https://v3.fal.media")
    storage = FalStorage(FixedKey(OLD, then=then), *hosts, wire=lambda: fal.wire)
    if then:
        url = storage.upload(MemoryRange(b"{}"), "x.zip", 60)
        assert url == "https://v3.fal.media/files/a/x.zip"
        assert [key for _, key in fal.shown] == [f"Key {OLD}", f"Key {NEW}", "Bearer t"]
    else:
        with pytest.raises(SubmissionRefusedError, match="fal_key_refused"):
            storage.upload(MemoryRange(b"zip"), "x.zip", 60)
        assert len(fal.shown) == 1

"""A key is rotated in its secret alone, goes to fal and to no other host, and pays no job twice."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from fal_client.client import BackupDomainTransport

from lora_drop.adapters.fal import FalQueueClient
from lora_drop.adapters.fal_history import FalHistory
from lora_drop.adapters.fal_key import Key
from lora_drop.adapters.fal_payloads import FalPayloads
from lora_drop.adapters.fal_prices import FalPrices
from lora_drop.adapters.fal_storage import FalStorage
from lora_drop.jobs import errors
from lora_drop.ports import Submission
from tests.adapters.hostile_urls import HOSTILE
from tests.support.builders import APPLICATION, NOW, REQUEST_ID, make_job
from tests.support.memory_files import MemoryRange
from tests.support.sweeps import sweep
from tests.support.wire import RECEIPT, WEBHOOK_URL, FixedKey, NoKey, Said, Wire, of_nginx

OLD, NEW = "old-id:old-secret", "new-id:new-secret"
HOST, API = "queue.fal.run", "https://api.fal.ai/v1"
EVIL = "https://fal.evil.example/x"
NAMED = {"status_url": EVIL, "response_url": EVIL, "cancel_url": EVIL, "logs_url": EVIL}
TOKEN = {
    "token": "t",
    "token_type": "Bearer",
    "base_url": "https://v3.fal.media",
    "expires_at": "2099-01-01T00:00:00+00:00",
}
PRICE = {"endpoint_id": APPLICATION, "unit_price": 0.0024, "unit": "step", "currency": "USD"}
ANSWERS: dict[str, Any] = {
    "/status": {"status": "COMPLETED", **NAMED},
    f"/{REQUEST_ID}": {"lora_file": {"url": EVIL}, **NAMED},
    "/cancel": {"status": "CANCELLATION_REQUESTED"},
    "/by-endpoint": {"items": []},
    "/payloads": {"cdn_delete_results": [{"link": "https://v3.fal.media/x", "exception": None}]},
    "/pricing": {"prices": [PRICE]},
    "/auth/token": TOKEN,
    "/files/upload": {"access_url": "https://v3.fal.media/files/a/x.zip"},
}


class Fal(Wire):
    """fal that accepts one key and refuses every other as fal does (fal, "Errors")."""

    def __init__(self, knows: str = NEW, refusal: httpx.Response | None = None) -> None:
        super().__init__(self._checked)
        self._knows, self.shown = knows, list[str]()
        self._refusal = refusal or httpx.Response(401, json={"detail": "Authentication required"})

    def _checked(self, request: httpx.Request) -> Said:
        self.shown.append(request.headers["Authorization"].removeprefix("Key "))
        if request.headers["Authorization"] not in (f"Key {self._knows}", "Bearer t"):
            return self._refusal
        said = (body for end, body in ANSWERS.items() if request.url.path.endswith(end))
        return httpx.Response(200, json=next(said, {**RECEIPT, **NAMED}))


type At = Callable[[], httpx.BaseTransport]
type Call = Callable[[At, Key], Any]


def pay(fal: At, key: Key) -> Submission:
    trainer = FalQueueClient(key, wire=fal)
    return trainer.submit(APPLICATION, {"steps": 1}, webhook_url=WEBHOOK_URL)


def ask(fal: At, key: Key, request_id: str = REQUEST_ID) -> Any:
    return FalQueueClient(key, wire=fal).ask(APPLICATION, request_id)


def cancel(fal: At, key: Key, request_id: str = REQUEST_ID) -> bool:
    return FalQueueClient(key, wire=fal).cancel(APPLICATION, request_id)


ASKED: dict[str, Call] = {
    "a request": ask,
    "a cancellation": cancel,
    "the list": lambda fal, key: FalHistory(key, API, fal()).requests_for(make_job(), since=NOW),
    "the price": lambda fal, key: FalPrices(key, API, fal()).price(APPLICATION),
}
CALLS: dict[str, Call] = {
    **ASKED,
    "a deletion": lambda fal, key: FalPayloads(key, API, fal()).erase(REQUEST_ID),
}
# A key that is saved with its line end is a good key; these cannot be sent in a header.
UNUSABLE: dict[str, Key] = {
    "no value": NoKey(),
    **{
        ascii(key): FixedKey(key)
        for key in ("", " ", " \n", "two words", "key\u00e9", "a\nb", "key\nInjected: yes")
    },
}


def keys(what: str, key: str) -> list[str]:
    """The key of each request that a call makes."""
    return [key] * (2 if what == "a request" else 1)


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize("what", CALLS)
def test_read_repeats_with_the_newer_key(what: str) -> None:
    """A read with an old key is repeated once with the newer one."""
    old, new = Fal(), Fal()
    answer = CALLS[what](old, FixedKey(OLD, then=NEW))
    assert answer == CALLS[what](new, FixedKey(NEW))
    assert old.shown == [OLD, *keys(what, NEW)]


@pytest.mark.parametrize("what", ASKED)
@pytest.mark.parametrize(("then", "shown"), [(None, [OLD]), (NEW, [OLD, NEW])])
def test_refused_key_is_shown_once(what: str, then: str | None, shown: list[str]) -> None:
    """A key that fal refuses is shown once, and so is a newer one."""
    fal, key = Fal(knows="another"), FixedKey(OLD, then=then)
    if what == "the price":
        assert ASKED[what](fal, key) is None
    else:
        with pytest.raises(errors.FalUnavailableError, match="401"):
            ASKED[what](fal, key)
    assert (fal.shown, key.refused) == (shown, [OLD])


def unusable(what: str, fal: Callable[[], httpx.BaseTransport | None], key: Key) -> None:
    """Nothing can be called so: a submission is put off, and a price is not known."""
    call: Any = {**CALLS, "a submission": pay}[what]
    if what == "the price":
        assert call(fal, key) is None
    else:
        paid = what == "a submission"
        with pytest.raises(errors.NotSubmittedError if paid else errors.FalUnavailableError):
            call(fal, key)


@pytest.mark.parametrize("key", UNUSABLE)
@pytest.mark.parametrize("what", [*CALLS, "a submission"])
def test_unusable_key_makes_no_request(what: str, key: str) -> None:
    fal = Fal()
    unusable(what, fal, UNUSABLE[key])
    assert fal.shown == []


@pytest.mark.parametrize(
    ("what", "transport"),
    [
        *(("the price", lambda: None), ("a deletion", lambda: None)),
        ("a submission", BackupDomainTransport),
    ],
)
def test_missing_certificates_make_no_request(
    monkeypatch: pytest.MonkeyPatch, what: str, transport: Callable[[], httpx.BaseTransport | None]
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/private-ca.pem")
    unusable(what, transport, FixedKey())


@pytest.mark.promise("never pay twice")
def test_submission_is_not_repeated_at_once() -> None:
    """A submission with an old key is not repeated; the next attempt has the newer key."""
    fal, key = Fal(), FixedKey(OLD, then=NEW)
    with pytest.raises(errors.NotSubmittedError, match="newer"):
        pay(fal, key)
    assert fal.shown == [OLD], "one POST for one intent, also here"
    assert pay(fal, key) == Submission(REQUEST_ID)
    assert fal.shown == [OLD, NEW]


def test_refused_key_holds_the_job() -> None:
    with pytest.raises(errors.SubmissionRefusedError) as refused:
        pay(Fal(), FixedKey(OLD))
    assert (refused.value.problem.code, refused.value.held) == ("fal_key_refused", True)


def no(status: int) -> httpx.Response:
    return httpx.Response(status, json={"detail": "no"})


@pytest.mark.promise(
    "never pay twice", "A 401 that is not fal's own leaves the submission unknown."
)
@pytest.mark.parametrize(
    ("call", "answer", "error"),
    [
        *(
            (pay, answer, errors.SubmissionUnknownError)
            for answer in (of_nginx(401), httpx.Response(401), httpx.Response(401, json=["detail"]))
        ),
        *(
            (pay, no(code), errors.SubmissionRefusedError)
            for code in (400, 402, 403, 404, 413, 422)
        ),
        *(
            (ASKED["the list"], no(code), errors.FalUnavailableError)
            for code in (403, 404, 429, 500)
        ),
    ],
    ids=range(13),
)
def test_other_refusals_keep_the_key(
    call: Call, answer: httpx.Response, error: type[Exception]
) -> None:
    fal, key = Fal(refusal=answer), FixedKey(OLD, then=NEW)
    with pytest.raises(error):
        call(fal, key)
    assert (fal.shown, key.refused) == ([OLD], [])


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
    storage = FalStorage(FixedKey(OLD, then=then), *hosts, wire=fal)
    if then:
        url = storage.upload(MemoryRange(b"{}"), "x.zip", 60)
        assert url == "https://v3.fal.media/files/a/x.zip"
        assert fal.shown == [OLD, NEW, "Bearer t"]
    else:
        with pytest.raises(errors.SubmissionRefusedError, match="fal_key_refused"):
            storage.upload(MemoryRange(b"zip"), "x.zip", 60)
        assert fal.shown == [OLD]


@pytest.mark.promise(
    "nothing leaks", "Of the answer to a submission only the id is used, never its URLs."
)
def test_requests_go_to_fals_host() -> None:
    fal, key = Fal(), FixedKey(NEW)
    assert pay(fal, key) == Submission(REQUEST_ID)
    ask(fal, key)
    cancel(fal, key)
    base = f"https://{HOST}/{APPLICATION}"
    of_request = f"https://{HOST}/fal-ai/flux-lora-portrait-trainer/requests/{REQUEST_ID}"
    assert fal.urls == [base, f"{of_request}/status", of_request, f"{of_request}/cancel"]


LOCATIONS = (EVIL, "http://queue.fal.run/", "//evil.example", "data:,x", *HOSTILE)


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("number", sweep(range(len(LOCATIONS)), sample=25))
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_key_never_follows_a_redirect(number: int, status: int) -> None:
    """No redirect takes the key to another host."""
    location = LOCATIONS[number].encode(errors="surrogatepass")
    fal = Wire(httpx.Response(status, headers=[(b"Location", location)]))
    for call in (pay, ask, cancel):
        with pytest.raises((errors.SubmissionUnknownError, errors.FalUnavailableError)):
            call(lambda: BackupDomainTransport(transport=fal()), FixedKey())
    assert [request.url.host for request in fal.requests] == [HOST] * 3


@pytest.mark.parametrize("call", [ask, cancel])
@pytest.mark.parametrize(
    "request_id",
    [
        *("", ".", "..", "../../x", "x/../../y", "x?y", "x#y", "x y", "x\r\ny", "x%2f..", "x\\y"),
        *("@evil.example", "//evil.example", EVIL, "\uff11", "x" * 129, f"{REQUEST_ID}\n"),
    ],
)
def test_malformed_request_id_is_never_used(call: Any, request_id: str) -> None:
    fal = Fal()
    with pytest.raises(errors.FalUnavailableError, match="form"):
        call(fal, FixedKey(NEW), request_id)
    assert fal.requests == []

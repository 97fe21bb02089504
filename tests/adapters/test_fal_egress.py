"""The key goes to fal's own hosts, whatever addresses fal's answers name or lead to."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx
import pytest
from fal_client.client import BackupDomainTransport

from lora_drop.adapters.fal import FalQueueClient
from lora_drop.fal.status import Finished
from lora_drop.jobs.errors import FalUnavailableError, NotSubmittedError, SubmissionUnknownError
from tests.adapters.hostile_urls import HOSTILE
from tests.support.builders import APPLICATION, REQUEST_ID
from tests.support.fal_keys import FixedKey

HOST = "queue.fal.run"
EVIL = "https://fal.evil.example/x"
NAMED = {"status_url": EVIL, "response_url": EVIL, "cancel_url": EVIL, "logs_url": EVIL}
BASE = f"https://{HOST}/fal-ai/flux-lora-portrait-trainer/requests/{REQUEST_ID}"


class Fal:
    """Answers with one thing, and remembers where it was asked."""

    def __init__(self, answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self.asked: list[httpx.URL] = []
        self._answer = answer

    def trainer(self) -> FalQueueClient:
        line = httpx.MockTransport(self._note)
        return FalQueueClient(FixedKey("key"), wire=lambda: BackupDomainTransport(transport=line))

    def _note(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url)
        return self._answer(request)


def said(body: Mapping[str, Any]) -> Fal:
    return Fal(lambda _: httpx.Response(200, json=dict(body)))


def test_of_a_submissions_answer_only_the_id_is_believed() -> None:
    fal = said({"request_id": REQUEST_ID, **NAMED})

    submission = fal.trainer().submit(APPLICATION, {}, webhook_url="https://api.example/hook")

    assert submission.request_id == REQUEST_ID
    assert [url.host for url in fal.asked] == [HOST]


def test_a_request_is_asked_about_and_cancelled_at_fals_own_address() -> None:
    fal = said({"status": "COMPLETED", "lora_file": {"url": EVIL}, **NAMED})

    fact = fal.trainer().ask(APPLICATION, REQUEST_ID)
    fal.trainer().cancel(APPLICATION, REQUEST_ID)

    assert isinstance(fact, Finished)
    asked = [str(url.copy_with(query=None)) for url in fal.asked]
    assert asked == [f"{BASE}/status", BASE, f"{BASE}/cancel"]


def redirects() -> Iterator[bytes]:
    for url in (EVIL, "http://queue.fal.run/", "//evil.example", "data:,x", *HOSTILE):
        yield url.encode(errors="surrogatepass")


def test_no_redirect_takes_the_key_elsewhere() -> None:
    for location in redirects():
        for status in (301, 302, 303, 307, 308):
            headers = [(b"Location", location)]
            fal = Fal(lambda _, s=status, h=headers: httpx.Response(s, headers=h))  # type: ignore[misc]  # bound at once

            with pytest.raises(SubmissionUnknownError):
                fal.trainer().submit(APPLICATION, {}, webhook_url="https://api.example/hook")
            with pytest.raises(FalUnavailableError):
                fal.trainer().ask(APPLICATION, REQUEST_ID)
            with pytest.raises(FalUnavailableError):
                fal.trainer().cancel(APPLICATION, REQUEST_ID)

            assert {url.host for url in fal.asked} == {HOST}
            assert len(fal.asked) == 3


@pytest.mark.parametrize(
    "request_id",
    [
        *("", ".", "..", "../../x", "x/../../y", "x?y", "x#y", "x y", "x\r\ny", "x%2f..", "x\\y"),
        *("@evil.example", "//evil.example", EVIL, "\uff11", "x" * 129, f"{REQUEST_ID}\n"),
    ],
)
def test_an_id_that_would_change_the_address_is_never_asked_about(request_id: str) -> None:
    fal = said({"status": "COMPLETED"})

    with pytest.raises(FalUnavailableError, match="form"):
        fal.trainer().ask(APPLICATION, request_id)
    with pytest.raises(FalUnavailableError, match="form"):
        fal.trainer().cancel(APPLICATION, request_id)

    assert fal.asked == []


def test_without_a_key_nobody_is_asked() -> None:
    asked: list[httpx.Request] = []
    trainer = FalQueueClient(FixedKey(""), wire=lambda: httpx.MockTransport(asked.append))  # type: ignore[arg-type]  # never called

    with pytest.raises(NotSubmittedError):
        trainer.submit(APPLICATION, {}, webhook_url="https://api.example/hook")
    with pytest.raises(FalUnavailableError):
        trainer.ask(APPLICATION, REQUEST_ID)

    assert asked == []

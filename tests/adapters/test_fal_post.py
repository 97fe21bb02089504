"""The paid POST itself: what is in it, where it goes, and what nobody else gets to see."""

import gzip
import json
import logging

import httpx
import pytest
from fal_client.client import BackupDomainTransport

from lora_drop.adapters.fal import FalQueueClient
from lora_drop.adapters.fal_transport import SinglePost
from lora_drop.jobs.errors import NotSubmittedError, SubmissionRefusedError, SubmissionUnknownError
from lora_drop.ports import Submission
from tests.support.builders import APPLICATION, REQUEST_ID
from tests.support.fal_keys import FixedKey, NoKey
from tests.support.wire import RECEIPT, SIGNED_URL, WEBHOOK_URL, Wire, of_nginx, submit


def test_the_post_is_fals_own() -> None:
    wire = Wire(httpx.Response(200, json=RECEIPT))

    submit(wire)

    [request] = wire.requests
    assert request.method == "POST"
    assert request.url.copy_with(query=None) == f"https://queue.fal.run/{APPLICATION}"
    assert dict(request.url.params) == {"fal_webhook": WEBHOOK_URL}
    assert json.loads(request.content) == {"images_data_url": SIGNED_URL, "steps": 1000}
    assert request.headers["Authorization"] == "Key key-id:key-secret"


def test_an_answer_is_awaited_for_less_than_the_function_lives() -> None:
    wire = Wire(httpx.Response(200, json=RECEIPT))

    submit(wire)

    assert wire.requests[0].extensions["timeout"] == {
        "connect": 5.0,
        "read": 40.0,
        "write": 40.0,
        "pool": 40.0,
    }


def test_a_packed_answer_is_read() -> None:
    packed = gzip.compress(json.dumps(RECEIPT).encode())
    answer = httpx.Response(
        200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(packed)
    )

    assert submit(Wire(answer)) == Submission(REQUEST_ID)


def test_fals_second_address_is_tried_only_where_nothing_has_left() -> None:
    hosts: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        hosts.append(request.url.host)
        if request.url.host == "queue.fal.run":
            raise httpx.ConnectError("refused")
        return httpx.Response(200, json=RECEIPT)

    wire = BackupDomainTransport(transport=httpx.MockTransport(answer))

    assert submit(lambda: wire) == Submission(REQUEST_ID)
    assert hosts == ["queue.fal.run", "queue.falrun.com"]


def test_fals_second_address_gets_nothing_that_may_have_left() -> None:
    inner = Wire(httpx.ReadTimeout("slow"))
    wire = BackupDomainTransport(transport=inner())

    with pytest.raises(SubmissionUnknownError):
        submit(lambda: wire)

    assert [request.url.host for request in inner.requests] == ["queue.fal.run"]


def test_a_second_post_is_stopped_before_it_leaves() -> None:
    wire = Wire(httpx.Response(200, json=RECEIPT))
    once = SinglePost(wire())
    once.handle_request(httpx.Request("POST", "https://queue.fal.run/x"))

    with pytest.raises(SubmissionUnknownError, match="second POST"):
        once.handle_request(httpx.Request("POST", "https://queue.fal.run/x"))

    assert len(wire.requests) == 1


def test_a_key_that_was_saved_with_its_line_end_works() -> None:
    wire = Wire(httpx.Response(200, json=RECEIPT))

    submit(wire, key=" key-id:key-secret\n")

    assert wire.requests[0].headers["Authorization"] == "Key key-id:key-secret"


@pytest.mark.parametrize("key", ["", " ", "two words", "key\u00e9", "key\nInjected: yes"])
def test_a_key_that_cannot_be_sent_sends_nothing(key: str) -> None:
    wire = Wire(httpx.Response(200, json=RECEIPT))

    with pytest.raises(NotSubmittedError):
        submit(wire, key=key)

    assert wire.requests == []


def test_without_a_key_nothing_is_sent() -> None:
    wire = Wire(httpx.Response(200, json=RECEIPT))

    with pytest.raises(NotSubmittedError):
        FalQueueClient(NoKey(), wire=wire).submit(APPLICATION, {}, webhook_url=WEBHOOK_URL)

    assert wire.requests == []


@pytest.mark.parametrize(
    "detail",
    [
        f"cannot fetch {SIGNED_URL}",
        [{"loc": ["body", "images_data_url"], "msg": "invalid URL", "input": SIGNED_URL}],
        [{"loc": ["body"], "msg": f"cannot fetch {SIGNED_URL}", "type": "value_error"}],
    ],
    ids=["text", "input", "msg"],
)
def test_a_refusal_never_repeats_the_address_that_opens_the_dataset(detail: object) -> None:
    wire = Wire(httpx.Response(422, json={"detail": detail}))

    with pytest.raises(SubmissionRefusedError) as refused:
        submit(wire)

    assert "5167" not in str(refused.value)
    assert "fal says: " in refused.value.problem.message


def test_neither_key_nor_token_nor_dataset_reaches_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)

    submit(Wire(httpx.Response(200, json=RECEIPT)))
    with pytest.raises(SubmissionUnknownError):
        submit(Wire(of_nginx(503)))

    for secret in ("key-secret", "5ec4e7", "5167"):
        assert secret not in caplog.text


def test_a_request_that_cannot_even_be_made_is_not_sent() -> None:
    wire = Wire(httpx.Response(200, json=RECEIPT))
    trainer = FalQueueClient(FixedKey("key"), wire=wire)

    with pytest.raises(NotSubmittedError):
        trainer.submit(APPLICATION, {"steps": object()}, webhook_url=WEBHOOK_URL)

    assert wire.requests == []


def test_without_certificates_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/private-ca.pem")

    with pytest.raises(NotSubmittedError):
        submit(BackupDomainTransport)

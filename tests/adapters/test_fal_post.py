"""The one paid POST: its content, its secrets, every outcome, and never a second one."""

import gzip
import json
import logging
from contextlib import nullcontext

import httpx
import pytest
from fal_client.client import BackupDomainTransport

from lora_drop.adapters.fal import FalQueueClient
from lora_drop.adapters.fal_transport import SinglePost
from lora_drop.jobs.errors import NotSubmittedError, SubmissionRefusedError, SubmissionUnknownError
from lora_drop.jobs.job_problems import submission_unknown
from lora_drop.ports import Submission
from tests.support.builders import APPLICATION, REQUEST_ID
from tests.support.wire import (
    RECEIPT,
    SIGNED_URL,
    WEBHOOK_URL,
    FixedKey,
    Said,
    Wire,
    of_fal,
    of_nginx,
    submit,
)


@pytest.mark.parametrize("key", ["key-id:key-secret", " key-id:key-secret\n"])
def test_post_has_fals_form(key: str) -> None:
    """The POST has fal's own form, and its timeout is shorter than the function's."""
    wire = Wire(httpx.Response(200, json=RECEIPT))
    submit(wire, key=key)
    [request] = wire.requests
    assert request.method == "POST"
    assert request.url.copy_with(query=None) == f"https://queue.fal.run/{APPLICATION}"
    assert dict(request.url.params) == {"fal_webhook": WEBHOOK_URL}
    assert json.loads(request.content) == {"images_data_url": SIGNED_URL, "steps": 1000}
    assert request.headers["Authorization"] == "Key key-id:key-secret"
    timeout = {"connect": 5.0, "read": 40.0, "write": 40.0, "pool": 40.0}
    assert request.extensions["timeout"] == timeout


@pytest.mark.promise(
    "never pay twice",
    "fal's second host is tried only where nothing was sent to the first one.",
)
@pytest.mark.promise(
    "never pay twice", "fal's second host receives nothing that may have reached the first one."
)
@pytest.mark.parametrize(
    ("fault", "hosts"),
    [
        (httpx.ConnectError("refused"), ["queue.fal.run", "queue.falrun.com"]),
        (httpx.ReadTimeout("slow"), ["queue.fal.run"]),
    ],
    ids=["refused", "slow"],
)
def test_second_host_after_refused_connection(fault: Exception, hosts: list[str]) -> None:
    inner = Wire(fault, httpx.Response(200, json=RECEIPT))
    wire = BackupDomainTransport(transport=inner())
    with nullcontext() if len(hosts) > 1 else pytest.raises(SubmissionUnknownError):
        assert submit(lambda: wire) == Submission(REQUEST_ID)
    assert [request.url.host for request in inner.requests] == hosts


@pytest.mark.promise("never pay twice")
def test_second_post_is_stopped() -> None:
    """A second POST is stopped before it is sent."""
    wire = Wire(httpx.Response(200, json=RECEIPT))
    once = SinglePost(wire())
    once.handle_request(httpx.Request("POST", "https://queue.fal.run/x"))
    with pytest.raises(SubmissionUnknownError, match="second POST"):
        once.handle_request(httpx.Request("POST", "https://queue.fal.run/x"))
    assert len(wire.requests) == 1


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize(
    "detail",
    [
        f"cannot fetch {SIGNED_URL}",
        [{"loc": ["body", "images_data_url"], "msg": "invalid URL", "input": SIGNED_URL}],
        [{"loc": ["body"], "msg": f"cannot fetch {SIGNED_URL}", "type": "value_error"}],
    ],
    ids=["text", "input", "msg"],
)
def test_refusal_hides_the_dataset_url(detail: object) -> None:
    """A refusal never repeats the URL that opens the dataset."""
    wire = Wire(httpx.Response(422, json={"detail": detail}))
    with pytest.raises(SubmissionRefusedError) as refused:
        submit(wire)
    assert "5167" not in str(refused.value)
    assert "fal says: " in refused.value.problem.message


@pytest.mark.promise("nothing leaks")
def test_log_has_no_secrets(caplog: pytest.LogCaptureFixture) -> None:
    """Neither key nor token nor dataset URL reaches the log."""
    caplog.set_level(logging.DEBUG)
    submit(Wire(httpx.Response(200, json=RECEIPT)))
    with pytest.raises(SubmissionUnknownError):
        submit(Wire(of_nginx(503)))
    for secret in ("key-secret", "5ec4e7", "5167"):
        assert secret not in caplog.text


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize(
    ("days", "said"),
    [
        (30, '{"expiration_duration_seconds": 2592000}'),
        (15, '{"expiration_duration_seconds": 1296000}'),
        (365, '{"expiration_duration_seconds": 31536000}'),
        (0, None),
    ],
)
def test_files_at_fal_expire(days: int, said: str | None) -> None:
    """A submission says for how many days fal is to serve its files, unless the account's setting counts."""
    wire = Wire(httpx.Response(200, json=RECEIPT))
    trainer = FalQueueClient(FixedKey("key"), wire=wire, file_days=days)
    trainer.submit(APPLICATION, {}, webhook_url=WEBHOOK_URL)
    [request] = wire.requests
    assert request.headers.get("X-Fal-Object-Lifecycle-Preference") == said


def test_unserializable_request_is_not_sent() -> None:
    wire = Wire(httpx.Response(200, json=RECEIPT))
    trainer = FalQueueClient(FixedKey("key"), wire=wire)
    with pytest.raises(NotSubmittedError):
        trainer.submit(APPLICATION, {"steps": object()}, webhook_url=WEBHOOK_URL)
    assert wire.requests == []


ACCEPTED = {
    "200": httpx.Response(200, json=RECEIPT),
    "201": httpx.Response(201, json=RECEIPT),
    "202": httpx.Response(202, json=RECEIPT),
    "200 with nothing but the id": httpx.Response(200, json={"request_id": REQUEST_ID}),
    "200 with more than is known": httpx.Response(200, json={**RECEIPT, "status": "IN_QUEUE"}),
    "200 compressed": httpx.Response(
        200,
        headers={"Content-Encoding": "gzip"},
        stream=httpx.ByteStream(gzip.compress(json.dumps(RECEIPT).encode())),
    ),
}


@pytest.mark.parametrize("outcome", ACCEPTED)
def test_accepted_request_has_its_id(outcome: str) -> None:
    wire = Wire(ACCEPTED[outcome])
    assert submit(wire) == Submission(REQUEST_ID)
    assert len(wire.requests) == 1


NOT_SENT: dict[str, Said] = {
    "no name, refused or no TLS": httpx.ConnectError("refused"),
    "no connection in time": httpx.ConnectTimeout("slow"),
    "no connection free": httpx.PoolTimeout("full"),
    "no way through the proxy": httpx.ProxyError("407"),
    "fal takes no more now": of_fal(429),
    "a gateway takes no more now": of_nginx(429),
    "429 and nothing": httpx.Response(429),
}


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize("outcome", NOT_SENT)
def test_unsent_request_may_be_retried(outcome: str) -> None:
    """A request that was never sent may be sent by a later attempt."""
    wire = Wire(NOT_SENT[outcome])
    with pytest.raises(NotSubmittedError):
        submit(wire)
    assert len(wire.requests) == 1


REFUSED = {
    400: ("fal_bad_request", False),
    401: ("fal_key_refused", True),
    402: ("fal_payment_required", True),
    403: ("fal_account_locked", True),
    404: ("fal_unknown_application", False),
    413: ("fal_request_too_large", False),
    422: ("fal_invalid_input", False),
}


@pytest.mark.parametrize("status", REFUSED)
def test_refusal_repeats_fals_message(status: int) -> None:
    locked = "User is locked. Reason: Exhausted balance."
    wire = Wire(httpx.Response(status, json={"detail": locked}))
    with pytest.raises(SubmissionRefusedError) as refused:
        submit(wire)
    assert (refused.value.problem.code, refused.value.held) == REFUSED[status]
    assert locked in refused.value.problem.message
    assert len(wire.requests) == 1


UNKNOWN: dict[str, Said] = {
    "no answer in time": httpx.ReadTimeout("slow"),
    "not written in time": httpx.WriteTimeout("slow"),
    "broken while reading": httpx.ReadError("reset"),
    "broken while writing": httpx.WriteError("reset"),
    "hung up": httpx.RemoteProtocolError("Server disconnected without sending a response."),
    "broken while closing": httpx.CloseError("reset"),
    "200 and nothing": httpx.Response(200),
    "200 and garbage": httpx.Response(200, content=b"\x00\xffgarbage"),
    "200 and half an answer": httpx.Response(200, content=b'{"request_id": "764'),
    "200 and a page": of_nginx(200),
    "200 and a list": httpx.Response(200, json=[RECEIPT]),
    "200 and null": httpx.Response(200, json=None),
    "200 and much nesting": httpx.Response(200, content=b"[" * 100_000),
    "200 without an id": httpx.Response(200, json={"status": "IN_QUEUE"}),
    "200 with an empty id": httpx.Response(200, json={"request_id": ""}),
    "200 with a number for an id": httpx.Response(200, json={"request_id": 7}),
    "200 that cannot be unpacked": httpx.Response(
        200, headers={"Content-Encoding": "gzip"}, stream=httpx.ByteStream(b"not gzip")
    ),
    "204": httpx.Response(204),
    **{
        f"{status}": httpx.Response(status, headers={"Location": "https://queue.fal.run/elsewhere"})
        for status in (301, 302, 303, 307, 308)
    },
    **{f"{status} and a page": of_nginx(status) for status in REFUSED},
    **{f"{status} and nothing": httpx.Response(status) for status in REFUSED},
    **{f"{status} of fal's": of_fal(status) for status in (405, 408, 409, 410)},
    **{f"{status} of fal's ": of_fal(status) for status in (500, 502, 503, 504)},
    **{f"{status} of nginx": of_nginx(status) for status in (502, 503, 504)},
    "504 with a deadline": httpx.Response(
        504, headers={"X-Fal-Request-Timeout-Type": "user"}, json={"detail": "no"}
    ),
}


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize("outcome", UNKNOWN)
def test_unclear_outcome_is_never_repeated(outcome: str) -> None:
    """Any other outcome of the POST is unknown and never leads to a second one."""
    wire = Wire(UNKNOWN[outcome])
    with pytest.raises(SubmissionUnknownError):
        submit(wire)
    assert len(wire.requests) == 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (of_nginx(503), "fal's gateway answered 503"),
        (of_fal(500), "fal answered 500"),
        (httpx.Response(302, headers={"Location": "https://x"}), "fal's gateway answered 302"),
        (httpx.Response(200, json={}), "fal answered 200 without a request id"),
        (httpx.ReadTimeout("slow"), "fal did not answer in time"),
        (httpx.ReadError("reset"), "the connection to fal broke after the request was sent"),
    ],
)
def test_doubt_says_what_happened(answer: Said, said: str) -> None:
    with pytest.raises(SubmissionUnknownError) as unknown:
        submit(Wire(answer))
    assert str(unknown.value) == said
    assert submission_unknown(said).message.startswith(f"{said[:1].upper()}{said[1:]}, so")

"""One paid POST: every outcome of it, and never a second one."""

import httpx
import pytest

from lora_drop.jobs.errors import NotSubmittedError, SubmissionRefusedError, SubmissionUnknownError
from lora_drop.ports import Submission
from tests.support.builders import REQUEST_ID
from tests.support.wire import RECEIPT, Wire, of_fal, of_nginx, submit

ACCEPTED = {
    "200": httpx.Response(200, json=RECEIPT),
    "201": httpx.Response(201, json=RECEIPT),
    "202": httpx.Response(202, json=RECEIPT),
    "200 with nothing but the id": httpx.Response(200, json={"request_id": REQUEST_ID}),
    "200 with more than is known": httpx.Response(200, json={**RECEIPT, "status": "IN_QUEUE"}),
}


@pytest.mark.parametrize("outcome", ACCEPTED)
def test_an_accepted_request_has_its_id(outcome: str) -> None:
    wire = Wire(ACCEPTED[outcome])

    assert submit(wire) == Submission(REQUEST_ID)
    assert len(wire.requests) == 1


NOT_SENT: dict[str, httpx.Response | Exception] = {
    "no name, refused or no TLS": httpx.ConnectError("refused"),
    "no connection in time": httpx.ConnectTimeout("slow"),
    "no connection free": httpx.PoolTimeout("full"),
    "no way through the proxy": httpx.ProxyError("407"),
    "fal takes no more now": of_fal(429),
}


@pytest.mark.parametrize("outcome", NOT_SENT)
def test_what_never_left_may_be_sent_later_by_somebody_else(outcome: str) -> None:
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
def test_a_definite_no_is_told_with_what_fal_says(status: int) -> None:
    locked = "User is locked. Reason: Exhausted balance."
    wire = Wire(httpx.Response(status, json={"detail": locked}))

    with pytest.raises(SubmissionRefusedError) as refused:
        submit(wire)

    assert (refused.value.problem.code, refused.value.held) == REFUSED[status]
    assert locked in refused.value.problem.message
    assert len(wire.requests) == 1


UNKNOWN: dict[str, httpx.Response | Exception] = {
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
    **{f"{status} and a page": of_nginx(status) for status in (*REFUSED, 429)},
    **{f"{status} and nothing": httpx.Response(status) for status in (*REFUSED, 429)},
    **{f"{status} of fal's": of_fal(status) for status in (405, 408, 409, 410)},
    **{f"{status} of fal's ": of_fal(status) for status in (500, 502, 503, 504)},
    **{f"{status} of nginx": of_nginx(status) for status in (502, 503, 504)},
    "504 with a deadline": httpx.Response(
        504, headers={"X-Fal-Request-Timeout-Type": "user"}, json={"detail": "no"}
    ),
}


@pytest.mark.parametrize("outcome", UNKNOWN)
def test_whatever_else_happens_is_a_doubt_and_never_a_second_post(outcome: str) -> None:
    wire = Wire(UNKNOWN[outcome])

    with pytest.raises(SubmissionUnknownError):
        submit(wire)

    assert len(wire.requests) == 1

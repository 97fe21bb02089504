"""The wire to fal, where a paid POST goes through once.

``fal_client.submit()`` repeats its POST up to 10 times on timeouts, broken connections and 408, 409
and 429, and fal has no idempotency key, so each repetition may be another training that is billed
(https://github.com/fal-ai/fal-js/issues/238 is the same in JavaScript). This transport answers
every outcome itself: with a response that the client does not retry, or with an error of ours that
its retry loop does not catch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from lora_drop.fal.status import quoted
from lora_drop.jobs.errors import (
    NotSubmittedError,
    SubmissionRefusedError,
    SubmissionUnknownError,
    ThrottledError,
)
from lora_drop.jobs.problems import Problem

# A definite no, and what a person can do. ``held``: the job can go on once it is done.
KEY_REFUSED = "fal_key_refused"
REFUSALS: Mapping[int, tuple[str, bool, str]] = {
    400: ("fal_bad_request", False, "fal refused the request"),
    401: (KEY_REFUSED, True, "fal does not know this key"),
    402: ("fal_payment_required", True, "fal asks for payment. Top up the balance"),
    403: (
        "fal_account_locked",
        True,
        "fal refused this key or the account is locked. Look at both in fal's dashboard",
    ),
    404: ("fal_unknown_application", False, "fal has no such trainer"),
    413: ("fal_request_too_large", False, "fal refused the request as too large"),
    422: ("fal_invalid_input", False, "fal refused the parameters"),
}
STORAGE_REFUSED = "fal_storage_refused"  # the dataset, not the account


@dataclass(frozen=True, slots=True)
class Advice:
    """What is said to a person after a refusal: ``by_code`` beside some, ``then`` after what can be mended.

    ``unknown`` is said where it is not known whether fal has accepted the request. ``to_caller``: the errors' texts
    are whole sentences, for a program that has called us itself.
    """

    by_code: Mapping[str, str]
    then: str = ""
    unknown: str = ""
    to_caller: bool = False

    def said(self, code: str, words: str, *, held: bool) -> str:
        """Return the words of a refusal with what to do."""
        return f"{words}{self.by_code.get(code, '')}{self.then if held else ''}"

    def in_doubt(self, reason: str) -> SubmissionUnknownError:
        """Return the error of a request that may have been accepted."""
        return SubmissionUnknownError(f"{reason}{self.unknown}")


TO_OPERATORS = Advice(
    {
        KEY_REFUSED: ". Put in a valid one: lora-drop deploy dev --replace-key (of the stack on your own machine: "
        "lora-drop up)",
        STORAGE_REFUSED: ". Deploy with DatasetDelivery=presigned",
    },
    then=", then let the job go on with lora-drop approve JOB",
)
# No connection, so no byte of the request has left: DNS, refused, TLS, connect timeout, or a proxy
# that does not let us through.
NEVER_LEFT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError)
# Nothing that could be read came back. httpx reads where a redirect leads, whether or not it is to follow it.
UNANSWERED = (httpx.HTTPError, httpx.InvalidURL)
ACCEPTED = frozenset({200, 201, 202})
# What may be otherwise in a moment.
PASSING = frozenset({408, 409, 425, 429})
TOO_MANY_REQUESTS = 429


class SinglePost(httpx.BaseTransport):
    """Lets one POST through, ever; everything after it is refused before it leaves."""

    def __init__(self, inner: httpx.BaseTransport, advice: Advice = TO_OPERATORS) -> None:
        self._inner = inner
        self._advice = advice
        self.sent = False
        self.request_id: str | None = None

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Return the accepted answer; raises NotSubmittedError, SubmissionRefusedError or SubmissionUnknownError."""
        if self.sent:
            raise self._advice.in_doubt("a second POST for the same job was stopped")
        self.sent = True
        try:
            response = self._inner.handle_request(request)
            response.read()
        except NEVER_LEFT as error:
            raise NotSubmittedError(f"no connection to fal: {error}") from error
        except UNANSWERED as error:
            raise self._advice.in_doubt(_silence(error)) from error
        self.request_id = _accepted(response, self._advice)
        return response

    def close(self) -> None:
        """End the connection."""
        self._inner.close()


def _accepted(response: httpx.Response, advice: Advice) -> str:
    """Return the request id of an accepted submission; raises for every other answer."""
    status, body = response.status_code, json_object(response)
    if status in ACCEPTED:
        request_id = body.get("request_id") if body else None
        if isinstance(request_id, str) and request_id:
            return request_id
        raise advice.in_doubt(f"fal answered {status} without a request id")
    # RFC 6585, 4: the server, or a gateway before it, refuses the request.
    if status == TOO_MANY_REQUESTS:
        raise ThrottledError("fal takes no more requests now")
    refusal = REFUSALS.get(status)
    if refusal and body and "detail" in body:
        code, held, words = refusal
        said = advice.said(code, words, held=held)
        message = f"{said}. fal says: {_said(body['detail'])}"
        problem = Problem(code=code, message=message)
        raise SubmissionRefusedError(problem, held=held, to_caller=advice.to_caller)
    server = "fal" if body and "detail" in body else "fal's gateway"
    raise advice.in_doubt(f"{server} answered {status}")


def _silence(error: Exception) -> str:
    """Say why nothing that could be read came back."""
    if isinstance(error, httpx.TimeoutException):
        return "fal did not answer in time"
    if isinstance(error, httpx.TransportError):
        return "the connection to fal broke after the request was sent"
    return "fal's answer could not be read"


def json_object(response: httpx.Response) -> dict[str, Any] | None:
    """Return the answer's JSON object; None when it is none."""
    try:
        body = response.json()
    except (ValueError, RecursionError):
        return None
    return body if isinstance(body, dict) else None


def _said(detail: object) -> str:
    """Return fal's reasons without their ``input``: that is our own request."""
    rows = detail if isinstance(detail, list) else [detail]
    return quoted("; ".join(_reason(row) for row in rows))


def _reason(row: object) -> str:
    if not isinstance(row, Mapping):
        return str(row)
    where = row.get("loc")
    place = ".".join(map(str, where)) + ": " if isinstance(where, list) else ""
    return f"{place}{row.get('msg', 'no reason given')}"

"""fal as the services know it, over the unmodified fal_client."""

import json
import logging
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import fal_client
import httpx
from fal_client.client import BackupDomainTransport

from lora_drop.adapters.fal_key import Key, KeyAuth, usable_key
from lora_drop.adapters.fal_logs import LOGS, log_in
from lora_drop.adapters.fal_transport import (
    KEY_REFUSED,
    TO_OPERATORS,
    UNANSWERED,
    Advice,
    SinglePost,
    json_object,
)
from lora_drop.fal.status import FalStatus, Gone, RequestLog, Running, failed, finished
from lora_drop.jobs.errors import (
    FalUnavailableError,
    KeyRefusedError,
    NotSubmittedError,
    ResultUnreadableError,
    SubmissionRefusedError,
)
from lora_drop.jobs.time_limits import POST_PATIENCE
from lora_drop.ports import Submission

# What takes longer is as good as lost, and the submitter does not live for ever.
SUBMIT_TIMEOUT = httpx.Timeout(POST_PATIENCE.total_seconds(), connect=5.0)
# Two such calls and ours fit into the 29 s that API Gateway waits.
ASK_TIMEOUT = httpx.Timeout(8.0)
GONE = frozenset({404, 410})
# The two answers to a cancellation that comes too late.
OVER = frozenset({"ALREADY_COMPLETED", "NOT_FOUND"})
# What these say is about the caller, not about the request.
KEY_REFUSALS = frozenset({401, 403})
ABOUT_US = frozenset({401, 403, 408, 409, 429})
# What was billed for a request. fal documents it without saying of which answers: only the result's is believed.
UNITS = "X-Fal-Billable-Units"
# How long fal serves the files that a request makes ("Data Retention & Storage", "Platform Headers").
LIFECYCLE = "X-Fal-Object-Lifecycle-Preference"
DAY = 86_400  # seconds


class FalQueueClient:
    """The trainer at fal, called with the stack's own key.

    Hosts come from fal_client's own environment variables (``FAL_RUN_HOST``,
    ``FAL_QUEUE_RUN_HOST``), certificates from ``SSL_CERT_FILE``.
    """

    def __init__(
        self,
        key: Key,
        *,
        wire: Callable[[], httpx.BaseTransport] = BackupDomainTransport,
        file_days: int = 0,
        advice: Advice = TO_OPERATORS,
    ) -> None:
        """``file_days``: how long fal is to serve a result's files; 0 leaves it to the account's setting."""
        self._key = key
        self._wire = wire
        self._advice = advice
        kept = json.dumps({"expiration_duration_seconds": file_days * DAY})
        self._headers = {LIFECYCLE: kept} if file_days else {}

    def submit(
        self, application: str, arguments: Mapping[str, Any], *, webhook_url: str | None
    ) -> Submission:
        """Return one POST on a connection of its own; see fal_transport for every outcome.

        A key that fal does not know any more, and that has a newer one, is no refusal: nothing was
        accepted, and the next submission of the job goes out with the newer key.
        """
        try:
            key, once = usable_key(self._key()), SinglePost(self._wire(), self._advice)
        except (FalUnavailableError, OSError) as error:
            raise NotSubmittedError(
                "there is no key, or no certificates, to call fal with"
            ) from error
        client = _client(key, once, SUBMIT_TIMEOUT)
        try:
            client.submit(
                application, dict(arguments), webhook_url=webhook_url, headers=dict(self._headers)
            )
        except SubmissionRefusedError as refused:
            if refused.problem.code == KEY_REFUSED and self._key.newer(key) is not None:
                raise NotSubmittedError(
                    "fal refused the key, and there is a newer one"
                ) from refused
            raise
        except (KeyError, TypeError, ValueError) as error:
            # The client could not make the request, or could not read the rest of the answer.
            if not once.sent:
                raise NotSubmittedError("the request cannot be made") from error
        finally:
            once.close()
        if once.request_id is None:
            raise self._advice.in_doubt("fal's answer has no request id")
        return Submission(once.request_id)

    def ask(self, application: str, request_id: str) -> FalStatus:
        """Return what fal says of the request now; anything that says nothing of it: FalUnavailableError.

        The log of a running one comes with the same answer.

        fal_client knows the addresses. Its own ``status()`` and ``get()`` repeat themselves, ask
        without end while a request is running, and want fields that fal does not promise.
        """
        wire = self._wire()
        try:
            return _asked(self._handle(wire, application, request_id))
        except UNANSWERED as error:
            raise FalUnavailableError(f"fal did not answer: {type(error).__name__}") from error
        finally:
            wire.close()

    def log(self, application: str, request_id: str) -> RequestLog:
        """Return the log of a request, waiting or over; a person waits for it, so it is asked for once."""
        wire = self._wire()
        try:
            handle = self._handle(wire, application, request_id)
            answer = handle.client.get(handle.status_url, params=LOGS)
        except UNANSWERED as error:
            raise FalUnavailableError(f"fal did not answer: {type(error).__name__}") from error
        finally:
            wire.close()
        state = json_object(answer)
        if state is None or not answer.is_success:
            raise FalUnavailableError(f"fal answered {answer.status_code}")
        return log_in(state)

    def cancel(self, application: str, request_id: str) -> bool:
        """Ask fal to stop a request: False when it had ended before, or fal does not know it.

        fal only takes note of it (202): ``ask`` returns what becomes of the request.
        """
        wire = self._wire()
        try:
            handle = self._handle(wire, application, request_id)
            answer = handle.client.put(handle.cancel_url)
        except UNANSWERED as error:
            raise FalUnavailableError(f"fal did not answer: {type(error).__name__}") from error
        finally:
            wire.close()
        said = (json_object(answer) or {}).get("status")
        if answer.is_success:
            return True
        if said in OVER:
            return False
        raise FalUnavailableError(f"fal answered {answer.status_code} to a cancellation")

    def _handle(
        self, wire: httpx.BaseTransport, application: str, request_id: str
    ) -> fal_client.SyncRequestHandle:
        """Return a request by its id alone: no address that an answer of fal's names is ever called.

        Its calls may be repeated with a newer key. The id becomes a part of an address, and one that would change it is none of fal's.
        """
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,128}", request_id, re.ASCII):
            raise FalUnavailableError("the request's id is not of fal's form")
        client = _client(usable_key(self._key()), wire, ASK_TIMEOUT, auth=KeyAuth(self._key))
        return client.get_handle(application, request_id)


def _client(
    key: str,
    transport: httpx.BaseTransport,
    timeout: httpx.Timeout,
    auth: httpx.Auth | None = None,
) -> fal_client.SyncClient:
    """Return fal_client on our transport. ``_client`` is its one seam: a cached property of a frozen class.

    Without ``auth`` this key is shown, and no other.
    """
    # httpx logs every address, and the webhook's holds the job's token.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    client = fal_client.SyncClient(key=key)
    client.__dict__["_client"] = httpx.Client(
        transport=_Deadline(transport, timeout),
        headers={"Authorization": f"Key {key}", "User-Agent": "lora-drop"},
        auth=auth,
        follow_redirects=False,
    )
    return client


class _Deadline(httpx.BaseTransport):
    """Our timeouts, whatever the client asks for: it would wait longer than a function lives."""

    def __init__(self, inner: httpx.BaseTransport, timeout: httpx.Timeout) -> None:
        self._inner = inner
        self._timeout = timeout

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.extensions["timeout"] = self._timeout.as_dict()
        return self._inner.handle_request(request)


def _asked(handle: fal_client.SyncRequestHandle) -> FalStatus:
    """Ask for the state of a request first: only a completed one has a result to read."""
    answer = handle.client.get(handle.status_url, params=LOGS)
    state = json_object(answer)
    if state is not None and answer.status_code in GONE:
        return Gone(handle.request_id)
    if answer.status_code in KEY_REFUSALS:
        raise KeyRefusedError(f"fal answered {answer.status_code}")
    if state is None or not answer.is_success:
        raise FalUnavailableError(f"fal answered {answer.status_code}")
    match state.get("status"):
        case "IN_QUEUE" | "IN_PROGRESS" as word:
            started = word == "IN_PROGRESS"
            return Running(handle.request_id, started=started, log=log_in(state))
        case "COMPLETED" if state.get("error"):
            return _failure(handle, state)
        case "COMPLETED":
            return _result(handle)
        case other:
            raise FalUnavailableError(f"fal calls the request {str(other)[:40]!r}")


def _failure(handle: fal_client.SyncRequestHandle, state: Mapping[str, Any]) -> FalStatus:
    """Return the failure of a COMPLETED request; its result may say more of it than its state.

    What was billed is read from the result's own header: a state has been seen to say 0 for a request
    that was billed.
    """
    reason = {"detail": state["error"], "error_type": state.get("error_type")}
    error, ran = str(state["error"]), _ran(state)
    try:
        answer = handle.client.get(handle.response_url)
    except UNANSWERED:
        return failed(handle.request_id, error, reason, ran=ran)
    said, units = json_object(answer), None
    if said is not None and answer.status_code == HTTPStatus.OK:
        result = finished(handle.request_id, said)
        if result.artifacts:
            return result  # what is there is worth more than what a state says of it
    if said is not None and answer.status_code not in ABOUT_US | GONE:
        units = answer.headers.get(UNITS)
    more = said if said and isinstance(said.get("detail"), list) else reason
    return failed(handle.request_id, error, more, billable_units=units, ran=ran)


def _ran(state: Mapping[str, Any]) -> bool:
    """Return whether a runner worked on the request: fal has its seconds then ("Queue API", inference_time)."""
    metrics = state.get("metrics")
    return not isinstance(metrics, dict) or metrics.get("inference_time") is not None


def _result(handle: fal_client.SyncRequestHandle) -> FalStatus:
    """Return what the model answered, with its own status.

    Only 200 is a result: fal answers 202 while a request is not done ("Queue API", the response endpoint),
    and a 202 can follow a COMPLETED state. Any other 2xx is asked for again.
    """
    answer = handle.client.get(handle.response_url)
    body = json_object(answer)
    if answer.status_code in KEY_REFUSALS:
        raise KeyRefusedError(f"fal answered {answer.status_code} for a result")
    if body is None or answer.is_redirect or answer.status_code in ABOUT_US:
        raise ResultUnreadableError(f"fal answered {answer.status_code} for a result")
    if answer.status_code == HTTPStatus.OK:
        return finished(handle.request_id, body)
    if answer.is_success:
        raise ResultUnreadableError(
            f"fal answered {answer.status_code} for a result: it is not there yet"
        )
    if answer.status_code in GONE:
        return Gone(handle.request_id)
    if body.get("detail") == "Request is still in progress":
        return Running(handle.request_id, started=True)
    if not _is_models_error(answer, body):
        raise ResultUnreadableError(f"fal answered {answer.status_code} for a result")
    units = answer.headers.get(UNITS)
    return failed(
        handle.request_id, f"status code {answer.status_code}", body, billable_units=units
    )


def _is_models_error(answer: httpx.Response, body: Mapping[str, Any]) -> bool:
    """Return whether this is how the training ended, and not fal's trouble of the moment.

    A list of details is the model's own form; fal's form with an ``error_type`` may be either for a 5xx.
    """
    return isinstance(body.get("detail"), list) or (
        answer.is_client_error and bool(body.get("error_type"))
    )

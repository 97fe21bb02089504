"""fal as the services know it, over the unmodified fal_client."""

from collections.abc import Callable, Mapping
from typing import Any

import fal_client
import httpx
from fal_client.client import BackupDomainTransport, FalClientHTTPError

from shared.adapters.fal_transport import SingleAsk, SinglePost
from shared.domain.errors import NotSubmitted, SubmissionUnknown, TrainerUnavailable
from shared.domain.facts import Fact, Gone, Running, failed, finished
from shared.ports import Submission

# The submitter lives 60 s; an answer that takes longer is as good as lost.
SUBMIT_TIMEOUT = httpx.Timeout(40.0, connect=5.0)
ASK_TIMEOUT = 15.0
GONE = frozenset({404, 410})
HAS_ENDED = 400


class FalTrainer:
    """The trainer at fal, called with the stack's own key.

    Hosts come from fal_client's own environment variables (``FAL_RUN_HOST``,
    ``FAL_QUEUE_RUN_HOST``), certificates from ``SSL_CERT_FILE``.
    """

    def __init__(
        self,
        key: Callable[[], str],
        *,
        wire: Callable[[], httpx.BaseTransport] = BackupDomainTransport,
    ) -> None:
        self._key = key
        self._wire = wire

    def submit(
        self, application: str, arguments: Mapping[str, Any], *, webhook_url: str
    ) -> Submission:
        """One POST on a connection of its own; see fal_transport for every outcome."""
        try:
            key = self._key()
        except TrainerUnavailable as error:
            raise NotSubmitted("the fal key cannot be had") from error
        once = SinglePost(self._wire())
        client = _client(key, once, SUBMIT_TIMEOUT)
        try:
            client.submit(application, dict(arguments), webhook_url=webhook_url)
        except (KeyError, TypeError, ValueError) as error:
            # The client could not read the rest of the answer; its request id is all that counts.
            if once.request_id is None:
                raise SubmissionUnknown("fal's answer cannot be read") from error
        finally:
            once.close()
        if once.request_id is None:
            raise SubmissionUnknown("fal's answer has no request id")
        return Submission(once.request_id)

    def ask(self, application: str, request_id: str) -> Fact:
        """What fal says of the request now; a failed one is COMPLETED too, and its result an error."""
        wire = SingleAsk(self._wire())
        client = _client(self._key(), wire, httpx.Timeout(ASK_TIMEOUT))
        try:
            handle = client.get_handle(application, request_id)
            status = handle.status()
            if not isinstance(status, fal_client.Completed):
                started = isinstance(status, fal_client.InProgress)
                return Running(request_id, started=started)
            return finished(request_id, handle.get())
        except FalClientHTTPError as error:
            return _error_fact(request_id, error)
        except (KeyError, TypeError, ValueError) as error:
            raise TrainerUnavailable("fal's answer cannot be read") from error
        finally:
            wire.close()


def _client(
    key: str, transport: httpx.BaseTransport, timeout: httpx.Timeout
) -> fal_client.SyncClient:
    """fal_client on our wire. ``_client`` is its one seam: a cached property of a frozen class."""
    client = fal_client.SyncClient(key=key)
    client.__dict__["_client"] = httpx.Client(
        transport=_Deadline(transport, timeout),
        headers={"Authorization": f"Key {key}", "User-Agent": "lora-drop"},
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


def _error_fact(request_id: str, error: FalClientHTTPError) -> Fact:
    if error.status_code in GONE:
        return Gone(request_id)
    try:
        payload = error.response.json()
    except ValueError as unreadable:
        raise TrainerUnavailable(f"fal answered {error.status_code}") from unreadable
    if error.status_code == HAS_ENDED and payload.get("detail") == "Request is still in progress":
        return Running(request_id, started=True)
    return failed(request_id, f"status code {error.status_code}", payload)

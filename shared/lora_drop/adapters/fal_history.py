"""fal's request list (https://fal.ai/docs/platform-apis/v1/models/requests/by-endpoint)."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Any

import httpx

from lora_drop.adapters.fal_key import Key, KeyAuth
from lora_drop.adapters.fal_transport import UNANSWERED, json_object
from lora_drop.fal.status import Finished, finished
from lora_drop.fal.trainers.table import DATASET_FIELDS
from lora_drop.jobs.errors import FalUnavailableError, KeyRefusedError
from lora_drop.jobs.evidence import is_of, is_of_picture
from lora_drop.jobs.job import Job

TIMEOUT = httpx.Timeout(8.0)
PAGE = 100  # the most that fal gives
MAX_PAGES = 50


@dataclass(frozen=True, slots=True)
class ListedRequest:
    """One request as the list has it; ``output`` is its whole result, None where none is stored."""

    ended: bool
    succeeded: bool
    output: Mapping[str, Any] | None


class FalHistory:
    """The requests of one key. Without its whole list nothing is concluded."""

    def __init__(
        self, key: Key, api_url: str, transport: httpx.BaseTransport | None = None
    ) -> None:
        self._auth = KeyAuth(key)
        self._api_url = api_url.rstrip("/")
        self._transport = transport

    def requests_for(self, job: Job, *, since: datetime) -> Sequence[str]:
        """Return the ids of the requests since then that were sent this job's dataset.

        Those of a picture are known by their whole input. Raises FalUnavailableError when the list cannot be read
        to its end.
        """
        if job.picture is not None:
            return self.requests_like(job.application, partial(is_of_picture, job), since=since)
        return self.requests_with(job.application, partial(is_of, job), since=since)

    def requests_with(
        self, application: str, is_ours: Callable[[str], bool], *, since: datetime
    ) -> Sequence[str]:
        """Return the ids of the requests since then whose dataset's address ``is_ours``, as above."""
        found = (
            str(row.get("request_id"))
            for row in self._rows(application, since)
            if any(is_ours(url) for url in _dataset_urls(row.get("json_input")))
        )
        return tuple(dict.fromkeys(found))

    def requests_like(
        self,
        application: str,
        is_ours: Callable[[Mapping[str, Any]], bool],
        *,
        since: datetime,
        until: datetime | None = None,
    ) -> Sequence[str]:
        """Return the ids of the requests between these times whose whole input ``is_ours``, as above."""
        listed = self._rows(application, since, until)
        rows = ((row, _json_value(row.get("json_input"))) for row in listed)
        found = (
            str(row.get("request_id"))
            for row, given in rows
            if isinstance(given, dict) and is_ours(given)
        )
        return tuple(dict.fromkeys(found))

    def listed(self, application: str, request_id: str) -> ListedRequest | None:
        """Return one request as the list has it, None where it has not; raises FalUnavailableError.

        ``ended_at`` and ``status_code`` are null while a request goes on.
        """
        row = self._stored(application, request_id)
        if not row:
            return None
        code, output = row.get("status_code"), _json_value(row.get("json_output"))
        return ListedRequest(
            ended=code is not None or row.get("ended_at") is not None,
            succeeded=code == HTTPStatus.OK,
            output=output if isinstance(output, dict) else None,
        )

    def stored_result(self, application: str, request_id: str) -> Finished | None:
        """Return the files of a request whose output fal has stored, for 30 days unless set otherwise.

        None where it has stored none, or the request did not succeed. The queue forgets a result after an
        hour ("Queue API"); the list by request id has it longer. Raises FalUnavailableError.
        """
        row = self._stored(application, request_id)
        output = _json_value(row.get("json_output"))
        if row.get("status_code") == HTTPStatus.OK and output is None:
            raise FalUnavailableError("fal's list has the request, and not its result yet")
        stored = finished(request_id, output if isinstance(output, dict) else None)
        return stored if stored.artifacts and row.get("status_code") == HTTPStatus.OK else None

    def _stored(self, application: str, request_id: str) -> Mapping[str, Any]:
        """Return the row of one request; an empty one where the list has none."""
        query = {
            "endpoint_id": application,
            "request_id": request_id,
            "expand": "payloads",
            "limit": "1",
        }
        with httpx.Client(transport=self._transport, timeout=TIMEOUT, auth=self._auth) as client:
            rows = self._page(client, query)["items"]
        ours = (r for r in rows if isinstance(r, dict) and r.get("request_id") == request_id)
        return next(ours, {})

    def _rows(
        self, application: str, since: datetime, until: datetime | None = None
    ) -> Iterator[Mapping[str, Any]]:
        query = {
            "endpoint_id": application,
            "start": since.isoformat(),
            "expand": "payloads",
            "limit": str(PAGE),
            **({"end": until.isoformat()} if until else {}),
        }
        with httpx.Client(transport=self._transport, timeout=TIMEOUT, auth=self._auth) as client:
            for _ in range(MAX_PAGES):
                page = self._page(client, query)
                yield from (row for row in page["items"] if isinstance(row, dict))
                if not (page.get("has_more") and page.get("next_cursor")):
                    return
                query["cursor"] = str(page["next_cursor"])
        raise FalUnavailableError(f"fal's request list is longer than {MAX_PAGES} pages")

    def _page(self, client: httpx.Client, query: Mapping[str, str]) -> Mapping[str, Any]:
        try:
            answer = client.get(f"{self._api_url}/models/requests/by-endpoint", params=query)
        except UNANSWERED as error:
            raise FalUnavailableError(f"fal did not answer: {type(error).__name__}") from error
        if answer.status_code in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise KeyRefusedError(f"fal's request list answered {answer.status_code}")
        body = json_object(answer)
        if not answer.is_success or body is None or not isinstance(body.get("items"), list):
            raise FalUnavailableError(f"fal's request list answered {answer.status_code}")
        return body


def _dataset_urls(payload: object) -> Iterator[str]:
    """Yield the dataset's address in a request's stored input, which may be JSON as text."""
    payload = _json_value(payload)
    if isinstance(payload, dict):
        given = (payload.get(field) for field in DATASET_FIELDS)
        yield from (url for url in given if isinstance(url, str))


def _json_value(payload: object) -> object:
    """Return what is stored, which may be JSON as text; None where that cannot be read."""
    if not isinstance(payload, str):
        return payload
    try:
        value: object = json.loads(payload)
    except (ValueError, RecursionError):
        return None
    return value

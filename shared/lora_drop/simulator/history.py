"""What was asked of an account: the queries of fal's platform API, read and answered."""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from multidict import MultiMapping

from lora_drop.simulator.requests import ModelRequest
from lora_drop.simulator.wire import now, stamp

DAY = timedelta(hours=24)
QUARTER = timedelta(days=90)
CLASSES: Mapping[str, range] = {
    "success": range(200, 300),
    "user_error": range(400, 500),
    "error": range(500, 600),
}
ORDERS = ("ended_at", "duration")
MAX_ENDPOINTS = 50
MAX_LIMIT = 100


class InvalidQueryError(ValueError):
    """Raised when a query cannot be read; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryQuery:
    """Which requests to list, and which page of them."""

    endpoints: list[str]
    request_id: str | None
    status: str | None
    start: datetime
    end: datetime
    order: str
    expand: bool
    limit: int
    first: int

    @classmethod
    def read(cls, query: MultiMapping[str]) -> Self:
        """The query of ``requests/by-endpoint``; raises InvalidQueryError."""
        request_id = query.get("request_id")
        end = read_time(query, "end") or now()
        start = read_time(query, "start") or end - (QUARTER if request_id else DAY)
        endpoints = read_endpoints(query)
        if not 1 <= len(endpoints) <= MAX_ENDPOINTS:
            raise InvalidQueryError(f"endpoint_id is required, 1 to {MAX_ENDPOINTS} times")
        return cls(
            endpoints=endpoints,
            request_id=request_id,
            status=_one_of(query, "status", tuple(CLASSES)),
            start=start,
            end=end,
            order=_one_of(query, "sort_by", ORDERS) or ORDERS[0],
            expand="payloads" in query.getall("expand", []),
            limit=_limit(query),
            first=_first(query),
        )

    def page(self, requests: Iterable[ModelRequest]) -> dict[str, Any]:
        """The answer: newest end, or longest duration, first."""
        found = [request for request in requests if self._wants(request)]
        if self.order == "duration":
            found.sort(key=lambda request: request.seconds() or 0.0, reverse=True)
        else:
            found.sort(key=lambda request: request.ended_at or now(), reverse=True)
        last = self.first + self.limit
        more = last < len(found)
        return {
            "items": [_item(each, expand=self.expand) for each in found[self.first : last]],
            "next_cursor": base64.urlsafe_b64encode(b"%d" % last).decode() if more else None,
            "has_more": more,
        }

    def _wants(self, request: ModelRequest) -> bool:
        """Whether it is listed; fal does not say which time start and end are: here ``sent_at``."""
        code = request.outcome.status_code if request.outcome else None
        return (
            request.endpoint_id in self.endpoints
            and request.started_at is not None  # a request that waits is not listed
            and (self.request_id is None or request.request_id == self.request_id)
            and self.start <= request.sent_at < self.end
            and (self.status is None or (code is not None and code in CLASSES[self.status]))
        )


def read_endpoints(query: MultiMapping[str]) -> list[str]:
    """The endpoint ids of a query, which come by comma or repeated."""
    given = ",".join(query.getall("endpoint_id", []))
    return [each for each in given.split(",") if each]


def read_time(query: MultiMapping[str], name: str) -> datetime | None:
    """A time of a query, UTC where it does not say; raises InvalidQueryError."""
    given = query.get(name)
    if given is None:
        return None
    try:
        moment = datetime.fromisoformat(given)
    except ValueError as error:
        raise InvalidQueryError(f"{name} is not an ISO 8601 time") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _one_of(query: MultiMapping[str], name: str, known: tuple[str, ...]) -> str | None:
    given = query.get(name)
    if given is not None and given not in known:
        raise InvalidQueryError(f"{name} is one of {', '.join(known)}")
    return given


def _limit(query: MultiMapping[str]) -> int:
    given = query.get("limit", "50")
    if not given.isdecimal() or not 1 <= int(given) <= MAX_LIMIT:
        raise InvalidQueryError(f"limit is from 1 to {MAX_LIMIT}")
    return int(given)


def _first(query: MultiMapping[str]) -> int:
    cursor = query.get("cursor")
    if not cursor:
        return 0
    try:
        first = int(base64.urlsafe_b64decode(cursor))
    except (binascii.Error, ValueError) as error:
        raise InvalidQueryError("cursor is not one that was given out") from error
    if first < 0:
        raise InvalidQueryError("cursor is not one that was given out")
    return first


def _item(request: ModelRequest, *, expand: bool) -> dict[str, Any]:
    def maybe(moment: datetime | None) -> str | None:
        return stamp(moment) if moment else None

    item: dict[str, Any] = {
        "request_id": request.request_id,
        "endpoint_id": request.endpoint_id,
        "started_at": maybe(request.started_at),
        "sent_at": stamp(request.sent_at),
        "ended_at": maybe(request.ended_at),
        "status_code": request.outcome.status_code if request.outcome else None,
        "duration": request.seconds(),
    }
    if expand:
        kept, outcome = request.store_io, request.outcome
        item["json_input"] = request.arguments if kept else None
        item["json_output"] = (
            outcome.body if kept and request.output_kept and outcome is not None else None
        )
    return item

"""Every outcome of the paid POST, one row each; ``python -m tests.resilience.submit_table`` prints them."""

import sys
from dataclasses import dataclass
from typing import Any

from lora_drop.jobs.status import Status
from tests.resilience.faults.report import table
from tests.support.fal_answers import Body, Fault, Place


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    fault: Fault
    leads_to: Status
    posts: int = 1

    @property
    def title(self) -> str:
        return f"{self.name} [{'paid' if self.fault.accepted else 'not paid'}]"


def _never_left(name: str, place: Place) -> Row:
    return Row(name, Fault(place=place), Status.READY, posts=0)


def _doubt(name: str, *, posts: int = 1, **fault: Any) -> Row:
    return Row(name, Fault(**fault), Status.SUBMIT_UNKNOWN, posts)


def _either(name: str, **fault: Any) -> tuple[Row, Row]:
    """What looks the same to the caller whether the request was accepted or not."""
    return _doubt(name, accepted=False, **fault), _doubt(name, accepted=True, **fault)


def _accepted(name: str, **fault: Any) -> Row:
    return Row(name, Fault(accepted=True, **fault), Status.SUBMITTED)


def _refused(status: int, reason: str, leads_to: Status) -> Row:
    return Row(f"{status}, {reason}", Fault(status=status, body=Body.DETAIL), leads_to)


NEVER_LEFT = (
    _never_left("no such name", Place.NO_NAME),
    _never_left("connection refused", Place.REFUSED),
    _never_left("no connection in time", Place.CROWDED),
    _never_left("no TLS handshake in time", Place.SILENT),
    _never_left("reset in the TLS handshake", Place.HELLO_RESET),
    _never_left("certificate of a stranger", Place.STRANGER),
    _never_left("no TLS spoken", Place.PLAIN),
)
BROKEN = (
    _doubt("closed after the handshake", posts=0, place=Place.HUNG_UP),
    _doubt("reset before the body", place=Place.RESET_BEFORE),
    _doubt("reset amid the body", place=Place.RESET_AMID),
    *_either("reset after the body", place=Place.RESET_AFTER),
    *_either("closed after the body", place=Place.CLOSED_AFTER),
    *_either("no answer in time", place=Place.STALL),
    _doubt("half an answer, then silence", place=Place.STALL_AMID, accepted=True),
)
UNREADABLE = (
    _doubt("200, cut short", place=Place.CUT, accepted=True),
    _doubt("200, empty", body=Body.NOTHING, accepted=True),
    _doubt("200, garbage", body=Body.GARBAGE, accepted=True),
    _doubt("200, nginx's page", body=Body.PAGE),
    _doubt("200 without a request id", body=Body.NO_ID, accepted=True),
    _doubt("202 without a request id", status=202, body=Body.NO_ID, accepted=True),
    _doubt("301 to elsewhere", status=301, body=Body.NOTHING),
    _doubt("307 to elsewhere", status=307, body=Body.NOTHING),
)
REFUSED = (
    _refused(400, "bad request", Status.FAILED),
    _refused(401, "key refused", Status.HELD),
    _refused(402, "payment required", Status.HELD),
    _refused(403, "account locked", Status.HELD),
    _refused(404, "no such trainer", Status.FAILED),
    _refused(413, "too large", Status.FAILED),
    _refused(422, "parameters refused", Status.FAILED),
    _refused(429, "fal's own", Status.READY),
)
ERRORS = (
    _doubt("403, nginx's page", status=403, body=Body.PAGE),
    # Too many requests, whatever server says so: the request was not let through.
    Row("429, nginx's page", Fault(accepted=False, status=429, body=Body.PAGE), Status.READY, 1),
    *_either("408, fal's own", status=408, body=Body.DETAIL),
    *_either("409, fal's own", status=409, body=Body.DETAIL),
    *(
        row
        for status in (500, 502, 503, 504)
        for form, body in (("fal's own", Body.DETAIL), ("nginx's page", Body.PAGE))
        for row in _either(f"{status}, {form}", status=status, body=body)
    ),
)
ACCEPTED = (
    _accepted("200"),
    _accepted("202", status=202),
    _accepted("200 with the request id alone", body=Body.ID_ONLY),
    _accepted("first address refused, second answers", place=Place.FIRST_REFUSED),
)
ROWS: tuple[Row, ...] = (*NEVER_LEFT, *BROKEN, *UNREADABLE, *REFUSED, *ERRORS, *ACCEPTED)


def main() -> None:
    rows = [(row.title, row.posts, row.leads_to) for row in ROWS]
    sys.stdout.write("\n".join(table(("outcome", "POSTs", "leads to"), rows)) + "\n")


if __name__ == "__main__":
    main()

"""Everything that can become of the paid POST, one row each: for the tests, the baseline, the docs."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from lora_drop.jobs.status import Status

Place = StrEnum(
    "Place",
    [
        "NO_NAME",  # the name leads nowhere
        "REFUSED",  # nobody listens
        "FIRST_REFUSED",  # nobody listens at fal's first address; the second one is fine
        "CROWDED",  # the connection is never taken
        "SILENT",  # the TLS handshake is never answered
        "HELLO_RESET",  # the TLS handshake is answered with a reset
        "STRANGER",  # the certificate is of an authority that nobody trusts
        "PLAIN",  # the answer to the TLS handshake is not TLS
        "HUNG_UP",  # closed as soon as the handshake is done
        "RESET_BEFORE",  # reset once the headers are there
        "RESET_AMID",  # reset within the body
        "RESET_AFTER",  # reset once the request is there
        "CLOSED_AFTER",  # closed in good order once the request is there
        "STALL",  # nothing is said until the caller goes
        "STALL_AMID",  # half of the answer, and nothing more until the caller goes
        "CUT",  # half of the answer, then the end
        "ANSWER",  # a whole answer
    ],
)
# The resolver's part: these never come to the server.
UNREACHED = frozenset({Place.NO_NAME, Place.REFUSED, Place.CROWDED})
# The caller waits for its own timeout.
WAITS_TO_CONNECT = frozenset({Place.CROWDED, Place.SILENT})
WAITS_TO_READ = frozenset({Place.STALL, Place.STALL_AMID})
Body = StrEnum("Body", ["TICKET", "ID_ONLY", "NO_ID", "DETAIL", "PAGE", "GARBAGE", "NOTHING"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Where it strikes, whether the request is accepted (and billed) all the same, what is said."""

    place: Place = Place.ANSWER
    accepted: bool = False
    status: int = 200
    body: Body = Body.TICKET


GOOD = Fault(accepted=True)


@dataclass(frozen=True, slots=True)
class Row:
    """One outcome: how many POSTs fal sees of one attempt, and the status it has to lead to."""

    name: str
    fault: Fault
    leads_to: Status
    posts: int = 1

    @property
    def title(self) -> str:
        """The name, and whether it is paid where that does not follow from the name."""
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
    _doubt("429, nginx's page", status=429, body=Body.PAGE),
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

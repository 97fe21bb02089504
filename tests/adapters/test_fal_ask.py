"""The state of a request at fal: what fal says of the job, and what says nothing of it."""

from collections.abc import Callable

import httpx
import pytest

from lora_drop.adapters.fal import FalQueueClient
from lora_drop.fal.status import Failed, FalStatus, Finished, Gone, Running
from lora_drop.jobs.errors import FalUnavailableError
from tests.support.builders import APPLICATION, REQUEST_ID
from tests.support.fal_keys import FixedKey
from tests.support.wire import of_fal, of_nginx

BASE = f"https://queue.fal.run/fal-ai/flux-lora-portrait-trainer/requests/{REQUEST_ID}"
QUEUED = {"status": "IN_QUEUE", "request_id": REQUEST_ID, "queue_position": 2}
RUNNING = {"status": "IN_PROGRESS", "request_id": REQUEST_ID, "logs": None}
COMPLETED: dict[str, object] = {
    "status": "COMPLETED",
    "request_id": REQUEST_ID,
    "logs": None,
    "metrics": {},
}
RESULT = {"config_file": {"url": "https://v3.fal.media/c"}}
MODEL_ERROR = {"detail": [{"loc": ["body"], "msg": "It broke.", "type": "image_load_error"}]}
type Answer = httpx.Response | Exception


class Wire:
    """fal with one answer for the state of a request and one for its result."""

    def __init__(self, status: Answer, result: Answer | None = None) -> None:
        self.asked: list[str] = []
        self._answers: dict[str, Answer | None] = {f"{BASE}/status": status, BASE: result}

    def __call__(self) -> httpx.BaseTransport:
        return httpx.MockTransport(self._answer)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        assert request.method == "GET"
        assert request.headers["Authorization"] == "Key key"
        address = str(request.url.copy_with(query=None))
        self.asked.append(address)
        answer = self._answers[address]
        assert answer is not None
        if isinstance(answer, Exception):
            raise answer
        return answer


def ask(wire: Callable[[], httpx.BaseTransport]) -> FalStatus:
    return FalQueueClient(FixedKey("key"), wire=wire).ask(APPLICATION, REQUEST_ID)


@pytest.mark.parametrize("code", [200, 202])
@pytest.mark.parametrize(
    ("body", "started"),
    [
        (QUEUED, False),
        ({"status": "IN_QUEUE"}, False),
        (RUNNING, True),
        ({"status": "IN_PROGRESS"}, True),
    ],
    ids=["queued", "queued in short", "running", "running in short"],
)
def test_unended_request_is_running(
    code: int,
    body: dict[str, object],
    started: bool,  # noqa: FBT001  # a table's column
) -> None:
    wire = Wire(httpx.Response(code, json=body))
    assert ask(wire) == Running(REQUEST_ID, started=started)
    assert wire.asked == [f"{BASE}/status"]


@pytest.mark.parametrize("body", [COMPLETED, {"status": "COMPLETED"}], ids=["whole", "short"])
def test_succeeded_request_has_its_files(body: dict[str, object]) -> None:
    wire = Wire(httpx.Response(200, json=body), httpx.Response(200, json=RESULT))
    answer = ask(wire)
    assert isinstance(answer, Finished)
    assert [artifact.name for artifact in answer.artifacts] == ["config.json"]
    assert wire.asked == [f"{BASE}/status", BASE]


def test_failed_request_is_completed_too() -> None:
    status = {**COMPLETED, "error": "Invalid status code: 422", "error_type": "image_load_error"}
    wire = Wire(httpx.Response(200, json=status), httpx.Response(422, json=MODEL_ERROR))
    answer = ask(wire)
    assert isinstance(answer, Failed)
    assert answer.problem.code == "fal_image_load_error"
    assert "It broke." in answer.problem.message


@pytest.mark.parametrize(
    "result",
    [
        httpx.Response(500, json=MODEL_ERROR),
        httpx.Response(504, json=MODEL_ERROR),
        httpx.Response(422, json=MODEL_ERROR),
    ],
    ids=["500", "504", "422"],
)
def test_model_error_is_a_failure(result: httpx.Response) -> None:
    answer = ask(Wire(httpx.Response(200, json=COMPLETED), result))
    assert isinstance(answer, Failed)
    assert answer.problem.code == "fal_image_load_error"


@pytest.mark.parametrize(
    "result",
    [
        of_nginx(503),
        httpx.Response(404, json={"status": "NOT_FOUND"}),
        of_fal(401),
        httpx.Response(500, content=b""),
        httpx.Response(200, json=None),
        httpx.ReadTimeout("slow"),
    ],
    ids=["page", "gone", "key", "nothing", "null", "silence"],
)
def test_failure_needs_no_result(result: Answer) -> None:
    status = {**COMPLETED, "error": "Request timed out", "error_type": "request_timeout"}
    answer = ask(Wire(httpx.Response(200, json=status), result))
    assert isinstance(answer, Failed)
    assert answer.problem.code == "fal_request_timeout"
    assert "Request timed out" in answer.problem.message


def units(said: str | None) -> dict[str, str]:
    return {} if said is None else {"X-Fal-Billable-Units": said}


@pytest.mark.parametrize(
    ("of_state", "of_result", "billed"),
    [
        *((None, None, None), (None, "0", False), (None, "1000", True), ("0", None, False)),
        *(("1000", None, True), ("1000", "0", False), ("0", "1000", True), ("0", "?", None)),
    ],
)
@pytest.mark.parametrize(
    "state", [{"error": "Invalid status code: 422"}, {}], ids=["error", "bare"]
)
def test_billed_units_prefer_the_result(
    state: dict[str, str],
    of_state: str | None,
    of_result: str | None,
    billed: bool | None,  # noqa: FBT001  # a table's column
) -> None:
    """Whether a failure was billed is read from its result, or else from its status."""
    wire = Wire(
        httpx.Response(200, json={**COMPLETED, **state}, headers=units(of_state)),
        httpx.Response(422, json=MODEL_ERROR, headers=units(of_result)),
    )
    answer = ask(wire)
    assert isinstance(answer, Failed)
    assert answer.billed is billed


@pytest.mark.parametrize(
    "result",
    [
        httpx.Response(404, json={"status": "NOT_FOUND"}, headers=units("0")),
        httpx.Response(401, json={"detail": "no"}, headers=units("0")),
        httpx.Response(429, json={"detail": "slowly"}, headers=units("0")),
        httpx.Response(502, html="<center>nginx</center>", headers=units("0")),
        httpx.ReadTimeout("slow"),
    ],
    ids=["gone", "key", "hurry", "page", "silence"],
)
def test_non_result_says_nothing_about_billing(result: Answer) -> None:
    """An answer that is no result says nothing about billing."""
    status = {**COMPLETED, "error": "It broke", "error_type": "image_load_error"}
    unknown = ask(Wire(httpx.Response(200, json=status), result))
    known = ask(Wire(httpx.Response(200, json=status, headers=units("1000")), result))
    assert isinstance(unknown, Failed)
    assert isinstance(known, Failed)
    assert (unknown.billed, known.billed) == (None, True)


@pytest.mark.parametrize("code", [404, 410])
def test_unknown_request_is_gone(code: int) -> None:
    assert ask(Wire(httpx.Response(code, json={"status": "NOT_FOUND"}))) == Gone(REQUEST_ID)


def test_expired_result_is_gone() -> None:
    gone = httpx.Response(404, json={"status": "NOT_FOUND"})
    assert ask(Wire(httpx.Response(200, json=COMPLETED), gone)) == Gone(REQUEST_ID)


def test_early_result_is_awaited() -> None:
    early = httpx.Response(400, json={"detail": "Request is still in progress"})
    answer = ask(Wire(httpx.Response(200, json=COMPLETED), early))
    assert answer == Running(REQUEST_ID, started=True)


SAYS_NOTHING: dict[str, Answer] = {
    **{
        f"{code} of fal's": of_fal(code)
        for code in (400, 401, 403, 408, 409, 422, 429, 500, 502, 503, 504)
    },
    **{
        f"{code} of nginx": of_nginx(code)
        for code in (400, 401, 403, 404, 410, 429, 500, 502, 503, 504)
    },
    **{f"{code}": httpx.Response(code, headers={"Location": BASE}) for code in (301, 302, 307)},
    "a page": of_nginx(200),
    "nothing": httpx.Response(200),
    "null": httpx.Response(200, json=None),
    "a list": httpx.Response(200, json=[]),
    "much nesting": httpx.Response(200, content=b"[" * 100_000),
    "no state": httpx.Response(200, json={"request_id": REQUEST_ID}),
    "another state": httpx.Response(200, json={"status": "PAUSED"}),
    "no connection": httpx.ConnectError("refused"),
    "silence": httpx.ReadTimeout("slow"),
    "a broken line": httpx.ReadError("reset"),
}


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("answer", SAYS_NOTHING)
def test_unclear_answer_changes_nothing(answer: str) -> None:
    """An answer that says nothing about the request changes nothing."""
    wire = Wire(SAYS_NOTHING[answer])
    with pytest.raises(FalUnavailableError):
        ask(wire)
    assert len(wire.asked) == 1


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize(
    "result",
    [
        of_fal(401),
        httpx.Response(403, json={"detail": "User is locked."}),
        httpx.Response(429, json={"detail": "slowly"}),
        httpx.Response(500, json={"detail": "Internal error"}),
        of_nginx(502),
        of_nginx(404),
        httpx.Response(307, headers={"Location": BASE}),
        of_nginx(200),
        httpx.Response(200, json=[RESULT]),
        httpx.ReadTimeout("slow"),
    ],
    ids=["401", "403", "429", "500", "502", "404", "307", "page", "list", "silence"],
)
def test_unreadable_result_changes_nothing(result: Answer) -> None:
    """A result that cannot be read says nothing about the job."""
    wire = Wire(httpx.Response(200, json=COMPLETED), result)
    with pytest.raises(FalUnavailableError):
        ask(wire)
    assert len(wire.asked) == 2


def test_read_timeout_is_short() -> None:
    timeouts: list[object] = []

    def answer(request: httpx.Request) -> httpx.Response:
        timeouts.append(request.extensions["timeout"]["read"])
        return httpx.Response(200, json=RUNNING)

    ask(lambda: httpx.MockTransport(answer))
    assert timeouts == [15.0]

"""What fal says of a request, or of its cancellation, and what says nothing of it."""

import httpx
import pytest

from lora_drop.adapters.fal import FalQueueClient
from lora_drop.fal.status import Failed, FalStatus, Finished, Gone, Running
from lora_drop.jobs.errors import FalUnavailableError, KeyRefusedError
from tests.support.builders import APPLICATION, REQUEST_ID
from tests.support.wire import FixedKey, Said, Wire, of_fal, of_nginx

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
NOT_FOUND = {"status": "NOT_FOUND"}
INVALID = {"error": "Invalid status code: 422", "error_type": "image_load_error"}
BROKE = {"error": "It broke", "error_type": "image_load_error"}


def fal(status: Said, result: Said | None = None) -> Wire:
    """fal with one answer for the state of a request and one for its result."""
    answers = {f"{BASE}/status": status, BASE: result}

    def answer(request: httpx.Request) -> Said:
        assert (request.method, request.headers["Authorization"]) == ("GET", "Key key")
        assert request.extensions["timeout"]["read"] == 8.0
        said = answers[str(request.url.copy_with(query=None))]
        assert said is not None
        return said

    return Wire(answer)


def ask(wire: Wire) -> FalStatus:
    return FalQueueClient(FixedKey("key"), wire=wire).ask(APPLICATION, REQUEST_ID)


def completed(result: Said, *, units: str | None = None, **more: object) -> Wire:
    """A request that has ended, and the answer to the question for its result."""
    return fal(httpx.Response(200, json={**COMPLETED, **more}, headers=billed(units)), result)


def billed(units: str | None) -> dict[str, str]:
    return {} if units is None else {"X-Fal-Billable-Units": units}


def failed(wire: Wire) -> Failed:
    status = ask(wire)
    assert isinstance(status, Failed)
    return status


@pytest.mark.parametrize("code", [200, 202])
@pytest.mark.parametrize(
    "body", [QUEUED, {"status": "IN_QUEUE"}, RUNNING, {"status": "IN_PROGRESS"}], ids=range(4)
)
def test_unended_request_is_running(code: int, body: dict[str, object]) -> None:
    wire = fal(httpx.Response(code, json=body))
    assert ask(wire) == Running(REQUEST_ID, started=body["status"] == "IN_PROGRESS")
    assert wire.urls == [f"{BASE}/status"]


@pytest.mark.parametrize("body", [COMPLETED, {"status": "COMPLETED"}], ids=["whole", "short"])
def test_succeeded_request_has_its_files(body: dict[str, object]) -> None:
    wire = fal(httpx.Response(200, json=body), httpx.Response(200, json=RESULT))
    answer = ask(wire)
    assert isinstance(answer, Finished)
    assert [artifact.name for artifact in answer.artifacts] == ["config.json"]
    assert wire.urls == [f"{BASE}/status", BASE]


@pytest.mark.parametrize("code", [422, 500, 504])
@pytest.mark.parametrize("status", [{}, INVALID], ids=["bare", "error"])
def test_model_error_is_a_failure(code: int, status: dict[str, str]) -> None:
    problem = failed(completed(httpx.Response(code, json=MODEL_ERROR), **status)).problem
    assert problem.code == "fal_image_load_error"
    assert "It broke." in problem.message


def test_files_count_more_than_an_error() -> None:
    answer = ask(completed(httpx.Response(200, json=RESULT), **INVALID))
    assert isinstance(answer, Finished)
    assert answer.artifacts


NO_RESULT: dict[str, Said] = {
    "page": of_nginx(503),
    "gone": httpx.Response(404, json=NOT_FOUND),
    "key": of_fal(401),
    "nothing": httpx.Response(500, content=b""),
    "null": httpx.Response(200, json=None),
    "silence": httpx.ReadTimeout("slow"),
}


@pytest.mark.parametrize("result", NO_RESULT)
def test_failure_needs_no_result(result: str) -> None:
    timed_out = {"error": "Request timed out", "error_type": "request_timeout"}
    problem = failed(completed(NO_RESULT[result], **timed_out)).problem
    assert problem.code == "fal_request_timeout"
    assert "Request timed out" in problem.message


def of_model(units: str | None) -> httpx.Response:
    return httpx.Response(422, json=MODEL_ERROR, headers=billed(units))


@pytest.mark.parametrize(
    ("of_state", "result", "expected"),
    [
        *((None, of_model(None), None), (None, of_model("0"), False)),
        *((None, of_model("1000"), True), ("0", of_model(None), None)),
        *(("1000", of_model(None), None), ("1000", of_model("0"), False)),
        *(("0", of_model("1000"), True), ("0", of_model("?"), None)),
    ],
    ids=range(8),
)
@pytest.mark.parametrize(
    "state", [{"error": "Invalid status code: 422"}, {}], ids=["error", "bare"]
)
def test_only_the_result_names_billed_units(
    state: dict[str, str],
    of_state: str | None,
    result: httpx.Response,
    expected: bool | None,  # noqa: FBT001  # a table's column
) -> None:
    """Whether a failure was billed is read from its result alone, never from its status."""
    assert failed(completed(result, units=of_state, **state)).billed is expected


@pytest.mark.parametrize("units", [None, "0"])
@pytest.mark.parametrize(
    "result",
    [
        httpx.Response(404, json=NOT_FOUND, headers=billed("0")),
        *(httpx.Response(code, json={"detail": "no"}, headers=billed("0")) for code in (401, 429)),
        httpx.Response(502, html="<center>nginx</center>", headers=billed("0")),
        httpx.ReadTimeout("slow"),
    ],
    ids=["gone", "key", "throttle", "page", "silence"],
)
def test_non_result_says_nothing_about_billing(result: Said, units: str | None) -> None:
    """An answer that is no result says nothing about billing."""
    assert failed(completed(result, units=units, **BROKE)).billed is None


@pytest.mark.parametrize(
    ("wire", "said"),
    [
        *((fal(httpx.Response(code, json=NOT_FOUND)), Gone(REQUEST_ID)) for code in (404, 410)),
        (completed(httpx.Response(404, json=NOT_FOUND)), Gone(REQUEST_ID)),
        (
            completed(httpx.Response(400, json={"detail": "Request is still in progress"})),
            Running(REQUEST_ID, started=True),
        ),
    ],
    ids=["404", "410", "the result is gone", "the result is early"],
)
def test_result_may_be_gone_or_early(wire: Wire, said: FalStatus) -> None:
    """A request, or a result, that fal does not know is gone; an early result is awaited."""
    assert ask(wire) == said


ANY: dict[str, Said] = {
    "a page": of_nginx(200),
    "a list": httpx.Response(200, json=[RESULT]),
    "a redirect": httpx.Response(307, headers={"Location": BASE}),
    "silence": httpx.ReadTimeout("slow"),
}
UNCLEAR: dict[str, Said] = {
    **ANY,
    **{
        f"{code} of fal's": of_fal(code)
        for code in (400, 401, 403, 408, 409, 422, 429, 500, 502, 503, 504)
    },
    **{
        f"{code} of nginx": of_nginx(code)
        for code in (400, 401, 403, 404, 410, 429, 500, 502, 503, 504)
    },
    **{f"{code}": httpx.Response(code, headers={"Location": BASE}) for code in (301, 302)},
    "nothing": httpx.Response(200),
    "null": httpx.Response(200, json=None),
    "an empty list": httpx.Response(200, json=[]),
    "much nesting": httpx.Response(200, content=b"[" * 100_000),
    "no state": httpx.Response(200, json={"request_id": REQUEST_ID}),
    "another state": httpx.Response(200, json={"status": "PAUSED"}),
    "no connection": httpx.ConnectError("refused"),
    "a broken connection": httpx.ReadError("reset"),
}
UNREADABLE: dict[str, Said] = {
    **ANY,
    "401": of_fal(401),
    "403": httpx.Response(403, json={"detail": "User is locked."}),
    "429": httpx.Response(429, json={"detail": "slowly"}),
    "500": httpx.Response(500, json={"detail": "Internal error"}),
    "502": of_nginx(502),
    "404": of_nginx(404),
    # Only 200 is a result: fal answers 202 while it is not there yet.
    **{
        f"{code} with {'files' if body == RESULT else 'a state'}": httpx.Response(code, json=body)
        for code in (201, 202, 203, 206, 207)
        for body in (RESULT, RUNNING)
    },
}


@pytest.mark.parametrize("code", [401, 403])
@pytest.mark.parametrize("of", ["status", "result"])
def test_refused_read_is_the_keys_fault(code: int, of: str) -> None:
    said = of_fal(code)
    with pytest.raises(KeyRefusedError, match=str(code)):
        ask(completed(said) if of == "result" else fal(said))


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize(
    ("wire", "asked"),
    [
        *(pytest.param(fal(answer), 1, id=name) for name, answer in UNCLEAR.items()),
        *(pytest.param(completed(a), 2, id=f"result: {name}") for name, a in UNREADABLE.items()),
    ],
)
def test_unclear_answer_changes_nothing(wire: Wire, asked: int) -> None:
    """An answer that says nothing about the request, or about its result, changes nothing."""
    with pytest.raises(FalUnavailableError):
        ask(wire)
    assert len(wire.requests) == asked


def cancel(wire: Wire) -> bool:
    return FalQueueClient(FixedKey(" key-secret\n"), wire=wire).cancel(APPLICATION, REQUEST_ID)


@pytest.mark.parametrize(
    ("code", "body", "cancelled"),
    [
        *((200, b'{"status": "CANCELLATION_REQUESTED"}', True), (200, b"", True)),
        *((202, b'{"status": "CANCELLATION_REQUESTED"}', True), (202, b"OK", True)),
        *(
            (400, b'{"status": "ALREADY_COMPLETED"}', False),
            (404, b'{"status": "NOT_FOUND"}', False),
        ),
    ],
)
def test_cancellation_is_one_put(
    code: int,
    body: bytes,
    cancelled: bool,  # noqa: FBT001  # a table's column
) -> None:
    wire = Wire(httpx.Response(code, content=body))
    assert cancel(wire) is cancelled
    [request] = wire.requests
    assert (request.method, str(request.url)) == ("PUT", f"{BASE}/cancel")
    assert request.headers["Authorization"] == "Key key-secret"
    assert request.extensions["timeout"]["read"] == 8.0


@pytest.mark.promise("nothing leaks", "The error of a cancellation does not contain the key.")
@pytest.mark.parametrize(
    "answer",
    [
        *(of_fal(code) for code in (400, 401, 403, 404, 408, 409, 422, 429, 500, 503)),
        *(of_nginx(code) for code in (404, 502, 503, 504)),
        httpx.Response(307, headers={"Location": "https://evil.example/"}),
        httpx.Response(400, json=["ALREADY_COMPLETED"]),
        httpx.Response(500, json={"status": "IN_PROGRESS"}),
        *(httpx.ConnectError("refused"), httpx.ReadTimeout("slow")),
        httpx.RemoteProtocolError("gone"),
    ],
    ids=range(20),
)
def test_unclear_cancellation_is_not_repeated(answer: Said) -> None:
    wire = Wire(answer)
    with pytest.raises(FalUnavailableError) as raised:
        cancel(wire)
    assert len(wire.requests) == 1
    assert "key-secret" not in str(raised.value)

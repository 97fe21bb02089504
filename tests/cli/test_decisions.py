"""The commands with which a person decides, and what each sends to the API."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from lora_drop.cli.main import application
from lora_drop.client.errors import CommandError
from lora_drop.client.stack import Stack
from lora_drop.jobs.budget import Charge, ChargeState
from lora_drop.jobs.job_problems import over_limit
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from tests.support.client_fixtures import answering, job_answer

type Run = Callable[..., Result]
BUDGET = {
    "month": "2026-11",
    "reserved_usd": 3.6,
    "spent_usd": 12.0,
    "wasted_usd": 2.4,
    "left_usd": 84.4,
    "in_flight": ["ada-0123456789"],
    "limits": {"max_in_flight": 2, "monthly_usd": 100.0, "job_usd": 25.0},
}


class Api:
    """The stack's API: what it was asked, and what it answers to each question in turn."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Any]] = []
        self.queries: list[dict[str, str]] = []
        self.answers: list[httpx.Response] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        assert "AWS4-HMAC-SHA256" in request.headers["Authorization"]
        body = json.loads(request.content) if request.content else None
        self.asked.append((request.method, request.url.path.removeprefix("/live"), body))
        self.queries.append(dict(request.url.params))
        return self.answers.pop(0)


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def run(stack: Stack, api: Api, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command against that API."""
    monkeypatch.setattr("lora_drop.client.stack.find_stack", lambda _: stack)
    monkeypatch.setattr("lora_drop.client.lora_drop.LoraDrop", lambda found: answering(found, api))
    return lambda *words: CliRunner().invoke(application(), list(words))


SAID = [
    (["cancel", "x"], "/jobs/x/cancel", None),
    (["approve", "x"], "/jobs/x/approve", None),
    (["replay", "x"], "/jobs/x/replay", None),
    (["retry", "x"], "/jobs/x/retry", {"resume": False}),
    (["retry", "x", "--resume"], "/jobs/x/retry", {"resume": True}),
    (["resolve", "x", "--request-id", "r"], "/jobs/x/resolve", {"request_id": "r"}),
    (["resolve", "x", "--not-submitted"], "/jobs/x/resolve", {"not_submitted": True}),
]


@pytest.mark.parametrize(("words", "path", "body"), SAID, ids=range(len(SAID)))
def test_a_decision_is_sent_and_what_became_of_the_job_is_told_in_a_line(
    run: Run, api: Api, words: list[str], path: str, body: object
) -> None:
    became = Status.CANCELLED if words[0] == "cancel" else Status.READY
    api.answers = [job_answer(status=became)]

    result = run(*words)

    assert api.asked == [("POST", path, body)]
    assert (result.exit_code, result.stdout) == (0, f"{became} ada-486fb2366b\n")


def test_what_goes_on_in_spite_of_a_cancel_is_said_and_is_no_success(run: Run, api: Api) -> None:
    asked = Problem(code="cancel_requested", message="fal was asked to stop the training.")
    api.answers = [job_answer(status=Status.TRAINING, problems=(asked,))]

    result = run("cancel", "x")

    assert (result.exit_code, result.stdout) == (1, "TRAINING ada-486fb2366b\n")
    assert "fal was asked to stop" in result.stderr
    assert "x is not cancelled: it is TRAINING" in result.stderr


@pytest.mark.parametrize(("words", "path", "body"), SAID, ids=range(len(SAID)))
def test_programs_get_the_whole_job_as_one_object(
    run: Run, api: Api, words: list[str], path: str, body: object
) -> None:
    api.answers = [job_answer(status=Status.READY)]

    result = run(*words, "--json")

    job = json.loads(result.stdout)
    assert result.stdout.count("\n") == 1
    assert (job["status"], job["location"]) == ("READY", "s3://models/portrait/ada/ada-486fb2366b/")
    assert api.asked[0][1:] == (path, body)


@pytest.mark.parametrize(("words", "path", "body"), SAID, ids=range(len(SAID)))
def test_a_decision_that_is_not_open_is_told_in_a_sentence(
    run: Run, api: Api, words: list[str], path: str, body: object
) -> None:
    error = {"code": "nothing_to_decide", "message": "x is SUBMITTING; try again in a minute"}
    api.answers = [httpx.Response(409, json={"error": error})]

    result = run(*words)

    assert (result.exit_code, result.stdout) == (1, "")
    assert "x is SUBMITTING; try again in a minute" in result.stderr
    assert api.asked == [("POST", path, body)]


def test_what_a_person_is_to_run_names_the_job(run: Run, api: Api) -> None:
    api.answers = [job_answer(status=Status.HELD, problems=(over_limit(30.0, 25.0),))]

    shown = " ".join(run("job", "ada-486fb2366b").stdout.split())

    assert "lora-drop approve ada-486fb2366b, or drop" in shown
    assert "JOB" not in shown


@pytest.mark.parametrize("status", ["succeeded", "SUCCEEDED", "Succeeded"])
def test_a_state_is_known_in_either_case(run: Run, api: Api, status: str) -> None:
    api.answers = [httpx.Response(200, json={"jobs": [], "next": None})]

    result = run("jobs", "--status", status, "--json")

    assert (result.exit_code, api.queries) == (0, [{"status": "SUCCEEDED", "limit": "20"}])


def test_all_dead_letters_are_sent_back_however_many_there_are(run: Run, api: Api) -> None:
    batches: list[dict[str, int]] = [
        {"inbox": 100, "results": 3},
        {"inbox": 20, "results": 0},
        {"inbox": 0, "results": 0},
    ]
    api.answers = [httpx.Response(200, json={"moved": moved}) for moved in batches]

    result = run("redrive")

    assert api.asked == [("POST", "/redrive", None)] * 3
    assert (result.exit_code, result.stdout) == (
        0,
        "120 to the inbox queue, 3 to the results queue\n",
    )


def test_programs_get_the_numbers_of_a_redrive(run: Run, api: Api) -> None:
    api.answers = [httpx.Response(200, json={"moved": {"inbox": 0, "results": 0}})]

    assert json.loads(run("redrive", "--json").stdout) == {"moved": {"inbox": 0, "results": 0}}


def test_the_months_money_is_shown(run: Run, api: Api) -> None:
    api.answers = [httpx.Response(200, json=BUDGET)]

    result = run("budget")

    assert api.asked == [("GET", "/budget", None)]
    assert [line.split(maxsplit=1) for line in result.stdout.splitlines()] == [
        ["month", "2026-11"],
        ["spent", "$12.00, of which $2.40 wasted"],
        ["reserved", "$3.60"],
        ["left", "$84.40 of $100.00"],
        ["one", "job   $25.00 at the most"],
        ["at", "fal    1 of 2"],
        ["ada-0123456789"],
    ]


def test_programs_get_the_months_money_as_it_is(run: Run, api: Api) -> None:
    api.answers = [httpx.Response(200, json=BUDGET)]

    assert json.loads(run("budget", "--json").stdout) == BUDGET


@pytest.mark.parametrize("words", [["redrive"], ["budget"], ["cancel", "x"], ["retry", "x"]])
def test_an_api_that_does_not_answer_is_told_in_a_sentence(
    run: Run, api: Api, words: list[str]
) -> None:
    api.answers = [httpx.Response(502, json={"message": "Internal server error"})]

    result = run(*words)

    assert (result.exit_code, result.stdout) == (1, "")
    assert "502" in result.stderr


@pytest.mark.parametrize("words", [["--request-id", "r", "--not-submitted"], []])
def test_a_resolution_that_says_both_or_nothing_asks_nobody(
    run: Run, api: Api, words: list[str]
) -> None:
    result = run("resolve", "x", *words)

    assert result.exit_code == 1
    assert "--request-id ID or --not-submitted" in result.stderr
    assert api.asked == []


def test_a_job_shows_its_money_and_where_it_comes_from(run: Run, api: Api) -> None:
    charge = Charge(month="2026-11", usd=3.6, state=ChargeState.WASTED)
    changes = {"charge": charge, "retry_of": "ada-1", "duplicate_of": "ada-2"}
    api.answers = [job_answer(status=Status.FAILED, **changes)]

    lines = run("job", "ada-486fb2366b").stdout.splitlines()

    shown = {line[:10].strip(): line[10:] for line in lines}
    assert (shown["money"], shown["retry of"], shown["same as"]) == (
        "$3.60 wasted",
        "ada-1",
        "ada-2",
    )


def test_a_job_that_is_looked_at_shows_its_estimate_once(run: Run, api: Api) -> None:
    api.answers = [job_answer(status=Status.TRAINING)]

    assert run("job", "ada-486fb2366b").stdout.count("estimate") == 1


def test_an_ordinary_job_shows_none_of_that(run: Run, api: Api) -> None:
    api.answers = [job_answer(status=Status.RECEIVED)]

    shown = run("job", "ada-486fb2366b").stdout

    assert not {"money", "retry of", "same as"} & {line[:10].strip() for line in shown.splitlines()}


@pytest.mark.parametrize(("given", "metadata"), [([], {}), (["--force"], {"force": "true"})])
def test_a_training_is_forced_only_when_somebody_says_so(
    run: Run, api: Api, stack: Stack, tmp_path: Any, given: list[str], metadata: dict[str, str]
) -> None:
    file = tmp_path / "ada.zip"
    file.write_bytes(b"x")

    result = run("train", str(file), "--no-wait", "--no-check", *given)

    got = stack.client("s3").get_object(Bucket="datasets", Key="ada.zip")
    assert (result.exit_code, got["Metadata"], api.asked) == (0, metadata, [])


def test_the_client_tells_a_missing_job_apart(stack: Stack, api: Api) -> None:
    unknown = {"error": {"code": "job_unknown", "message": "There is no job x."}}
    api.answers = [httpx.Response(404, json=unknown)] * 3
    lora_drop = answering(stack, api)

    for decide in (lora_drop.cancel, lora_drop.retry, lora_drop.replay):
        with pytest.raises(CommandError, match="no job x"):
            decide("x")

"""``lora-drop forget``: asked for until it is done, and the proof is shown."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from lora_drop.cli.main import application
from lora_drop.client.stack import Stack
from tests.support.client_fixtures import answering

type Run = Callable[..., Result]
PROOF: dict[str, Any] = {
    "digest": "0123456789",
    "begun_at": "2026-11-25T12:00:00Z",
    "erased_at": "2026-11-25T12:00:02Z",
    "done_at": None,
    "found": {"dataset_versions": 2, "result_versions": 9, "unfinished_uploads": 1},
    "fal_requests": 1,
    "fal_files": 2,
    "left": [],
    "beside": [],
}
DONE = {**PROOF, "done_at": "2026-11-25T12:06:02Z"}


def told(*proofs: dict[str, Any]) -> httpx.Response:
    done = all(proof["done_at"] for proof in proofs)
    soon = datetime.now(UTC) + timedelta(minutes=6)
    body = {"done": done, "last_look_at": soon.isoformat(), "erasures": proofs}
    return httpx.Response(200, json=body)


class Api:
    """What it was asked, and what it answers in turn."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.answers: list[httpx.Response] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append((request.url.path, json.loads(request.content)))
        return self.answers.pop(0)


@pytest.fixture
def api() -> Api:
    return Api()


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long it has slept; nobody waits here."""
    slept: list[float] = []
    monkeypatch.setattr("lora_drop.cli.forget.time.sleep", slept.append)
    return slept


@pytest.fixture
def run(stack: Stack, api: Api, waited: list[float], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command against that API."""
    assert waited == []
    monkeypatch.setattr("lora_drop.client.stack.find_stack", lambda _: stack)
    monkeypatch.setattr("lora_drop.client.lora_drop.LoraDrop", lambda found: answering(found, api))

    def invoke(*words: str, answer: str = "") -> Result:
        return CliRunner().invoke(application(), ["forget", "ada-0123456789", *words], input=answer)

    return invoke


def test_it_asks_until_it_is_done_and_shows_the_proof(
    run: Run, api: Api, waited: list[float]
) -> None:
    api.answers = [told({**PROOF, "erased_at": None}), told(PROOF), told(PROOF), told(DONE)]

    result = run("--yes")

    assert result.exit_code == 0, result.output
    assert api.asked == [("/live/jobs/ada-0123456789/forget", {"family": False})] * 4
    assert waited[0] == 1.0
    assert all(300 < seconds <= 360 for seconds in waited[1:])
    assert result.stderr.count("Ctrl-C is safe") == 1
    assert "0123456789: erased 2 versions of the dataset, 9 of its results" in result.stdout
    assert "done 2026-11-25T12:06:02Z" in result.stdout


def test_nobody_need_wait_for_the_last_look(run: Run, api: Api, waited: list[float]) -> None:
    api.answers = [told(PROOF)]

    result = run("--yes", "--no-wait")

    assert (result.exit_code, waited) == (0, [])
    assert "the last look is still to come" in result.stdout


def looked(*jobs: tuple[str, str, float | None]) -> httpx.Response:
    names = ("job_id", "status", "paid_usd")
    return httpx.Response(200, json={"jobs": [dict(zip(names, job, strict=True)) for job in jobs]})


ADA = ("ada-0123456789", "SUCCEEDED", 2.4)
LOOK, ORDER = {"family": False, "look": True}, {"family": False}


def refused_with(status: int, code: str, message: str) -> httpx.Response:
    return httpx.Response(status, json={"error": {"code": code, "message": message}})


def test_a_person_is_asked_whether_it_is_meant(run: Run, api: Api) -> None:
    api.answers = [looked(ADA)]
    refused = run(answer="n\n")
    assert refused.exit_code == 1
    assert [body for _, body in api.asked] == [LOOK]
    assert "ada-0123456789  SUCCEEDED, paid $2.40" in refused.stderr
    assert "Erase ada-0123456789 for good" in refused.stderr
    assert "Nothing was erased" in refused.stderr

    api.answers = [looked(ADA), told(DONE)]
    assert run(answer="y\n").exit_code == 0
    assert [body for _, body in api.asked] == [LOOK, LOOK, ORDER]


def test_everyone_who_goes_is_named_before_a_person_is_asked(run: Run, api: Api) -> None:
    others = [("ada-2-1", "FAILED", 0.0), ("bob-2", "REJECTED", None)]
    api.answers = [looked(ADA, *others), told(DONE, DONE, DONE)]

    done = run("--family", answer="y\n")

    assert done.exit_code == 0, done.output
    named, _, after = done.stderr.partition("Erase all 3 for good: their photos")
    assert named.splitlines() == [
        "ada-0123456789  SUCCEEDED, paid $2.40",
        "ada-2-1  FAILED, paid",
        "bob-2  REJECTED, nothing paid",
    ]
    assert after
    assert [body for _, body in api.asked] == [
        {"family": True, "look": True},
        {"family": True},
    ]


@pytest.mark.parametrize(
    "refusal",
    [
        refused_with(404, "job_unknown", "There is no job ada-0123456789."),
        refused_with(409, "not_forgotten", "ada-0123456789 is TRAINING"),
        refused_with(409, "job_shared", "ada-0123456789 shares its files with bob-2"),
    ],
    ids=["unknown", "at work", "shared"],
)
def test_what_is_refused_is_not_asked_about(run: Run, api: Api, refusal: httpx.Response) -> None:
    api.answers = [refusal]

    refused = run(answer="y\n")

    assert (refused.exit_code, len(api.asked)) == (1, 1)
    assert "ada-0123456789" in refused.stderr
    assert "for good" not in refused.stderr


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_what_is_begun_is_not_asked_about_again(run: Run, api: Api, words: tuple[str, ...]) -> None:
    api.answers = [looked(), told(PROOF), told(DONE)]

    done = run(*words)

    assert done.exit_code == 0, done.output
    assert "for good" not in done.stderr
    assert "2026-11-25T12:06:02Z" in done.stdout


def test_a_program_says_yes_beforehand(run: Run, api: Api) -> None:
    api.answers = [looked(ADA)]
    refused = run("--json", answer="y\n")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert [body for _, body in api.asked] == [LOOK]
    assert "--yes" in refused.stderr

    api.answers = [told(DONE)]
    assert json.loads(run("--json", "--yes").stdout)["erasures"] == [DONE]
    assert [body for _, body in api.asked] == [LOOK, ORDER]


def test_the_family_goes_only_where_that_is_said(run: Run, api: Api) -> None:
    shared = {"code": "job_shared", "message": "ada-1 shares with bob-2", "jobs": ["bob-2"]}
    api.answers = [httpx.Response(409, json={"error": shared}), told(DONE, DONE)]

    refused, done = run("--yes"), run("--yes", "--family")

    assert (refused.exit_code, "bob-2" in refused.stderr) == (1, True)
    assert (done.exit_code, done.stdout.count("0123456789: erased")) == (0, 2)
    assert api.asked[-1][1] == {"family": True}


def test_what_fal_has_kept_is_shown(run: Run, api: Api) -> None:
    api.answers = [told({**DONE, "left": ["fal keeps it", "and this"]})]

    assert "\n  left: fal keeps it.\n  left: and this." in run("--yes").stdout

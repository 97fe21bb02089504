"""`lora-drop forget` asks until it is done, and shows the proof."""

import json
import time
from datetime import UTC, datetime, timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import httpx
import pytest

from lora_drop.client import opened_pages
from lora_drop.jobs.ids import picture_job_id
from tests.support.client_fixtures import Api, Run, error_answer

MINE, OTHER = "ada-0123456789", "bob-2222222222"

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


def erased(*proofs: dict[str, Any]) -> httpx.Response:
    done = all(proof["done_at"] for proof in proofs)
    soon = datetime.now(UTC) + timedelta(days=1)
    body = {"done": done, "last_look_at": soon.isoformat(), "erasures": proofs}
    return httpx.Response(200, json=body)


@pytest.fixture
def waited(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the command has slept; no test waits."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    return slept


@pytest.fixture
def forget(run: Run, waited: list[float]) -> Run:
    """Run ``lora-drop forget`` for one job."""
    assert waited == []
    return lambda *words, **how: run("forget", "ada-0123456789", *words, **how)


@pytest.mark.promise("it can be operated")
def test_asks_until_done(forget: Run, api: Api, waited: list[float]) -> None:
    """The command asks until the job is erased, and shows the proof."""
    api.answers = [erased({**PROOF, "erased_at": None}), erased(PROOF), erased(PROOF), erased(DONE)]
    result = forget("--yes")

    assert result.exit_code == 0, result.output
    assert api.asked == [("POST", "/jobs/ada-0123456789/forget", {"family": False})] * 4
    assert waited[0] == 1.0
    assert all(86_000 < seconds <= 86_400 for seconds in waited[1:])
    assert result.stderr.count("Ctrl-C is safe") == 1
    assert (
        "0123456789: erased 2 versions of the dataset, 9 versions of its results" in result.stdout
    )
    assert "done 2026-11-25T12:06:02Z" in result.stdout


def test_last_look_can_be_left_out(forget: Run, api: Api, waited: list[float]) -> None:
    api.answers = [erased(PROOF)]
    result = forget("--yes", "--no-wait")
    assert (result.exit_code, waited) == (0, [])
    assert "the last look is still to come" in result.stdout


def test_pictures_are_named_by_their_job(forget: Run, api: Api) -> None:
    """A picture's erasing is told by its number and its job, whose id a person has seen."""
    picture = {
        **DONE,
        "digest": picture_job_id("ada-0123456789", 2).rpartition("-")[2],
        "found": {"dataset_versions": 0, "result_versions": 1, "unfinished_uploads": 0},
        "fal_files": 1,
    }
    api.answers = [erased(DONE, picture)]
    shown = forget("--yes").stdout
    assert "ada-0123456789: erased 2 versions of the dataset, 9 versions of its results" in shown
    assert (
        "picture 2 of the proof sheet of ada-0123456789: erased no versions of the dataset, 1 version of its results, "
        "no unfinished uploads; at fal 1 file of 1 request; done"
    ) in shown


def looked(*jobs: tuple[str, str, float | None]) -> httpx.Response:
    names = ("job_id", "status", "paid_usd")
    return httpx.Response(200, json={"jobs": [dict(zip(names, job, strict=True)) for job in jobs]})


ADA = ("ada-0123456789", "SUCCEEDED", 2.4)
LOOK, ORDER = {"family": False, "look": True}, {"family": False}


@pytest.mark.promise("never lose a result")
def test_person_is_asked_first(forget: Run, api: Api) -> None:
    """A person is asked whether the job is to be erased, before anything is."""
    api.answers = [looked(ADA)]
    refused = forget(answer="n\n")
    assert refused.exit_code == 1
    assert [body for *_, body in api.asked] == [LOOK]
    assert "ada-0123456789  SUCCEEDED, paid $2.40" in refused.stderr
    assert "Erase ada-0123456789 for good" in refused.stderr
    assert "Nothing was erased" in refused.stderr

    api.answers = [looked(ADA), erased(DONE)]
    assert forget(answer="y\n").exit_code == 0
    assert [body for *_, body in api.asked] == [LOOK, LOOK, ORDER]


def test_all_jobs_are_named_first(forget: Run, api: Api) -> None:
    others = [("ada-2-1", "FAILED", 0.0), ("bob-2", "REJECTED", None)]
    api.answers = [looked(ADA, *others), erased(DONE, DONE, DONE)]
    done = forget("--family", answer="y\n")

    assert done.exit_code == 0, done.output
    named, _, after = done.stderr.partition("Erase all 3 for good: their photos")
    assert named.splitlines() == [
        "ada-0123456789  SUCCEEDED, paid $2.40",
        "ada-2-1  FAILED, paid",
        "bob-2  REJECTED, nothing paid",
    ]
    assert after
    assert [body for *_, body in api.asked] == [
        {"family": True, "look": True},
        {"family": True},
    ]


@pytest.mark.parametrize(
    "refusal",
    [
        error_answer(404, "job_unknown", "There is no job ada-0123456789."),
        error_answer(409, "not_forgotten", "ada-0123456789 is TRAINING"),
        error_answer(409, "job_shared", "ada-0123456789 shares its files with bob-2"),
    ],
    ids=["unknown", "at work", "shared"],
)
def test_refusal_is_not_asked_about(forget: Run, api: Api, refusal: httpx.Response) -> None:
    api.answers = [refusal]
    refused = forget(answer="y\n")
    assert (refused.exit_code, len(api.asked)) == (1, 1)
    assert "ada-0123456789" in refused.stderr
    assert "for good" not in refused.stderr


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_begun_order_is_not_asked_again(forget: Run, api: Api, words: tuple[str, ...]) -> None:
    api.answers = [looked(), erased(PROOF), erased(DONE)]
    done = forget(*words)
    assert done.exit_code == 0, done.output
    assert "for good" not in done.stderr
    assert "2026-11-25T12:06:02Z" in done.stdout


def test_program_needs_yes(forget: Run, api: Api) -> None:
    api.answers = [looked(ADA)]
    refused = forget("--json", answer="y\n")
    assert (refused.exit_code, list(json.loads(refused.stdout))) == (1, ["error"])
    assert [body for *_, body in api.asked] == [LOOK]
    assert "--yes" in refused.stderr

    api.answers = [erased(DONE)]
    assert json.loads(forget("--json", "--yes").stdout)["erasures"] == [DONE]
    assert [body for *_, body in api.asked] == [LOOK, ORDER]


def test_family_only_when_given(forget: Run, api: Api) -> None:
    shared = error_answer(409, "job_shared", "ada-1 shares with bob-2", jobs=["bob-2"])
    api.answers = [shared, erased(DONE, DONE)]
    refused, done = forget("--yes"), forget("--yes", "--family")
    assert (refused.exit_code, "bob-2" in refused.stderr) == (1, True)
    assert (done.exit_code, done.stdout.count("0123456789: erased")) == (0, 2)
    assert api.asked[-1][2] == {"family": True}


@pytest.mark.promise("nothing leaks")
def test_what_fal_keeps_is_shown(forget: Run, api: Api) -> None:
    """What fal still has of an erased job is shown."""
    api.answers = [erased({**DONE, "left": ["fal keeps it", "and this"]})]
    assert "\n  left: fal keeps it.\n  left: and this." in forget("--yes").stdout


@pytest.mark.promise("nothing leaks")
def test_opened_pages_are_deleted(
    forget: Run, api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pages of an erased job that were opened on this machine are deleted, and no other job's."""
    monkeypatch.setattr(opened_pages, "cache_folder", lambda: tmp_path)
    mine = [opened_pages.report_folder(MINE) / "report.html"]
    mine += [opened_pages.comparison_file(*each) for each in permutations((MINE, OTHER))]
    others = [opened_pages.report_folder(OTHER) / "report.html"]
    others += [opened_pages.comparison_file(OTHER, "eve-1111111111")]
    for page in (*mine, *others):
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text("<p>")
    api.answers = [erased(DONE)]

    assert forget("--yes").exit_code == 0
    assert [page.exists() for page in (*mine, *others)] == [False] * 3 + [True] * 2


def test_undeleted_page_is_said(forget: Run, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(_: object) -> None:
        raise PermissionError("reports")

    monkeypatch.setattr(opened_pages, "delete_cached", unreadable)
    api.answers = [erased(DONE)]
    failed = forget("--yes")
    assert failed.exit_code == 1
    assert "The job is erased, and its pages on this machine are not: reports." in failed.stderr

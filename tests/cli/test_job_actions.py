"""The commands with which a person decides, and what each sends to the API."""

import json
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from lora_drop.client.stack import Stack
from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.budget import Charge, ChargeState
from lora_drop.jobs.job_problems import over_limit
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.proof import Likeness, ProofSheet
from lora_drop.jobs.status import Status
from tests.support.builders import NOW
from tests.support.client_fixtures import Api, Run, error_answer, job_answer

BUDGET = {
    "month": "2026-11",
    "reserved_usd": 3.6,
    "spent_usd": 12.0,
    "wasted_usd": 2.4,
    "left_usd": 84.4,
    "in_flight": ["ada-0123456789"],
    "limits": {"max_in_flight": 2, "monthly_usd": 100.0, "job_usd": 25.0},
}


SAID = [
    (["cancel", "x"], "/jobs/x/cancel", None),
    (["approve", "x"], "/jobs/x/approve", None),
    (["replay", "x"], "/jobs/x/replay", None),
    (["retry", "x"], "/jobs/x/retry", {"resume": False}),
    (["retry", "x", "--resume"], "/jobs/x/retry", {"resume": True}),
    (["resolve", "x", "--request-id", "r"], "/jobs/x/resolve", {"request_id": "r"}),
    (["resolve", "x", "--not-submitted"], "/jobs/x/resolve", {"not_submitted": True}),
]


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize(("words", "path", "body"), SAID, ids=range(len(SAID)))
def test_action_is_sent_and_reported(
    run: Run, api: Api, words: list[str], path: str, body: object
) -> None:
    """Each action of a person is sent once, and the job's new state is shown."""
    became = Status.CANCELLED if words[0] == "cancel" else Status.READY
    api.answers = [job_answer(status=became)]
    result = run(*words)
    assert api.asked == [("POST", path, body)]
    assert (result.exit_code, result.stdout) == (0, f"{became} ada-486fb2366b\n")


def test_ignored_cancel_is_no_success(run: Run, api: Api) -> None:
    asked = Problem(code="cancel_requested", message="fal was asked to stop the training.")
    api.answers = [job_answer(status=Status.TRAINING, problems=(asked,))]
    result = run("cancel", "x")
    assert (result.exit_code, result.stdout) == (1, "TRAINING ada-486fb2366b\n")
    assert "fal was asked to stop" in result.stderr
    assert "x is not cancelled: it is TRAINING" in result.stderr


@pytest.mark.promise("interfaces stay")
@pytest.mark.parametrize(("words", "path", "body"), SAID, ids=range(len(SAID)))
def test_json_is_the_whole_job(
    run: Run, api: Api, words: list[str], path: str, body: object
) -> None:
    """With ``--json`` an action prints the whole job as one object."""
    api.answers = [job_answer(status=Status.READY)]
    result = run(*words, "--json")
    job = json.loads(result.stdout)
    assert result.stdout.count("\n") == 1
    assert (job["status"], job["location"]) == ("READY", "s3://models/portrait/ada/ada-486fb2366b/")
    assert api.asked[0][1:] == (path, body)


@pytest.mark.parametrize("words", [*(words for words, *_ in SAID), ["redrive"], ["budget"]])
@pytest.mark.parametrize("said", ["x is SUBMITTING; try again in a minute", "502: Internal"])
def test_refusal_is_explained(run: Run, api: Api, words: list[str], said: str) -> None:
    broken = httpx.Response(502, json={"message": "Internal server error"})
    api.answers = [broken if "502" in said else error_answer(409, "nothing_to_decide", said)]
    result = run(*words)
    tries = 5 if words == ["budget"] and "502" in said else 1  # what changes nothing is asked again
    assert (result.exit_code, result.stdout, len(api.asked)) == (1, "", tries)
    assert said in result.stderr


def test_next_action_names_the_job(run: Run, api: Api) -> None:
    api.answers = [job_answer(status=Status.HELD, problems=(over_limit(30.0, 25.0),))]
    shown = " ".join(run("job", "ada-486fb2366b").stdout.split())
    assert "lora-drop approve ada-486fb2366b, or drop" in shown
    assert "JOB" not in shown


PICTURES = ("ada-1111111111", "ada-2222222222")
LOW = Likeness(likeness=0.41, among_photos=0.84, advice="The pictures look less like the person.")
PROOFS = [
    (
        ProofSheet(pictures=PICTURES, done_at=NOW, likeness=LOW),
        [
            "proof sheet s3://models/portrait/ada/ada-486fb2366b/proof/proof.html",
            "Looks like the photos: 0.41 of the 0.84 that the photos reach among themselves.",
            LOW.advice,
        ],
    ),
    (ProofSheet(pictures=PICTURES, done_at=NOW), ["proof/proof.html"]),
    (ProofSheet(note="It cannot be made.", done_at=NOW), ["No proof sheet: It cannot be made."]),
    (None, []),
]


@pytest.mark.parametrize(("proof", "said"), PROOFS)
def test_likeness_is_shown(run: Run, api: Api, proof: ProofSheet | None, said: list[str]) -> None:
    api.answers = [job_answer(status=Status.SUCCEEDED, proof=proof)]
    result = run("job", "ada-486fb2366b")
    shown = " ".join(result.stdout.split()).replace("for the proof sheet", "for the pictures")
    assert result.exit_code == 0
    assert all(each in shown for each in said)
    assert ("proof" in shown, "Looks like" in shown) == (bool(said), len(said) == 3)


@pytest.mark.parametrize("simulated", ["", "No LoRA made them."])
def test_simulators_pictures_are_said(
    run: Run, api: Api, stack: Stack, monkeypatch: pytest.MonkeyPatch, simulated: str
) -> None:
    monkeypatch.setattr(
        "lora_drop.client.stack._deployed", lambda *_, **__: replace(stack, simulated=simulated)
    )
    for proof in (ProofSheet(pictures=PICTURES, done_at=NOW), None):
        api.answers = [job_answer(status=Status.SUCCEEDED, proof=proof)]
        shown = run("job", "ada-486fb2366b").stdout
        assert ("No LoRA made them." in shown) == bool(simulated and proof)


def test_unwritten_sheet_is_not_named(run: Run, api: Api) -> None:
    sheet = ProofSheet(pictures=PICTURES, note="It could not be written.", done_at=NOW)
    api.answers = [job_answer(status=Status.SUCCEEDED, proof=sheet)]
    shown = run("job", "ada-486fb2366b").stdout
    assert "No proof sheet: It could not be written." in shown
    assert "proof.html" not in shown


def test_sheet_of_duplicate_is_earlier_jobs(run: Run, api: Api) -> None:
    sheet = ProofSheet(note="The one of this LoRA belongs to ada-1.", done_at=NOW)
    api.answers = [job_answer(status=Status.SUCCEEDED, duplicate_of="ada-1", proof=sheet)]
    shown = run("job", "ada-486fb2366b").stdout
    assert "\nProof sheet: The one of this LoRA belongs to ada-1.\n" in shown


MADE = StoredFile(
    name="picture.jpg",
    bucket="models",
    key="portrait/ada/ada-486fb2366b/proof/1/picture.jpg",
    size=1,
    sha256="0" * 64,
)


@pytest.mark.parametrize(
    ("files", "said"), [((), "being made"), ((MADE,), "1 of 2 pictures")], ids=["none", "one"]
)
def test_open_sheet_says_how_far(
    run: Run, api: Api, files: tuple[StoredFile, ...], said: str
) -> None:
    open_sheet = ProofSheet(pictures=PICTURES)
    api.answers = [
        job_answer(status=Status.SUCCEEDED, proof=open_sheet),
        job_answer(job_id=PICTURES[0], files=files),
        error_answer(404, "job_unknown", "There is no such job."),
    ]
    result = run("job", "ada-486fb2366b")
    shown = " ".join(result.stdout.split())
    assert result.exit_code == 0, result.stderr
    assert f"proof sheet {said}" in shown
    assert "$6.00 spent, and about $0.07 for the proof sheet" in shown


@pytest.mark.parametrize("status", [Status.HELD, Status.SUBMIT_UNKNOWN])
def test_picture_that_waits_for_a_person_is_named(run: Run, api: Api, status: Status) -> None:
    """A job whose proof sheet waits for a person says for which picture, why, and what to do."""
    why = Problem(
        code="budget_reached",
        message="The budget is used up. Let it go on: lora-drop approve JOB",
    )
    api.answers = [
        job_answer(status=Status.SUCCEEDED, proof=ProofSheet(pictures=PICTURES)),
        job_answer(job_id=PICTURES[0], status=status, problems=(why,)),
        job_answer(job_id=PICTURES[1], files=(MADE,)),
    ]
    shown = " ".join(run("job", "ada-486fb2366b").stdout.split())
    assert f"{PICTURES[0]} is {status}: the proof sheet waits for it" in shown
    assert f"used up. Let it go on: lora-drop approve {PICTURES[0]} (budget_reached)" in shown
    assert "1 of 2 pictures" in shown


@pytest.mark.parametrize(
    ("status", "more"),
    [(Status.READY, ", and $0.14 for the proof sheet"), (Status.FAILED, "")],
)
def test_ordered_sheet_is_in_estimate(run: Run, api: Api, status: Status, more: str) -> None:
    api.answers = [job_answer(status=status, estimated_cost_usd=3.6, proof=ProofSheet())]
    assert f"estimate  $3.60{more}\n" in run("job", "ada-486fb2366b").stdout


def test_made_sheet_stays_in_estimate(run: Run, api: Api) -> None:
    made = ProofSheet(pictures=PICTURES, done_at=NOW, paid_usd=0.07)
    api.answers = [job_answer(status=Status.SUCCEEDED, estimated_cost_usd=3.6, proof=made)]
    assert "estimate  $3.60, and $0.07 for the proof sheet\n" in run("job", "ada-1").stdout


@pytest.mark.parametrize("status", ["succeeded", "SUCCEEDED", "Succeeded"])
def test_state_in_either_case(run: Run, api: Api, status: str) -> None:
    api.answers = [httpx.Response(200, json={"jobs": [], "next": None})]
    result = run("jobs", "--status", status, "--json")
    assert (result.exit_code, api.queries) == (0, [{"status": "SUCCEEDED", "limit": "20"}])


@pytest.mark.promise("never get stuck")
def test_redrive_repeats_until_done(run: Run, api: Api) -> None:
    """All dead letters are sent back, however many there are."""
    batches: list[dict[str, int]] = [
        {"inbox": 100, "results": 3},
        {"inbox": 20, "results": 0},
        {"inbox": 0, "results": 0},
    ]
    api.answers = [httpx.Response(200, json={"moved": moved}) for moved in batches]
    result = run("redrive")

    assert api.asked == [("POST", "/redrive", None)] * 3
    assert result.exit_code == 0
    assert result.stdout == "120 to the inbox queue, 3 to the results queue\n"


@pytest.mark.promise("it can be operated")
def test_budget_is_shown(run: Run, api: Api) -> None:
    """The month's money is shown."""
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


@pytest.mark.parametrize(
    ("word", "answer"), [("redrive", {"moved": {"inbox": 0, "results": 0}}), ("budget", BUDGET)]
)
def test_answer_as_json(run: Run, api: Api, word: str, answer: object) -> None:
    api.answers = [httpx.Response(200, json=answer)]
    assert json.loads(run(word, "--json").stdout) == answer


@pytest.mark.parametrize("words", [["--request-id", "r", "--not-submitted"], []])
def test_contradictory_resolution_asks_nothing(run: Run, api: Api, words: list[str]) -> None:
    result = run("resolve", "x", *words)
    assert result.exit_code == 1
    assert "--request-id ID or --not-submitted" in result.stderr
    assert api.asked == []


def test_job_shows_money_and_origin(run: Run, api: Api) -> None:
    charge = Charge(month="2026-11", usd=3.6, state=ChargeState.WASTED)
    changes = {"charge": charge, "retry_of": "ada-1", "duplicate_of": "ada-2"}
    api.answers = [job_answer(status=Status.FAILED, **changes)]
    lines = run("job", "ada-486fb2366b").stdout.splitlines()
    shown = {line[:10].strip(): line[10:] for line in lines}
    wanted = {"money": "$3.60 wasted", "retry of": "ada-1", "same as": "ada-2"}
    assert wanted.items() <= shown.items()


def test_followed_job_shows_estimate_once(run: Run, api: Api) -> None:
    api.answers = [job_answer(status=Status.TRAINING)]
    assert run("job", "ada-486fb2366b").stdout.count("estimate") == 1


def test_ordinary_job_shows_no_origin(run: Run, api: Api) -> None:
    api.answers = [job_answer(status=Status.RECEIVED)]
    shown = run("job", "ada-486fb2366b").stdout
    assert not {"money", "retry of", "same as"} & {line[:10].strip() for line in shown.splitlines()}


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize(("given", "metadata"), [([], {}), (["--force"], {"force": "true"})])
def test_force_only_when_given(
    run: Run, api: Api, stack: Stack, tmp_path: Path, given: list[str], metadata: dict[str, str]
) -> None:
    """A training is forced only when that is asked for."""
    file = tmp_path / "ada.zip"
    file.write_bytes(b"x")
    result = run("train", file, "--no-wait", "--no-check", *given)
    got = stack.client("s3").get_object(Bucket="datasets", Key="ada.zip")
    assert (result.exit_code, got["Metadata"], api.asked) == (0, metadata, [])

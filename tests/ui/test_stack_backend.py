"""The page over a stack: what is shown of each job, what is asked before a decision, and that each is made once."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest

from lora_drop.client import stack as stack_module
from lora_drop.client.errors import CommandError, JobUnknownError, StackUnreachableError
from lora_drop.client.stack import Stack
from lora_drop.client.stack_client import StackClient
from lora_drop.datasets.reports.proof_sheet import proof_json
from lora_drop.jobs.budget import Charge, ChargeState
from lora_drop.jobs.job_problems import over_budget, over_limit
from lora_drop.jobs.proof import Likeness, PictureLikeness, ProofSheet
from lora_drop.jobs.status import Status
from lora_drop.local.simulator_words import DRAWN
from lora_drop.services.retry import NOT_RETRIED
from lora_drop.ui import stack_backend
from lora_drop.ui.backends import Action, CardPicture, ProofCard, Usage
from lora_drop.ui.stack_backend import StackBackend
from lora_drop.ui.stack_cards import RETRIED
from tests.support.builders import NOW, make_dataset, make_job
from tests.support.client_fixtures import (
    Api,
    answering,
    api,
    at_once,
    error_answer,
    folder,
    job_answer,
    stack,
    stored,
)
from tests.unit.datasets.test_proof_sheet import make_picture, make_sheet

__all__ = ["api", "at_once", "folder", "stack"]

S, A = Status, Action
JOB = make_job().job_id
SILENT = httpx.Response(500, json={"message": "internal"})
GONE = error_answer(404, "job_unknown", "There is no such job.")
LORA = stored("lora.safetensors", b"weights")


@pytest.fixture
def backend(stack: Stack, api: Api) -> Iterator[StackBackend]:
    backend = StackBackend(answering(stack, api))
    yield backend
    backend.close()


def charge(state: ChargeState, usd: float = 6.0) -> Charge:
    return Charge(month="2026-11", usd=usd, state=state)


def log(*lines: str, next_: int | None = None, **more: Any) -> httpx.Response:
    said = [{"message": line, "at": "2026-11-24T12:00:00+00:00"} for line in lines]
    end = len(lines) if next_ is None else next_
    usual = {"job_id": JOB, "status": "TRAINING", "progress": None, "queue_position": None}
    return httpx.Response(200, json={**usual, "lines": said, "next": end, **more})


def test_cards_of_every_status(backend: StackBackend, api: Api) -> None:
    reserved, spent = charge(ChargeState.RESERVED), charge(ChargeState.SPENT)
    wasted, free = charge(ChargeState.WASTED), charge(ChargeState.FREE)
    rows: list[tuple[Status, dict[str, Any], tuple[Action, ...], str]] = [
        (S.RECEIVED, {}, (A.CANCEL,), ""),
        (S.REJECTED, {}, (A.FORGET,), "nothing paid"),
        (S.READY, {}, (A.CANCEL,), "about $6.00"),
        (S.READY, {"estimated_cost_usd": None}, (A.CANCEL,), "the price is not known"),
        (S.READY, {"past_charges": (free,)}, (A.CANCEL,), "about $6.00"),
        (S.HELD, {}, (A.APPROVE, A.CANCEL), "about $6.00"),
        (S.SUBMITTING, {"charge": reserved}, (), "$6.00 reserved"),
        (S.SUBMIT_UNKNOWN, {"charge": reserved}, (), "$6.00 reserved"),
        (S.SUBMITTED, {"charge": reserved}, (A.CANCEL,), "$6.00 reserved"),
        (S.TRAINING, {"charge": charge(ChargeState.RESERVED, 0)}, (A.CANCEL,), "reserved, the price is not known"),
        (S.TRAINING, {"charge": reserved, "cancel_by": "ada"}, (), "$6.00 reserved"),
        (S.STORING, {"charge": spent}, (), "$6.00 paid"),
        (S.SUCCEEDED, {"charge": spent, "files": (LORA,)}, (A.FORGET,), "$6.00 paid"),
        (S.SUCCEEDED, {"charge": spent, "past_charges": (wasted,)}, (A.FORGET,), "$12.00 paid, $6.00 of it without a result"),
        (S.SUCCEEDED, {"charge": None, "duplicate_of": "ada-1"}, (A.FORGET,), "nothing paid"),
        (S.FAILED, {"charge": wasted}, (A.RETRY, A.FORGET), "$6.00 paid, without a result"),
        (S.CANCELLED, {"charge": free}, (A.RETRY, A.FORGET), "nothing paid"),
        (S.CANCELLED, {"parameters": None}, (A.FORGET,), "nothing paid"),
        (S.EXPIRED, {"charge": spent}, (A.RETRY, A.FORGET), "$6.00 paid"),
    ]  # fmt: skip
    for status, changes, actions, cost in rows:
        at_fal = status in (S.SUBMITTED, S.TRAINING)
        api.answers = [job_answer(status=status, **changes), *([log("a")] if at_fal else [])]
        card = backend.card(JOB)
        assert (card.status, card.actions, card.cost) == (status, actions, cost)
        assert (card.silence, card.log != ()) == (None, at_fal)
        assert card.has_report is (
            status is not S.RECEIVED and changes.get("parameters", 1) is not None
        )
        assert card.ended is status.terminal
        assert [each for each, _ in card.history] == [
            step.status for step in make_job(status).history
        ]
        assert (card.location or "").startswith("s3://models/")
        assert api.answers == []
        backend._logs.clear()
    assert {row[0] for row in rows} == set(Status)
    assert {each for each in Status if each.terminal} - set(NOT_RETRIED) == RETRIED


def test_card_says_what_it_waits_for(backend: StackBackend, api: Api) -> None:
    slots = {"slots_taken": 3, "slots": 3, "jobs_before": 1}
    rows: list[tuple[Status, dict[str, Any], dict[str, Any], str]] = [
        (S.READY, {}, {"waiting": slots}, "3 of 3 slots taken, 1 job before it"),
        (S.HELD, {"problems": (over_budget(6, 5),)}, {}, "next month, a higher budget, or your approval"),
        (S.HELD, {"problems": (over_limit(6, 5),)}, {}, "your approval of what it costs"),
        (S.HELD, {}, {}, "your decision"),
        (S.SUBMIT_UNKNOWN, {}, {}, "it is not sent a second time"),
    ]  # fmt: skip
    for status, changes, more, said in rows:
        document = json.loads(job_answer(status=status, **changes).content) | more
        api.answers = [httpx.Response(200, json=document)]
        assert said in (backend.card(JOB).waiting or "")


def test_log_shows_last_lines_and_progress(backend: StackBackend, api: Api) -> None:
    bars = [f" {each}%|#| {each}/100 [00:01<00:09, 1.0it/s]" for each in (1, 2, 3)]
    far = {
        "step": 3,
        "steps": 100,
        "percent": 3.0,
        "eta_seconds": 9.0,
        "at": "2026-11-24T12:00:00Z",
    }
    lines = [f"line {each}" for each in range(9)]
    training = job_answer(status=S.TRAINING)
    api.answers = [training, log(*lines, *bars, next_=500, progress=far)]
    card = backend.card(JOB)
    assert [line.message for line in card.log] == [*lines[2:], bars[-1]]
    assert card.log[0].at == datetime(2026, 11, 24, 12, tzinfo=UTC)
    assert (card.progress and card.progress.step) == 3
    api.answers = [training, log(next_=300), job_answer(status=S.STORING)]
    assert backend.card(JOB).log == card.log  # fal gave no log this time
    assert backend.card(JOB).log == card.log
    assert [each.get("after") for each in api.queries] == [None, "0", None, "300", None]


def test_silence_keeps_what_was_seen(backend: StackBackend, api: Api) -> None:
    api.answers = [SILENT]
    with pytest.raises(StackUnreachableError):
        backend.card(JOB)
    api.answers = [job_answer(status=S.READY)]
    seen = backend.card(JOB)
    api.answers = [SILENT]
    silent = backend.card(JOB)
    assert "500" in (silent.silence or "")
    assert (silent.status, silent.cost, silent.history) == (S.READY, seen.cost, seen.history)
    api.answers = [job_answer(status=S.TRAINING), error_answer(409, "x", "No log.")]
    assert backend.card(JOB).silence == "No log."
    api.answers = [job_answer(status=S.SUCCEEDED)]
    assert backend.card(JOB).silence is None


@pytest.mark.promise("never pay twice")
def test_decisions_are_posted_once(
    backend: StackBackend, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A decision that is made on the page is posted to the stack once, also where its answer is lost."""
    monkeypatch.setattr(stack_backend, "PAUSE", 0.0)
    for action in (A.CANCEL, A.APPROVE, A.RETRY):
        for answer in (SILENT, error_answer(409, "not_allowed", "It has ended.")):
            api.asked, api.answers = [], [answer]
            with pytest.raises(CommandError):
                backend.act(JOB, action)
            assert [each[:2] for each in api.asked] == [("POST", f"/jobs/{JOB}/{action}")]
    api.answers = [job_answer(status=S.CANCELLED), job_answer(job_id="ada-2", retry_of=JOB)]
    assert [backend.act(JOB, each) for each in (A.CANCEL, A.RETRY)] == [JOB, "ada-2"]


def test_questions_say_what_it_costs(backend: StackBackend, api: Api) -> None:
    wasted, limit = charge(ChargeState.WASTED), over_limit(6, 5)
    rows: list[tuple[Action, Status, dict[str, Any], list[str], str]] = [
        (A.CANCEL, S.READY, {}, ["not sent to fal yet: to cancel it is free."], "Cancel the job"),
        (A.CANCEL, S.HELD, {"past_charges": (wasted,)}, ["free. Of it until now: $6.00 paid, without"], "Cancel the job"),
        (A.CANCEL, S.TRAINING, {}, ["has run already may be billed", "kept then, and it is paid"], "Cancel the job"),
        (A.RETRY, S.FAILED, {"charge": wasted}, ["pays about $6.00 once more", "until now: $6.00 paid"], "Pay about $6.00"),
        (A.RETRY, S.CANCELLED, {}, ["until now: nothing paid."], "Pay about $6.00"),
        (A.APPROVE, S.HELD, {"problems": (limit,)}, ["one may cost $5.00 (MaxJobUsd).", "pays about $6.00"], "Approve about $6.00"),
        (A.APPROVE, S.HELD, {"estimated_cost_usd": None}, ["pays a price that is not known here"], "Approve a price that is not known here"),
    ]  # fmt: skip
    for action, status, changes, said, button in rows:
        api.answers = [job_answer(status=status, **changes)]
        question = backend.question(JOB, action)
        words = "\n".join(question.sentences)
        assert (question.action, question.button) == (action, button)
        assert [each for each in said if each not in words] == []
        assert "lora-drop" not in words
    api.answers = [job_answer(status=S.SUCCEEDED)]
    with pytest.raises(CommandError, match="SUCCEEDED by now"):
        backend.question(JOB, A.CANCEL)
    assert {each[0] for each in api.asked} == {"GET"}


def look(*jobs: tuple[str, str, float | None]) -> httpx.Response:
    names = ("job_id", "status", "paid_usd")
    return httpx.Response(200, json={"jobs": [dict(zip(names, job, strict=True)) for job in jobs]})


def erased(*at: str | None) -> httpx.Response:
    proofs = [{"erased_at": each} for each in at]
    return httpx.Response(200, json={"done": False, "last_look_at": "", "erasures": proofs})


OWN, OTHER = (JOB, "SUCCEEDED", 6.0), ("bob-1", "CANCELLED", None)


@pytest.mark.promise("never lose a result")
def test_forgetting_names_all_that_goes(
    backend: StackBackend, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a job is forgotten every job that goes with it is named, and none goes that was not."""
    monkeypatch.setattr(stack_backend, "PAUSE", 0.0)
    api.answers = [look(OWN, OTHER)]
    question = backend.question(JOB, A.FORGET)
    assert question.sentences[1:3] == (
        f"{JOB}  SUCCEEDED, paid $6.00",
        "bob-1  CANCELLED, nothing paid",
    )
    assert question.button == "Erase all 2 for good"
    api.answers = [look(OWN, OTHER, ("eve-1", "FAILED", 0.0))]
    with pytest.raises(CommandError, match=r"eve-1\. Nothing was erased"):
        backend.act(JOB, A.FORGET)
    assert all(body == {"family": True, "look": True} for _, _, body in api.asked)
    api.asked = []
    api.answers = [
        look(OWN, OTHER),
        erased(None),
        SILENT,
        erased("now", None),
        erased("now", "now"),
    ]
    assert backend.act(JOB, A.FORGET) == JOB
    assert [body for _, _, body in api.asked[1:]] == [{"family": True}] * 4
    api.answers = [look(OWN, OTHER)]
    with pytest.raises(CommandError, match="bob-1"):  # what was named counts once
        backend.act(JOB, A.FORGET)


def test_erasing_that_lasts_is_not_waited_for(
    backend: StackBackend, api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stack_backend, "PAUSE", 0.0)
    api.answers = [look(OWN), *[SILENT] * 5]
    with pytest.raises(StackUnreachableError):
        backend.act(JOB, A.FORGET)
    monkeypatch.setattr(stack_backend, "ERASED_WITHIN", 0.0)
    api.answers = [look(), erased(None)]
    with pytest.raises(CommandError, match="goes on by itself"):
        backend.act(JOB, A.FORGET)
    api.answers = [look()]
    assert "begun already" in backend.question(JOB, A.FORGET).sentences[0]


def test_list_is_searched_over_pages(backend: StackBackend, api: Api) -> None:
    far = {
        "step": 1,
        "steps": 4,
        "percent": 25.0,
        "eta_seconds": None,
        "at": "2026-11-24T12:00:00Z",
    }
    jobs = [
        json.loads(job_answer(**each).content)
        for each in (
            {"dataset": make_dataset("Portrait/ADA.zip"), "status": S.TRAINING, "progress": far},
            {"dataset": make_dataset("b.zip"), "reference": "order of Ada"},
            {"dataset": make_dataset("c.zip"), "job_id": "ada-1", "status": S.CANCELLED},
            {
                "dataset": make_dataset("d.zip"),
                "job_id": "d-1",
                "charge": charge(ChargeState.RESERVED, 3),
            },
        )
    ]
    pages = [(jobs[:1], "2"), (jobs[1:], None)]
    api.answers = [httpx.Response(200, json={"jobs": each, "next": next_}) for each, next_ in pages]
    found = backend.jobs(status=S.TRAINING, search="aDa", cursor="1")
    assert [row.dataset for row in found.rows] == ["Portrait/ADA.zip", "b.zip", "c.zip"]
    assert [row.usd for row in found.rows] == [6.0, None, 0.0]
    assert (found.rows[0].percent, found.rows[0].trigger_phrase) == (25.0, "TOK_12345678")
    assert [each["cursor"] for each in api.queries] == ["1", "2"]
    assert {each["status"] for each in api.queries} == {"TRAINING"}
    api.answers = [httpx.Response(200, json={"jobs": jobs, "next": "3"})]
    page = backend.jobs()
    assert (len(page.rows), page.next, page.rows[-1].usd) == (4, "3", 3.0)


def test_uploaded_dataset_is_received_until_seen(
    backend: StackBackend, api: Api, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[tuple[int, int]] = []
    job_id = backend.train(
        folder, name="Ada / 1.ZIP", parameters={}, progress=lambda *far: sent.append(far)
    )
    assert sent[-1][0] == sent[-1][1] > 0
    api.answers = [GONE, SILENT, GONE]
    card = backend.card(job_id)
    assert (card.status, card.dataset, card.actions) == (S.RECEIVED, "Ada - 1.zip", ())
    assert backend.card(job_id).silence
    monkeypatch.setattr(stack_backend, "USUAL", timedelta(seconds=-1))
    assert "unusual" in (backend.card(job_id).waiting or "")
    api.answers = [job_answer(job_id=job_id), GONE, GONE]
    assert backend.card(job_id).has_report is False
    for each in (job_id, JOB):  # it was seen, and is gone; that one was never sent from here
        with pytest.raises(JobUnknownError):
            backend.card(each)


def test_budget_in_words(backend: StackBackend, api: Api) -> None:
    account = {
        "month": "2026-11",
        "reserved_usd": 3.6,
        "spent_usd": 37.4,
        "limits": {"monthly_usd": 100.0},
    }
    api.answers = [
        httpx.Response(200, json=account),
        httpx.Response(200, json={**account, "reserved_usd": 0.0, "limits": {"monthly_usd": None}}),
    ]
    found = [backend.budget(), backend.budget()]
    assert [each and each.words for each in found] == [
        "$41.00 of $100.00 this month, $3.60 of it reserved",
        "$37.40 this month",
    ]
    assert (found[0] and found[0].used_usd) == 41.0


def test_files_report_and_usage(backend: StackBackend, api: Api, stack: Stack) -> None:
    answer = job_answer(status=S.SUCCEEDED, files=(LORA,))
    listed = {"files": [{"name": LORA.name, "url": "https://s3/lora?signed"}]}
    api.answers = [httpx.Response(200, json=listed)] * 2
    assert backend.file(JOB, LORA.name) == "https://s3/lora?signed"
    with pytest.raises(CommandError, match="has no file"):
        backend.file(JOB, "../lora.safetensors")
    s3 = stack.client("s3")
    api.answers = [answer] * 4
    with pytest.raises(StackUnreachableError, match="Try it again"):  # no such bucket
        backend.report(JOB)
    s3.create_bucket(Bucket="models")
    assert backend.report(JOB) is None
    s3.put_object(Bucket="models", Key=f"{make_job().prefix}report.html", Body=b"<p>")
    assert backend.report(JOB) == b"<p>"
    usage = backend.usage(JOB)
    assert isinstance(usage, Usage)
    assert (usage.trigger_phrase, usage.fal_application) == ("TOK_12345678", "fal-ai/flux-lora")
    assert "X-Amz-Expires=3600" in usage.fal
    assert "lora.safetensors" in usage.diffusers
    api.answers = [job_answer(status=S.FAILED)]
    assert backend.usage(JOB) is None


def test_proof_sheet_of_a_job(backend: StackBackend, api: Api, stack: Stack) -> None:
    seen = PictureLikeness(number=1, likeness=0.72, copy_of="ada.jpg")
    likeness = Likeness(likeness=0.72, among_photos=0.84, pictures=(seen,), advice="Look.")
    done = ProofSheet(pictures=("ada-1", "ada-2"), done_at=NOW, likeness=likeness)
    s3 = stack.client("s3")
    s3.create_bucket(Bucket="models")
    folder = f"{make_job().prefix}proof/"

    def card(proof: ProofSheet | None) -> ProofCard | None:
        api.answers = [job_answer(status=S.SUCCEEDED, proof=proof)]
        return backend.card(JOB).proof

    assert card(None) is None
    assert card(ProofSheet()) == ProofCard()
    assert card(ProofSheet(note="None.", done_at=NOW)) == ProofCard(done=True, note="None.")
    words = "0.72 of the 0.84 that the photos reach among themselves"
    pictures = (CardPicture(1, likeness=0.72), CardPicture(2))
    bare = ProofCard(done=True, total=2, pictures=pictures, likeness=words, advice="Look.")
    assert card(done) == bare  # its files are not there
    s3.put_object(Bucket="models", Key=f"{folder}proof.json", Body=b'{"schema_version": 9}')
    assert card(done) == bare
    made = make_picture(1, copy_of="ada.jpg", likeness=0.72)
    sheet = make_sheet(
        pictures=(made, make_picture(2, file=None, problem="No room.", likeness=None))
    )
    s3.put_object(Bucket="models", Key=f"{folder}proof.json", Body=proof_json(sheet).encode())
    found = card(done)
    assert found
    assert [(each.made, each.likeness, each.seed) for each in found.pictures] == [
        (True, 0.72, 1001),
        (False, None, 1002),
    ]
    assert [each.remarks for each in found.pictures] == [
        ("Is nearly the same as the photo ada.jpg.",),
        ("No room.",),
    ]
    s3.put_object(Bucket="models", Key=f"{folder}2/picture.jpg", Body=b"jpeg")
    api.answers = [job_answer(status=S.SUCCEEDED, proof=done)] * 2
    assert [backend.picture(JOB, number) for number in (1, 2)] == [None, b"jpeg"]


def test_card_says_who_draws(api: Api, stack: Stack) -> None:
    """The proof sheet of a stack with a simulator says that no LoRA has made its pictures."""
    backend = StackBackend(answering(replace(stack, simulated=DRAWN), api))
    api.answers = [job_answer(status=S.SUCCEEDED, proof=proof) for proof in (ProofSheet(), None)]
    assert backend.card(JOB).proof == ProofCard(simulated=DRAWN)
    assert backend.card(JOB).proof is None


def test_open_sheet_counts_its_pictures(backend: StackBackend, api: Api) -> None:
    """Those that were not made have ended too; one that is not known (yet) has not, and is no reason to show nothing."""
    open_ = ProofSheet(pictures=("ada-1", "ada-2", "ada-3", "ada-4"))
    ends = (job_answer(status=S.SUCCEEDED), job_answer(status=S.FAILED))
    api.answers = [job_answer(status=S.SUCCEEDED, proof=open_), *ends, GONE]
    api.answers.append(job_answer(status=S.TRAINING))
    assert backend.card(JOB).proof == ProofCard(ended=2, total=4)
    assert [path for _, path, _ in api.asked][1:] == [f"/jobs/ada-{each}" for each in (1, 2, 3, 4)]


def test_cost_has_the_proof_sheet(backend: StackBackend, api: Api, stack: Stack) -> None:
    stack.client("s3").create_bucket(Bucket="models")
    spent, note = charge(ChargeState.SPENT), "The LoRA is not there."
    two = ProofSheet(pictures=("ada-1", "ada-2"), done_at=NOW, paid_usd=0.07)
    none = two.model_copy(update={"paid_usd": 0.0})
    rows: list[tuple[Status, ProofSheet, dict[str, Any], str]] = [
        (S.READY, ProofSheet(), {}, "about $6.00, and about $0.14 for the proof sheet"),
        (S.SUCCEEDED, two, {"charge": spent}, "$6.00 paid, and $0.07 for the proof sheet"),
        (S.SUCCEEDED, none, {"charge": spent}, "$6.00 paid, and $0.00 for the proof sheet"),
        (S.SUCCEEDED, ProofSheet(note=note, done_at=NOW), {"charge": spent}, "$6.00 paid"),
        (S.FAILED, ProofSheet(), {}, "nothing paid"),
        (S.SUCCEEDED, two, {"duplicate_of": "ada-1", "charge": None}, "nothing paid"),
        (S.READY, ProofSheet(), {"application": "fal-ai/qwen-image-trainer"}, "about $6.00"),
    ]
    for status, proof, changes, cost in rows:
        api.answers = [job_answer(status=status, proof=proof, **changes)]
        assert backend.card(JOB).cost == cost


def test_list_has_the_likeness(backend: StackBackend, api: Api) -> None:
    sheet = ProofSheet(
        pictures=("ada-1",), done_at=NOW, likeness=Likeness(likeness=0.72, among_photos=0.84)
    )
    jobs = [json.loads(job_answer(proof=each).content) for each in (sheet, ProofSheet(), None)]
    api.answers = [httpx.Response(200, json={"jobs": jobs, "next": None})]
    assert [row.likeness for row in backend.jobs().rows] == ["0.72 of 0.84", "", ""]


def test_stack_says_whether_it_makes_sheets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its output is how the box of a new order stands; one of an earlier version has none, and no box."""
    names = ("DatasetsBucketName", "ModelsBucketName")
    for output, usual in (
        ({}, None),
        ({"ProofSheet": "false"}, False),
        ({"ProofSheet": "true"}, True),
    ):
        access = {
            **dict.fromkeys(
                ("endpoint_url", "api_url", "access_key", "secret_key", "fal_url"), "http://x"
            ),
            "region": "us-east-1",
            "outputs": dict.fromkeys(names, "x") | output,
        }
        monkeypatch.setattr(stack_module, "local_stack", lambda access=access: Up(access))
        found = stack_module.find_stack("local")
        assert StackBackend(StackClient(found)).proof is usual


@dataclass
class Up:
    """A stack on this machine that is up."""

    known: dict[str, Any]

    def access(self) -> dict[str, Any]:
        """How it is reached."""
        return self.known


def test_page_head_names_the_stack(backend: StackBackend, stack: Stack) -> None:
    assert (backend.name, type(backend)) == ("stack test, us-east-1", StackBackend)
    names = {
        StackBackend(StackClient(replace(stack, **other))).name
        for other in (
            {},
            {"name": "other"},
            {"session": boto3.Session(region_name="eu-central-1")},
            {"endpoint_url": "http://localhost:4566"},
            {"endpoint_url": "http://localhost:4567"},
        )
    }
    assert len(names) == 5  # an order belongs to the one that it was given to
    assert "stack on this machine, localhost:4566" in names
    assert backend.application == stack.application

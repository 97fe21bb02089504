"""The typed library: what it sends, what it gives back, and what it raises."""

import asyncio
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

import lora_drop
from lora_drop import Status
from lora_drop.client.stack import Stack
from lora_drop.client.stack_client import StackClient
from lora_drop.fal.trainers.parameters import TrainingParameters
from lora_drop.jobs import job_problems
from lora_drop.jobs.budget import Charge, ChargeState
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.public_job import public
from tests.support.builders import make_job
from tests.support.client_fixtures import (
    Api,
    answering,
    connected,
    error_answer,
    job_answer,
    stored,
    uploaded,
)

PROBLEM = Problem(code="fal_failed", message="fal ended the training.")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for."""
    monkeypatch.setattr("lora_drop.client.following.INTERVAL", 0)
    monkeypatch.setattr("lora_drop.client.following.LEAST", 0)


def test_reads_are_asked_again_and_actions_never(stack: Stack) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.method)
        if len(asked) == 1:
            raise httpx.ReadError("reset")
        busy = {2: 429, 3: 503}.get(len(asked))
        return httpx.Response(busy, json={"message": "busy"}) if busy else job_answer()

    job = connected(stack, answer).job("ada-1")
    assert asked == ["GET"] * 4
    for action in (job.retry, job.approve, job.cancel):
        asked.clear()
        with pytest.raises(lora_drop.StackUnreachableError):
            action()
        assert asked == ["POST"]


def page(ids: list[str], cursor: str | None) -> httpx.Response:
    jobs = [public(make_job(job_id=each)) for each in ids]
    return httpx.Response(200, content=json.dumps({"jobs": jobs, "next": cursor}))


def test_jobs_page_themselves(drop: lora_drop.LoraDrop, api: Api) -> None:
    api.answers = [page(["a", "b"], "c1"), page(["c"], None)]
    jobs = drop.jobs(status=Status.READY)
    assert api.asked == []
    assert [next(jobs).id, next(jobs).id] == ["a", "b"]
    assert len(api.asked) == 1
    assert [job.id for job in jobs] == ["c"]
    assert api.queries[1] == {"status": "READY", "limit": "100", "cursor": "c1"}


ENDS: dict[str, tuple[dict[str, Any], type[lora_drop.LoraDropError], str]] = {
    "rejected": (
        {"status": Status.REJECTED},
        lora_drop.DatasetRejectedError,
        "cannot be trained on.*fal ended",
    ),
    "failed": (
        {"status": Status.FAILED},
        lora_drop.TrainingFailedError,
        "ada-1 is FAILED. fal ended",
    ),
    "held": ({"status": Status.HELD}, lora_drop.JobHeldError, "waits for a decision. fal ended"),
    "over budget": (
        {"status": Status.HELD, "problems": (job_problems.over_budget(3.6, 2.0),)},
        lora_drop.OverBudgetError,
        r"job.approve\(\)",
    ),
}


@pytest.mark.parametrize("end", ENDS)
def test_no_result_says_why(drop: lora_drop.LoraDrop, api: Api, end: str) -> None:
    changes, kind, said = ENDS[end]
    parameters = TrainingParameters(trainer="fal-ai/flux-lora-portrait-trainer", steps=1500)
    document = {
        "problems": (PROBLEM,),
        "estimated_cost_usd": 3.6,
        "parameters": parameters,
        **changes,
    }
    api.answers = [job_answer(job_id="ada-1", **document) for _ in range(2)]
    with pytest.raises(lora_drop.LoraDropError, match=said) as raised:
        drop.job("ada-1").result()
    error = raised.value
    assert type(error) is kind
    match error:
        case lora_drop.DatasetRejectedError():
            assert error.report.problems == (PROBLEM,)
        case lora_drop.OverBudgetError():
            assert (str(error.estimate), error.job.id) == ("$3.60", "ada-1")
        case lora_drop.TrainingFailedError():
            assert error.job
            assert (error.job.id, error.billed, error.problem.code) == (
                "ada-1",
                False,
                PROBLEM.code,
            )


def test_waiting_ends_in_time(drop: lora_drop.LoraDrop, api: Api) -> None:
    api.answers = [job_answer(job_id="ada-1")] * 2
    with pytest.raises(lora_drop.JobTimeoutError, match="goes on by itself"):
        drop.job("ada-1").wait(timeout=0)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_waiting_warns_of_a_silent_stack(
    stack: Stack, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """``wait`` of both clients logs that the stack stops to answer and answers again, and gives up after ``patience``."""
    answers = [job_answer(job_id="ada-1") for _ in range(2)]
    end = job_answer(job_id="ada-1", status=Status.SUCCEEDED)
    left = [*answers, *[None] * 5, end]

    def answer(_: httpx.Request) -> httpx.Response:
        if (said := left.pop(0)) is None:
            raise httpx.ConnectError("refused")
        return said

    async def waited(drop: lora_drop.LoraDrop, patience: float) -> None:
        there = lora_drop.AsyncLoraDrop()
        there._drop = drop
        await (await there.job("ada-1")).wait(patience=patience)

    def wait(patience: float) -> None:
        drop = connected(stack, answer)
        if kind == "async":
            asyncio.run(waited(drop, patience))
        else:
            drop.job("ada-1").wait(patience=patience)

    wait(60)
    said = [record.message for record in caplog.records if record.name == "lora_drop.client.job"]
    assert ["asked again" in said[0], "answers again" in said[1], len(said)] == [True, True, 2]
    left[:] = [answers[0], *[None] * 9]
    with pytest.raises(lora_drop.StackUnreachableError, match=r"drop\.job\('ada-1'\)\.events\(\)"):
        wait(0)


@pytest.mark.parametrize(
    ("state", "billed"),
    [(None, False), (ChargeState.FREE, False), (ChargeState.SPENT, True)]
    + [(state, None) for state in (ChargeState.RESERVED, ChargeState.WASTED)],
)
def test_billed_is_what_is_known(
    drop: lora_drop.LoraDrop, api: Api, state: ChargeState | None, billed: object
) -> None:
    charge = state and Charge(month="2026-11", usd=3.6, state=state)
    api.answers = [job_answer(charge=charge)]
    assert drop.job("ada-1").billed is billed


def test_unknown_and_forgotten_jobs_have_an_error(drop: lora_drop.LoraDrop, api: Api) -> None:
    for status, code in ((404, "job_unknown"), (410, "job_forgotten")):
        api.answers = [error_answer(status, code, "There is no job x.")]
        with pytest.raises(lora_drop.JobNotFoundError, match="There is no job x"):
            drop.job("x")


def test_nothing_is_asked_after_the_end(stack: Stack, api: Api, phone: Path) -> None:
    """A stack and a job that are used after the `with` block say so, and nothing is sent."""
    api.answers = [job_answer(), page(["a"], "c1")]
    with connected(stack, api) as drop:
        job, jobs = drop.job("ada-1"), drop.jobs()
        next(jobs)
    calls = (
        *(job.refresh, job.retry, job.wait, job.logs, job.files, lambda: list(job.events())),
        *(lambda: next(jobs), lambda: drop.job("ada-1"), lambda: drop.train(phone)),
    )
    for call in calls:
        with pytest.raises(lora_drop.CommandError, match=r"are closed.*LoraDrop\(\)\.job"):
            call()
    assert (len(api.asked), uploaded(stack)) == (2, [])
    assert drop.check(phone).accepted


def test_threads_share_one_client(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The stack is looked for once, however many threads need it first, and what was opened is closed."""
    opened: list[StackClient] = []
    begun = threading.Barrier(4)

    def found(*_: object, **__: object) -> Stack:
        time.sleep(0.05)
        return stack

    def opening(stack: Stack) -> StackClient:
        opened.append(answering(stack, Api()))
        return opened[-1]

    def first(drop: lora_drop.LoraDrop) -> StackClient:
        begun.wait()
        return drop._client

    monkeypatch.setattr("lora_drop.client.lora_drop.find_stack", found)
    monkeypatch.setattr("lora_drop.client.lora_drop.StackClient", opening)
    with lora_drop.LoraDrop() as drop, ThreadPoolExecutor() as threads:
        clients = set(threads.map(first, [drop] * begun.parties))
    assert clients == set(opened)
    assert [client._api.http.is_closed for client in opened] == [True]


def test_every_public_error_has_one_base() -> None:
    public_errors = [
        each
        for name in lora_drop.__all__
        if isinstance(each := getattr(lora_drop, name), type) and issubclass(each, Exception)
    ]
    assert len(public_errors) > 10
    assert all(issubclass(each, lora_drop.LoraDropError) for each in public_errors)


def test_asyncio_gives_the_same(stack: Stack, api: Api, phone: Path) -> None:
    end = {"job_id": "ada-1", "status": Status.SUCCEEDED, "files": (stored("config.json", b"{}"),)}
    api.answers = [job_answer(**end) for _ in range(4)] + [page(["a"], "c"), page(["b"], None)]

    async def run() -> None:
        async with lora_drop.AsyncLoraDrop() as drop:
            drop._drop = connected(stack, api)
            assert (await drop.check(phone)).accepted
            job = await drop.job("ada-1")
            assert job == await job.refresh()
            assert (await job.wait()).ended
            assert [type(event) async for event in job.events()][-1] is lora_drop.Ended
            assert [job.id async for job in drop.jobs()] == ["a", "b"]

    asyncio.run(run())


def test_both_clients_have_the_same_names() -> None:
    pairs: tuple[tuple[type, type], ...] = (
        (lora_drop.LoraDrop, lora_drop.AsyncLoraDrop),
        (lora_drop.Job, lora_drop.AsyncJob),
        (lora_drop.JobResult, lora_drop.AsyncJobResult),
    )
    inner = {"job", "look", "watch", "result"}
    for one, other in pairs:
        names = [{each for each in dir(kind) if each[0] != "_"} - inner for kind in (one, other)]
        assert names[0] == names[1]

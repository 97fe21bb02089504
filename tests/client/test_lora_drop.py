"""The typed library: what it sends, what it gives back, and what it raises."""

import asyncio
import hashlib
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ProxyConnectionError,
    ResponseStreamingError,
)

import lora_drop
from lora_drop import Status
from lora_drop.client import inputs, ranges
from lora_drop.client.stack import Stack
from lora_drop.client.stack_client import StackClient
from lora_drop.fal.trainers.parameters import TrainingParameters
from lora_drop.fal.trainers.table import TRAINERS
from lora_drop.jobs import job_problems
from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.budget import Charge, ChargeState
from lora_drop.jobs.ids import job_id_for
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.public_job import public
from tests.support.builders import make_job
from tests.support.client_fixtures import Api, answering, error_answer, job_answer, phone_data

LORA = bytes(range(256)) * 500
PROBLEM = Problem(code="fal_failed", message="fal ended the training.")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for."""
    monkeypatch.setattr("lora_drop.client.following.INTERVAL", 0)
    monkeypatch.setattr("lora_drop.client.following.LEAST", 0)
    monkeypatch.setattr(ranges, "PAUSES", (0.0, 0.0, 0.0))


def connected(stack: Stack, answer: Any) -> lora_drop.LoraDrop:
    drop = lora_drop.LoraDrop()
    drop._opened = answering(stack, answer)
    return drop


@pytest.fixture
def drop(stack: Stack, api: Api) -> Iterator[lora_drop.LoraDrop]:
    with connected(stack, api) as drop:
        yield drop


def uploaded(stack: Stack) -> list[dict[str, Any]]:
    s3 = stack.client("s3")
    found = s3.list_object_versions(Bucket="datasets").get("Versions", [])
    return [{**each, **s3.head_object(Bucket="datasets", Key=each["Key"])} for each in found]


def test_check_asks_no_stack(phone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.socket.connect", None)
    report = lora_drop.LoraDrop().check(phone, steps=1500)
    assert report.accepted
    assert report.estimate == lora_drop.Estimate(3.6, 1500, "fal-ai/flux-lora-portrait-trainer")
    assert (str(report.estimate), report.problems) == ("$3.60", report.warnings)


@pytest.mark.parametrize("address", ["https://a\tb/x", "https://[::1/x", "https://a:b/x.zip"])
def test_address_that_is_none_is_a_command_error(address: str) -> None:
    with pytest.raises(lora_drop.LoraDropError, match="is no address of a dataset"):
        lora_drop.LoraDrop().check(address)


NO_DATASETS: dict[str, tuple[Any, str]] = {
    "nothing": ("", "'' is no dataset: give a folder"),
    "None": (None, "None is no dataset"),
    "several": ([], "one at a time"),
    "missing": (Path("/none/at/all"), "no file or folder /none/at/all"),
    "missing at home": ("~/none", "no file or folder /"),
    "home of none": ("~no-user-of-this/x", "no file or folder ~no-user-of-this"),
    "no name": ("a\0b", "no file or folder"),
    "other scheme": ("gs://photos/ada.zip", "'gs://photos/ada.zip' cannot be fetched here"),
}


@pytest.mark.parametrize("kind", NO_DATASETS)
def test_what_is_no_dataset_is_said(drop: lora_drop.LoraDrop, kind: str, tmp_path: Path) -> None:
    """What is no dataset is a CommandError for both, and never the current folder."""
    source, said = NO_DATASETS[kind]
    trainer = lora_drop.PortraitTrainer("key", state=tmp_path / "sent.sqlite")
    calls = (drop.check, drop.train, trainer.check, trainer.submit)
    for call in calls:
        with pytest.raises(lora_drop.CommandError, match=re.escape(said)):
            call(source)


def test_home_folder_is_known(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder.parent))
    for source in (f"~/{folder.name}", Path("~", folder.name)):
        assert lora_drop.LoraDrop().check(source).accepted


def as_report(drop: lora_drop.LoraDrop, phone: Path) -> Any:
    return drop.check(phone, steps=1200, trigger_phrase="eve")


SOURCES: dict[str, tuple[Callable[[lora_drop.LoraDrop, Path], Any], str]] = {
    "path": (lambda _, phone: phone, "phone.zip"),
    "text": (lambda _, phone: str(phone), "phone.zip"),
    "bytes": (lambda _, phone: phone.read_bytes(), "dataset.zip"),
    "report": (as_report, "phone.zip"),
    "s3": (lambda *_: "s3://datasets/of/eve 1.zip", "eve 1.zip"),
    "https": (lambda *_: "https://example.com/a/eve.zip?token=1", "eve.zip"),
}


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize("kind", SOURCES)
def test_train_uploads_once(
    drop: lora_drop.LoraDrop,
    stack: Stack,
    phone: Path,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A dataset in any form is uploaded once, with its parameters, and is the job of that version."""
    source, key = SOURCES[kind]
    if kind == "s3":
        stack.client("s3").put_object(
            Bucket="datasets", Key="of/eve 1.zip", Body=phone.read_bytes()
        )
    monkeypatch.setattr(inputs, "download_dataset", lambda _, to: to.write_bytes(phone_data()))

    job = drop.train(
        source(drop, phone), trigger_phrase="ada", reference="user-42", subject_crop=False
    )

    [put] = [each for each in uploaded(stack) if each["Key"] == key]
    assert job.id == job_id_for("datasets", key, put["VersionId"])
    assert put["Metadata"] == {
        **({"steps": "1200"} if kind == "report" else {}),
        "trigger_phrase": "ada",
        "reference": "user-42",
        "subject_crop": "false",
    }
    assert (job.seen, job.status, job.reference) == (False, Status.RECEIVED, None)


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize("way", ["report", "bytes", "parameter", "accepted, wrong parameter"])
def test_rejected_dataset_is_not_sent(
    drop: lora_drop.LoraDrop, stack: Stack, phone: Path, way: str
) -> None:
    """The library sends no dataset that would be rejected, and the error has the report."""
    report = drop.check(phone if way.startswith("accepted") else b"no ZIP")
    calls: dict[str, Callable[[], object]] = {
        "report": lambda: drop.train(report),
        "bytes": lambda: drop.train(b"no ZIP"),
        "parameter": lambda: drop.train(phone, steps=0),
        "accepted, wrong parameter": lambda: drop.train(report, steps=0),
    }
    with pytest.raises(lora_drop.DatasetRejectedError) as rejected:
        calls[way]()
    assert not rejected.value.report.accepted
    assert rejected.value.code == rejected.value.report.problems[0].code
    assert uploaded(stack) == []


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize("kind", ["file", "folder", "bytes"])
def test_dataset_changed_since_its_check_is_checked_again(
    drop: lora_drop.LoraDrop, stack: Stack, phone: Path, folder: Path, kind: str
) -> None:
    """A report lets through what was checked, and not what its file or folder has become since."""
    datasets: dict[str, Path | bytes] = {"file": phone, "folder": folder}
    dataset = datasets.get(kind, phone.read_bytes())
    report = drop.check(dataset)
    assert report.accepted
    phone.write_bytes(b"no ZIP")
    for photo in folder.iterdir():
        photo.write_bytes(b"no photo")
    if kind == "bytes":
        drop.train(report)
        assert len(uploaded(stack)) == 1
    else:
        with pytest.raises(lora_drop.DatasetRejectedError):
            drop.train(report)
        assert uploaded(stack) == []


UNSENT: dict[str, tuple[Exception, type[lora_drop.CommandError], str]] = {
    "answer lost": (
        ConnectionClosedError(endpoint_url="https://s3"),
        lora_drop.CommandError,
        r"drop\.jobs\(dataset=.phone\.zip.\)",
    ),
    "no connection": (
        EndpointConnectionError(endpoint_url="https://s3"),
        lora_drop.StackUnreachableError,
        "could not be uploaded.*this machine is online",
    ),
    "no connection in time": (
        ConnectTimeoutError(endpoint_url="https://s3"),
        lora_drop.StackUnreachableError,
        "the region is right",
    ),
    "no proxy": (
        ProxyConnectionError(proxy_url="http://p"),
        lora_drop.StackUnreachableError,
        "export NO_PROXY=.amazonaws.com",
    ),
}


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize("why", UNSENT)
def test_upload_without_answer_is_not_repeated(
    drop: lora_drop.LoraDrop, stack: Stack, phone: Path, why: str
) -> None:
    """An upload without an answer is not sent again by itself; the error says how to see what came of it.

    Where no connection came about, nothing was sent, and the stack is what is not there.
    """
    sent: list[str] = []
    error, kind, said = UNSENT[why]

    def lost(request: AWSPreparedRequest, **_: object) -> None:
        sent.append(str(request.method))
        raise error

    stack.session.events.register("before-send.s3.PutObject", lost, unique_id="lost")
    try:
        with pytest.raises(kind, match=said) as raised:
            drop.train(phone)
    finally:
        stack.session.events.unregister("before-send.s3.PutObject", unique_id="lost")
    assert (sent, type(raised.value)) == (["PUT"], kind)


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


def stored(name: str, data: bytes) -> StoredFile:
    digest = hashlib.sha256(data).hexdigest()
    return StoredFile(name=name, bucket="models", key=f"ada/{name}", size=len(data), sha256=digest)


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


def test_inputs_are_the_trainers() -> None:
    names = {field.name for trainer in TRAINERS.values() for field in trainer.fields}
    assert set(inputs.Inputs.__annotations__) == {*names, "trainer", "preset"}


@pytest.fixture
def trained(drop: lora_drop.LoraDrop, stack: Stack, api: Api) -> lora_drop.Job:
    """A job whose LoRA of five ranges is in the models bucket."""
    stack.client("s3").create_bucket(Bucket="models")
    stack.client("s3").put_object(Bucket="models", Key="ada/lora.safetensors", Body=LORA)
    end = job_answer(status=Status.SUCCEEDED, files=(stored("lora.safetensors", LORA),))
    api.answers = [end] * 3
    return drop.job("ada-1")


def broken(monkeypatch: pytest.MonkeyPatch, *, after: int, times: int) -> list[str]:
    """Every answer with a range breaks off after so many of them, so many times; what was asked for."""
    asked: list[str] = []
    copy, lock = ranges.Ranges._copy, threading.Lock()

    def breaks(self: ranges.Ranges, start: int) -> None:
        with lock:
            asked.append(str(start))
            fails = after < len(asked) <= after + times
        if fails:
            raise ResponseStreamingError(error="reset")
        copy(self, start)

    monkeypatch.setattr(ranges, "RANGE", len(LORA) // 5)
    monkeypatch.setattr(ranges, "AT_ONCE", 1)
    monkeypatch.setattr(ranges.Ranges, "_copy", breaks)
    return asked


@pytest.mark.promise("never lose a result")
def test_download_goes_on(
    trained: lora_drop.Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A download that breaks off goes on where it was, in the same call and in the next one."""
    broken(monkeypatch, after=1, times=2)
    trained.result().download(tmp_path / "first")
    assert (tmp_path / "first" / "lora.safetensors").read_bytes() == LORA

    monkeypatch.undo()
    monkeypatch.setattr(ranges, "PAUSES", (0.0,))
    broken(monkeypatch, after=3, times=99)
    with pytest.raises(lora_drop.CommandError, match="could not be fetched"):
        trained.download(tmp_path / "second")
    monkeypatch.undo()
    asked = broken(monkeypatch, after=99, times=0)
    [path] = trained.download(tmp_path / "second")
    assert path.read_bytes() == LORA
    assert len(asked) == 2  # of five: three were there
    assert [each.name for each in (tmp_path / "second").iterdir()] == ["lora.safetensors"]


def test_spoilt_remains_are_fetched_anew(
    trained: lora_drop.Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch, after=3, times=99)
    with pytest.raises(lora_drop.CommandError):
        trained.download(tmp_path)
    [part] = tmp_path.glob(".*.part")
    part.write_bytes(b"spoilt" + part.read_bytes()[6:])
    monkeypatch.undo()
    [path] = trained.download(tmp_path)
    assert path.read_bytes() == LORA


@pytest.mark.promise("never pay twice")
def test_cancelled_task_uploads_once(stack: Stack, phone: Path) -> None:
    """A task that is cancelled while it uploads leaves one job, which can be found."""

    async def run() -> None:
        drop = lora_drop.AsyncLoraDrop()
        drop._drop = connected(stack, Api())
        begun = asyncio.Event()
        loop = asyncio.get_running_loop()

        def sending(_sent: int, _all: int) -> None:
            loop.call_soon_threadsafe(begun.set)

        task = asyncio.create_task(drop.train(phone, progress=sending))
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())
    assert len(uploaded(stack)) == 1


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

"""The typed library, before a training is paid: what it takes for a dataset, checks and uploads."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ProxyConnectionError,
)

import lora_drop
from lora_drop import Status
from lora_drop.client import inputs
from lora_drop.client.stack import Stack
from lora_drop.fal.trainers.table import TRAINERS
from lora_drop.jobs.ids import job_id_for
from tests.support.client_fixtures import Api, connected, phone_data, uploaded


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


def test_inputs_are_the_trainers() -> None:
    names = {field.name for trainer in TRAINERS.values() for field in trainer.fields}
    assert set(inputs.Inputs.__annotations__) == {*names, "trainer", "preset"}


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

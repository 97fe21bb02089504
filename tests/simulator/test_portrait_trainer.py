"""A training without a stack: PortraitTrainer at the simulator, with one key."""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import fal_client
import httpx
import pytest

from lora_drop.adapters.fal_direct import FalDirectClient
from lora_drop.adapters.fal_history import FalHistory, ListedRequest
from lora_drop.client.async_portrait_trainer import AsyncPortraitTrainer
from lora_drop.client.direct_addresses import unreachable
from lora_drop.client.direct_dataset import _places
from lora_drop.client.direct_errors import EarlierRequestWarning, InsufficientImagesError
from lora_drop.client.direct_requests import (
    FailedRequest,
    FinishedRequest,
    Queued,
    Training,
    Unanswered,
)
from lora_drop.client.errors import (
    CommandError,
    DatasetRejectedError,
    JobTimeoutError,
    TrainingFailedError,
)
from lora_drop.client.portrait_trainer import PortraitTrainer
from lora_drop.client.submissions import SentTraining, Submissions
from lora_drop.fal.status import Gone
from lora_drop.jobs.errors import (
    FalUnavailableError,
    KeyRefusedError,
    NotSubmittedError,
    ResultGoneError,
    ResultUnreadableError,
    SubmissionRefusedError,
    SubmissionUnknownError,
)
from tests.resilience.submit_table import ROWS, Row
from tests.simulator.conftest import Connect, Simulate, dataset
from tests.simulator.fal_calls import Calls, Receiver, data_uri, until
from tests.support.builders import APPLICATION
from tests.support.fal_answers import GOOD, Place
from tests.support.faulty_fal import FaultyFal, faulty_fal, timeouts
from tests.support.sweeps import sweep

ROOT = Path(__file__).parents[2]
PHRASE = "ada"


class KilledError(BaseException):
    """The process ends here."""


@pytest.mark.promise("never pay twice")
@pytest.mark.parity("subscribe", "result")
def test_path_becomes_both_files_once(trainer: PortraitTrainer, calls: Calls, path: Path) -> None:
    """Without a stack, a path becomes both files of the result, and a second call pays nothing."""
    seen: list[Any] = []
    result = trainer.train(path, on_update=seen.append, trigger_phrase=PHRASE, steps=1000)
    again = trainer.train(path, trigger_phrase=PHRASE, steps=1000)

    assert again == result
    assert result.lora
    assert result.config
    assert all((result.lora.file_name, result.lora.file_size, result.config.content_type))
    assert isinstance(seen[-1], FinishedRequest)
    assert len(calls.sim.requests()) == 1
    other = trainer.submit(path, trigger_phrase=PHRASE, steps=1001)
    ordered = trainer.submit(path, again=True, trigger_phrase=PHRASE, steps=1000)
    assert len({result.request_id, other, ordered}) == 3


@pytest.mark.parity("status")
def test_place_and_logs_are_followed(simulate: Simulate, connect: Connect) -> None:
    trainer = connect(simulate(training_seconds=1.5, max_in_progress=1))
    first, second = (trainer.submit(dataset(seed=seed), steps=1000) for seed in (1, 2))
    waits = trainer.status(second)
    seen: list[Any] = []
    for done in trainer.watch(first, seen.append):
        if done:
            break
    assert isinstance(waits, Queued)
    assert any(isinstance(each, Training) and each.logs for each in seen)


INPUTS: dict[str, Callable[[Path], Any]] = {
    "bytes": lambda _: dataset(),
    "a data URI": lambda _: data_uri(dataset()),
    "a path as text": str,
    "HEIC, mended": lambda _: dataset(kind="HEIF"),
}


@pytest.mark.parametrize("form", INPUTS)
@pytest.mark.parity("data URI")
def test_dataset_comes_in_any_form(
    trainer: PortraitTrainer, fal: fal_client.SyncClient, calls: Calls, path: Path, form: str
) -> None:
    given = INPUTS[form](path)
    assert trainer.train(given, trigger_phrase=PHRASE).lora
    if form == "a data URI":
        assert fal.subscribe(APPLICATION, {"images_data_url": given})
        first, second = (row["arguments"]["images_data_url"] for row in calls.sim.requests())
        assert first == second == given


@pytest.mark.parity("hosted URL")
def test_hosted_dataset_is_checked_and_passed_on(
    trainer: PortraitTrainer, fal: fal_client.SyncClient, receiver: Receiver, calls: Calls
) -> None:
    receiver.files["/ada.zip"] = dataset()
    receiver.files["/few.zip"] = dataset(images=3)
    trainer.train(f"{receiver.url}/ada.zip")
    with pytest.raises(InsufficientImagesError, match="At least 10 images are needed"):
        trainer.train(f"{receiver.url}/few.zip")
    with pytest.raises(CommandError, match="cannot be fetched"):
        trainer.train(f"{receiver.url}/none.zip")
    assert fal.subscribe(APPLICATION, {"images_data_url": f"{receiver.url}/ada.zip"})
    first, second = (request["arguments"]["images_data_url"] for request in calls.sim.requests())
    assert first == second == f"{receiver.url}/ada.zip"


@pytest.mark.parity("submit")
def test_every_input_is_sent(trainer: PortraitTrainer, calls: Calls) -> None:
    inputs: Any = {
        "trigger_phrase": PHRASE,
        "learning_rate": 0.0002,
        "steps": 1500,
        "multiresolution_training": False,
        "subject_crop": False,
        "data_archive_format": "zip",
        "resume_from_checkpoint": "https://v3.fal.media/files/a/lora.safetensors",
        "create_masks": True,
    }
    request_id = trainer.submit(
        data_uri(dataset()), webhook_url="https://app.example/hook", **inputs
    )
    [request] = calls.sim.requests()
    assert {name: request["arguments"].get(name) for name in inputs} == inputs
    assert (request["request_id"], request["webhook_url"]) == (
        request_id,
        "https://app.example/hook",
    )


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize("dies", ["_pay", "accepted"], ids=["before the POST", "after the POST"])
def test_killed_process_pays_once(
    trainer: PortraitTrainer, calls: Calls, monkeypatch: pytest.MonkeyPatch, dies: str
) -> None:
    """A process without a stack that is killed around the POST sends no second one when it is run again."""

    def killed(*_: object) -> None:
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(PortraitTrainer if dies == "_pay" else Submissions, dies, killed)
        with pytest.raises(KilledError):
            trainer.submit(dataset())
    posts = len(calls.sim.requests())
    if posts:
        assert trainer.submit(dataset()) == calls.sim.requests()[0]["request_id"]
    else:
        with pytest.raises(SubmissionUnknownError, match="again=True"):
            trainer.submit(dataset())
    assert len(calls.sim.requests()) == posts


def test_failed_training_says_why(trainer: PortraitTrainer, calls: Calls) -> None:
    calls.sim.inject("training_error", type="image_load_error")
    request_id = trainer.submit(dataset())
    watch = trainer.watch(request_id, lambda _: None)
    with pytest.raises(TrainingFailedError, match=r"fal ended the training.*again=True") as failed:
        all(done is None for done in watch)
    assert failed.value.request_id == request_id
    assert isinstance(trainer.status(request_id), FailedRequest)


def test_nothing_leaves_for_what_cannot_train(trainer: PortraitTrainer, calls: Calls) -> None:
    with pytest.raises(DatasetRejectedError) as refused:
        trainer.submit(dataset(images=9))
    report = trainer.check(dataset(images=9))
    assert not report.accepted
    assert report.problems == refused.value.report.problems
    with pytest.raises(CommandError):
        trainer.check("data:application/zip,PK")
    assert trainer.check(dataset()).images == 12
    assert calls.sim.requests() == []


def test_no_key_says_where_one_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FAL_KEY", raising=False)
    with pytest.raises(CommandError, match="FAL_KEY"):
        PortraitTrainer()


def test_refusal_says_nothing_of_a_stack(trainer: PortraitTrainer, calls: Calls) -> None:
    calls.sim.inject("balance_exhausted")
    with pytest.raises(SubmissionRefusedError) as refused:
        trainer.submit(dataset())
    assert "lora-drop" not in refused.value.problem.message
    assert trainer.submit(dataset())


UNCALLABLE: dict[Any, str] = {
    "http://app.example/hook": "https://",
    "ftp://app.example/hook": "https://",
    "app.example/hook": "https://",
    "https://me:secret@app.example/hook": "a name or a password",
    "https:///hook": "no host",
    "https://app.example/a b": "some that no address has",
    "https://app.example/hook#a": "a fragment",
    "https://app.example:99999/": "it is none",
    "https://localhost/hook": "public internet",
    "https://127.0.0.1/hook": "public internet",
    "https://[::1]/hook": "public internet",
    "https://10.1.2.3/hook": "public internet",
    "https://2130706433/hook": "public internet",
    "https://0x7f.1/hook": "public internet",
    "https://nas.local/hook": "public internet",
    "https://intranet/hook": "public internet",
    "https://127.0.0.0x1/": "public internet",
    "https://10.0.0.0x1/h": "public internet",
    **{
        f"https://a.{name}/": "public internet"
        for name in ("lan", "localdomain", "test", "invalid")
    },
    "https://a.onion/": "public internet",
    "https://a.example:0/": "port 0 is none",
    "https://a.exa\tmple/x": "some that no address has",
    "https://a.exa\nmple/x": "some that no address has",
    " https://a.example/x": "some that no address has",
    5: "no text",
    b"https://a.example/x": "no text",
}


@pytest.mark.parametrize("url", UNCALLABLE)
def test_webhook_is_looked_at_before_paying(
    trainer: PortraitTrainer, calls: Calls, monkeypatch: pytest.MonkeyPatch, url: Any
) -> None:
    monkeypatch.delenv("FAL_QUEUE_RUN_HOST", raising=False)
    with pytest.raises(CommandError, match="fal cannot call this webhook_url") as refused:
        trainer.submit(dataset(), webhook_url=url)
    assert UNCALLABLE[url] in str(refused.value)
    assert calls.sim.requests() == []


UNREADABLE: dict[str, Callable[[str], str]] = {  # the dataset's address, by the receiver's
    "loopback": lambda url: f"{url}/ada.zip",
    "a password": lambda url: f"{url.replace('//', '//me:secret@')}/ada.zip",
    "a fragment": lambda url: f"{url.replace('127.0.0.1', 'localhost')}/ada.zip#x",
    "signed": lambda url: f"{url}/ada.zip?X-Amz-Date=20261129T190000Z&X-Amz-Expires=60",
    "a data URI of another type": lambda _: data_uri(dataset()).replace(
        "application/zip", "image/png"
    ),
    "a large data URI": lambda _: data_uri(dataset(side=512)),
}


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize("case", UNREADABLE)
def test_what_fal_cannot_read_is_uploaded(
    trainer: PortraitTrainer,
    calls: Calls,
    receiver: Receiver,
    monkeypatch: pytest.MonkeyPatch,
    case: str,
) -> None:
    """A dataset whose address fal cannot read, or not for long, is uploaded to fal and not paid for in vain."""
    for path in ("/ada.zip", "/ada.zip?X-Amz-Date=20261129T190000Z&X-Amz-Expires=60"):
        receiver.files[path] = dataset()
    with monkeypatch.context() as patch:
        if case == "loopback":  # a simulator can read it, and fal cannot
            patch.delenv("FAL_QUEUE_RUN_HOST")
        ready = trainer.prepared(UNREADABLE[case](receiver.url))
        training = ready.__enter__()
    request_id = trainer.send(training)
    ready.__exit__(None, None, None)
    [sent] = calls.sim.requests()
    assert sent["arguments"]["images_data_url"].startswith(calls.sim.base_url)
    assert trainer.wait(request_id).lora


def test_way_of_an_address_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that leads into a private network, by a redirect or by this machine's DNS, is none that fal can read."""
    connection = Mock(get_extra_info=lambda _: ("10.0.0.1", 443))
    asked = httpx.Request("GET", "http://10.0.0.2/a.zip")
    hop = httpx.Response(302, request=httpx.Request("GET", "https://app.example/a.zip"))
    answer = httpx.Response(
        200, request=asked, history=[hop], extensions={"network_stream": connection}
    )
    monkeypatch.delenv("FAL_QUEUE_RUN_HOST", raising=False)
    assert [unreachable(each) is None for each in _places(answer)] == [True, False, False]


@pytest.mark.parametrize("url", ["ada-1", "https://127.0.0.1/none", "https://me:pw@a.example/x", 5])
def test_unreadable_checkpoint_is_not_paid(
    trainer: PortraitTrainer, calls: Calls, monkeypatch: pytest.MonkeyPatch, url: Any
) -> None:
    monkeypatch.delenv("FAL_QUEUE_RUN_HOST", raising=False)
    with pytest.raises(CommandError, match="fal cannot read resume_from_checkpoint"):
        trainer.submit(dataset(), resume_from_checkpoint=url)
    assert calls.sim.requests() == []


def test_dripping_dataset_ends(
    trainer: PortraitTrainer, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    receiver.files["/ada.zip"] = dataset()
    monkeypatch.setattr("lora_drop.client.direct_dataset.MOST_SECONDS", 0.0)
    with pytest.raises(CommandError, match=r"has not come in 0 minutes.*Nothing was sent"):
        trainer.submit(f"{receiver.url}/ada.zip")


@pytest.mark.parametrize("url", ["https://app.example/hook?a=1", "https://1.1.1.1:8443/hook"])
def test_unused_webhook_is_said(trainer: PortraitTrainer, calls: Calls, url: str) -> None:
    first = trainer.submit(dataset(), webhook_url=url)
    assert trainer.submit(dataset(), webhook_url=url) == first  # fal calls the same
    with pytest.warns(EarlierRequestWarning, match="nothing is paid now"):
        assert trainer.submit(dataset(), webhook_url="https://other.example/") == first
    assert len(calls.sim.requests()) == 1


def test_progress_is_typed_and_result_comes_here(
    simulate: Simulate, connect: Connect, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls = simulate(training_seconds=1.0)
    trainer = connect(calls)
    monkeypatch.setenv("ARTIFACT_HOSTS", calls.sim.base_url.removeprefix("https://"))
    seen: list[Any] = []
    result = trainer.train(dataset(), on_update=seen.append, trigger_phrase=PHRASE, steps=1000)
    steps = [each.progress for each in seen if isinstance(each, Training) and each.progress]
    assert {each.steps for each in steps} == {1000}
    assert [each.percent for each in steps] == sorted(each.percent for each in steps)
    assert steps[0].eta_seconds is not None

    names = [path.name for path in result.download(tmp_path / "lora")]
    assert names == ["lora.safetensors", "config.json"]
    record = json.loads((tmp_path / "lora" / "job.json").read_text())
    assert (record["trigger_phrase"], record["steps"]) == (PHRASE, 1000)
    assert trainer.result(result.request_id).download(str(tmp_path / "lora"))  # kept
    (tmp_path / "lora" / "config.json").write_text("mine")
    with pytest.raises(CommandError, match="is another file"):
        result.download(tmp_path / "lora")


@pytest.mark.promise("never lose a result")
def test_several_fetch_into_one_folder(
    trainer: PortraitTrainer, calls: Calls, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Threads that fetch into one folder all have the files, what a killed process left goes, and a wrong size is a warning."""
    result, folder = trainer.train(dataset()), tmp_path / "lora"
    monkeypatch.delenv("ARTIFACT_HOSTS", raising=False)
    host = calls.sim.base_url.removeprefix("https://")
    with pytest.raises(CommandError, match=rf"address: https.*ARTIFACT_HOSTS=fal.media,{host}"):
        result.download(folder)
    monkeypatch.setenv("ARTIFACT_HOSTS", host)
    (folder / ".lora.safetensors.99999999.part").write_bytes(b"half")
    with ThreadPoolExecutor(4) as pool:
        for each in [pool.submit(result.download, folder) for _ in range(4)]:
            each.result()
    assert {each.name for each in folder.iterdir()} == {
        *("lora.safetensors", "config.json", "job.json")
    }
    files = tuple(replace(each, file_size=7) for each in result.files)
    with pytest.warns(UserWarning, match="though fal says 7"):
        replace(result, files=files).download(tmp_path / "other")


def test_refused_result_is_the_keys_fault(
    trainer: PortraitTrainer, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key that may not read a result is said, and nothing is lost: the next call has it."""
    calls.ended(trainer.submit(dataset()))
    monkeypatch.setattr("lora_drop.client.direct_patience.KEY_PATIENCE", 0.05)
    refused = KeyRefusedError("fal answered 403 for a result")
    with monkeypatch.context() as patch:
        patch.setattr(FalDirectClient, "payload", Mock(side_effect=refused))
        with pytest.raises(CommandError, match=r"it refuses this key.*run the same again"):
            trainer.train(dataset())
    assert trainer.train(dataset()).lora
    assert len(calls.sim.requests()) == 1


def test_unknown_request_is_said_as_it_is(
    trainer: PortraitTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a request that nothing knows, only that is said: of a simulator's that it forgets, of fal's that a key may be wrong."""
    none = "11111111-1111-4111-8111-111111111111"
    for server, words in (("127.0.0.1:1", "A simulator forgets"), ("", "sent with another key")):
        monkeypatch.setenv("FAL_QUEUE_RUN_HOST", server)
        status = trainer.status(none)
        assert isinstance(status, Unanswered)
        assert words in status.message
        with pytest.raises(ResultGoneError, match=words):
            trainer.result(none)


def test_asyncio_has_the_same(trainer: PortraitTrainer, calls: Calls) -> None:
    same = AsyncPortraitTrainer(state=trainer.submissions._path, poll=0.01)

    async def whole() -> None:
        result = await same.train(dataset(), trigger_phrase=PHRASE)
        assert result == await same.result(result.request_id)
        assert isinstance(await same.status(result.request_id), FinishedRequest)
        assert not await same.cancel(result.request_id)
        assert (await same.check(dataset())).images == 12
        assert not (await same.check(b"no ZIP")).accepted

    asyncio.run(whole())
    assert len(calls.sim.requests()) == 1


@pytest.mark.promise("never pay twice")
def test_again_pays_only_after_the_end(simulate: Simulate, connect: Connect) -> None:
    """Another order of a training that goes on, or whose answer was lost, is that training and is not paid."""
    calls = simulate(training_seconds=0.5)
    trainer = connect(calls)
    first = trainer.submit(dataset())
    assert trainer.submit(dataset(), again=True) == first
    calls.ended(first)
    second = trainer.submit(dataset(), again=True)
    assert trainer.submit(dataset(), again=True) == second != first
    calls.ended(second)
    calls.sim.inject("submit_reset_before")
    for _ in range(2):
        with pytest.raises(SubmissionUnknownError):
            trainer.submit(dataset(), again=True)
    assert len(calls.sim.requests()) == 2


@pytest.mark.promise("never pay twice")
def test_lost_request_is_known_by_its_whole_input(
    trainer: PortraitTrainer, calls: Calls, receiver: Receiver
) -> None:
    """Where an address is used again, a lost answer finds its own request and no other training's."""
    receiver.files["/ada.zip"] = dataset()
    url = f"{receiver.url}/ada.zip"
    first = trainer.train(url, trigger_phrase=PHRASE, steps=1000).request_id
    for steps, again in ((2000, False), (1000, True)):
        calls.sim.inject("submit_reset_before")
        for _ in range(2):
            with pytest.raises(SubmissionUnknownError):
                trainer.submit(url, trigger_phrase=PHRASE, steps=steps, again=again)
    calls.sim.inject("submit_answer_lost")
    with pytest.raises(SubmissionUnknownError):
        trainer.submit(url, trigger_phrase=PHRASE, steps=3000)
    calls.ended(calls.sim.requests()[1]["request_id"])
    assert trainer.submit(url, trigger_phrase=PHRASE, steps=3000) != first
    assert len(calls.sim.requests()) == 2


@pytest.mark.promise("never lose a result")
def test_result_is_in_the_list_when_the_queue_has_forgotten_it(
    simulate: Simulate, connect: Connect
) -> None:
    """Without a stack, a result that fal's queue keeps no longer is taken from fal's list."""
    calls = simulate(result_retention=0.0)
    trainer = connect(calls)
    request_id = trainer.submit(dataset())
    until(lambda: isinstance(trainer.status(request_id), FinishedRequest))
    assert trainer.train(dataset()).lora


def test_clock_ahead_hides_no_lost_request(
    trainer: PortraitTrainer, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ahead(datetime):
        by = timedelta(days=3)

        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + cls.by

    calls.sim.inject("submit_answer_lost")
    with monkeypatch.context() as patch:
        patch.setattr("lora_drop.client.portrait_trainer.datetime", Ahead)
        with pytest.raises(SubmissionUnknownError):
            trainer.submit(dataset())
    [lost] = calls.sim.requests()
    calls.ended(lost["request_id"])
    with monkeypatch.context() as patch:  # five days later
        patch.setattr(Ahead, "by", timedelta(days=5))
        patch.setattr("lora_drop.client.direct_training.datetime", Ahead)
        assert trainer.submit(dataset()) == lost["request_id"]


def test_zip_that_changes_is_not_paid(trainer: PortraitTrainer, calls: Calls, path: Path) -> None:
    with trainer.prepared(path) as training:
        path.write_bytes(dataset(images=3))
        with pytest.raises(CommandError, match="changed after it was checked"):
            trainer.send(training)
    assert calls.sim.requests() == []


def test_what_changes_nothing_is_the_same_training(trainer: PortraitTrainer, calls: Calls) -> None:
    nothing: Any = {"trigger_phrase": None, "subject_crop": None}
    forms: list[Any] = [{}, {"data_archive_format": "zip"}, {"data_archive_format": "ZIP"}, nothing]
    assert len({trainer.submit(dataset(), **form) for form in forms}) == 1
    assert calls.sim.requests()[0]["arguments"].get("trigger_phrase") != "None"


def test_only_ones_own_row_is_changed(tmp_path: Path) -> None:
    rows, at = Submissions(tmp_path / "s.sqlite"), datetime.now(UTC)
    mine = SentTraining("which", "application", "address", at)
    theirs = replace(mine, intended_at=at + timedelta(seconds=1))
    assert rows.intend(theirs)
    rows.withdraw(mine)
    rows.accepted(mine, "mine")
    assert rows.find("which") == theirs


@pytest.mark.promise("never pay twice")
def test_two_at_once_pay_once(trainer: PortraitTrainer, calls: Calls) -> None:
    """Two processes that send the same training without a stack at the same moment pay for one."""
    same = PortraitTrainer(state=trainer.submissions._path)
    with trainer.prepared(dataset()) as one, same.prepared(dataset()) as other:
        assert trainer.ordered(one) is same.ordered(other) is None
        with ThreadPoolExecutor(2) as pool:
            sent = [pool.submit(trainer.send, one), pool.submit(same.send, other)]
            ends = [each.exception() or each.result() for each in sent]
    assert len(calls.sim.requests()) == 1
    paid = calls.sim.requests()[0]["request_id"]
    assert paid in ends
    assert all(each == paid or isinstance(each, SubmissionUnknownError) for each in ends)


@pytest.mark.promise("never pay twice")
def test_state_of_another_version_is_read(trainer: PortraitTrainer, calls: Calls) -> None:
    """A state file that an earlier version has written still says what was paid."""
    first = trainer.submit(dataset())
    with trainer.prepared(dataset()) as training:
        former = (training.former, training.fingerprint)
    with closing(sqlite3.connect(trainer.submissions._path)) as database, database:
        database.execute("DROP TABLE sent")
        database.execute("UPDATE submissions SET fingerprint = ? WHERE fingerprint = ?", former)
    assert trainer.submit(dataset()) == first
    assert [each.request_id for each in trainer.submissions.sent(first)] == [first]
    assert trainer.train(dataset()).lora
    assert len(calls.sim.requests()) == 1


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize("left", [0, 1])
def test_emptied_state_is_no_new_one(trainer: PortraitTrainer, calls: Calls, left: int) -> None:
    """A state file that was cut to nothing is refused, not taken for a new one, until it is deleted."""
    state = trainer.submissions._path
    trainer.submit(dataset())
    state.write_bytes(state.read_bytes()[:left])
    for _ in range(2):
        with pytest.raises(CommandError, match="was in use and is empty now"):
            trainer.submit(dataset())
    assert len(calls.sim.requests()) == 1
    state.unlink()
    assert trainer.submissions.find("") is None


def test_disk_that_was_full_at_first_blocks_nothing(tmp_path: Path) -> None:
    (tmp_path / "s.sqlite").touch()
    assert Submissions(tmp_path / "s.sqlite").find("") is None


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize("table", ["submissions", "replaced", "sent"])
def test_column_of_a_later_version_does_no_harm(tmp_path: Path, table: str) -> None:
    """A state file to which a later version has added a column is written as before."""
    rows, at = Submissions(tmp_path / "s.sqlite"), datetime.now(UTC)
    first = SentTraining("which", "application", "address", at)
    assert rows.intend(first)
    with closing(sqlite3.connect(rows._path)) as database, database:
        database.execute(f"ALTER TABLE {table} ADD COLUMN more TEXT")
    rows.accepted(first, "one")
    second = replace(first, intended_at=at + timedelta(seconds=1))
    assert rows.intend(second, instead_of=replace(first, request_id="one"))
    rows.accepted(second, "two")
    assert rows.known() == {"one", "two"}
    assert [each.request_id for each in rows.sent()] == ["two", "one"]


@pytest.mark.promise("never pay twice")
def test_accepted_request_that_cannot_be_written_is_named(
    trainer: PortraitTrainer, calls: Calls
) -> None:
    """Where fal has accepted and the state file cannot be written, the error names the request and keeps the file."""
    trainer.submissions.find("")
    with closing(sqlite3.connect(trainer.submissions._path)) as database, database:
        database.execute(
            "CREATE TRIGGER full BEFORE INSERT ON sent BEGIN SELECT RAISE(FAIL, 'disk is full'); END"
        )
    with pytest.raises(CommandError, match="Do not move or delete") as raised:
        trainer.submit(dataset())
    [paid] = calls.sim.requests()
    assert f"accepted this training as request {paid['request_id']}" in str(raised.value)
    assert "move it away" not in str(raised.value)
    with closing(sqlite3.connect(trainer.submissions._path)) as database, database:
        database.execute("DROP TRIGGER full")
    calls.ended(paid["request_id"])
    assert trainer.submit(dataset()) == paid["request_id"]
    assert len(calls.sim.requests()) == 1


@pytest.mark.promise("never pay twice")
def test_state_is_the_same_file_in_another_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative state file stays where it was when the program changes its folder."""
    monkeypatch.chdir(tmp_path)
    rows = Submissions(Path("s.sqlite"))
    assert rows.intend(SentTraining("which", "application", "address", datetime.now(UTC)))
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    assert rows.find("which")


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize("change", ["replaced", "old"])
def test_stopped_program_sends_nothing(
    trainer: PortraitTrainer, calls: Calls, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    """A program that was stopped between its intent and its POST sends nothing once it goes on."""
    intend = Submissions.intend

    def stopped(rows: Submissions, sent: SentTraining, **more: Any) -> bool:
        assert intend(rows, sent, **more)
        if change == "old":
            monkeypatch.setattr("lora_drop.client.direct_training.INTENT_HOLDS", -1.0)
            return True
        rows.withdraw(sent)
        return intend(rows, replace(sent, intended_at=sent.intended_at + timedelta(seconds=1)))

    with monkeypatch.context() as patch:
        patch.setattr(Submissions, "intend", stopped)
        with pytest.raises(NotSubmittedError, match="was stopped before it sent"):
            trainer.submit(dataset())
    assert calls.sim.requests() == []


@pytest.mark.promise("never pay twice")
def test_server_is_the_same_in_another_spelling(
    trainer: PortraitTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FAL_QUEUE_RUN_HOST with a slash at its end, or in capitals, is the same server."""
    seen = set()
    for host in ("localhost:1", "localhost:1/", "LOCALHOST:1"):
        monkeypatch.setenv("FAL_QUEUE_RUN_HOST", host)
        with trainer.prepared(dataset()) as training:
            seen.add(training.fingerprint)
    assert len(seen) == 1


def test_unusable_state_is_said(calls: Calls, connect: Connect, tmp_path: Path) -> None:
    (tmp_path / "submissions.sqlite").write_bytes(b"garbage" * 1000)
    with pytest.raises(CommandError, match=r"submissions\.sqlite, cannot be used"):
        connect(calls).submit(dataset())
    assert calls.sim.requests() == []


@pytest.mark.parametrize("source", ["", "http://[bad/x.zip"])
def test_odd_source_is_refused(trainer: PortraitTrainer, source: str) -> None:
    with pytest.raises(CommandError):
        trainer.submit(source)
    with pytest.raises(CommandError, match="cannot be read"):
        trainer.upload(Path("/nonexistent.zip"))


@pytest.mark.parametrize("key", ["a:b\nc", "\u00e4:b"])
def test_key_that_can_be_none_is_refused(key: str) -> None:
    with pytest.raises(CommandError, match="Set a valid FAL_KEY: https"):
        PortraitTrainer(key)


def test_missing_certificates_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nonexistent/ca.pem")
    with pytest.raises(CommandError, match="unset SSL_CERT_FILE"):
        PortraitTrainer("a:b")


@pytest.fixture(scope="module")
def standing_fal() -> Iterator[FaultyFal]:
    with faulty_fal() as fal:
        yield fal


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize("row", sweep(ROWS, sample=12, ids=lambda row: row.title))
def test_each_outcome_is_one_post_at_most(
    standing_fal: FaultyFal, row: Row, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Whatever becomes of the POST without a stack, a dataset that may have been accepted is not sent again."""
    standing_fal.exchange.clear()
    standing_fal.strike(row.fault, times=None)
    monkeypatch.setattr("lora_drop.adapters.fal.SUBMIT_TIMEOUT", timeouts(row.fault, 0.15))
    trainer = PortraitTrainer("key-id:key-secret", state=tmp_path / "submissions.sqlite")
    sent: list[str | Exception] = []
    for fault in (row.fault, GOOD, GOOD):
        standing_fal.strike(fault, times=None)
        try:
            sent.append(trainer.submit(data_uri(dataset())))
        except (httpx.HTTPError, Exception) as error:  # noqa: BLE001  # each is looked at below
            sent.append(error)
    assert len(standing_fal.paid) <= 1, sent
    assert len(standing_fal.posts) <= row.posts + (not row.fault.accepted), sent
    if row.fault.place is not Place.NO_NAME:
        assert sent[-1] == sent[-2] or isinstance(sent[-1], SubmissionUnknownError), sent


LISTED: dict[str, tuple[ListedRequest | None, timedelta, bool]] = {
    "unlisted, sent just now": (None, timedelta(0), False),
    "unlisted for an hour": (None, timedelta(hours=1), True),
    "goes on": (
        ListedRequest(ended=False, succeeded=False, output=None),
        timedelta(hours=9),
        False,
    ),
    "ended without a result": (
        ListedRequest(ended=True, succeeded=False, output=None),
        timedelta(0),
        True,
    ),
    "ended with a result": (
        ListedRequest(ended=True, succeeded=True, output={"a": 1}),
        timedelta(0),
        True,
    ),
}


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize("case", LISTED)
def test_one_404_is_no_end(
    trainer: PortraitTrainer, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """A request that fal's queue does not know is paid again only where fal's list shows its end, or after an hour."""
    row, age, paid = LISTED[case]
    monkeypatch.setattr(FalDirectClient, "ask", Mock(return_value=Gone("r")))
    monkeypatch.setattr(FalHistory, "listed", Mock(return_value=row))
    ended = trainer._requests.has_ended("r", datetime.now(UTC) - age, seen=False)
    assert ended is paid


SILENT: dict[str, tuple[Exception, type[Exception], str]] = {
    "no answer": (FalUnavailableError("fal answered 500"), JobTimeoutError, "goes on at fal"),
    "result": (ResultUnreadableError("502"), ResultUnreadableError, "Request r is finished"),
}


@pytest.mark.parametrize("case", SILENT)
def test_silence_is_heard_and_ends(
    trainer: PortraitTrainer, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    said, raised, words = SILENT[case]
    monkeypatch.setattr("lora_drop.client.direct_patience.RESULT_PATIENCE", 0.05)
    monkeypatch.setattr(FalDirectClient, "ask", Mock(side_effect=said))
    seen: list[Any] = []
    with pytest.raises(raised, match=words):
        trainer.wait("r", on_update=seen.append, timeout=0.3)
    assert [type(each) for each in seen] == [Unanswered]

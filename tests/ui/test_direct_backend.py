"""The page with a fal key alone, at the simulator: each training is paid once, and its files come by themselves."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest
from typer.testing import CliRunner

from lora_drop.cli.main import application
from lora_drop.client.direct_requests import DirectRequests
from lora_drop.client.errors import CommandError, JobUnknownError, StackUnreachableError
from lora_drop.client.portrait_trainer import PortraitTrainer
from lora_drop.client.stack import Stack
from lora_drop.fal.status import Gone
from lora_drop.jobs.errors import FalUnavailableError, SubmissionUnknownError
from lora_drop.jobs.status import Status
from lora_drop.ui import direct_watch
from lora_drop.ui.backends import Action, JobCard, backend_of
from lora_drop.ui.direct_backend import DirectBackend
from lora_drop.ui.stack_backend import StackBackend
from tests.simulator.conftest import (
    Connect,
    Simulate,
    calls,
    connect,
    dataset,
    path,
    point_fal_client,
    simulate,
    trainer,
)
from tests.simulator.fal_calls import Calls, until

__all__ = ["calls", "connect", "path", "point_fal_client", "simulate", "trainer"]

type Page = Callable[..., DirectBackend]
FILES = {"lora.safetensors", "config.json"}


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, connect: Connect) -> Iterator[Page]:
    """Start the backend of a page at a simulator, as often as a test wants; all are closed at the end."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(direct_watch, "LEAST", 0.0)
    monkeypatch.setattr(direct_watch, "EVERY", 0.02)
    opened: list[DirectBackend] = []

    def start(calls: Calls) -> DirectBackend:
        connect(calls)
        monkeypatch.setenv("ARTIFACT_HOSTS", calls.sim.base_url.removeprefix("https://"))
        opened.append(DirectBackend(PortraitTrainer()))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


def train(backend: DirectBackend, archive: Path, **parameters: object) -> str:
    given = {"trigger_phrase": "ada", **parameters}
    return backend.train(archive, name="Ada", parameters=given, progress=lambda *_: None)


def when(backend: DirectBackend, request_id: str, test: Callable[[JobCard], object]) -> JobCard:
    """Return the card of a training, once it is so."""

    def ask() -> list[JobCard]:
        card = backend.card(request_id)
        return [card] if test(card) else []

    return until(ask)[0]


def ended(backend: DirectBackend, request_id: str, status: Status) -> JobCard:
    return when(backend, request_id, lambda card: card.status is status)


@pytest.mark.promise("never pay twice")
def test_page_and_command_pay_once(page: Page, calls: Calls, path: Path) -> None:
    """With a key alone the same training sent by the page, by it again and by the command is paid once."""
    backend = page(calls)
    sent: list[tuple[int, int]] = []
    given = {"trigger_phrase": "ada", "steps": None}
    request_id = backend.train(
        path, name="Ada.zip", parameters=given, progress=lambda *far: sent.append(far)
    )
    assert sent[0][0] == 0 < sent[-1][0] == sent[-1][1]
    with ThreadPoolExecutor() as pool:
        assert set(pool.map(lambda _: train(page(calls), path), range(3))) == {request_id}
    words = ["train", str(path), "--direct", "--yes", "--trigger", "ada", "--no-wait"]
    assert CliRunner().invoke(application(), words).stdout.strip() == request_id
    assert len(calls.sim.requests()) == 1


@pytest.mark.promise("never lose a result")
def test_result_comes_without_a_browser(page: Page, calls: Calls, path: Path) -> None:
    """With a key alone the files of a training are fetched while the page runs, also where no browser asks."""
    first = page(calls)
    request_id = train(first, path)
    folder = Path(f"Ada-{request_id[-8:]}").absolute()
    assert {each.name for each in folder.iterdir()} == {"report.html", "report.json"}
    assert first.report(request_id) == (folder / "report.html").read_bytes()
    first.close()  # the page is killed
    calls.ended(request_id)
    backend = page(calls)
    backend.follow()
    backend.follow()
    until((folder / "lora.safetensors").is_file)
    card = ended(backend, request_id, Status.SUCCEEDED)
    assert {each.name for each in card.files} == FILES
    assert (card.cost, card.actions, card.location) == ("about $6.00 paid", (), str(folder))
    assert (card.dataset, card.trigger_phrase, card.steps) == ("Ada", "ada", 2500)
    record = json.loads((folder / "job.json").read_text())
    assert record["dataset"]["name"] == "Ada"
    assert backend.file(request_id, "lora.safetensors") == folder / "lora.safetensors"
    for name in ("job.json", "../lora.safetensors", str(folder / "config.json"), ""):
        with pytest.raises(CommandError, match="has no file"):
            backend.file(request_id, name)
    usage = backend.usage(request_id)
    assert usage is not None
    assert str(folder / "lora.safetensors") in usage.fal
    assert usage.trigger_phrase == "ada"


def test_card_follows_a_training(simulate: Simulate, page: Page, path: Path) -> None:
    backend = page(simulate(training_seconds=1.5, max_in_progress=1))
    first = train(backend, path, steps=1000)
    second = train(backend, path, steps=1001)
    waits = backend.card(second)
    assert (waits.status, waits.actions, waits.cost) == (
        Status.SUBMITTED,
        (Action.CANCEL,),
        "about $2.41",
    )
    assert waits.queue_position is not None
    card = when(backend, first, lambda card: card.progress)
    assert (card.status, card.log != (), card.waiting) == (Status.TRAINING, True, None)
    assert (card.progress and card.progress.steps) == 1000
    row = backend.jobs(status=Status.TRAINING, search="aDA").rows[0]
    assert (row.id, row.percent is not None, row.usd) == (first, True, 2.4)
    assert "being fetched into" in (ended(backend, first, Status.STORING).waiting or "")
    backend.follower.round()
    assert backend.card(first).status is Status.SUCCEEDED


def test_cancelling_is_asked_and_done(simulate: Simulate, page: Page, path: Path) -> None:
    calls = simulate(training_seconds=60.0)
    backend = page(calls)
    request_id = train(backend, path)
    question = backend.question(request_id, Action.CANCEL)
    assert "may be billed by fal" in question.sentences[0]
    assert question.title == "Cancel Ada?"
    assert backend.act(request_id, Action.CANCEL) == request_id
    card = ended(backend, request_id, Status.CANCELLED)
    assert (card.actions, card.cost) == ((), "nothing paid")
    with pytest.raises(CommandError, match="ended before"):
        backend.act(request_id, Action.CANCEL)
    for action in (Action.RETRY, Action.APPROVE, Action.FORGET):
        for ask in (backend.question, backend.act):
            with pytest.raises(CommandError, match="not possible"):
                ask(request_id, action)
    assert backend.jobs().rows[0].status is Status.CANCELLED
    assert "Train again with changes" in card.problems[0].message
    again = train(backend, path)
    assert train(backend, path) == again != request_id
    assert len(calls.sim.requests()) == 2


@pytest.mark.promise("never pay twice")
def test_failed_training_is_paid_once_more(page: Page, calls: Calls, path: Path) -> None:
    """With a key alone, Train on the page pays once more for what has failed at fal, however often it is pressed."""
    backend = page(calls)
    calls.sim.inject("training_error", type="internal_error")
    failed = train(backend, path)
    ended(backend, failed, Status.FAILED)
    calls.sim.clear()
    with ThreadPoolExecutor() as pool:
        pressed = {*pool.map(lambda _: attempt(page(calls), path), range(4))}
    [again] = [each for each in pressed if each]
    assert again != failed
    ended(backend, again, Status.STORING)
    assert train(backend, path) == again  # it has succeeded
    assert len(calls.sim.requests()) == 2


def attempt(backend: DirectBackend, archive: Path) -> str | None:
    """Press Train; None where another press sends it right now."""
    try:
        return train(backend, archive)
    except CommandError as error:
        assert "sends this training right now" in str(error)  # noqa: PT017  # it may raise, or not
        return None


@pytest.mark.promise("never pay twice")
def test_nothing_is_paid_where_fal_does_not_say(
    page: Page, calls: Calls, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a key alone, Train on the page pays nothing while fal does not say what became of the same training."""
    backend = page(calls)
    request_id = train(backend, path)

    def silent(*_: object) -> None:
        raise FalUnavailableError("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(DirectRequests, "_asked", silent)
        with pytest.raises(CommandError, match="No answer"):
            train(backend, path)
    with monkeypatch.context() as patch:  # neither its queue nor its list knows it
        patch.setattr(DirectRequests, "_asked", lambda _, request_id: Gone(request_id))
        patch.setattr(DirectRequests, "_listed", lambda *_: None)
        with pytest.raises(CommandError, match="does not know request"):
            train(backend, path)
    assert train(backend, path) == request_id
    assert len(calls.sim.requests()) == 1


@pytest.mark.promise("never pay twice")
def test_lost_answer_that_failed_is_shown_first(page: Page, calls: Calls, path: Path) -> None:
    """With a key alone, a training whose answer was lost, and that has failed since, is shown before it is paid again."""
    backend = page(calls)
    calls.sim.inject("submit_answer_lost")
    calls.sim.inject("training_error", type="internal_error")
    with pytest.raises(CommandError, match="It may be paid"):
        train(backend, path)
    [sent] = calls.sim.requests()
    calls.ended(sent["request_id"])
    assert train(backend, path) == sent["request_id"]
    assert len(calls.sim.requests()) == 1


def test_failed_training_says_why(page: Page, calls: Calls, path: Path) -> None:
    backend = page(calls)
    calls.sim.inject("training_error", type="internal_error")
    card = ended(backend, train(backend, path), Status.FAILED)
    assert "drop the photos again, or press “Train again with changes”" in card.problems[0].message
    assert "--force" not in card.problems[0].message
    assert "again=True" not in card.problems[0].message
    assert (card.cost, backend.jobs().rows[0].usd) == ("nothing paid", 0.0)


@pytest.mark.promise("never pay twice")
def test_lost_answer_is_looked_for(page: Page, calls: Calls, path: Path) -> None:
    """With a key alone, where fal's answer to the page is lost, the page says so, and the next try pays nothing."""
    backend = page(calls)
    calls.sim.inject("submit_answer_lost")
    with pytest.raises(CommandError, match=r"It may be paid\. Press Train again"):
        train(backend, path)
    card = ended(backend, train(backend, path), Status.STORING)
    assert card.silence is None
    assert len(calls.sim.requests()) == 1


def test_silence_is_no_end(
    page: Page, calls: Calls, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = page(calls)
    request_id = train(backend, path)

    def silent(*_: object) -> None:
        raise FalUnavailableError("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(PortraitTrainer, "look", silent)
        card = backend.card(request_id)
    assert card.status is Status.SUBMITTED
    assert "the training goes on there" in (card.silence or "")
    assert ended(backend, request_id, Status.STORING).silence is None


def test_files_that_cannot_be_had_are_tried_again(page: Page, calls: Calls, path: Path) -> None:
    backend = page(calls)
    request_id = train(backend, path)
    calls.sim.inject("download_cut", times=20)
    ended(backend, request_id, Status.STORING)
    backend.follower.round()
    card = backend.card(request_id)
    assert card.waiting
    assert "done and paid; its files are not here yet" in card.waiting
    assert "same command" not in card.waiting
    calls.sim.clear()
    backend.follower.round()
    assert backend.card(request_id).status is Status.STORING  # a minute has to pass
    backend.follower.watch(backend._request(request_id)).fetch_at = 0.0
    backend.follower.round()
    assert backend.card(request_id).status is Status.SUCCEEDED


def test_dead_thread_is_started_again(page: Page, calls: Calls, path: Path) -> None:
    backend = page(calls)
    dead = threading.Thread(target=str)
    dead.start()
    dead.join()
    backend.follower._thread = dead
    ended(backend, train(backend, path), Status.SUCCEEDED)


def test_moved_folder_is_not_fetched_again(page: Page, calls: Calls, path: Path) -> None:
    backend = page(calls)
    request_id = train(backend, path)
    ended(backend, request_id, Status.STORING)
    backend.follower.round()
    folder = Path(backend.card(request_id).location or "")
    folder.rename("elsewhere")
    for other in (backend, page(calls)):
        other.follower.round()
        assert not folder.exists()
        row = other.jobs().rows[0]
        assert (row.status, other.usage(request_id)) == (Status.SUCCEEDED, None)
    assert backend.card(request_id).status is Status.STORING  # a person looks at it
    backend.follower.round()
    assert (folder / "lora.safetensors").is_file()


def test_list_is_paged_and_searched(
    page: Page, calls: Calls, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = page(calls)
    assert backend.jobs().rows == ()
    assert not backend.trainer.submissions.exists
    with pytest.raises(JobUnknownError):
        backend.card("0" * 8)
    monkeypatch.setattr("lora_drop.ui.direct_backend.ROWS", 1)
    ids = [train(backend, path, trigger_phrase=each) for each in ("ohwx", "zdrg")]
    pages = [backend.jobs(), backend.jobs(cursor="1")]
    assert [each.rows[0].id for each in pages] == ids[::-1]
    assert [each.next for each in pages] == ["1", None]
    assert backend.jobs(search=ids[0][-8:].upper()).rows[0].id == ids[0]
    assert backend.jobs(search="OHW").rows[0].id == ids[0]  # its trigger phrase
    assert backend.jobs(search="eve").rows == ()
    with pytest.raises(CommandError, match="no such page"):
        backend.jobs(cursor="-1")
    assert (backend.budget(), type(backend)) == (None, DirectBackend)
    assert backend.application == "fal-ai/flux-lora-portrait-trainer"
    assert "with a key alone" in backend.name


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ("look there: order it with again=True, from 12:00 on", "pay for it with lora-drop train PATH --direct --force, from"),
        ("the answer was lost. Make the same call again: it", "The answer was lost. Press Train again: it"),
        ("No file: run the same command again, which pays nothing", "try it once more, which"),
    ],
)  # fmt: skip
def test_errors_are_in_words_of_the_page(error: str, said: str) -> None:
    assert said in direct_watch.page_sentence(SubmissionUnknownError(error))


def test_rejected_dataset_is_not_sent(page: Page, calls: Calls, tmp_path: Path) -> None:
    (tmp_path / "few.zip").write_bytes(dataset(images=3))
    with pytest.raises(CommandError, match=r"Nothing was sent\.\n.*10"):
        train(page(calls), tmp_path / "few.zip")
    assert calls.sim.requests() == []


@pytest.mark.parametrize(
    ("parameters", "said"),
    [({"trainer": "flux"}, "There is no trainer"), ({"steps": -1}, "steps")],
)
def test_wrong_parameters_send_nothing(
    page: Page, calls: Calls, path: Path, parameters: dict[str, object], said: str
) -> None:
    backend = page(calls)
    with pytest.raises(CommandError, match=said):
        train(backend, path, **parameters)
    assert calls.sim.requests() == []


def test_other_trainer_is_sent_to_its_own(page: Page, calls: Calls, path: Path) -> None:
    backend = page(calls)
    request_id = train(backend, path, trainer="flux-lora-fast-training", steps=1000)
    ended(backend, request_id, Status.STORING)
    assert backend._request(request_id).application == "fal-ai/flux-lora-fast-training"


def test_place_of_trainings_is_found_as_by_commands(
    page: Page, calls: Calls, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    page(calls)
    monkeypatch.setenv("LORA_DROP_HOME", str(tmp_path / "no-stack"))
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    for backend in (backend_of(None), backend_of(None, direct=True)):
        assert type(backend) is DirectBackend
        backend.close()
    with pytest.raises(StackUnreachableError, match="the stack mine"):
        backend_of("mine")
    monkeypatch.delenv("FAL_KEY")
    with pytest.raises(StackUnreachableError, match="lora-drop init asks"):
        backend_of(None)
    with pytest.raises(CommandError, match="There is no fal key"):
        backend_of(None, direct=True)
    stack = Stack("mine", boto3.Session(region_name="us-east-1"), None, "https://api", "d", "m")
    monkeypatch.setattr("lora_drop.client.stack.find_stack", lambda _: stack)
    found = backend_of("mine")
    assert isinstance(found, StackBackend)
    found.close()

"""The order of a training: paid once, whoever asks for it how often, and whatever is killed when."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lora_drop.client.errors import CommandError
from lora_drop.ui.backends import Progress
from lora_drop.ui.drafts import Draft, Drafts
from lora_drop.ui.workers import Workers
from tests.support.client_fixtures import photo
from tests.support.drafts import (
    APPLICATION,
    album,
    checked,
    drafts,
    dropped,
    number_of,
    put,
    sockets_off,
    workers,
)

__all__ = ["album", "drafts", "sockets_off", "workers"]
HERE = "a backend"
OTHER = "fal-ai/flux-lora-fast-training"
# A server that orders and never gets an answer; it says so once it has asked.
SERVER = """
import sys, time
from pathlib import Path
from lora_drop.ui.drafts import Drafts
from lora_drop.ui.workers import Workers

def train(archive, parameters, progress):
    progress(5, 10)
    Path(sys.argv[4]).write_bytes(archive.read_bytes())
    time.sleep(600)

workers = Workers(1)
drafts = Drafts(Path(sys.argv[1]), workers, "fal-ai/flux-lora-portrait-trainer")
drafts.order(sys.argv[2], int(sys.argv[3]), train, "a backend")
time.sleep(600)
"""


class Payments:
    """A backend that keeps what it was sent; it answers when the test lets it."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.parameters: dict[str, object] = {}
        self.answer = threading.Event()

    def __call__(self, archive: Path, parameters: Mapping[str, object], progress: Progress) -> str:
        self.parameters = dict(parameters)
        self.sent.append(archive.read_bytes())
        progress(3, 10)
        assert self.answer.wait(20)
        return f"job-{len(self.sent)}"


@pytest.fixture
def good(drafts: Drafts) -> Draft:
    """A dataset that can be trained on."""
    draft = drafts.create("album")
    for number in range(12):
        put(drafts, draft.id, f"{number}.jpg", photo(600, number))
    drafts.finish(draft.id)
    return checked(drafts, draft.id)


def ended(drafts: Drafts, draft: Draft) -> Draft:
    return until(drafts, draft, lambda seen: seen.order is not None and not seen.order.running)


def until(drafts: Drafts, draft: Draft, true: Callable[[Draft], bool]) -> Draft:
    for _ in range(400):
        if true(seen := drafts.get(draft.id)):
            return seen
        time.sleep(0.02)
    raise AssertionError("nothing has changed")


@pytest.mark.promise("never pay twice")
def test_a_double_click_pays_once(drafts: Drafts, good: Draft) -> None:
    """However often Train is pressed on the page, in two tabs or in two servers, one training is ordered."""
    payments = Payments()
    clicks = [
        threading.Thread(target=drafts.order, args=(good.id, good.revision, payments, HERE))
        for _ in range(8)
    ]
    for click in clicks:
        click.start()
    for click in clicks:
        click.join()
    running = until(drafts, good, lambda seen: seen.order is not None and seen.order.sent > 0)
    payments.answer.set()
    done = ended(drafts, good)
    drafts.order(good.id, good.revision, payments, HERE)

    assert running.order
    assert (running.order.sent, running.order.job_id) == (3, None)
    assert done.order
    assert (done.order.job_id, done.order.problem, done.order.sent) == (
        "job-1",
        None,
        done.order.total,
    )
    assert len(payments.sent) == 1


def test_a_second_server_returns_the_first_order(
    drafts: Drafts, workers: Workers, good: Draft, tmp_path: Path
) -> None:
    other, payments = Drafts(tmp_path / "drafts", workers, APPLICATION), Payments()
    drafts.order(good.id, good.revision, payments, HERE)

    seen = other.order(good.id, good.revision, payments, HERE)

    assert seen.order
    assert seen.order.running
    with pytest.raises(CommandError, match="being sent"):
        other.discard(good.id)
    payments.answer.set()
    assert ended(other, good).order == ended(drafts, good).order
    assert len(payments.sent) == 1
    other.close()


@pytest.mark.promise("never pay twice")
def test_an_order_survives_a_killed_server(drafts: Drafts, good: Draft, tmp_path: Path) -> None:
    """A page that is killed between an order and its job says so, and Train goes on with the same archive."""
    sent = tmp_path / "sent"
    words = [str(tmp_path / "drafts"), good.id, str(good.revision), str(sent)]
    line = [sys.executable, "-c", SERVER, *words]
    with subprocess.Popen(line, start_new_session=True) as server:  # noqa: S603  # our own program
        for _ in range(400):
            if sent.exists() and sent.read_bytes():
                break
            time.sleep(0.05)
        running = drafts.get(good.id)
        os.killpg(server.pid, signal.SIGKILL)
    killed = drafts.get(good.id)
    payments = Payments()
    payments.answer.set()
    drafts.order(good.id, good.revision, payments, HERE)

    assert running.order
    assert running.order.running
    assert killed.order
    assert (killed.order.running, killed.order.job_id) == (False, None)
    assert killed.order.problem
    assert "nothing is paid twice" in killed.order.problem
    assert ended(drafts, good).order.job_id == "job-1"  # type: ignore[union-attr]
    assert payments.sent == [sent.read_bytes()]


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (CommandError("The month's budget is used up."), "budget is used up"),
        (OSError("the network is away"), "network is away"),
        (KeyError("x"), "Please report it"),
    ],
)
def test_an_order_that_fails_says_why_and_can_be_repeated(
    drafts: Drafts, good: Draft, error: Exception, says: str
) -> None:
    def fail(_: Path, __: object, ___: Progress) -> str:
        raise error

    drafts.order(good.id, good.revision, fail, HERE)
    failed = ended(drafts, good)
    drafts.order(good.id, good.revision, lambda *_: "job-2", HERE)

    assert failed.order
    assert failed.order.problem
    assert says in failed.order.problem
    done = until(
        drafts, good, lambda seen: seen.order is not None and seen.order.job_id is not None
    )
    assert done.order
    assert (done.order.job_id, done.order.problem) == ("job-2", None)


def test_what_was_shown_before_a_change_is_not_ordered(drafts: Drafts, good: Draft) -> None:
    """The price and the photos that a person saw are those that are ordered."""
    payments = Payments()
    changed = drafts.set_parameters(good.id, {"steps": 2000})
    for revision, says in ((good.revision, "has changed"), (changed.revision, "being checked")):
        with pytest.raises(CommandError, match=says):
            drafts.order(good.id, revision, payments, HERE)
    assert payments.sent == []
    assert drafts.get(good.id).order is None


@pytest.mark.promise("never pay twice")
def test_what_was_shown_is_what_is_paid(
    drafts: Drafts, workers: Workers, good: Draft, tmp_path: Path
) -> None:
    """The price on the page is that of the trainer that is paid, also where the stack's own trainer has changed since."""
    other = Drafts(tmp_path / "drafts", workers, OTHER)
    before = good.report
    shown, payments = other.get(good.id), Payments()
    with pytest.raises(CommandError, match="has changed"):
        other.order(good.id, good.revision, payments, HERE)
    assert not shown.current
    new = checked(other, good.id)
    assert before
    assert new.report
    assert (before.trainer, new.report.trainer) == (APPLICATION, OTHER)
    assert new.report.estimated_cost_usd != before.estimated_cost_usd
    payments.answer.set()
    other.order(new.id, new.revision, payments, HERE)
    done = ended(other, new)
    assert payments.parameters == {"trainer": OTHER}
    # What was ordered is shown as it was sent, over whatever.
    assert drafts.get(good.id).report == done.report
    assert drafts.get(good.id).current
    other.close()


@pytest.mark.promise("never pay twice")
def test_an_order_belongs_to_the_backend_that_it_was_given_to(
    drafts: Drafts, workers: Workers, good: Draft, tmp_path: Path
) -> None:
    """What was sent over one backend, and may be paid there, is not ordered over another one."""
    payments, other = Payments(), Drafts(tmp_path / "drafts", workers, APPLICATION)

    def lost(*_: object) -> str:
        raise CommandError("The answer was lost.")

    for sent, job_id in ((lost, None), (payments, "job-1")):
        drafts.order(good.id, good.revision, sent, HERE)
        with pytest.raises(CommandError, match=f"over {HERE}.* over that one"):
            other.order(good.id, good.revision, payments, "another")
        payments.answer.set()
        order = ended(drafts, good).order
        with pytest.raises(CommandError, match=f"over {HERE}.* over that one"):
            other.order(good.id, good.revision, payments, "another")
        assert order
        assert (order.job_id, order.backend) == (job_id, HERE)
    assert len(payments.sent) == 1
    again = checked(other, other.again(good.id).id)
    other.order(again.id, again.revision, payments, "another")
    assert ended(other, again).order.backend == "another"  # type: ignore[union-attr]
    other.close()


@pytest.mark.promise("never pay twice")
def test_repeated_order_has_the_first_sheet(drafts: Drafts, good: Draft) -> None:
    """What was sent and may be paid is sent again as it was, also where the stack makes proof sheets by now."""
    payments = Payments()
    payments.answer.set()

    def lost(_: Path, parameters: Mapping[str, object], __: Progress) -> str:
        payments.parameters = dict(parameters)
        raise CommandError("The answer was lost.")

    drafts.order(good.id, good.revision, lost, HERE, proof=False)
    order = ended(drafts, good).order
    assert order
    assert (order.proof, payments.parameters["proof"]) == (False, False)
    drafts.order(good.id, good.revision, payments, HERE, proof=True)
    done = ended(drafts, good).order
    assert done
    assert (done.job_id, done.proof) == ("job-1", False)
    assert payments.parameters == {"trainer": APPLICATION, "proof": False}


def test_order_without_a_stack_names_no_sheet(drafts: Drafts, good: Draft) -> None:
    """A box that was set over a stack is not sent to fal, which knows no such input."""
    drafts.set_parameters(good.id, {"proof": "true"})
    draft, payments = checked(drafts, good.id), Payments()
    payments.answer.set()
    drafts.order(good.id, draft.revision, payments, HERE)
    ended(drafts, draft)
    assert payments.parameters == {"trainer": APPLICATION}


def test_a_dataset_of_an_earlier_version_is_checked_again(drafts: Drafts, good: Draft) -> None:
    """It does not say for which trainer it was checked."""
    file = drafts._store.path(good.id) / "draft.json"
    state = json.loads(file.read_text())
    del state["application"]
    file.write_text(json.dumps(state))
    assert not drafts.get(good.id).current
    assert checked(drafts, good.id).revision == good.revision + 1


def test_the_parameters_that_are_sent_are_those_of_the_revision(
    drafts: Drafts, good: Draft
) -> None:
    drafts.set_parameters(good.id, {"trainer": "flux-lora-fast-training", "steps": 1100})
    draft = checked(drafts, good.id)
    payments = Payments()
    payments.answer.set()
    drafts.order(good.id, draft.revision, payments, HERE)
    ended(drafts, draft)
    assert payments.parameters == {"trainer": "flux-lora-fast-training", "steps": 1100}


def test_what_is_refused_is_not_ordered(drafts: Drafts, album: Path) -> None:
    for each in range(6):
        (album / f"{each}.jpg").unlink()
    draft = dropped(drafts, album)
    with pytest.raises(CommandError, match="cannot be trained on"):
        drafts.order(draft.id, draft.revision, Payments(), HERE)


def test_another_archive_than_the_one_that_was_checked_is_not_sent(
    drafts: Drafts, good: Draft
) -> None:
    payments = Payments()
    archive = drafts._store.path(good.id) / "dataset.zip"
    archive.write_bytes(archive.read_bytes()[:-1] + b"x")
    with pytest.raises(CommandError, match="not the file that was checked"):
        drafts.order(good.id, good.revision, payments, HERE)
    assert payments.sent == []


def test_what_was_ordered_stays_as_it_is(drafts: Drafts, good: Draft) -> None:
    drafts.order(good.id, good.revision, lambda *_: "job-1", HERE)
    done = ended(drafts, good)
    number = number_of(good, "3.jpg")
    for change in (
        lambda: drafts.reject(good.id, number),
        lambda: drafts.write_caption(good.id, number, "x"),
        lambda: drafts.set_parameters(good.id, {}),
        lambda: put(drafts, good.id, "13.jpg", photo(600, 13)),
    ):
        with pytest.raises(CommandError, match="was ordered"):
            change()
    assert drafts.get(good.id) == done
    drafts.discard(good.id)
    assert drafts.all() == []


def test_what_was_sent_a_week_ago_is_deleted(drafts: Drafts, good: Draft, album: Path) -> None:
    """Nothing else is: neither what was sent since, nor what was never sent, nor an upload of today."""
    kept = dropped(drafts, album)
    uploading = drafts.incoming(kept.id)
    uploading.write_bytes(b"x")
    payments = Payments()
    payments.answer.set()
    drafts.order(good.id, good.revision, payments, HERE)
    order = ended(drafts, good).order
    assert order

    drafts.tidy(order.at + timedelta(days=6))
    assert {each.id for each in drafts.all()} == {good.id, kept.id}
    assert not uploading.exists()  # it is six days old then
    uploading.write_bytes(b"x")
    drafts.tidy(datetime.now(UTC))
    assert uploading.exists()
    drafts.tidy(order.at + timedelta(days=8))
    assert [each.id for each in drafts.all()] == [kept.id]

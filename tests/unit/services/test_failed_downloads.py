"""fal could not download the dataset: for free it gets one fresh address, else a person decides."""

from datetime import timedelta

import pytest

from lora_drop.fal.status import Failed, Finished, Running, failed
from lora_drop.jobs.job import Job
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from tests.support.builders import ADA, ARTIFACTS, REQUEST_ID, make_job, signed, webhook_body
from tests.support.world import LATE_AFTER, World

PAYLOAD = {"detail": [{"msg": "Failed to download the file.", "type": "file_download_error"}]}


def not_downloaded(request_id: str, units: str | None = None) -> Failed:
    """As fal says it when it is asked; ``units`` is what it has billed, where it says so."""
    return failed(request_id, "status code 422", PAYLOAD, billable_units=units)


@pytest.fixture
def job(busy: World) -> Job:
    return busy.submit(busy.drop())


def ask_fal(busy: World, **facts: Failed | Finished | Running) -> None:
    """The reconciler asks fal, which says this of request-1, request-2 …"""
    busy.fal.facts |= {name.replace("_", "-"): fact for name, fact in facts.items()}
    busy.clock.now += LATE_AFTER
    busy.reconciler.reconcile()


def test_webhook_alone_decides_nothing(busy: World, job: Job) -> None:
    """A webhook alone only settles a submission in doubt."""
    error = "Invalid status code: 422"
    body = webhook_body(request_id="request-1", status="ERROR", error=error, payload=PAYLOAD)
    headers = signed(body, request_id="request-1")
    for _ in range(3):
        busy.webhook_handler.deliver(job.job_id, busy.token(job.job_id), headers, body)
    assert busy.job(job.job_id) == job
    assert busy.jobs.account("2026-11").in_flight == (job.job_id,)
    assert busy.queue.datasets == []
    doubtful = {"status": Status.SUBMIT_UNKNOWN, "request_id": None}
    busy.holds(job.model_copy(update=doubtful))
    received = busy.fal_updates.receive(job.job_id, not_downloaded("request-1"))
    assert (received.status, received.request_id) == (Status.SUBMITTED, "request-1")


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize("again", [False, True], ids=["once", "twice"])
def test_free_failure_is_sent_once_more(busy: World, job: Job, *, again: bool) -> None:
    """A download that failed for free is tried once more with a fresh address."""
    ask_fal(busy, request_1=not_downloaded("request-1", "0"))
    ready = busy.job(job.job_id)
    assert (ready.status, ready.request_id) == (Status.READY, None)
    assert [each.state for each in ready.charges] == ["free"]
    assert ready.earlier_requests == ("request-1",)
    assert ready.problems[0].code == "fal_file_download_error"
    assert [each.key for each in busy.queue.datasets] == [job.dataset.key]
    busy.work()
    sent = busy.job(job.job_id)
    assert (sent.status, sent.request_id, sent.problems) == (Status.SUBMITTED, "request-2", ())
    assert busy.jobs.account("2026-11").committed_usd == 3.6
    if not again:
        assert busy.train(sent).status is Status.SUCCEEDED
        return
    ask_fal(busy, request_2=not_downloaded("request-2", "0"))
    busy.work()
    ended = busy.job(job.job_id)
    assert (ended.status, len(busy.fal.posts)) == (Status.FAILED, 2)
    assert [(each.state, each.micro_usd) for each in ended.charges] == [("free", 0)] * 2
    assert "could not download" in (busy.results.text(job, "ERROR.txt") or "")


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize("units", ["1500", None], ids=["billed", "unknown"])
def test_possible_charge_waits_for_a_person(busy: World, job: Job, units: str | None) -> None:
    """Where fal may have billed a failed download, a person decides."""
    ask_fal(busy, request_1=not_downloaded("request-1", units))
    held = busy.job(job.job_id)
    assert (held.status, held.request_id) == (Status.HELD, None)
    assert [charge.state for charge in held.charges] == ["wasted"]
    assert busy.jobs.account("2026-11").in_flight == ()
    text = busy.results.text(job, "ERROR.txt") or ""
    assert all(part in text for part in ("could not download", "lora-drop approve"))
    for _ in range(30):
        busy.clock.now += timedelta(days=1)
        busy.reconciler.reconcile()
        busy.work()
    assert (busy.job(job.job_id), len(busy.fal.posts)) == (held, 1)


@pytest.mark.parametrize("pays", [True, False], ids=["pays", "gives up"])
def test_person_may_pay_once_more(busy: World, job: Job, *, pays: bool) -> None:
    """A person may pay once more, then both count, or may give the job up."""
    ask_fal(busy, request_1=not_downloaded("request-1"))
    act = busy.manual_actions.approve if pays else busy.manual_actions.cancel
    act(job.job_id, by=ADA)
    busy.work()
    done = busy.train(job) if pays else busy.job(job.job_id)
    account = busy.jobs.account("2026-11")
    assert done.status is (Status.SUCCEEDED if pays else Status.CANCELLED)
    assert (account.spent_usd, account.wasted_usd) == (7.2 if pays else 3.6, 3.6)


@pytest.mark.parametrize("units", ["0", None], ids=["free", "unknown"])
@pytest.mark.parametrize("asked", [True, False], ids=["asked", "by webhook"])
def test_late_news_change_nothing(busy: World, job: Job, units: str | None, *, asked: bool) -> None:
    ask_fal(busy, request_1=not_downloaded("request-1", units))
    waits = busy.job(job.job_id)
    for fact in (
        not_downloaded("request-1", units),
        Running("request-1", started=True),
        Finished("request-1", ()),
    ):
        assert busy.fal_updates.receive(job.job_id, fact, asked=asked) == waits
    busy.work()
    sent = busy.job(job.job_id)
    assert (
        busy.fal_updates.receive(job.job_id, not_downloaded("request-1", "1500"), asked=True)
        == sent
    )

    assert busy.queue.handed == []


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("then", ["waits", "is given up", "is wanted once more"])
@pytest.mark.parametrize("units", ["0", None], ids=["free", "unknown"])
def test_first_result_is_kept(busy: World, job: Job, units: str | None, then: str) -> None:
    """A result of the first request is kept while it is not sent once more."""
    ask_fal(busy, request_1=not_downloaded("request-1", units))
    if then == "is given up":
        busy.manual_actions.cancel(job.job_id, by=ADA)
    if then == "is wanted once more" and units is None:
        busy.manual_actions.approve(job.job_id, by=ADA)
    busy.fal_updates.receive(job.job_id, Finished("request-1", ARTIFACTS))
    busy.work()
    done = busy.result_storer.store_result(job.job_id)

    account = busy.jobs.account("2026-11")
    assert (done.status, done.request_id) == (Status.SUCCEEDED, "request-1")
    assert (account.spent_usd, account.wasted_usd) == (3.6, 0.0)
    assert len(busy.fal.posts) == 1


@pytest.mark.parametrize("started", [False, True])
def test_oldest_job_keeps_its_slot(busy: World, job: Job, *, started: bool) -> None:
    """The slot goes to the oldest, and that is the job itself, also when it was in training."""
    busy.clock.now += timedelta(seconds=1)
    second, third = (
        busy.submit(busy.drop(f"{name}.zip", images=20 + number))
        for number, name in enumerate("bc")
    )
    assert (second.status, third.status) == (Status.SUBMITTED, Status.READY)
    if started:
        busy.fal_updates.receive(job.job_id, Running("request-1", started=True))
    busy.fal_updates.receive(job.job_id, not_downloaded("request-1", "0"), asked=True)
    assert busy.job(job.job_id).status is Status.READY
    busy.work()

    assert busy.paid == [job.job_id, second.job_id, job.job_id]
    assert busy.job(third.job_id).status is Status.READY


def test_retry_has_its_own_second_download(busy: World) -> None:
    dataset = busy.drop()
    made = make_job(Status.SUBMITTED, dataset=dataset, earlier_requests=("an earlier attempt's",))
    job = busy.holds(made)
    problem = Problem(code="fal_file_download_error", message="It could not be fetched.")
    fact = Failed(REQUEST_ID, problem, billed=False)
    assert busy.fal_updates.receive(job.job_id, fact, asked=True).status is Status.READY

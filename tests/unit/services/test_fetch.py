"""A dataset from an address: its job is there before it, and whatever comes of the address is seen on it, once."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from lora_drop.fal.status import Running
from lora_drop.jobs import errors
from lora_drop.jobs.ids import fetched_key, is_fetched, job_id_for
from lora_drop.jobs.job import DatasetVersion, Job
from lora_drop.jobs.job_problems import URL_TOO_LARGE
from lora_drop.jobs.public_job import public
from lora_drop.jobs.status import Status
from lora_drop.jobs.time_limits import FETCH_DEADLINE, FETCH_GIVEN_UP, STORE_LEASE
from lora_drop.services import copy
from lora_drop.services.fetch import PAUSES
from lora_drop.services.intake import NO_HOSTS, OTHER_HOST, Order
from lora_drop.services.lease import JobLease
from tests.support.builders import REQUEST_ID, make_archive
from tests.support.inline import Inline
from tests.support.outcome import FailingWorld, Killed, Outcome, ThrottledError
from tests.support.queue import codes
from tests.support.world import World

HOST = "photos.example"
URL = f"https://{HOST}/ada.zip?signature=private"
ORDER = Order("ada.zip", {"steps": 1200}, reference="user-42")


@pytest.fixture(autouse=True)
def one_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let effects have one order, for they are counted; parts are stored at once otherwise."""
    monkeypatch.setattr(copy, "ThreadPoolExecutor", Inline)


def ordered(world: World, order: Order = ORDER, url: str = URL, key: str | None = None) -> Job:
    world.source.files.setdefault("ada.zip", make_archive())
    return world.intake(HOST).fetched(order, url, key)


def notice(world: World, job: Job) -> Job:
    """What the submit function makes of S3's event, which comes twice."""
    dataset = world.datasets.open(job.dataset).version
    world.submit(dataset)
    return world.submit(dataset)


@pytest.mark.promise("never pay twice", "A dataset from an address is one job and one payment.")
@pytest.mark.parametrize("event_first", [False, True])
def test_fetched_dataset_is_trained_once(world: World, *, event_first: bool) -> None:
    """An order, its repetition, messages that come twice and S3's event twice are one job, whichever comes first."""
    job = ordered(world)
    assert (job.status, job.fetching, job.reference) == (Status.RECEIVED, True, "user-42")
    assert (ordered(world).job_id, world.fetches.handed) == (job.job_id, [job.job_id] * 2)
    if event_first:
        with pytest.MonkeyPatch.context() as patched:
            lay = world.datasets.put

            def seen(*given: Any) -> Any:
                found = lay(*given)
                world.submit(found)
                return found

            patched.setattr(world.datasets, "put", seen)
            world.fetcher.fetch(job.job_id)
    else:
        assert world.fetcher.fetch(job.job_id).dataset.version_id == "v1"
    sent = notice(world, job)
    world.fetcher.fetch(job.job_id)

    assert (sent.status, world.paid) == (Status.SUBMITTED, [job.job_id])
    assert sent.parameters
    assert sent.parameters.steps == 1200
    assert (len(world.jobs.rows), len(world.source.opened)) == (1, 1)
    assert (len(world.datasets.objects[job.dataset.key]), world.copies.uploads) == (1, {})
    assert sent.fetch
    assert (sent.fetch.url, sent.uploads) == (None, ())


@pytest.mark.promise("nothing leaks")
def test_address_is_private(world: World) -> None:
    """An address may hold a signature: it is in no file, no event, no answer and not with fal, and goes once it is not needed."""
    job = ordered(world)
    shown = str(public(job)) + str(world.results.files)
    world.fetcher.fetch(job.job_id)
    done = notice(world, job)
    shown += str(public(done)) + str(world.results.files) + str(world.events.changes)
    shown += str(world.fal.posts) + str(world.datasets.objects)
    assert HOST not in shown
    assert HOST not in str(world.jobs.rows)


REFUSED: list[tuple[Exception, str]] = [
    (errors.ResultGoneError("ada.zip is gone: 404"), "dataset_url_gone"),
    (errors.ResultUnusableError(URL_TOO_LARGE), "dataset_url_too_large"),
    (errors.HostNotAllowedError("10.0.0.1 is private"), "dataset_url_not_allowed"),
]


@pytest.mark.promise("never get stuck", "An address that gives no dataset rejects its job.")
@pytest.mark.parametrize(("trouble", "code"), REFUSED)
def test_useless_address_rejects_the_job(world: World, trouble: Exception, code: str) -> None:
    """The job ends with a code, a file that says it, and an event."""
    job = ordered(world)
    world.source.failing["ada.zip"] = trouble
    ended = world.fetcher.fetch(job.job_id)
    assert (ended.status, codes(ended), ended.fetching) == (Status.REJECTED, [code], False)
    assert "Idempotency-Key" in (world.results.text(ended, "ERROR.txt") or "")
    assert world.events.changes[-1].status is Status.REJECTED
    assert world.fetcher.fetch(job.job_id) == ended
    assert len(world.source.opened) == 1
    assert ordered(world, key="again").job_id != job.job_id


LATE: list[tuple[Exception, str, int]] = [
    (errors.DownloadInterruptedError("status 500"), "dataset_url_unreachable", len(PAUSES) + 1),
    (errors.DownloadTimeoutError("slow"), "dataset_url_timeout", 1),
]


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize(("trouble", "code", "tries"), LATE)
def test_trouble_is_tried_for_an_hour(
    world: World, trouble: Exception, code: str, tries: int
) -> None:
    """A server that fails is tried at once, by the reconciler's rounds and then no more; it may come back meanwhile."""
    job, back = ordered(world), ordered(world, key="another")
    world.source.failing["ada.zip"] = trouble
    for each in (job, back):
        waits = world.fetcher.fetch(each.job_id)
        assert (waits.status, codes(waits), waits.fetching) == (Status.RECEIVED, [code], True)
    assert len(world.source.opened) == 2 * tries
    world.clock.now += timedelta(minutes=6)
    world.fetches.handed.clear()
    world.reconciler.reconcile()
    assert sorted(world.fetches.handed) == sorted([job.job_id, back.job_id])
    world.source.failing.clear()
    assert world.fetcher.fetch(back.job_id).problems == ()
    world.source.failing["ada.zip"] = trouble
    world.clock.now += FETCH_DEADLINE
    ended = world.fetcher.fetch(job.job_id)
    assert (ended.status, codes(ended)) == (Status.REJECTED, [code])


@pytest.mark.promise("never get stuck")
def test_dead_worker_ends_the_job(world: World) -> None:
    """Where no worker lives, the reconciler ends the job."""
    job = ordered(world)
    world.clock.now += FETCH_GIVEN_UP
    world.reconciler.reconcile()
    assert codes(world.job(job.job_id)) == ["dataset_url_unreachable"]
    assert world.job(job.job_id).status is Status.REJECTED


@dataclass
class FetchRun:
    """An order, its fetch and S3's event, in which one effect fails; then life goes on as the stack has it."""

    outcome: Outcome

    def __post_init__(self) -> None:
        self.world = FailingWorld(outcome=self.outcome)
        self.world.fal.facts[REQUEST_ID] = Running(REQUEST_ID, started=True)

    def go(self) -> None:
        job_id = ordered(self.world).job_id
        self.world.fetcher.fetch(job_id)

    def recover(self) -> None:
        """Rounds of the reconciler, what they hand over, and S3's event of each object, twice."""
        self.outcome.at = 0
        for _ in range(3):
            self.world.clock.now += STORE_LEASE + timedelta(minutes=3)
            self.world.reconciler.reconcile()
            for job_id in self.world.fetches.handed:
                self.world.fetcher.fetch(job_id)
            for key in self.world.datasets.objects:
                lies = DatasetVersion(bucket="datasets", key=key, version_id="")
                for _ in range(2):
                    self.world.submit(self.world.datasets.open(lies).version)


def effects_of_a_fetch() -> list[str]:
    run = FetchRun(Outcome())
    run.go()
    return run.outcome.effects


EFFECTS = effects_of_a_fetch()
FAULTS = [Killed, ThrottledError]


@pytest.mark.promise("never pay twice")
@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize("fault", FAULTS, ids=["killed", "throttled"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(1, len(EFFECTS) + 1), ids=lambda at: f"{at} {EFFECTS[at - 1]}")
def test_any_death_is_one_job(at: int, *, after: bool, fault: Callable[[], BaseException]) -> None:
    """Wherever the order or its worker dies, one job comes of it, which is paid once, and no upload is left.

    Where nothing was kept yet, nothing comes of the order until it is given again.
    """
    assert len(EFFECTS) == 11, "or the rest proves nothing"
    run = FetchRun(Outcome(at=at, after=after, fault=fault))
    world = run.world
    with pytest.raises((Killed, ThrottledError)):
        run.go()
    run.recover()
    if (at, after) == (1, False):
        assert (world.jobs.rows, world.paid) == ({}, [])
    job = ordered(world)
    run.recover()
    assert (list(world.jobs.rows), world.paid) == ([job.job_id], [job.job_id])
    done = world.job(job.job_id)
    assert (done.status, done.fetching, done.uploads) == (Status.TRAINING, False, ())
    [lies] = world.datasets.objects[job.dataset.key]
    assert lies.data == world.source.files["ada.zip"]
    # An upload that no row names yet is ended by the bucket's own rule, after a day.
    begun = EFFECTS.index("begin ada.zip") + 1
    unnamed = (at, after) == (begun, True) or (at, after, fault) == (begun + 1, False, Killed)
    assert len(world.copies.uploads) == unnamed


def test_cancelled_job_leaves_nothing(world: World) -> None:
    """A job that is cancelled while its file comes keeps no upload, and trains nothing."""
    job = ordered(world)
    real = world.copies.upload

    def cancelled(*given: Any) -> Any:
        if world.job(job.job_id).status is Status.RECEIVED:
            world.manual_actions.cancel(job.job_id, by="ada")
        return real(*given)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(world.copies, "upload", cancelled)
        world.clock.now += STORE_LEASE
        world.fetcher.fetch(job.job_id)
    world.clock.now += timedelta(minutes=6)
    world.reconciler.reconcile()
    ended = world.fetcher.fetch(job.job_id)
    assert (ended.status, ended.fetching, world.paid) == (Status.CANCELLED, False, [])
    assert world.copies.uploads == {}
    world.forget_service.forget(job.job_id)
    assert job.dataset.key not in world.datasets.objects


@pytest.mark.parametrize("url", [
    *("http://photos.example/a", "https://other.example/a", "https://u:p@photos.example/a"),
    *("https://photos.example:8443/a", "https://photos.example\\@other.example/a", "https://10.0.0.1/a"),
])  # fmt: skip
def test_other_addresses_are_refused(world: World, url: str) -> None:
    """What is not on the list makes no job; without a list nothing is fetched, and the parameter is named."""
    with pytest.raises(errors.InvalidQueryError, match=OTHER_HOST[:20]):
        ordered(world, url=url)
    with pytest.raises(errors.InvalidQueryError) as refused:
        world.intake().fetched(ORDER, URL, None)
    assert (str(refused.value), "DatasetHosts" in NO_HOSTS) == (NO_HOSTS, True)
    assert (world.jobs.rows, world.fetches.handed) == ({}, [])


def test_idempotency_key_stands_for_one_order(world: World) -> None:
    """An address that is signed once more is the same order; other parameters under the key are refused."""
    job = ordered(world, key="k1")
    again = ordered(world, url=URL.replace("private", "another"), key="k1")
    assert (again.job_id, len(world.jobs.rows)) == (job.job_id, 1)
    with pytest.raises(errors.OrderConflictError, match=job.job_id):
        ordered(world, Order("ada.zip", {"steps": 9}), key="k1")
    assert ordered(world).job_id != job.job_id


def test_fetched_key_has_one_id() -> None:
    """A key that is written once is one job, whatever version S3 gives the object."""
    key = fetched_key("order", "ada.zip")
    assert is_fetched(key)
    assert job_id_for("b", key, "") == job_id_for("b", key, "v1") != job_id_for("b", key, "", 2)
    for other in ("fetched/ada.zip", "uploads/" + key, key + "/x"):
        assert not is_fetched(other)


def test_second_worker_leaves_it(world: World) -> None:
    """A message that comes twice at once is one download."""
    job = ordered(world)
    JobLease.take(world.record, job, owner="first", length=STORE_LEASE)
    assert world.fetcher.fetch(job.job_id).fetching
    assert world.source.opened == []


@pytest.mark.promise("never pay twice")
def test_earlier_order_stays_the_same_job(world: World) -> None:
    """An order that was sent before a stack knew proof sheets is still the same job when it comes again."""
    said = (
        '{"force": false, "name": "ada.zip", "notify_url": null, "parameters": {"steps": 1200}, '
        '"reference": "user-42"}'
    )
    assert ordered(world).dataset.key == fetched_key(f"order\n{URL}\n{said}", "ada.zip")


@pytest.mark.parametrize(("wanted", "sent"), [(True, "true"), (False, "false")])
def test_order_can_want_a_proof(world: World, *, wanted: bool, sent: str) -> None:
    """A proof sheet that is wanted, or not, is kept with the dataset, and is another order."""
    job = ordered(world, Order("ada.zip", {"steps": 1200}, reference="user-42", proof=wanted))
    assert job.fetch is not None
    assert job.fetch.metadata["proof"] == sent
    assert job.dataset.key != ordered(world).dataset.key

"""The queue in front of fal: the oldest first, and never more than there are slots."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from lora_drop.fal.status import Failed, FalStatus, Finished, Gone, Running
from lora_drop.jobs.budget import Limits
from lora_drop.jobs.errors import (
    FalUnavailableError,
    NotSubmittedError,
    SubmissionUnknownError,
    ThrottledError,
)
from lora_drop.jobs.job import DatasetVersion, Job
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from lora_drop.jobs.time_limits import DISPATCH_PATIENCE
from lora_drop.ports import OpenDataset, Submission
from tests.support.builders import ARTIFACTS, BAD_IMAGE, NOW, REQUEST_ID, make_jpeg
from tests.support.memory import MemoryDatasets
from tests.support.memory_jobs import MemoryJobs
from tests.support.queue import codes, dropped, free, states
from tests.support.world import LATE_AFTER, World


@pytest.mark.promise("never pay twice", "A job whose submission is in doubt keeps its slot.")
@pytest.mark.parametrize("doubt", [False, True])
def test_never_more_than_the_slots(busy: World, *, doubt: bool) -> None:
    """No more jobs are sent than there are slots; one that waits says so beside its files."""
    if doubt:
        busy.answer(SubmissionUnknownError("ReadTimeout"))
    jobs = dropped(busy, "a", "b", "c", "d")
    sent = Status.SUBMIT_UNKNOWN if doubt else Status.SUBMITTED
    assert states(busy, jobs) == [sent] * 2 + [Status.READY] * 2
    assert busy.paid == [job.job_id for job in jobs[:2]]
    assert '"READY"' in (busy.results.text(jobs[2], "status.json") or "")
    assert busy.results.text(jobs[2], "ERROR.txt") is None


def test_any_event_sends_the_oldest(busy: World) -> None:
    busy.limits = Limits(max_in_flight=1)
    first, second = dropped(busy, "a", "b")
    busy.train(first)
    busy.queue.datasets.clear()
    [third] = dropped(busy, "c")
    assert states(busy, [second, third]) == [Status.SUBMITTED, Status.READY]


ENDS = [Finished("request-1", ARTIFACTS), Failed("request-1", BAD_IMAGE), Gone("request-1")]


@pytest.mark.promise("never get stuck", "A slot is handed on at once to the oldest job that waits.")
@pytest.mark.promise("never get stuck", "A wake-up that was lost is repeated by the reconciler.")
@pytest.mark.parametrize("lost", [False, True], ids=["woken", "lost"])
@pytest.mark.parametrize("said", ENDS, ids=lambda said: type(said).__name__)
def test_free_slot_goes_to_the_oldest(busy: World, said: FalStatus, *, lost: bool) -> None:
    first, *others = dropped(busy, "a", "b", "c", "d")
    for doubted in (False, True):  # fal has to say twice that it has no such request
        busy.fal_updates.receive(first.job_id, said, asked=True, doubted=doubted)
    if lost:
        busy.queue.datasets.clear()
        busy.clock.now += LATE_AFTER
        busy.reconciler.reconcile()
    announced = list(busy.queue.datasets)
    busy.work()
    assert [each.key for each in announced] == ["portrait/c.zip"]
    assert [busy.job(each.job_id).at_fal for each in others] == [True, True, False]
    assert busy.paid == [first.job_id, *(each.job_id for each in others[:2])]


def test_busy_slot_wakes_no_job(busy: World) -> None:
    """News that frees no slot wakes no job, and neither does a free slot where none waits."""
    first, *others = dropped(busy, "a", "b", "c")
    busy.fal_updates.receive(first.job_id, Running("request-1", started=True))
    assert busy.queue.datasets == []
    busy.fal_updates.receive(first.job_id, Finished("request-1", ARTIFACTS))
    busy.queue.datasets.clear()
    busy.fal_updates.receive(first.job_id, Finished("request-1", ARTIFACTS))
    busy.fal_updates.receive(first.job_id, Gone("request-1"))
    assert busy.queue.datasets == []
    busy.manual_actions.cancel(others[1].job_id, by="ada")
    busy.train(others[0])
    assert busy.queue.datasets == []


@pytest.mark.parametrize(
    ("seconds", "sent"),
    [(DISPATCH_PATIENCE + timedelta(seconds=1), 1), (DISPATCH_PATIENCE / 5, 5)],
    ids=["slow", "quick"],
)
def test_slow_submitter_leaves_the_rest(busy: World, seconds: timedelta, sent: int) -> None:
    """A submitter sends for as long as its patience lasts, and leaves the rest to the next."""
    free(busy)
    busy.answer(NotSubmittedError("no connection"))
    jobs = dropped(busy, *"abcde")
    busy.fal.posts.clear()

    def accept() -> Submission:
        busy.clock.now += seconds
        return Submission(f"request-{len(busy.fal.posts)}")

    busy.answer(accept)
    busy.dispatcher.submit_waiting()

    assert states(busy, jobs) == [Status.SUBMITTED] * sent + [Status.READY] * (5 - sent)
    assert [each.key for each in busy.queue.datasets] == ["portrait/b.zip"] * (sent == 1)
    busy.work()
    assert states(busy, jobs) == [Status.SUBMITTED] * 5


@pytest.mark.parametrize("deleted", [True, False], ids=["deleted", "newer version"])
def test_deleted_dataset_is_not_paid(busy: World, *, deleted: bool) -> None:
    """A dataset that is deleted while it waits is not paid for; a newer version changes nothing."""
    busy.limits = Limits(max_in_flight=1)
    first, second, third = dropped(busy, "a", "b", "c")
    if deleted:
        busy.datasets.put("portrait/b.zip", None)
    else:
        busy.drop("portrait/b.zip", images=30)
    busy.train(first)
    busy.work()

    assert len(busy.fal.posts) == 2
    if deleted:
        assert states(busy, [second, third]) == [Status.CANCELLED, Status.SUBMITTED]
        assert codes(busy.job(second.job_id)) == ["dataset_missing"]
    else:
        assert states(busy, [second, third]) == [Status.SUBMITTED, Status.READY]
        assert busy.fal.posts[1][1]["images_data_url"].endswith("b.zip?versionId=v1")


@pytest.mark.promise("never pay twice", "A cancelled job is not sent when its turn comes.")
def test_job_stopped_meanwhile_is_passed_over(busy: World) -> None:
    busy.limits = Limits(max_in_flight=1)
    first, second, third = dropped(busy, "a", "b", "c")

    class Stopping(MemoryJobs):
        def next_waiting(self) -> Job | None:
            found = super().next_waiting()
            if found and found.job_id == second.job_id:
                self.rows[found.job_id] = found.move(Status.CANCELLED, now=NOW)
            return found

    busy.train(first)
    busy.jobs = Stopping(busy.jobs.rows)
    busy.dispatcher.submit_waiting()

    assert states(busy, [second, third]) == [Status.CANCELLED, Status.SUBMITTED]


def test_paid_job_is_booked(busy: World) -> None:
    busy.clock.now = datetime(2027, 1, 31, 23, 59, 58, tzinfo=UTC)
    first, second = dropped(busy, "a", "b")
    busy.train(first)
    assert (first.estimated_cost_usd, second.estimated_cost_usd) == (3.6, 3.6)
    assert busy.jobs.account("2027-01").spent_usd == 3.6
    assert busy.jobs.account("2027-02").reserved_usd == 3.6


def test_slow_check_leaves_the_sending(busy: World) -> None:
    class Slow(MemoryDatasets):
        def open(self, dataset: DatasetVersion) -> OpenDataset:
            busy.clock.now += DISPATCH_PATIENCE + timedelta(seconds=1)
            return super().open(dataset)

    quick, busy.datasets = busy.datasets, Slow(busy.datasets.objects)
    job = busy.submit(busy.drop())
    busy.datasets = quick
    assert (job.status, busy.fal.posts) == (Status.READY, [])
    assert busy.queue.datasets == [job.dataset]
    busy.work()
    assert busy.job(job.job_id).status is Status.SUBMITTED


FREE = Problem(code="fal_internal_error", message="m")


class Burst:
    """Datasets come and fal ends jobs in an order that ``seed`` decides."""

    def __init__(self, busy: World, *, seed: int, most: int) -> None:
        self.busy, self.most = busy, most
        self.chance = random.Random(seed)  # noqa: S311  # an order, no secret
        self.at_once: list[int] = []
        busy.limits = Limits(max_in_flight=most, monthly_usd=10_000.0, job_usd=25.0)
        busy.answer(self.accept)

    def accept(self) -> Submission:
        self.at_once.append(len(self.busy.jobs.account("2026-11").in_flight))
        return Submission(f"request-{len(self.busy.fal.posts)}")

    def drop(self, many: int) -> None:
        """So many at once; S3 tells of each once or twice, in any order."""
        for number in range(many):
            photo = {f"{number}.jpg": make_jpeg(f"of {number}")}
            dataset = self.busy.drop(f"{number:02}.zip", members=photo)
            self.busy.queue.datasets += [dataset] * self.chance.choice([1, 1, 2])
        self.chance.shuffle(self.busy.queue.datasets)

    def run(self) -> None:
        """Until nothing is left to do."""
        while self.busy.queue.datasets or self.running():
            self.busy.clock.now += timedelta(milliseconds=self.chance.randrange(1, 5000))
            if self.busy.queue.datasets and self.chance.random() < 0.7:
                self.busy.submit(self.busy.queue.datasets.pop(0))
            elif running := self.running():
                self.end(self.chance.choice(running))

    def end(self, job: Job) -> None:
        """fal ends it in one way or another, and says so once or twice."""
        request_id = job.request_id or ""
        done = Finished(request_id, ARTIFACTS)
        ends: list[FalStatus] = [done, done, Failed(request_id, FREE), Gone(request_id)]
        fact = self.chance.choice(ends)
        for _ in range(self.chance.choice([1, 2])):
            self.busy.fal_updates.receive(job.job_id, fact)
        self.busy.result_storer.store_result(job.job_id)

    def running(self) -> list[Job]:
        return [job for job in self.busy.jobs.rows.values() if job.status is Status.SUBMITTED]


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize("most", [1, 2, 7])
@pytest.mark.parametrize("seed", range(4))
def test_burst_pays_each_job_once(seed: int, most: int) -> None:
    """In a burst each job is paid once, older ones first, never more at fal than there are slots."""
    burst = Burst(World(), seed=seed, most=most)
    burst.drop(50)
    burst.run()
    jobs = burst.busy.jobs.rows
    assert max(burst.at_once) == most
    assert burst.busy.jobs.account("2026-11").in_flight == ()
    assert sorted(burst.busy.paid) == sorted(jobs)
    assert len(jobs) == 50
    assert all(job.terminal for job in jobs.values())
    sent = [jobs[job_id] for job_id in burst.busy.paid]
    assert sent == sorted(sent, key=lambda job: job.created_at)


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize(
    ("hours", "listed", "released"),
    [
        (4, (), True),
        (3, (), False),
        (4, ("a", "b"), False),
        (4, FalUnavailableError("no answer"), False),
    ],
    ids=["empty list", "too early", "two requests", "no list"],
)
def test_long_doubt_gives_its_slot_away(
    busy: World, hours: int, listed: Sequence[str] | Exception, *, released: bool
) -> None:
    """A submission in doubt hands its slot on once fal's list has shown nothing for four hours; its money stays."""
    busy.answer(SubmissionUnknownError("fal's gateway answered 503"))
    jobs = dropped(busy, "a", "b", "c")
    busy.fal.outcome = lambda: Submission("c")
    reserved = busy.jobs.account(f"{busy.clock.now:%Y-%m}").reserved_usd
    busy.fal.known = listed
    busy.clock.now += timedelta(hours=hours)
    busy.reconciler.reconcile()
    busy.work()
    doubtful = [busy.job(job.job_id) for job in jobs[:2]]
    assert [job.status for job in doubtful] == [Status.SUBMIT_UNKNOWN] * 2
    assert [job.at_fal for job in doubtful] == [not released] * 2
    assert busy.job(jobs[2].job_id).status is (Status.SUBMITTED if released else Status.READY)
    assert busy.jobs.account(f"{NOW:%Y-%m}").reserved_usd >= reserved
    assert len(busy.paid) == (3 if released else 2)


@pytest.mark.promise("never pay twice")
def test_throttled_job_is_sent_again_after_a_pause(world: World) -> None:
    """A job that fal did not take (429) is not sent again because another dataset arrives, but a minute later."""
    world.answer(ThrottledError("429"))
    first = world.submit(world.drop("portrait/a.zip"))
    world.answer(lambda: Submission(REQUEST_ID))
    world.submit(world.drop("portrait/b.zip", images=11))
    assert len(world.fal.posts) == 1
    assert world.job(first.job_id).problems[0].code == "fal_busy"
    world.clock.now += timedelta(minutes=1)
    world.dispatcher.submit_waiting()
    assert world.paid[1] == first.job_id

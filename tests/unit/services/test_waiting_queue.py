"""The queue in front of fal: the oldest first, and never more than there are slots."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from lora_drop.fal.status import Failed, FalStatus, Finished, Gone, Running
from lora_drop.jobs.budget import Limits
from lora_drop.jobs.errors import FalUnavailableError, NotSubmittedError, SubmissionUnknownError
from lora_drop.jobs.job import DatasetVersion, Job
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from lora_drop.ports import OpenDataset, Submission
from lora_drop.services.dispatch import PATIENCE
from tests.support.builders import ARTIFACTS, BAD_IMAGE, NOW, make_jpeg
from tests.support.memory import MemoryDatasets
from tests.support.memory_jobs import MemoryJobs
from tests.support.queue import codes, dropped, free, states
from tests.support.world import LATE_AFTER, World


@pytest.fixture
def world(busy: World) -> World:
    return busy


@pytest.mark.promise("never pay twice", "A job whose submission is in doubt keeps its slot.")
@pytest.mark.parametrize("doubt", [False, True])
def test_never_more_than_the_slots(world: World, *, doubt: bool) -> None:
    """No more jobs are sent than there are slots; one that waits says so beside its files."""
    if doubt:
        world.answer(SubmissionUnknownError("ReadTimeout"))
    jobs = dropped(world, "a", "b", "c", "d")
    sent = Status.SUBMIT_UNKNOWN if doubt else Status.SUBMITTED
    assert states(world, jobs) == [sent] * 2 + [Status.READY] * 2
    assert world.paid == [job.job_id for job in jobs[:2]]
    assert '"READY"' in (world.results.text(jobs[2], "status.json") or "")
    assert world.results.text(jobs[2], "ERROR.txt") is None


def test_any_event_sends_the_oldest(world: World) -> None:
    world.limits = Limits(max_in_flight=1)
    first, second = dropped(world, "a", "b")
    world.train(first)
    world.queue.datasets.clear()
    [third] = dropped(world, "c")
    assert states(world, [second, third]) == [Status.SUBMITTED, Status.READY]


ENDS = [Finished("request-1", ARTIFACTS), Failed("request-1", BAD_IMAGE), Gone("request-1")]


@pytest.mark.promise("never get stuck", "A slot is handed on at once to the oldest job that waits.")
@pytest.mark.promise("never get stuck", "A wake-up that was lost is repeated by the reconciler.")
@pytest.mark.parametrize("lost", [False, True], ids=["told", "lost"])
@pytest.mark.parametrize("said", ENDS, ids=lambda said: type(said).__name__)
def test_free_slot_goes_to_the_oldest(world: World, said: FalStatus, *, lost: bool) -> None:
    first, *others = dropped(world, "a", "b", "c", "d")
    for doubted in (False, True):  # fal has to say twice that it has no such request
        world.fal_updates.receive(first.job_id, said, asked=True, doubted=doubted)
    if lost:
        world.queue.datasets.clear()
        world.clock.now += LATE_AFTER
        world.reconciler.reconcile()
    announced = list(world.queue.datasets)
    world.work()
    assert [each.key for each in announced] == ["portrait/c.zip"]
    assert [world.job(each.job_id).at_fal for each in others] == [True, True, False]
    assert world.paid == [first.job_id, *(each.job_id for each in others[:2])]


def test_busy_slot_wakes_no_job(world: World) -> None:
    """News that frees no slot wakes no job, and neither does a free slot where none waits."""
    first, *others = dropped(world, "a", "b", "c")
    world.fal_updates.receive(first.job_id, Running("request-1", started=True))
    assert world.queue.datasets == []
    world.fal_updates.receive(first.job_id, Finished("request-1", ARTIFACTS))
    world.queue.datasets.clear()
    world.fal_updates.receive(first.job_id, Finished("request-1", ARTIFACTS))
    world.fal_updates.receive(first.job_id, Gone("request-1"))
    assert world.queue.datasets == []
    world.manual_actions.cancel(others[1].job_id, by="ada")
    world.train(others[0])
    assert world.queue.datasets == []


@pytest.mark.parametrize(
    ("seconds", "sent"),
    [(PATIENCE + timedelta(seconds=1), 1), (PATIENCE / 5, 5)],
    ids=["slow", "quick"],
)
def test_slow_submitter_leaves_the_rest(world: World, seconds: timedelta, sent: int) -> None:
    """A submitter sends for as long as its patience lasts, and leaves the rest to the next."""
    free(world)
    world.answer(NotSubmittedError("no connection"))
    jobs = dropped(world, *"abcde")
    world.fal.posts.clear()

    def accept() -> Submission:
        world.clock.now += seconds
        return Submission(f"request-{len(world.fal.posts)}")

    world.answer(accept)
    world.dispatcher.submit_waiting()

    assert states(world, jobs) == [Status.SUBMITTED] * sent + [Status.READY] * (5 - sent)
    assert [each.key for each in world.queue.datasets] == ["portrait/b.zip"] * (sent == 1)
    world.work()
    assert states(world, jobs) == [Status.SUBMITTED] * 5


@pytest.mark.parametrize("deleted", [True, False], ids=["deleted", "newer version"])
def test_deleted_dataset_is_not_paid(world: World, *, deleted: bool) -> None:
    """A dataset that is deleted while it waits is not paid for; a newer version changes nothing."""
    world.limits = Limits(max_in_flight=1)
    first, second, third = dropped(world, "a", "b", "c")
    if deleted:
        world.datasets.put("portrait/b.zip", None)
    else:
        world.drop("portrait/b.zip", images=30)
    world.train(first)
    world.work()

    assert len(world.fal.posts) == 2
    if deleted:
        assert states(world, [second, third]) == [Status.CANCELLED, Status.SUBMITTED]
        assert codes(world.job(second.job_id)) == ["dataset_missing"]
    else:
        assert states(world, [second, third]) == [Status.SUBMITTED, Status.READY]
        assert world.fal.posts[1][1]["images_data_url"].endswith("b.zip?versionId=v1")


def test_job_stopped_meanwhile_is_passed_over(world: World) -> None:
    world.limits = Limits(max_in_flight=1)
    first, second, third = dropped(world, "a", "b", "c")

    class Stopping(MemoryJobs):
        def next_waiting(self) -> Job | None:
            found = super().next_waiting()
            if found and found.job_id == second.job_id:
                self.rows[found.job_id] = found.move(Status.CANCELLED, now=NOW)
            return found

    world.train(first)
    world.jobs = Stopping(world.jobs.rows)
    world.dispatcher.submit_waiting()

    assert states(world, [second, third]) == [Status.CANCELLED, Status.SUBMITTED]


def test_paid_job_is_booked(world: World) -> None:
    world.clock.now = datetime(2027, 1, 31, 23, 59, 58, tzinfo=UTC)
    first, second = dropped(world, "a", "b")
    world.train(first)
    assert (first.estimated_cost_usd, second.estimated_cost_usd) == (3.6, 3.6)
    assert world.jobs.account("2027-01").spent_usd == 3.6
    assert world.jobs.account("2027-02").reserved_usd == 3.6


def test_slow_check_leaves_the_sending(world: World) -> None:
    class Slow(MemoryDatasets):
        def open(self, dataset: DatasetVersion) -> OpenDataset:
            world.clock.now += PATIENCE + timedelta(seconds=1)
            return super().open(dataset)

    quick, world.datasets = world.datasets, Slow(world.datasets.objects)
    job = world.submit(world.drop())
    world.datasets = quick
    assert (job.status, world.fal.posts) == (Status.READY, [])
    assert world.queue.datasets == [job.dataset]
    world.work()
    assert world.job(job.job_id).status is Status.SUBMITTED


FREE = Problem(code="fal_internal_error", message="m")


class Burst:
    """Datasets come and fal ends jobs in an order that ``seed`` decides."""

    def __init__(self, world: World, *, seed: int, most: int) -> None:
        self.world, self.most = world, most
        self.chance = random.Random(seed)  # noqa: S311  # an order, no secret
        self.at_once: list[int] = []
        world.limits = Limits(max_in_flight=most, monthly_usd=10_000.0, job_usd=25.0)
        world.answer(self.accept)

    def accept(self) -> Submission:
        self.at_once.append(len(self.world.jobs.account("2026-11").in_flight))
        return Submission(f"request-{len(self.world.fal.posts)}")

    def drop(self, many: int) -> None:
        """So many at once; S3 tells of each once or twice, in any order."""
        for number in range(many):
            photo = {f"{number}.jpg": make_jpeg(f"of {number}")}
            dataset = self.world.drop(f"{number:02}.zip", members=photo)
            self.world.queue.datasets += [dataset] * self.chance.choice([1, 1, 2])
        self.chance.shuffle(self.world.queue.datasets)

    def run(self) -> None:
        """Until nothing is left to do."""
        while self.world.queue.datasets or self.running():
            self.world.clock.now += timedelta(milliseconds=self.chance.randrange(1, 5000))
            if self.world.queue.datasets and self.chance.random() < 0.7:
                self.world.submit(self.world.queue.datasets.pop(0))
            elif running := self.running():
                self.end(self.chance.choice(running))

    def end(self, job: Job) -> None:
        """fal ends it in one way or another, and says so once or twice."""
        request_id = job.request_id or ""
        done = Finished(request_id, ARTIFACTS)
        ends: list[FalStatus] = [done, done, Failed(request_id, FREE), Gone(request_id)]
        fact = self.chance.choice(ends)
        for _ in range(self.chance.choice([1, 2])):
            self.world.fal_updates.receive(job.job_id, fact)
        self.world.result_storer.store_result(job.job_id)

    def running(self) -> list[Job]:
        return [job for job in self.world.jobs.rows.values() if job.status is Status.SUBMITTED]


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize("most", [1, 2, 7])
@pytest.mark.parametrize("seed", range(4))
def test_burst_pays_each_job_once(seed: int, most: int) -> None:
    """In a burst each job is paid once, older ones first, never more at fal than there are slots."""
    burst = Burst(World(), seed=seed, most=most)
    burst.drop(50)
    burst.run()
    jobs = burst.world.jobs.rows
    assert max(burst.at_once) == most
    assert burst.world.jobs.account("2026-11").in_flight == ()
    assert sorted(burst.world.paid) == sorted(jobs)
    assert len(jobs) == 50
    assert all(job.terminal for job in jobs.values())
    sent = [jobs[job_id] for job_id in burst.world.paid]
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
    world: World, hours: int, listed: Sequence[str] | Exception, *, released: bool
) -> None:
    """A submission in doubt hands its slot on once fal's list has shown nothing for four hours; its money stays."""
    world.answer(SubmissionUnknownError("fal's gateway answered 503"))
    jobs = dropped(world, "a", "b", "c")
    world.fal.outcome = lambda: Submission("c")
    reserved = world.jobs.account(f"{world.clock.now:%Y-%m}").reserved_usd
    world.fal.known = listed
    world.clock.now += timedelta(hours=hours)
    world.reconciler.reconcile()
    world.work()
    doubtful = [world.job(job.job_id) for job in jobs[:2]]
    assert [job.status for job in doubtful] == [Status.SUBMIT_UNKNOWN] * 2
    assert [job.at_fal for job in doubtful] == [not released] * 2
    assert world.job(jobs[2].job_id).status is (Status.SUBMITTED if released else Status.READY)
    assert world.jobs.account(f"{NOW:%Y-%m}").reserved_usd >= reserved
    assert len(world.paid) == (3 if released else 2)

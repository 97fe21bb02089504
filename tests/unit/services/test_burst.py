"""A burst of datasets is calm: never too many at fal, the oldest first, and all of them end."""

import random
from datetime import timedelta
from functools import cache

import pytest

from lora_drop.fal.status import Failed, FalStatus, Finished, Gone
from lora_drop.jobs.budget import Limits
from lora_drop.jobs.job import Job
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from lora_drop.ports import Submission
from tests.support.builders import ARTIFACTS, make_jpeg
from tests.support.world import World

FREE = Problem(code="fal_internal_error", message="m")


class Burst:
    """Everybody works as it comes: submitters and fal; ``seed`` decides who is next."""

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

    def live(self) -> None:
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


@cache
def lived(seed: int, most: int) -> Burst:
    burst = Burst(World(), seed=seed, most=most)
    burst.drop(50)
    burst.live()
    return burst


@pytest.fixture(params=[(seed, most) for seed in range(4) for most in (1, 2, 7)], ids=str)
def burst(request: pytest.FixtureRequest) -> Burst:
    """50 datasets, from their drop to their ends."""
    return lived(*request.param)


def test_never_more_are_at_fal_than_there_are_slots(burst: Burst) -> None:
    assert max(burst.at_once) == burst.most
    assert burst.world.jobs.account("2026-11").in_flight == ()


def test_each_is_paid_once_and_ends_without_a_reconciler(burst: Burst) -> None:
    jobs = burst.world.jobs.rows

    assert sorted(burst.world.paid) == sorted(jobs)
    assert len(jobs) == 50
    assert all(job.terminal for job in jobs.values())


def test_nobody_is_sent_before_an_older_one_that_waits(burst: Burst) -> None:
    jobs = burst.world.jobs.rows
    sent = [jobs[job_id] for job_id in burst.world.paid]

    assert sent == sorted(sent, key=lambda job: job.created_at)

"""A training that goes on from the last LoRA of its dataset."""

import pytest

from lora_drop.fal.status import Failed
from lora_drop.jobs.artifacts import WEIGHTS
from lora_drop.jobs.errors import ActionNotAllowedError
from lora_drop.jobs.job import Job
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from tests.support.memory_files import MemoryResults
from tests.support.world import LATE_AFTER, World

ADA = "arn:aws:iam::123456789012:user/ada"
BAD = Problem(code="fal_image_load_error", message="One of the images cannot be read.")


@pytest.fixture
def world(busy: World) -> World:
    return busy


@pytest.fixture
def trained(world: World) -> Job:
    return world.train(world.submit(world.drop()))


def resumed(world: World, job: Job) -> Job:
    """The new job, as far on as it goes at once."""
    new = world.retry_service.retry(job.job_id, resume=True, by=ADA)
    world.work()
    return world.job(new.job_id)


def weights(job: Job) -> str:
    """Where a job's LoRA lies."""
    [key] = [stored.key for stored in job.files if stored.name == WEIGHTS]
    return key


def test_fal_gets_an_address_of_the_lora_and_everything_else_as_before(
    world: World, trained: Job
) -> None:
    new = resumed(world, trained)

    (_, before, _), (_, arguments, _) = world.fal.posts
    assert (new.status, new.resume_from) == (Status.SUBMITTED, trained.job_id)
    assert arguments == {
        **before,
        "resume_from_checkpoint": f"https://models.example/{weights(trained)}",
    }


def test_the_address_is_not_kept_in_the_job(world: World, trained: Job) -> None:
    new = resumed(world, trained)

    assert "https://models.example" not in new.model_dump_json()


def test_the_address_works_for_as_long_as_the_datasets(world: World, trained: Job) -> None:
    asked: list[int] = []

    class Watched(MemoryResults):
        def url(self, stored: object, seconds: int) -> str:
            asked.append(seconds)
            return f"https://models.example/{stored}"

    world.results = Watched(world.results.files)

    resumed(world, trained)

    assert asked == [world.dispatcher.addresses.seconds]


def test_one_goes_on_from_the_other_through_a_chain(world: World, trained: Job) -> None:
    second = world.train(resumed(world, trained))
    third = resumed(world, second)

    assert (second.resume_from, third.resume_from) == (trained.job_id, second.job_id)
    assert world.fal.posts[2][1]["resume_from_checkpoint"].endswith(weights(second))


def test_past_attempts_that_failed_one_goes_on_from_the_last_lora(
    world: World, trained: Job
) -> None:
    second = resumed(world, trained)
    second = world.fal_updates.receive(second.job_id, Failed("request-2", BAD))

    third = resumed(world, second)
    third = world.fal_updates.receive(third.job_id, Failed("request-3", BAD))
    fourth = resumed(world, third)

    assert (third.resume_from, fourth.resume_from) == (trained.job_id, trained.job_id)
    assert fourth.attempt == 4


def test_where_no_attempt_has_a_lora_there_is_nothing_to_go_on_from(world: World) -> None:
    job = world.submit(world.drop())
    failed = world.fal_updates.receive(job.job_id, Failed("request-1", BAD))

    with pytest.raises(ActionNotAllowedError, match="without --resume"):
        world.retry_service.retry(failed.job_id, resume=True, by=ADA)


def test_the_same_resume_again_is_the_same_job(world: World, trained: Job) -> None:
    jobs = [resumed(world, trained) for _ in range(3)]

    assert {job.job_id for job in jobs} == {jobs[0].job_id}
    assert len(world.fal.posts) == 2


def test_what_goes_on_from_a_lora_is_not_what_the_photos_alone_make(
    world: World, trained: Job
) -> None:
    world.train(resumed(world, trained))

    again = world.submit(world.drop("copy.zip", metadata={"preset": "portrait"}))

    assert again.duplicate_of == trained.job_id


def test_a_lora_that_is_gone_holds_the_job_until_it_is_back(world: World, trained: Job) -> None:
    kept = world.results.files.pop(weights(trained))

    held = resumed(world, trained)
    assert (held.status, held.problems[0].code) == (Status.HELD, "checkpoint_missing")
    assert "lora-drop approve" in (world.results.text(held, "ERROR.txt") or "")
    assert len(world.fal.posts) == 1
    world.clock.now += LATE_AFTER
    world.reconciler.reconcile()
    world.results.files[weights(trained)] = kept
    world.manual_actions.approve(held.job_id, by=ADA)
    world.work()

    assert world.job(held.job_id).status is Status.SUBMITTED


def test_what_was_trained_before_is_gone_on_from_as_well(world: World, trained: Job) -> None:
    given = world.submit(world.drop("copy.zip", metadata={"preset": "portrait"}))
    assert given.duplicate_of == trained.job_id

    new = resumed(world, given)

    assert (new.status, new.estimated_cost_usd) == (Status.SUBMITTED, 3.6)
    assert world.fal.posts[1][1]["resume_from_checkpoint"].endswith(weights(trained))


def test_a_lora_that_has_a_number_before_its_name_is_gone_on_from_as_well(world: World) -> None:
    job = world.submit(world.drop())
    world.results.files[job.prefix + WEIGHTS] = b"a person's own"
    trained = world.train(job)

    new = resumed(world, trained)

    _, arguments, _ = world.fal.posts[-1]
    assert new.status is Status.SUBMITTED
    assert arguments["resume_from_checkpoint"].endswith(f"/2-{WEIGHTS}")

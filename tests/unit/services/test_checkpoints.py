"""A training goes on from an earlier LoRA: by a retry, or because its dataset names a job."""

import json
from typing import Any

import pytest

from lora_drop.fal.status import Failed
from lora_drop.jobs.artifacts import WEIGHTS, StoredFile
from lora_drop.jobs.errors import ActionNotAllowedError
from lora_drop.jobs.job import Job
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from tests.support.builders import ADA, BAD_IMAGE
from tests.support.world import LATE_AFTER, World


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


@pytest.mark.promise("nothing leaks")
def test_fal_gets_the_loras_address(
    world: World, trained: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    """fal gets an address of the LoRA that lasts as long as the dataset's and is not kept in the job."""
    asked: list[int] = []
    url = world.results.url

    def noted(stored: StoredFile, seconds: int) -> str:
        asked.append(seconds)
        return url(stored, seconds)

    monkeypatch.setattr(world.results, "url", noted)
    new = resumed(world, trained)

    (_, before, _), (_, arguments, _) = world.fal.posts
    address = f"https://models.example/{weights(trained)}"
    assert (new.status, new.resume_from) == (Status.SUBMITTED, trained.job_id)
    assert arguments == {**before, "resume_from_checkpoint": address}
    assert "https://models.example" not in new.model_dump_json()
    assert asked == [world.dispatcher.addresses.seconds]


def test_chain_goes_on_from_last_lora(world: World, trained: Job) -> None:
    """A chain goes on from the last LoRA, past attempts that failed."""
    second = world.train(resumed(world, trained))
    third = resumed(world, second)
    assert (second.resume_from, third.resume_from) == (trained.job_id, second.job_id)
    assert world.fal.posts[2][1]["resume_from_checkpoint"].endswith(weights(second))
    job = third
    for number in (3, 4):
        job = world.fal_updates.receive(job.job_id, Failed(f"request-{number}", BAD_IMAGE))
        job = resumed(world, job)
    assert (job.resume_from, job.attempt) == (second.job_id, 5)


def test_no_lora_is_no_resume(world: World) -> None:
    job = world.submit(world.drop())
    failed = world.fal_updates.receive(job.job_id, Failed("request-1", BAD_IMAGE))
    with pytest.raises(ActionNotAllowedError, match="without --resume"):
        world.retry_service.retry(failed.job_id, resume=True, by=ADA)


@pytest.mark.promise("never pay twice")
def test_same_resume_is_the_same_job(world: World, trained: Job) -> None:
    """The same resume again is the same job."""
    jobs = [resumed(world, trained) for _ in range(3)]
    assert {job.job_id for job in jobs} == {jobs[0].job_id}
    assert len(world.fal.posts) == 2
    world.train(jobs[0])  # which is not what the photos alone make
    again = world.submit(world.drop("copy.zip", metadata={"preset": "portrait"}))
    assert again.duplicate_of == trained.job_id


@pytest.mark.promise("never get stuck")
def test_missing_lora_holds_the_job(world: World, trained: Job) -> None:
    """A job whose LoRA is missing is held, and goes on when the LoRA is back."""
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


def test_duplicate_is_gone_on_from(world: World, trained: Job) -> None:
    given = world.submit(world.drop("copy.zip", metadata={"preset": "portrait"}))
    assert given.duplicate_of == trained.job_id
    new = resumed(world, given)
    assert (new.status, new.estimated_cost_usd) == (Status.SUBMITTED, 3.6)
    assert world.fal.posts[1][1]["resume_from_checkpoint"].endswith(weights(trained))


def test_numbered_lora_is_gone_on_from(world: World) -> None:
    """A LoRA with a number before its name is gone on from, by a retry and by a dataset."""
    job = world.submit(world.drop())
    world.results.files[job.prefix + WEIGHTS] = b"a person's own"
    trained = world.train(job)
    retry = resumed(world, trained)
    new = dropped(world, "b.zip", metadata={"resume-from-checkpoint": trained.job_id, "steps": "9"})
    assert (retry.status, new.status, new.problems) == (Status.SUBMITTED, Status.SUBMITTED, ())
    assert new.resume_from == trained.job_id
    for _, arguments, _ in world.fal.posts[1:]:
        assert arguments["resume_from_checkpoint"].endswith(f"/2-{WEIGHTS}")


def dropped(world: World, key: str, **how: Any) -> Job:
    """The job of a dataset, as far on as it goes at once."""
    job = world.submit(world.drop(key, **how))
    world.work()
    return world.job(job.job_id)


@pytest.mark.parametrize("where", ["training.json", "metadata"])
def test_dataset_goes_on_from_named_job(world: World, trained: Job, where: str) -> None:
    name = {"resume_from_checkpoint": trained.job_id}
    how = {"training": name} if where == "training.json" else {"metadata": name}
    job = dropped(world, "second.zip", **how)
    assert (job.status, job.resume_from) == (Status.SUBMITTED, trained.job_id)
    sent = world.fal.posts[-1][1]["resume_from_checkpoint"]
    assert sent == f"https://models.example/{weights(trained)}"
    story = json.loads(world.results.text(world.train(job), "job.json") or "")
    assert story["resume_from"] == trained.job_id
    assert "resume_from_checkpoint" not in story["parameters"]
    assert story["parameter_sources"]["resume_from_checkpoint"] == where


def test_other_checkpoint_is_another_training(world: World, trained: Job) -> None:
    named = {"resume_from_checkpoint": trained.job_id}
    second = world.train(dropped(world, "second.zip", metadata=named))
    third = dropped(world, "third.zip", metadata={"resume_from_checkpoint": second.job_id})
    same = dropped(world, "same.zip", metadata=named)
    assert (third.status, third.duplicate_of) == (Status.SUBMITTED, None)
    assert (same.duplicate_of, same.resume_from) == (second.job_id, trained.job_id)


def refused(world: World, job_id: str, **metadata: str) -> Problem:
    job = dropped(world, "next.zip", metadata={"resume_from_checkpoint": job_id, **metadata})
    assert job.status is Status.REJECTED
    [problem] = job.problems
    return problem


@pytest.mark.promise("never pay for a dataset that cannot train")
def test_unusable_checkpoint_is_refused_for_free(world: World, trained: Job) -> None:
    """A LoRA that is unknown, was deleted or is another trainer's is refused for free."""
    other = world.train(
        dropped(world, "krea.zip", metadata={"trainer": "fal-ai/flux-krea-trainer"})
    )
    del world.results.files[weights(trained)]
    paid = len(world.fal.posts)
    unknown, missing, foreign = (
        refused(world, job_id) for job_id in ("x-0123456789", trained.job_id, other.job_id)
    )
    assert unknown.code == "parameter_checkpoint_unknown"
    assert "x-0123456789" in unknown.message
    assert missing.code == "parameter_checkpoint_missing"
    assert "no longer in the models bucket" in missing.message
    assert foreign.code == "parameter_checkpoint_of_other_trainer"
    assert "fal-ai/flux-krea-trainer" in foreign.message
    assert len(world.fal.posts) == paid


def test_job_without_lora_is_refused(world: World) -> None:
    """A job without a LoRA is refused for free, with the advice to wait or not."""
    running = dropped(world, "first.zip")
    early = refused(world, running.job_id)
    world.fal_updates.receive(running.job_id, Failed(running.request_id or "", BAD_IMAGE))
    late = refused(world, running.job_id)
    assert early.code == late.code == "parameter_checkpoint_missing"
    assert "is SUBMITTED and has no LoRA yet. Wait" in early.message
    assert "is FAILED and has no LoRA. Name" in late.message
    assert len(world.fal.posts) == 1


def test_retry_keeps_the_datasets_checkpoint(world: World, trained: Job) -> None:
    named = {"resume_from_checkpoint": trained.job_id}
    second = dropped(world, "second.zip", metadata=named)
    world.fal_updates.receive(second.job_id, Failed(second.request_id or "", BAD_IMAGE))
    new = world.retry_service.retry(second.job_id, resume=False, by=ADA)
    world.work()
    assert new.resume_from == trained.job_id
    assert new.content_digest == second.content_digest
    sent = world.fal.posts[-1][1]["resume_from_checkpoint"]
    assert sent.endswith(weights(trained))


def test_retry_forgets_a_persons_checkpoint(world: World, trained: Job) -> None:
    earlier = resumed(world, trained)
    world.fal_updates.receive(earlier.job_id, Failed(earlier.request_id or "", BAD_IMAGE))
    new = world.retry_service.retry(earlier.job_id, resume=False, by=ADA)
    assert (earlier.resume_from, new.resume_from) == (trained.job_id, None)

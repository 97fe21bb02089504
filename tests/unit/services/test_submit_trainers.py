"""A dataset that chooses its trainer, and what it wants to go on from, on its way to fal."""

import json
from typing import Any

import pytest

from lora_drop.fal.status import Failed
from lora_drop.jobs.job import Job
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from tests.support.builders import JPEG
from tests.support.world import World

ADA = "arn:aws:iam::123456789012:user/ada"
BAD = Problem(code="fal_image_load_error", message="One of the images cannot be read.")
CAPTIONS = {f"photo-{number:02}.txt": b"a photo of ada" for number in range(12)}


@pytest.fixture
def world(busy: World) -> World:
    return busy


def dropped(world: World, key: str = "a.zip", **how: Any) -> Job:
    """The job of a dataset, as far on as it goes at once."""
    job = world.submit(world.drop(key, **how))
    world.work()
    return world.job(job.job_id)


def codes(job: Job) -> list[str]:
    return [problem.code for problem in job.problems]


def test_a_dataset_goes_to_the_trainer_it_names_in_that_trainers_words(world: World) -> None:
    said = {"trainer": "flux-2-trainer", "trigger_phrase": "ada", "steps": 700}

    job = dropped(world, training=said)

    [(application, arguments, _)] = world.fal.posts
    assert application == job.application == "fal-ai/flux-2-trainer"
    assert arguments == {
        "image_data_url": "https://datasets.example/a.zip?versionId=v1",
        "default_caption": "ada",
        "learning_rate": 0.00005,
        "steps": 700,
    }
    assert job.estimated_cost_usd == 4.48
    assert world.job(job.job_id).status is Status.SUBMITTED


def test_without_captions_it_is_refused_where_fal_would_fail_and_nothing_is_paid(
    world: World,
) -> None:
    said = {"trainer": "z-image-trainer"}

    refused = dropped(world, "bare.zip", training=said)
    mended = dropped(world, "captioned.zip", training=said, members=CAPTIONS)

    assert (refused.status, codes(refused)) == (Status.REJECTED, ["caption_missing"])
    assert "default_caption" in (world.results.text(refused, "ERROR.txt") or "")
    assert mended.parameters
    assert mended.parameters.trigger_phrase is None
    assert mended.application == "fal-ai/z-image-trainer"


def test_masks_do_not_make_up_for_photos(world: World) -> None:
    masks = {f"photo-{number:02}_mask.jpg": JPEG for number in range(9)}

    refused = dropped(
        world, training={"trainer": "flux-lora-fast-training"}, images=9, members=masks
    )

    assert codes(refused) == ["dataset_insufficient_images"]


def test_the_same_photos_for_another_trainer_are_another_training(world: World) -> None:
    first = world.train(dropped(world, "one.zip", metadata={"trigger-phrase": "ada"}))
    other = dropped(
        world, "two.zip", metadata={"trigger-phrase": "ada", "trainer": "flux-krea-trainer"}
    )
    other = world.train(other)
    again = dropped(
        world, "three.zip", metadata={"trigger-phrase": "ada", "trainer": "flux-krea-trainer"}
    )

    assert other.duplicate_of is None
    assert (again.duplicate_of, again.application) == (other.job_id, "fal-ai/flux-krea-trainer")
    assert first.application != again.application
    assert len(world.fal.posts) == 2


@pytest.fixture
def trained(world: World) -> Job:
    return world.train(dropped(world, "first.zip"))


def weights_of(job: Job) -> str:
    [key] = [stored.key for stored in job.files if stored.name == "lora.safetensors"]
    return key


@pytest.mark.parametrize("where", ["training.json", "metadata"])
def test_a_dataset_goes_on_from_the_job_it_names(world: World, trained: Job, where: str) -> None:
    name = {"resume_from_checkpoint": trained.job_id}
    how = {"training": name} if where == "training.json" else {"metadata": name}

    job = dropped(world, "second.zip", **how)

    assert (job.status, job.resume_from) == (Status.SUBMITTED, trained.job_id)
    sent = world.fal.posts[-1][1]["resume_from_checkpoint"]
    assert sent == f"https://models.example/{weights_of(trained)}"
    story = json.loads(world.results.text(world.train(job), "job.json") or "")
    assert story["resume_from"] == trained.job_id
    assert "resume_from_checkpoint" not in story["parameters"]
    assert story["parameter_sources"]["resume_from_checkpoint"] == where


def test_to_go_on_from_another_job_is_another_training(world: World, trained: Job) -> None:
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


def test_a_job_that_does_not_exist_is_refused_for_free(world: World) -> None:
    problem = refused(world, "nobody-0123456789")

    assert problem.code == "parameter_checkpoint_unknown"
    assert "nobody-0123456789" in problem.message
    assert world.fal.posts == []


def test_a_job_without_a_lora_is_refused_for_free_and_says_whether_to_wait(world: World) -> None:
    running = dropped(world, "first.zip")

    early = refused(world, running.job_id)
    world.fal_updates.receive(running.job_id, Failed(running.request_id or "", BAD))
    late = refused(world, running.job_id)

    assert early.code == late.code == "parameter_checkpoint_missing"
    assert "is SUBMITTED and has no LoRA yet. Wait" in early.message
    assert "is FAILED and has no LoRA. Name" in late.message
    assert len(world.fal.posts) == 1


def test_a_lora_that_has_a_number_before_its_name_is_gone_on_from_as_well(world: World) -> None:
    job = world.submit(world.drop())
    world.results.files[job.prefix + "lora.safetensors"] = b"a person's own"
    trained = world.train(job)

    new = world.submit(world.drop("b.zip", metadata={"resume-from-checkpoint": trained.job_id}))

    assert (new.status, new.problems) == (Status.SUBMITTED, ())
    assert new.resume_from == trained.job_id


def test_a_lora_that_was_deleted_is_refused_for_free(world: World, trained: Job) -> None:
    del world.results.files[weights_of(trained)]

    problem = refused(world, trained.job_id)

    assert problem.code == "parameter_checkpoint_missing"
    assert "no longer in the models bucket" in problem.message


def test_another_trainers_lora_is_refused_for_free(world: World) -> None:
    other = world.train(
        dropped(world, "krea.zip", metadata={"trainer": "fal-ai/flux-krea-trainer"})
    )

    problem = refused(world, other.job_id)

    assert problem.code == "parameter_checkpoint_of_other_trainer"
    assert "fal-ai/flux-krea-trainer" in problem.message


def test_a_retry_goes_on_from_what_the_dataset_named(world: World, trained: Job) -> None:
    named = {"resume_from_checkpoint": trained.job_id}
    second = dropped(world, "second.zip", metadata=named)
    world.fal_updates.receive(second.job_id, Failed(second.request_id or "", BAD))

    new = world.retry_service.retry(second.job_id, resume=False, by=ADA)
    world.work()

    assert new.resume_from == trained.job_id
    assert new.content_digest == second.content_digest
    sent = world.fal.posts[-1][1]["resume_from_checkpoint"]
    assert sent.endswith(weights_of(trained))


def test_a_retry_forgets_what_a_person_had_it_go_on_from(world: World, trained: Job) -> None:
    resumed = world.retry_service.retry(trained.job_id, resume=True, by=ADA)
    world.work()
    resumed = world.fal_updates.receive(
        resumed.job_id, Failed(world.job(resumed.job_id).request_id or "", BAD)
    )

    new = world.retry_service.retry(resumed.job_id, resume=False, by=ADA)

    assert resumed.resume_from == trained.job_id
    assert new.resume_from is None

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
def trained(busy: World) -> Job:
    return busy.train(busy.submit(busy.drop()))


def resumed(busy: World, job: Job) -> Job:
    """The new job, as far on as it goes at once."""
    new = busy.retry_service.retry(job.job_id, resume=True, by=ADA)
    busy.work()
    return busy.job(new.job_id)


def weights(job: Job) -> str:
    """Where a job's LoRA lies."""
    [key] = [stored.key for stored in job.files if stored.name == WEIGHTS]
    return key


@pytest.mark.promise("nothing leaks")
def test_fal_gets_the_address(busy: World, trained: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    """fal gets an address of the LoRA that lasts as long as the dataset's and is not kept in the job."""
    asked: list[int] = []
    url = busy.results.url

    def noted(stored: StoredFile, seconds: int) -> str:
        asked.append(seconds)
        return url(stored, seconds)

    monkeypatch.setattr(busy.results, "url", noted)
    new = resumed(busy, trained)

    (_, before, _), (_, arguments, _) = busy.fal.posts
    address = f"https://models.example/{weights(trained)}"
    assert (new.status, new.resume_from) == (Status.SUBMITTED, trained.job_id)
    assert arguments == {**before, "resume_from_checkpoint": address}
    assert "https://models.example" not in new.model_dump_json()
    assert asked == [busy.dispatcher.addresses.seconds]


def test_chain_goes_on_from_last_lora(busy: World, trained: Job) -> None:
    """A chain goes on from the last LoRA, past attempts that failed."""
    second = busy.train(resumed(busy, trained))
    third = resumed(busy, second)
    assert (second.resume_from, third.resume_from) == (trained.job_id, second.job_id)
    assert busy.fal.posts[2][1]["resume_from_checkpoint"].endswith(weights(second))
    job = third
    for number in (3, 4):
        job = busy.fal_updates.receive(job.job_id, Failed(f"request-{number}", BAD_IMAGE))
        job = resumed(busy, job)
    assert (job.resume_from, job.attempt) == (second.job_id, 5)


def test_no_lora_is_no_resume(busy: World) -> None:
    job = busy.submit(busy.drop())
    failed = busy.fal_updates.receive(job.job_id, Failed("request-1", BAD_IMAGE))
    with pytest.raises(ActionNotAllowedError, match="without --resume"):
        busy.retry_service.retry(failed.job_id, resume=True, by=ADA)


@pytest.mark.promise("never pay twice")
def test_same_resume_is_the_same_job(busy: World, trained: Job) -> None:
    """The same resume again is the same job."""
    jobs = [resumed(busy, trained) for _ in range(3)]
    assert {job.job_id for job in jobs} == {jobs[0].job_id}
    assert len(busy.fal.posts) == 2
    busy.train(jobs[0])  # which is not what the photos alone make
    again = busy.submit(busy.drop("copy.zip", metadata={"preset": "portrait"}))
    assert again.duplicate_of == trained.job_id


@pytest.mark.promise("never get stuck")
def test_missing_lora_holds_the_job(busy: World, trained: Job) -> None:
    """A job whose LoRA is missing is held, and goes on when the LoRA is back."""
    kept = busy.results.files.pop(weights(trained))
    held = resumed(busy, trained)
    assert (held.status, held.problems[0].code) == (Status.HELD, "checkpoint_missing")
    assert "lora-drop approve" in (busy.results.text(held, "ERROR.txt") or "")
    assert len(busy.fal.posts) == 1
    busy.clock.now += LATE_AFTER
    busy.reconciler.reconcile()
    busy.results.files[weights(trained)] = kept
    busy.manual_actions.approve(held.job_id, by=ADA)
    busy.work()
    assert busy.job(held.job_id).status is Status.SUBMITTED


def test_duplicate_is_gone_on_from(busy: World, trained: Job) -> None:
    given = busy.submit(busy.drop("copy.zip", metadata={"preset": "portrait"}))
    assert given.duplicate_of == trained.job_id
    new = resumed(busy, given)
    assert (new.status, new.estimated_cost_usd) == (Status.SUBMITTED, 3.6)
    assert busy.fal.posts[1][1]["resume_from_checkpoint"].endswith(weights(trained))


@pytest.mark.promise(
    "never lose a result", "A person's file under our name stays, and the job says where ours is."
)
def test_numbered_lora_is_gone_on_from(busy: World) -> None:
    """A LoRA with a number before its name is gone on from, by a retry and by a dataset."""
    job = busy.submit(busy.drop())
    busy.results.files[job.prefix + WEIGHTS] = b"a person's own"
    trained = busy.train(job)
    retry = resumed(busy, trained)
    new = dropped(busy, "b.zip", metadata={"resume-from-checkpoint": trained.job_id, "steps": "9"})
    assert (retry.status, new.status, new.problems) == (Status.SUBMITTED, Status.SUBMITTED, ())
    assert new.resume_from == trained.job_id
    for _, arguments, _ in busy.fal.posts[1:]:
        assert arguments["resume_from_checkpoint"].endswith(f"/2-{WEIGHTS}")


def dropped(busy: World, key: str, **how: Any) -> Job:
    """The job of a dataset, as far on as it goes at once."""
    job = busy.submit(busy.drop(key, **how))
    busy.work()
    return busy.job(job.job_id)


@pytest.mark.parametrize("where", ["training.json", "metadata"])
def test_dataset_goes_on_from_named_job(busy: World, trained: Job, where: str) -> None:
    name = {"resume_from_checkpoint": trained.job_id}
    how = {"training": name} if where == "training.json" else {"metadata": name}
    job = dropped(busy, "second.zip", **how)
    assert (job.status, job.resume_from) == (Status.SUBMITTED, trained.job_id)
    sent = busy.fal.posts[-1][1]["resume_from_checkpoint"]
    assert sent == f"https://models.example/{weights(trained)}"
    story = json.loads(busy.results.text(busy.train(job), "job.json") or "")
    assert story["resume_from"] == trained.job_id
    assert "resume_from_checkpoint" not in story["parameters"]
    assert story["parameter_sources"]["resume_from_checkpoint"] == where


def test_other_checkpoint_is_another_training(busy: World, trained: Job) -> None:
    named = {"resume_from_checkpoint": trained.job_id}
    second = busy.train(dropped(busy, "second.zip", metadata=named))
    third = dropped(busy, "third.zip", metadata={"resume_from_checkpoint": second.job_id})
    same = dropped(busy, "same.zip", metadata=named)
    assert (third.status, third.duplicate_of) == (Status.SUBMITTED, None)
    assert (same.duplicate_of, same.resume_from) == (second.job_id, trained.job_id)


def refused(busy: World, job_id: str, **metadata: str) -> Problem:
    job = dropped(busy, "next.zip", metadata={"resume_from_checkpoint": job_id, **metadata})
    assert job.status is Status.REJECTED
    [problem] = job.problems
    return problem


@pytest.mark.promise("never pay for a dataset that cannot train")
def test_unusable_checkpoint_is_refused_for_free(busy: World, trained: Job) -> None:
    """A LoRA that is unknown, was deleted or is another trainer's is refused for free."""
    other = busy.train(dropped(busy, "krea.zip", metadata={"trainer": "fal-ai/flux-krea-trainer"}))
    del busy.results.files[weights(trained)]
    paid = len(busy.fal.posts)
    unknown, missing, foreign = (
        refused(busy, job_id) for job_id in ("x-0123456789", trained.job_id, other.job_id)
    )
    assert unknown.code == "parameter_checkpoint_unknown"
    assert "x-0123456789" in unknown.message
    assert missing.code == "parameter_checkpoint_missing"
    assert "no longer in the models bucket" in missing.message
    assert foreign.code == "parameter_checkpoint_of_other_trainer"
    assert "fal-ai/flux-krea-trainer" in foreign.message
    assert len(busy.fal.posts) == paid


def test_job_without_lora_is_refused(busy: World) -> None:
    """A job without a LoRA is refused for free, with the advice to wait or not."""
    running = dropped(busy, "first.zip")
    early = refused(busy, running.job_id)
    busy.fal_updates.receive(running.job_id, Failed(running.request_id or "", BAD_IMAGE))
    late = refused(busy, running.job_id)
    assert early.code == late.code == "parameter_checkpoint_missing"
    assert "is SUBMITTED and has no LoRA yet. Wait" in early.message
    assert "is FAILED and has no LoRA. Name" in late.message
    assert len(busy.fal.posts) == 1


def test_retry_keeps_the_datasets_checkpoint(busy: World, trained: Job) -> None:
    named = {"resume_from_checkpoint": trained.job_id}
    second = dropped(busy, "second.zip", metadata=named)
    busy.fal_updates.receive(second.job_id, Failed(second.request_id or "", BAD_IMAGE))
    new = busy.retry_service.retry(second.job_id, resume=False, by=ADA)
    busy.work()
    assert new.resume_from == trained.job_id
    assert new.content_digest == second.content_digest
    sent = busy.fal.posts[-1][1]["resume_from_checkpoint"]
    assert sent.endswith(weights(trained))


def test_retry_forgets_a_persons_checkpoint(busy: World, trained: Job) -> None:
    earlier = resumed(busy, trained)
    busy.fal_updates.receive(earlier.job_id, Failed(earlier.request_id or "", BAD_IMAGE))
    new = busy.retry_service.retry(earlier.job_id, resume=False, by=ADA)
    assert (earlier.resume_from, new.resume_from) == (trained.job_id, None)

import hashlib
import json

import pytest

from lora_drop.fal.status import Failed, Finished, Gone, Running
from lora_drop.jobs.artifacts import Artifact, StoredFile
from lora_drop.jobs.errors import (
    DownloadInterruptedError,
    FalUnavailableError,
    HostNotAllowedError,
    JobNotFoundError,
    ResultGoneError,
)
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.status import Status
from lora_drop.services.store import DENIAL_STANDS
from tests.support.builders import ARTIFACTS, REQUEST_ID, make_job, make_weights
from tests.support.world import World


def test_every_file_is_stored_under_the_jobs_prefix_with_its_hash(world: World) -> None:
    job = world.holds(make_job(Status.STORING))
    world.source.files = {"lora.safetensors": make_weights(500), "config.json": b'{"rank": 16}'}

    stored = world.result_storer.store_result(job.job_id)

    assert stored.status is Status.SUCCEEDED
    assert stored.files == tuple(
        StoredFile(
            name=name,
            bucket="models",
            key=f"portrait/ada/{job.job_id}/{name}",
            size=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
        )
        for name, data in world.source.files.items()
    )
    assert world.results.files[job.prefix + "lora.safetensors"] == make_weights(500)


def test_the_jobs_story_lies_beside_its_files(world: World) -> None:
    job = world.holds(make_job(Status.STORING))

    stored = world.result_storer.store_result(job.job_id)

    story = json.loads(world.results.text(job, "job.json") or "")
    assert story["request_id"] == REQUEST_ID
    assert story["dataset"]["version_id"] == "v1"
    assert [file["sha256"] for file in story["files"]] == [file.sha256 for file in stored.files]
    assert '"SUCCEEDED"' in (world.results.text(job, "status.json") or "")


def test_the_same_message_again_copies_nothing(world: World) -> None:
    job = world.holds(make_job(Status.STORING))
    first = world.result_storer.store_result(job.job_id)
    world.source.opened.clear()

    again = world.result_storer.store_result(job.job_id)

    assert again == first
    assert world.source.opened == []


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.STORING])
def test_a_job_that_is_not_to_be_stored_is_left_as_it_is(world: World, status: Status) -> None:
    job = world.holds(make_job(status))

    assert world.result_storer.store_result(job.job_id) == job
    assert world.source.opened == []


def test_an_unknown_job_is_told_as_such(world: World) -> None:
    with pytest.raises(JobNotFoundError):
        world.result_storer.store_result("ada-0000000000")


def test_a_download_that_breaks_leaves_the_job_to_be_stored_again(world: World) -> None:
    job = world.holds(make_job(Status.STORING))
    world.source.cut = {"config.json"}

    with pytest.raises(DownloadInterruptedError):
        world.result_storer.store_result(job.job_id)

    waiting = world.job(job.job_id)
    assert (waiting.status, waiting.problems[0].code) == (Status.STORING, "result_not_copied")
    assert "tried again by itself" in " ".join((world.results.text(job, "ERROR.txt") or "").split())
    assert world.results.text(job, "config.json") is None
    world.source.cut.clear()
    stored = world.result_storer.store_result(job.job_id)
    assert (stored.status, stored.problems) == (Status.SUCCEEDED, ())
    assert world.results.text(job, "ERROR.txt") is None


def test_a_trouble_that_stays_is_told_once(world: World) -> None:
    job = world.holds(make_job(Status.STORING))
    world.source.cut = {"config.json"}

    for _ in range(3):
        with pytest.raises(DownloadInterruptedError):
            world.result_storer.store_result(job.job_id)

    waiting = world.job(job.job_id)
    assert [problem.code for problem in waiting.problems] == ["result_not_copied"]
    assert (waiting.updated_at, waiting.history) == (job.updated_at, job.history)


def test_a_file_that_settings_keep_out_leaves_the_job_to_be_stored_again(world: World) -> None:
    job = world.holds(make_job(Status.STORING))
    world.source.failing = {"lora.safetensors": HostNotAllowedError("new-cdn.example")}

    with pytest.raises(HostNotAllowedError):
        world.result_storer.store_result(job.job_id)

    waiting = world.job(job.job_id)
    assert waiting.status is Status.STORING
    assert "new-cdn.example" in (world.results.text(job, "ERROR.txt") or "")


def test_a_file_that_neither_the_cdn_nor_fal_has_ends_the_job_and_is_told(world: World) -> None:
    job = world.holds(make_job(Status.STORING))
    world.source.failing = {
        name: ResultGoneError("404") for name in ("lora.safetensors", "config.json")
    }
    world.fal.facts[REQUEST_ID] = Gone(REQUEST_ID)

    stored = world.store_twice(job)

    assert (stored.status, stored.problems[0].code) == (Status.EXPIRED, "result_expired")
    assert world.results.text(job, "ERROR.txt")


def test_weights_that_could_be_had_are_kept_when_the_rest_is_gone(world: World) -> None:
    job = world.holds(make_job(Status.STORING))
    world.source.failing = {"config.json": ResultGoneError("404")}
    world.fal.facts[REQUEST_ID] = Gone(REQUEST_ID)

    stored = world.store_twice(job)

    assert (stored.status, stored.problems[0].code) == (Status.EXPIRED, "result_incomplete")
    assert [file.name for file in stored.files] == ["lora.safetensors"]
    assert "lora.safetensors could be had" in (world.results.text(job, "ERROR.txt") or "")


def test_a_404_of_the_cdn_does_not_end_a_job_that_fal_still_has(world: World) -> None:
    job = world.holds(make_job(Status.STORING))
    world.source.failing = {"config.json": ResultGoneError("404")}
    world.fal.facts[REQUEST_ID] = Finished(REQUEST_ID, ARTIFACTS)

    with pytest.raises(DownloadInterruptedError):
        world.result_storer.store_result(job.job_id)

    assert world.job(job.job_id).status is Status.STORING
    world.source.failing = {}
    assert world.result_storer.store_result(job.job_id).status is Status.SUCCEEDED


def test_an_address_that_fal_names_anew_is_followed(world: World) -> None:
    old = Artifact(name="lora.safetensors", url="https://v3.fal.media/old")
    job = world.holds(make_job(Status.STORING, artifacts=(old,)))
    new = old.model_copy(update={"url": "https://v3b.fal.media/new"})
    world.source.gone = {old.url}
    world.fal.facts[REQUEST_ID] = Finished(REQUEST_ID, (new,))

    stored = world.result_storer.store_result(job.job_id)

    assert (stored.status, stored.artifacts) == (Status.SUCCEEDED, (new,))


def test_a_result_that_the_webhook_did_not_bring_is_read_from_fal(world: World) -> None:
    job = world.holds(make_job(Status.STORING, artifacts=()))
    world.fal.facts[REQUEST_ID] = Finished(REQUEST_ID, ARTIFACTS)

    stored = world.result_storer.store_result(job.job_id)

    assert (stored.status, stored.artifacts) == (Status.SUCCEEDED, ARTIFACTS)
    assert [file.name for file in stored.files] == ["lora.safetensors", "config.json"]


def test_a_result_that_fal_forgot_before_it_was_read_is_told(world: World) -> None:
    job = world.holds(make_job(Status.STORING, artifacts=()))
    world.fal.facts[REQUEST_ID] = Gone(REQUEST_ID)

    stored = world.store_twice(job)

    assert (stored.status, stored.problems[0].code) == (Status.EXPIRED, "result_expired")


@pytest.mark.parametrize("artifacts", [(), ARTIFACTS], ids=["without addresses", "with dead ones"])
def test_fals_word_that_it_has_no_result_ends_nothing_until_it_says_so_again_minutes_later(
    world: World, artifacts: tuple[Artifact, ...]
) -> None:
    job = world.holds(make_job(Status.STORING, artifacts=artifacts))
    world.source.failing = {each.name: ResultGoneError("404") for each in ARTIFACTS}
    world.fal.facts[REQUEST_ID] = Gone(REQUEST_ID)

    denied = world.result_storer.store_result(job.job_id)
    again = world.result_storer.store_result(job.job_id)

    assert denied == again
    assert (denied.status, denied.problems[0].code) == (Status.STORING, "result_denied")
    assert world.fal.asked == [REQUEST_ID]


def test_a_result_that_fal_denied_once_is_stored_when_it_has_it_after_all(world: World) -> None:
    job = world.holds(make_job(Status.STORING, artifacts=()))
    world.fal.facts[REQUEST_ID] = Gone(REQUEST_ID)
    world.result_storer.store_result(job.job_id)
    world.fal.facts[REQUEST_ID] = Finished(REQUEST_ID, ARTIFACTS)
    world.clock.now += DENIAL_STANDS

    stored = world.result_storer.store_result(job.job_id)

    assert (stored.status, stored.problems) == (Status.SUCCEEDED, ())
    assert world.results.text(job, "ERROR.txt") is None


def test_a_denial_before_other_trouble_is_not_counted(world: World) -> None:
    job = world.holds(make_job(Status.STORING, artifacts=()))
    world.fal.facts[REQUEST_ID] = Gone(REQUEST_ID)
    world.result_storer.store_result(job.job_id)
    world.clock.now += DENIAL_STANDS
    world.fal.facts[REQUEST_ID] = Finished(REQUEST_ID, ARTIFACTS)
    world.source.failing = {each.name: DownloadInterruptedError("503") for each in ARTIFACTS}
    with pytest.raises(DownloadInterruptedError):
        world.result_storer.store_result(job.job_id)
    world.source.failing = {each.name: ResultGoneError("404") for each in ARTIFACTS}
    world.fal.facts[REQUEST_ID] = Gone(REQUEST_ID)

    assert world.result_storer.store_result(job.job_id).status is Status.STORING


def test_a_success_that_fal_takes_back_fails_with_fals_reason(world: World) -> None:
    job = world.holds(make_job(Status.STORING, artifacts=()))
    problem = Problem(code="fal_internal_error", message="fal ended the training.")
    world.fal.facts[REQUEST_ID] = Failed(REQUEST_ID, problem)

    stored = world.result_storer.store_result(job.job_id)

    assert (stored.status, stored.problems) == (Status.FAILED, (problem,))


def test_a_result_without_a_single_file_fails_instead_of_being_asked_for_ever(
    world: World,
) -> None:
    job = world.holds(make_job(Status.STORING, artifacts=()))
    world.fal.facts[REQUEST_ID] = Finished(REQUEST_ID, ())

    stored = world.result_storer.store_result(job.job_id)

    assert (stored.status, stored.problems[0].code) == (Status.FAILED, "result_without_files")
    assert REQUEST_ID in (world.results.text(job, "ERROR.txt") or "")


@pytest.mark.parametrize(
    "said", [FalUnavailableError("503"), Running(REQUEST_ID, started=True)], ids=["down", "running"]
)
def test_a_result_that_cannot_be_read_now_is_read_later(
    world: World, said: FalUnavailableError | Running
) -> None:
    job = world.holds(make_job(Status.STORING, artifacts=()))
    world.fal.facts[REQUEST_ID] = said

    with pytest.raises(FalUnavailableError):
        world.result_storer.store_result(job.job_id)

    waiting = world.job(job.job_id)
    assert (waiting.status, waiting.problems) == (Status.STORING, ())
    assert "ERROR.txt" not in {key.rsplit("/")[-1] for key in world.results.files}

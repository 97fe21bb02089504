"""The files of a result are stored beside the job, and trouble with them is tried again or shown."""

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
from lora_drop.jobs.job import Status
from lora_drop.jobs.problems import Problem
from lora_drop.services.store import DENIAL_STANDS
from tests.support.builders import ARTIFACTS, REQUEST_ID, make_job, make_weights
from tests.support.world import World


@pytest.mark.promise("never lose a result")
def test_files_are_stored_with_hashes(world: World) -> None:
    """Every file is stored under the job's prefix with its hash."""
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


@pytest.mark.promise("it can be operated")
def test_job_json_lies_beside_files(world: World) -> None:
    """The job's history lies beside its files."""
    job = world.holds(make_job(Status.STORING))
    stored = world.result_storer.store_result(job.job_id)

    story = json.loads(world.results.text(job, "job.json") or "")
    assert story["request_id"] == REQUEST_ID
    assert story["dataset"]["version_id"] == "v1"
    assert [file["sha256"] for file in story["files"]] == [file.sha256 for file in stored.files]
    assert '"SUCCEEDED"' in (world.results.text(job, "status.json") or "")


def test_same_message_copies_no_file(world: World) -> None:
    job = world.holds(make_job(Status.STORING))
    first = world.result_storer.store_result(job.job_id)
    world.source.opened.clear()
    again = world.result_storer.store_result(job.job_id)

    assert again == first
    assert world.source.opened == []


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.STORING])
def test_other_states_are_left_alone(world: World, status: Status) -> None:
    """A job that is not to be stored is left as it is."""
    job = world.holds(make_job(status))

    assert world.result_storer.store_result(job.job_id) == job
    assert world.source.opened == []


def test_unknown_job_is_reported(world: World) -> None:
    """An unknown job is reported as such."""
    with pytest.raises(JobNotFoundError):
        world.result_storer.store_result("ada-0000000000")


@pytest.mark.promise("never get stuck")
def test_broken_download_is_tried_again(world: World) -> None:
    """A download that breaks leaves the job to be stored again."""
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


def test_lasting_trouble_is_noted_once(world: World) -> None:
    """A trouble that stays is reported once."""
    job = world.holds(make_job(Status.STORING))
    world.source.cut = {"config.json"}
    for _ in range(3):
        with pytest.raises(DownloadInterruptedError):
            world.result_storer.store_result(job.job_id)

    waiting = world.job(job.job_id)
    assert [problem.code for problem in waiting.problems] == ["result_not_copied"]
    assert (waiting.updated_at, waiting.history) == (job.updated_at, job.history)


def test_blocked_host_leaves_job_storing(world: World) -> None:
    """A file that settings keep out leaves the job to be stored again."""
    job = world.holds(make_job(Status.STORING))
    world.source.failing = {"lora.safetensors": HostNotAllowedError("new-cdn.example")}
    with pytest.raises(HostNotAllowedError):
        world.result_storer.store_result(job.job_id)

    waiting = world.job(job.job_id)
    assert waiting.status is Status.STORING
    assert "new-cdn.example" in (world.results.text(job, "ERROR.txt") or "")


def test_lost_result_expires_the_job(world: World) -> None:
    """A file that neither the CDN nor fal has ends the job, with an error."""
    job = world.holds(make_job(Status.STORING))
    world.source.failing = {
        name: ResultGoneError("404") for name in ("lora.safetensors", "config.json")
    }
    world.fal.facts[REQUEST_ID] = Gone(REQUEST_ID)
    stored = world.store_twice(job)

    assert (stored.status, stored.problems[0].code) == (Status.EXPIRED, "result_expired")
    assert world.results.text(job, "ERROR.txt")


@pytest.mark.promise("never lose a result")
def test_available_weights_are_kept(world: World) -> None:
    """Weights that could be had are kept when the rest is gone."""
    job = world.holds(make_job(Status.STORING))
    world.source.failing = {"config.json": ResultGoneError("404")}
    world.fal.facts[REQUEST_ID] = Gone(REQUEST_ID)
    stored = world.store_twice(job)

    assert (stored.status, stored.problems[0].code) == (Status.EXPIRED, "result_incomplete")
    assert [file.name for file in stored.files] == ["lora.safetensors"]
    assert "lora.safetensors could be had" in (world.results.text(job, "ERROR.txt") or "")


@pytest.mark.promise("never lose a result")
def test_cdn_404_ends_no_job(world: World) -> None:
    """A 404 of the CDN does not end a job that fal still has."""
    job = world.holds(make_job(Status.STORING))
    world.source.failing = {"config.json": ResultGoneError("404")}
    world.fal.facts[REQUEST_ID] = Finished(REQUEST_ID, ARTIFACTS)
    with pytest.raises(DownloadInterruptedError):
        world.result_storer.store_result(job.job_id)

    assert world.job(job.job_id).status is Status.STORING
    world.source.failing = {}
    assert world.result_storer.store_result(job.job_id).status is Status.SUCCEEDED


def test_new_address_is_followed(world: World) -> None:
    """An address that fal names again is followed."""
    old = Artifact(name="lora.safetensors", url="https://v3.fal.media/old")
    job = world.holds(make_job(Status.STORING, artifacts=(old,)))
    new = old.model_copy(update={"url": "https://v3b.fal.media/new"})
    world.source.gone = {old.url}
    world.fal.facts[REQUEST_ID] = Finished(REQUEST_ID, (new,))
    stored = world.result_storer.store_result(job.job_id)

    assert (stored.status, stored.artifacts) == (Status.SUCCEEDED, (new,))


def test_missing_addresses_are_read_from_fal(world: World) -> None:
    """A result that the webhook did not bring is read from fal."""
    job = world.holds(make_job(Status.STORING, artifacts=()))
    world.fal.facts[REQUEST_ID] = Finished(REQUEST_ID, ARTIFACTS)
    stored = world.result_storer.store_result(job.job_id)

    assert (stored.status, stored.artifacts) == (Status.SUCCEEDED, ARTIFACTS)
    assert [file.name for file in stored.files] == ["lora.safetensors", "config.json"]


def test_forgotten_result_expires_the_job(world: World) -> None:
    """A result that fal forgot before it was read is reported."""
    job = world.holds(make_job(Status.STORING, artifacts=()))
    world.fal.facts[REQUEST_ID] = Gone(REQUEST_ID)
    stored = world.store_twice(job)

    assert (stored.status, stored.problems[0].code) == (Status.EXPIRED, "result_expired")


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("artifacts", [(), ARTIFACTS], ids=["without addresses", "with dead ones"])
def test_one_denial_ends_no_job(world: World, artifacts: tuple[Artifact, ...]) -> None:
    """fal's word that it has no result ends nothing until it says so again later."""
    job = world.holds(make_job(Status.STORING, artifacts=artifacts))
    world.source.failing = {each.name: ResultGoneError("404") for each in ARTIFACTS}
    world.fal.facts[REQUEST_ID] = Gone(REQUEST_ID)
    denied = world.result_storer.store_result(job.job_id)
    again = world.result_storer.store_result(job.job_id)

    assert denied == again
    assert (denied.status, denied.problems[0].code) == (Status.STORING, "result_denied")
    assert world.fal.asked == [REQUEST_ID]


def test_denied_result_is_stored_after_all(world: World) -> None:
    """A result that fal denied once is stored when it has it after all."""
    job = world.holds(make_job(Status.STORING, artifacts=()))
    world.fal.facts[REQUEST_ID] = Gone(REQUEST_ID)
    world.result_storer.store_result(job.job_id)
    world.fal.facts[REQUEST_ID] = Finished(REQUEST_ID, ARTIFACTS)
    world.clock.now += DENIAL_STANDS
    stored = world.result_storer.store_result(job.job_id)

    assert (stored.status, stored.problems) == (Status.SUCCEEDED, ())
    assert world.results.text(job, "ERROR.txt") is None


def test_interrupted_denial_is_not_counted(world: World) -> None:
    """A denial before other trouble is not counted."""
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


def test_withdrawn_success_fails_the_job(world: World) -> None:
    """A success that fal takes back fails with fal's reason."""
    job = world.holds(make_job(Status.STORING, artifacts=()))
    problem = Problem(code="fal_internal_error", message="fal ended the training.")
    world.fal.facts[REQUEST_ID] = Failed(REQUEST_ID, problem)
    stored = world.result_storer.store_result(job.job_id)

    assert (stored.status, stored.problems) == (Status.FAILED, (problem,))


@pytest.mark.promise("never get stuck")
def test_result_without_files_fails(world: World) -> None:
    """A result without a single file fails instead of being requested for ever."""
    job = world.holds(make_job(Status.STORING, artifacts=()))
    world.fal.facts[REQUEST_ID] = Finished(REQUEST_ID, ())
    stored = world.result_storer.store_result(job.job_id)

    assert (stored.status, stored.problems[0].code) == (Status.FAILED, "result_without_files")
    assert REQUEST_ID in (world.results.text(job, "ERROR.txt") or "")


@pytest.mark.parametrize(
    "said", [FalUnavailableError("503"), Running(REQUEST_ID, started=True)], ids=["down", "running"]
)
def test_unreadable_result_is_read_later(world: World, said: FalUnavailableError | Running) -> None:
    """A result that cannot be read now is read later."""
    job = world.holds(make_job(Status.STORING, artifacts=()))
    world.fal.facts[REQUEST_ID] = said
    with pytest.raises(FalUnavailableError):
        world.result_storer.store_result(job.job_id)

    waiting = world.job(job.job_id)
    assert (waiting.status, waiting.problems) == (Status.STORING, ())
    assert "ERROR.txt" not in {key.rsplit("/")[-1] for key in world.results.files}

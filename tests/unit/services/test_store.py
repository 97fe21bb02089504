"""The files of a result and its page are stored beside the job, and trouble with them is tried again or shown."""

import hashlib
import json

import pytest

from lora_drop.fal.status import Failed, FalStatus, Finished, Gone, Running
from lora_drop.jobs import errors
from lora_drop.jobs.artifacts import Artifact, StoredFile
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from lora_drop.jobs.time_limits import DENIAL_STANDS
from lora_drop.services.store import RESULT_KEPT
from tests.support.builders import ADA, ARTIFACTS, BAD_IMAGE, REQUEST_ID, make_job, make_weights
from tests.support.queue import codes
from tests.support.world import World


def storing(world: World, *, fact: FalStatus | Exception | None = None, **changes: object) -> Job:
    """A job whose result is to be stored, and what fal says of it."""
    job = world.holds(make_job(Status.STORING, **changes))
    world.fal.facts[REQUEST_ID] = fact or Finished(REQUEST_ID, job.artifacts)
    return job


@pytest.mark.promise("never lose a result", "Real weights are stored bit by bit.")
@pytest.mark.promise(
    "never lose a result", "Every file is stored under the job's prefix with its hash."
)
@pytest.mark.promise("it can be operated", "The job's history lies beside its files.")
def test_files_are_stored_with_hashes(world: World) -> None:
    job = storing(world)
    served = {"lora.safetensors": make_weights(500), "config.json": b'{"rank": 16}'}
    world.source.files = dict(served)
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
        for name, data in served.items()
    )
    assert world.results.files[job.prefix + "lora.safetensors"] == make_weights(500)
    story = json.loads(world.results.text(job, "job.json") or "")
    assert (story["request_id"], story["dataset"]["version_id"]) == (REQUEST_ID, "v1")
    assert [file["sha256"] for file in story["files"]] == [file.sha256 for file in stored.files]
    assert '"SUCCEEDED"' in (world.results.text(job, "status.json") or "")


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.STORING])
def test_other_states_are_left_alone(world: World, status: Status) -> None:
    """The message of a job that is not to be stored, or is stored already, copies nothing."""
    job = world.holds(make_job(status))
    assert world.result_storer.store_result(job.job_id) == job
    with pytest.raises(errors.JobNotFoundError):
        world.result_storer.store_result("ada-0000000000")
    assert world.source.opened == []


@pytest.mark.promise(
    "never lose a result", "A file that did not arrive is fetched with the next message."
)
@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize(
    "trouble",
    [errors.DownloadInterruptedError("cut short"), errors.HostNotAllowedError("new-cdn.example")],
    ids=["cut", "blocked host"],
)
def test_broken_download_is_tried_again(world: World, trouble: Exception) -> None:
    """A download that breaks leaves the job to be stored again; trouble that stays is noted once."""
    job = storing(world)
    world.source.failing = {"config.json": trouble}
    for _ in range(3):
        with pytest.raises(type(trouble)):
            world.result_storer.store_result(job.job_id)
    waiting = world.job(job.job_id)
    assert (waiting.status, codes(waiting)) == (Status.STORING, ["result_not_copied"])
    assert (waiting.updated_at, waiting.history) == (job.updated_at, job.history)
    error = " ".join((world.results.text(job, "ERROR.txt") or "").split())
    assert "tried again by itself" in error
    assert str(trouble) in error
    assert world.results.text(job, "config.json") is None
    world.source.failing.clear()
    stored = world.result_storer.store_result(job.job_id)
    assert (stored.status, stored.problems) == (Status.SUCCEEDED, ())
    assert world.results.text(job, "ERROR.txt") is None


LOST: dict[str, tuple[tuple[Artifact, ...], tuple[str, ...], str, list[str], str]] = {
    "all files": (ARTIFACTS, ("lora.safetensors", "config.json"), "result_expired", [], ""),
    "before it was read": ((), (), "result_expired", [], ""),
    "all but the weights": (
        *(ARTIFACTS, ("config.json",), "result_incomplete", ["lora.safetensors"]),
        "lora.safetensors could be had",
    ),
}


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("case", LOST)
def test_lost_result_expires_the_job(world: World, case: str) -> None:
    """A result that neither the CDN nor fal has ends the job; files that could be had are kept."""
    artifacts, lost, code, kept, text = LOST[case]
    job = storing(world, fact=Gone(REQUEST_ID), artifacts=artifacts)
    world.source.failing = {name: errors.ResultGoneError("404") for name in lost}
    stored = world.store_twice(job)
    assert (stored.status, codes(stored)) == (Status.EXPIRED, [code])
    assert [file.name for file in stored.files] == kept
    error = world.results.text(job, "ERROR.txt")
    assert error
    assert text in error


OLD = Artifact(name="lora.safetensors", url="https://v3.fal.media/old")
NEW = OLD.model_copy(update={"url": "https://v3b.fal.media/new"})


@pytest.mark.parametrize(
    ("known", "named"), [((OLD,), (NEW,)), ((), ARTIFACTS)], ids=["dead ones", "none"]
)
def test_new_address_is_followed(
    world: World, known: tuple[Artifact, ...], named: tuple[Artifact, ...]
) -> None:
    """Where the addresses are dead or the webhook brought none, fal is asked for them."""
    job = storing(world, fact=Finished(REQUEST_ID, named), artifacts=known)
    world.source.gone = {OLD.url}
    stored = world.result_storer.store_result(job.job_id)
    assert (stored.status, stored.artifacts) == (Status.SUCCEEDED, named)
    assert [file.name for file in stored.files] == [artifact.name for artifact in named]


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("artifacts", [(), ARTIFACTS], ids=["without addresses", "with dead ones"])
def test_one_denial_ends_no_job(world: World, artifacts: tuple[Artifact, ...]) -> None:
    """fal's word that it has no result ends nothing until it says so again later."""
    job = world.holds(make_job(Status.STORING, artifacts=artifacts))
    world.source.failing = {each.name: errors.ResultGoneError("404") for each in ARTIFACTS}
    world.fal.facts[REQUEST_ID] = Gone(REQUEST_ID)
    denied = world.result_storer.store_result(job.job_id)
    again = world.result_storer.store_result(job.job_id)
    assert denied == again
    assert (denied.status, denied.problems[0].code) == (Status.STORING, "result_denied")
    assert world.fal.asked == [REQUEST_ID]


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize("artifacts", [(), ARTIFACTS], ids=["without addresses", "with dead ones"])
def test_stored_output_is_copied_before_expiry(
    world: World, artifacts: tuple[Artifact, ...]
) -> None:
    """A result that only fal's list still has is copied; while the list cannot be read the job does not end."""
    job = storing(world, fact=Gone(REQUEST_ID), artifacts=artifacts)
    world.source.gone = {each.url for each in ARTIFACTS}
    world.fal.stored[REQUEST_ID] = errors.FalUnavailableError("no answer")
    with pytest.raises(errors.FalUnavailableError):
        world.store_twice(job)
    assert world.job(job.job_id).status is Status.STORING
    world.fal.stored[REQUEST_ID] = Finished(REQUEST_ID, (NEW,))
    stored = world.result_storer.store_result(job.job_id)
    assert (stored.status, stored.artifacts) == (Status.SUCCEEDED, (NEW,))


def test_denied_result_is_stored_after_all(world: World) -> None:
    job = storing(world, fact=Gone(REQUEST_ID), artifacts=())
    world.result_storer.store_result(job.job_id)
    world.fal.facts[REQUEST_ID] = Finished(REQUEST_ID, ARTIFACTS)
    world.clock.now += DENIAL_STANDS
    stored = world.result_storer.store_result(job.job_id)
    assert (stored.status, stored.problems) == (Status.SUCCEEDED, ())
    assert world.results.text(job, "ERROR.txt") is None


def test_interrupted_denial_is_not_counted(world: World) -> None:
    """A denial before other trouble is not counted."""
    job = storing(world, fact=Gone(REQUEST_ID), artifacts=())
    world.result_storer.store_result(job.job_id)
    world.clock.now += DENIAL_STANDS
    world.fal.facts[REQUEST_ID] = Finished(REQUEST_ID, ARTIFACTS)
    world.source.failing = {each.name: errors.DownloadInterruptedError("503") for each in ARTIFACTS}
    with pytest.raises(errors.DownloadInterruptedError):
        world.result_storer.store_result(job.job_id)
    world.source.failing = {each.name: errors.ResultGoneError("404") for each in ARTIFACTS}
    world.fal.facts[REQUEST_ID] = Gone(REQUEST_ID)
    assert world.result_storer.store_result(job.job_id).status is Status.STORING


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize(
    ("fact", "code", "text"),
    [
        (Failed(REQUEST_ID, BAD_IMAGE), BAD_IMAGE.code, BAD_IMAGE.message),
        (Finished(REQUEST_ID, ()), "result_without_files", REQUEST_ID),
    ],
    ids=["taken back", "without files"],
)
def test_result_without_files_fails(world: World, fact: FalStatus, code: str, text: str) -> None:
    """A success that fal takes back, or without a file, fails the job with the reason."""
    job = storing(world, fact=fact, artifacts=())
    world.clock.now = job.since + RESULT_KEPT
    stored = world.result_storer.store_result(job.job_id)
    assert (stored.status, codes(stored)) == (Status.FAILED, [code])
    assert text in " ".join((world.results.text(job, "ERROR.txt") or "").split())


@pytest.mark.promise(
    "never lose a result", "A 404 of the CDN does not end a job that fal still has."
)
@pytest.mark.parametrize(
    ("artifacts", "said", "error"),
    [
        (ARTIFACTS, Finished(REQUEST_ID, ARTIFACTS), errors.DownloadInterruptedError),
        ((), errors.FalUnavailableError("503"), errors.FalUnavailableError),
        ((), Running(REQUEST_ID, started=True), errors.FalUnavailableError),
        ((), Finished(REQUEST_ID, ()), errors.FalUnavailableError),
    ],
    ids=["404", "down", "running", "no file"],
)
def test_unreadable_result_is_read_later(
    world: World,
    artifacts: tuple[Artifact, ...],
    said: FalStatus | Exception,
    error: type[Exception],
) -> None:
    """A result that cannot be read now is read later."""
    job = storing(world, fact=said, artifacts=artifacts)
    world.source.failing = {"config.json": errors.ResultGoneError("404")}
    with pytest.raises(error):
        world.result_storer.store_result(job.job_id)
    waiting = world.job(job.job_id)
    assert (waiting.status, codes(waiting)) == (
        Status.STORING,
        ["result_not_copied"] if artifacts else [],
    )
    assert (world.results.text(job, "ERROR.txt") is None) == (artifacts == ())
    world.source.failing = {}
    world.fal.facts[REQUEST_ID] = Finished(REQUEST_ID, ARTIFACTS)
    assert world.result_storer.store_result(job.job_id).status is Status.SUCCEEDED


def failed_then_retried(world: World) -> Job:
    first = world.submit(world.drop(metadata={"trigger-phrase": "ada<b>"}))
    assert first.request_id
    world.fal_updates.receive(first.job_id, Failed(first.request_id, BAD_IMAGE))
    new = world.retry_service.retry(first.job_id, resume=False, by=ADA)
    world.work()
    return world.train(world.job(new.job_id))


def trained(world: World) -> Job:
    return world.train(world.submit(world.drop(metadata={"trigger-phrase": "ada<b>"})))


def trained_before(world: World) -> Job:
    trained(world)
    return world.submit(world.drop("portrait/copy.zip", metadata={"trigger-phrase": "ada<b>"}))


def without_checked_page(world: World) -> Job:
    job = world.submit(world.drop(metadata={"trigger-phrase": "ada<b>"}))
    world.results.remove(job.prefix + "report.html")
    return world.train(job)


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize(
    ("how", "says", "photos"),
    [
        (trained, "It cost ${usd:.2f}", True),
        (failed_then_retried, "It cost ${usd:.2f}", True),
        (trained_before, "Nothing was paid: the same was trained before, as ada-", True),
        (without_checked_page, "It cost ${usd:.2f}", False),
    ],
)
def test_result_page(busy: World, how: object, says: str, photos: bool) -> None:  # noqa: FBT001
    """Every job that has its LoRA has a report that says so: trigger phrase, use and cost."""
    job = how(busy)  # type: ignore[operator]
    page = busy.results.text(job, "report.html") or ""
    assert job.status is Status.SUCCEEDED
    usd = job.charge.usd if job.charge else 0
    assert says.format(usd=usd) in page
    assert "Ready to train" not in page
    assert "Trained: 1" in page
    assert "Trigger phrase: ada&lt;b&gt;" in page
    assert f"lora-drop download {job.job_id}" in page
    assert ('id="photos"' in page) is photos


def test_mistake_in_the_page_keeps_no_lora(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> str:
        raise KeyError("trigger_phrase")

    monkeypatch.setattr("lora_drop.services.result_page.result_page", broken)
    assert trained(world).status is Status.SUCCEEDED

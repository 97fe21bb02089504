"""A result that is not what its name says: asked for once more, kept, shown, and never passed off."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from lora_drop.fal.status import Failed, FalStatus, Finished, Gone
from lora_drop.jobs.artifacts import Artifact, Upload
from lora_drop.jobs.errors import DownloadInterruptedError, FalUnavailableError, ResultGoneError
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from lora_drop.results.copies import Label
from lora_drop.results.validation import MAX_JSON
from lora_drop.services.store import INVALID_STANDS
from tests.support.builders import ARTIFACTS, BAD_IMAGE, REQUEST_ID, make_job, make_weights
from tests.support.memory import MemoryFal
from tests.support.queue import codes
from tests.support.world import World

SIGNED = Artifact(
    name="lora.safetensors", url="https://v3.fal.media/files/a/lora.safetensors?token=5ec4e7#x"
)
HTML = b"<html>Service unavailable</html>"


@pytest.fixture
def html(world: World) -> None:
    """An error page in the place of the weights."""
    world.source.files["lora.safetensors"] = HTML


def storing(world: World, *, fact: FalStatus | Exception | None = None, **changes: object) -> Job:
    """A job whose result is old enough to be judged."""
    job = world.holds(make_job(Status.STORING, **changes))
    world.fal.facts[REQUEST_ID] = fact or Finished(REQUEST_ID, job.artifacts)
    world.clock.now = job.since + INVALID_STANDS
    return job


def asks(world: World, artifacts: tuple[Artifact, ...] | None, effect: Callable[[], object]) -> Job:
    """Store the one job while fal, when it is asked, answers so, after this effect."""

    class Asked(MemoryFal):
        def ask(self, application: str, request_id: str) -> FalStatus:
            assert application
            effect()
            return Gone(request_id) if artifacts is None else Finished(request_id, artifacts)

    [job] = world.jobs.rows.values()
    return replace(world.result_storer, fal=Asked()).store_result(job.job_id)


YAML = b"job: extension\nconfig:\n  process: []\n"


@pytest.mark.promise(
    "never lose a result",
    "A file that is no LoRA fails the job, and its bytes are kept under another name.",
)
@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize(
    ("files", "flaws", "end"),
    [
        ({"lora.safetensors": HTML}, ["weights_other_file"], Status.FAILED),
        ({"lora.safetensors": make_weights()[:-1]}, ["weights_tensors_cut"], Status.FAILED),
        ({"config.json": HTML}, ["json_unreadable"], Status.SUCCEEDED),
        ({"config.json": b""}, ["json_unreadable"], Status.SUCCEEDED),
        ({"config.json": YAML}, ["json_is_yaml"], Status.SUCCEEDED),
        (
            {"lora.safetensors": HTML, "config.json": HTML},
            ["weights_other_file", "json_unreadable"],
            Status.FAILED,
        ),
    ],
    ids=["an error page", "cut weights", "a page as configuration", "an empty one", "YAML", "both"],
)
def test_invalid_file_ends_job(
    world: World, files: dict[str, bytes], flaws: list[str], end: Status
) -> None:
    """A file that stays invalid is kept under another name and named; it fails the job where it is the LoRA."""
    world.source.files = dict(files)
    job = storing(world)
    valid = {"lora.safetensors": make_weights(), "config.json": b"{}"}
    stored = world.result_storer.store_result(job.job_id)

    assert stored.status is end
    known = {"lora.safetensors": "result_invalid", "config.json": "result_configuration_unreadable"}
    assert codes(stored) == [known[name] for name in files]
    assert [each.member for each in stored.problems] == list(files)
    for problem, flaw in zip(stored.problems, flaws, strict=True):
        assert flaw in problem.message
        assert ("can be used" in problem.message) == (end is Status.SUCCEEDED)
        assert (flaw in (world.results.text(job, "ERROR.txt") or "")) == (end is Status.FAILED)
    expected = {f"{name}.invalid": data for name, data in files.items()}
    expected |= {name: data for name, data in valid.items() if name not in files}
    assert {file.name for file in stored.files} == set(expected)
    for name in (*valid, *expected):
        assert world.results.files.get(job.prefix + name) == expected.get(name)
    assert world.fal.asked == [REQUEST_ID]


@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize(
    ("config", "kept"),
    [
        (YAML, YAML),
        (b"--- # flux\n" + YAML, b"--- # flux\n" + YAML),
        (b'"' + bytes(MAX_JSON), None),
    ],
    ids=["YAML", "a YAML document", "more than a megabyte"],
)
def test_configuration_of_another_form_delays_no_lora(
    world: World, config: bytes, kept: bytes | None
) -> None:
    """A LoRA is there at once beside a configuration that is no JSON, which is kept up to a megabyte."""
    world.source.files = {"config.json": config}
    job = storing(world)
    world.clock.now = job.since
    stored = world.result_storer.store_result(job.job_id)
    assert (stored.status, codes(stored)) == (Status.SUCCEEDED, ["result_configuration_unreadable"])
    assert world.results.files.get(job.prefix + "config.json.invalid") == kept
    assert stored.weights


@pytest.mark.promise("nothing leaks")
@pytest.mark.usefixtures("html")
def test_address_is_shown_without_token(world: World) -> None:
    """The address of an invalid file is shown without the token that opens it."""
    job = storing(world, artifacts=(SIGNED,))
    [problem] = world.result_storer.store_result(job.job_id).problems
    assert problem.message.endswith("https://v3.fal.media/files/a/lora.safetensors")
    assert "5ec4e7" not in (world.results.text(job, "ERROR.txt") or "")


@pytest.mark.usefixtures("html")
@pytest.mark.parametrize("minutes", [0, 29, 30])
def test_other_size_is_waited_for(world: World, minutes: int) -> None:
    """A file of another size than fal says is waited for, half an hour, before it is judged."""
    job = storing(world, artifacts=(SIGNED.model_copy(update={"size": len(make_weights())}),))
    world.clock.now = job.since + timedelta(minutes=minutes)
    if minutes < 30:
        with pytest.raises(DownloadInterruptedError, match="size"):
            world.result_storer.store_result(job.job_id)
        world.source.files.clear()
    stored = world.result_storer.store_result(job.job_id)
    assert stored.status is (Status.SUCCEEDED if minutes < 30 else Status.FAILED)
    assert codes(stored) == ([] if minutes < 30 else ["result_invalid"])
    assert world.results.files.get(job.prefix + KEPT) == (None if minutes < 30 else HTML)


MISSING = {"config.json": ResultGoneError("404")}
KEPT = "lora.safetensors.invalid"


@pytest.mark.usefixtures("html")
@pytest.mark.parametrize(
    ("fact", "failing", "error", "kept"),
    [
        (FalUnavailableError("503"), {}, FalUnavailableError, None),
        (None, MISSING, DownloadInterruptedError, HTML),
    ],
    ids=["fal is silent", "another file is missing"],
)
def test_invalid_file_waits_for_fal(
    world: World,
    fact: Exception | None,
    failing: dict[str, Exception],
    error: type[Exception],
    kept: bytes | None,
) -> None:
    """While fal cannot be asked, or still names a file that is missing, nothing is judged for good."""
    job = storing(world, fact=fact)
    world.source.failing = failing
    with pytest.raises(error, match=r"still names config\.json" if failing else "503"):
        world.result_storer.store_result(job.job_id)
    assert world.job(job.job_id).status is Status.STORING
    assert world.results.files.get(job.prefix + KEPT) == kept


def test_passing_404_ends_no_job(world: World) -> None:
    storing(world, artifacts=(SIGNED.model_copy(update={"size": len(make_weights())}),))
    world.source.failing = {"lora.safetensors": ResultGoneError("404")}
    assert asks(world, None, world.source.failing.clear).status is Status.SUCCEEDED


LOST = {"lora.safetensors": ResultGoneError("404")}


@pytest.mark.parametrize(
    ("before", "failing", "files", "fact", "end"),
    [
        (Status.STORING, {}, {}, None, Status.SUCCEEDED),
        (Status.STORING, LOST, {}, Gone(REQUEST_ID), Status.EXPIRED),
        (Status.STORING, {}, {"lora.safetensors": HTML}, None, Status.FAILED),
        (Status.STORING, LOST, {}, Failed(REQUEST_ID, BAD_IMAGE), Status.FAILED),
        (Status.FAILED, {}, {}, None, Status.FAILED),
    ],
    ids=["succeeded", "expired", "invalid", "failed", "ended elsewhere"],
)
def test_no_upload_outlives_its_job(
    world: World,
    before: Status,
    failing: dict[str, Exception],
    files: dict[str, bytes],
    fact: FalStatus | None,
    end: Status,
) -> None:
    upload_id = world.results.begin(make_job(before).prefix + "old.bin", Label("x", "y"))
    upload = Upload(name="old.bin", upload_id=upload_id, identity='"x"', size=10)
    job = world.holds(make_job(before, uploads=(upload,)))
    world.fal.facts[REQUEST_ID] = fact or Finished(REQUEST_ID, ARTIFACTS)
    world.source.failing, world.source.files = failing, files
    world.clock.now = job.since + INVALID_STANDS
    stored = world.store_twice(job)
    assert (stored.status, stored.uploads) == (end, () if before is Status.STORING else (upload,))
    assert world.results.uploads == {}

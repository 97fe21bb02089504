"""A dataset is checked for the trainer it names, and rejected for free where it cannot train; its reference."""

import json
from dataclasses import replace
from typing import Any

import pytest

from lora_drop.datasets.owner_metadata import worded
from lora_drop.fal.status import Failed
from lora_drop.jobs.events import StatusChange
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from tests.support.builders import ADA, BAD_IMAGE, JPEG, make_dataset
from tests.support.queue import codes
from tests.support.world import World

MASKS = {f"photo-{number:02}_mask.jpg": JPEG for number in range(9)}
REJECTED: dict[str, tuple[dict[str, Any], str]] = {
    "a JPEG image": ({"data": b"\xff\xd8\xff\xe0 and so on"}, "archive_invalid_format"),
    "empty": ({"data": b""}, "archive_empty"),
    "few photos": ({"images": 3}, "dataset_insufficient_images"),
    "text": ({"members": {"fake.jpg": b"I am a text, honestly"}}, "image_invalid_format"),
    "bad parameter": ({"training": {"steps": 0}}, "parameter_out_of_range"),
    "other parameter": ({"metadata": {"trigger-word": "ada"}}, "parameter_unknown"),
    "masks for photos": (
        {"training": {"trainer": "flux-lora-fast-training"}, "images": 9, "members": MASKS},
        "dataset_insufficient_images",
    ),
}


@pytest.mark.promise(
    "never pay for a dataset that cannot train",
    "A dataset that cannot train is rejected before fal hears of it, with what to do.",
)
@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize("case", [*REJECTED, "gone"])
def test_unusable_dataset_costs_nothing(world: World, case: str) -> None:
    """A dataset that cannot train is rejected with its problems and costs nothing."""
    drop, code = REJECTED.get(case, ({}, "dataset_missing"))
    dataset = world.drop(**drop) if case in REJECTED else make_dataset("portrait/gone.zip")
    job = world.submit(dataset)
    assert (Status.REJECTED, [code]) == (job.status, codes(job))
    assert world.submit(dataset) == job
    assert world.fal.posts == []
    status = json.loads(world.results.text(job, "status.json") or "")
    assert ("REJECTED", code) == (status["status"], status["problems"][0]["code"])
    text = world.results.text(job, "ERROR.txt") or ""
    assert "Nothing was paid." in text
    assert job.problems[0].message in text
    assert f"({code})" in text
    assert case != "a JPEG image" or case in text


@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize("mistake", [TypeError("ada.jpg"), KeyError("ada.jpg"), ValueError("x")])
def test_error_in_check_rejects_the_job(
    world: World, monkeypatch: pytest.MonkeyPatch, mistake: Exception
) -> None:
    """An error of our own in the check rejects the job; it does not stay open without end."""

    def broken(*_: object, **__: object) -> None:
        raise mistake

    monkeypatch.setattr("lora_drop.services.check.layout_of", broken)
    job = world.submit(world.drop())
    assert (job.status, codes(job)) == (Status.REJECTED, ["dataset_check_failed"])
    assert type(mistake).__name__ in job.problems[0].message
    assert "ada.jpg" not in job.problems[0].message
    assert world.fal.posts == []


def test_error_after_check_rejects_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    dataset = world.drop()
    replace = world.jobs.replace

    def broken(before: Job, after: Job, **more: Any) -> None:
        if after.status is Status.READY:
            raise ArithmeticError
        replace(before, after, **more)

    monkeypatch.setattr(world.jobs, "replace", broken)
    job = world.submit(dataset)
    assert (job.status, codes(job)) == (Status.REJECTED, ["dataset_check_failed"])
    assert "dataset_check_failed" in (world.results.text(job, "report.json") or "")


CAPTIONS = {f"photo-{number:02}.txt": b"a photo of ada" for number in range(12)}


def submitted(world: World, key: str = "a.zip", **how: Any) -> Job:
    """The job of a dataset, as far on as it goes at once."""
    job = world.submit(world.drop(key, **how))
    world.work()
    return world.job(job.job_id)


@pytest.mark.promise("interfaces stay")
def test_dataset_goes_to_the_named_trainer(busy: World) -> None:
    """A dataset goes to the trainer that it names, with that trainer's parameters."""
    said = {"trainer": "flux-2-trainer", "trigger_phrase": "ada", "steps": 700}
    job = submitted(busy, training=said)

    [(application, arguments, _)] = busy.fal.posts
    assert application == job.application == "fal-ai/flux-2-trainer"
    assert arguments == {
        "image_data_url": "https://datasets.example/a.zip?versionId=v1",
        "default_caption": "ada",
        "learning_rate": 0.00005,
        "steps": 700,
    }
    assert job.estimated_cost_usd == 4.48
    assert busy.job(job.job_id).status is Status.SUBMITTED


@pytest.mark.promise("never pay for a dataset that cannot train")
def test_missing_captions_are_refused_for_free(busy: World) -> None:
    """Missing captions are refused where fal would fail, and nothing is paid."""
    said = {"trainer": "z-image-trainer"}
    refused = submitted(busy, "bare.zip", training=said)
    mended = submitted(busy, "captioned.zip", training=said, members=CAPTIONS)
    assert (refused.status, codes(refused)) == (Status.REJECTED, ["caption_missing"])
    assert "default_caption" in (busy.results.text(refused, "ERROR.txt") or "")
    assert mended.parameters
    assert mended.parameters.trigger_phrase is None
    assert mended.application == "fal-ai/z-image-trainer"


def test_other_trainer_is_another_training(busy: World) -> None:
    krea = {"trigger-phrase": "ada", "trainer": "flux-krea-trainer"}
    first = busy.train(submitted(busy, "one.zip", metadata={"trigger-phrase": "ada"}))
    other = busy.train(submitted(busy, "two.zip", metadata=krea))
    again = submitted(busy, "three.zip", metadata=krea)
    assert other.duplicate_of is None
    assert (again.duplicate_of, again.application) == (other.job_id, "fal-ai/flux-krea-trainer")
    assert first.application != again.application
    assert len(busy.fal.posts) == 2


@pytest.mark.promise("nothing leaks")
def test_reference_is_kept_and_not_sent(busy: World) -> None:
    """An owner's reference is in the job and its files, and neither in what fal gets nor in an event."""
    job = busy.submit(busy.drop(metadata={"reference": " order 4711 "}))
    status = json.loads(busy.results.text(job, "status.json") or "")
    assert (job.reference, status["reference"]) == ("order 4711", "order 4711")
    assert "4711" not in str(busy.fal.posts)
    assert "4711" not in StatusChange.of(job, bucket="models").model_dump_json()
    assert job.request_id
    busy.fal_updates.receive(job.job_id, Failed(job.request_id, BAD_IMAGE))
    new = busy.retry_service.retry(job.job_id, resume=False, by=ADA)
    busy.work()
    story = json.loads(busy.results.text(busy.train(new), "job.json") or "")
    assert story["reference"] == "order 4711"


@pytest.mark.parametrize(
    ("text", "status", "kept"),
    [
        ("a" * 200, Status.SUBMITTED, "a" * 200),
        ("a" * 201, Status.REJECTED, None),
        ("two\nlines", Status.REJECTED, None),
        ("  ", Status.SUBMITTED, None),
        ("Zoë / 12", Status.SUBMITTED, "Zoë / 12"),
        ("=?utf-8?q?Zo=C3=AB?=", Status.SUBMITTED, "Zoë"),
        (worded("注文 " * 60), Status.SUBMITTED, ("注文 " * 60).strip()),
    ],
)
def test_reference_is_bounded(busy: World, text: str, status: Status, kept: str | None) -> None:
    job = busy.submit(busy.drop(metadata={"reference": text}))
    assert (job.status, job.reference) == (status, kept)


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("said", [{"reference": "order 4711"}, {}])
def test_events_have_the_reference_where_the_stack_says_so(
    world: World, said: dict[str, str]
) -> None:
    """An event has the owner's reference only from a stack that is set so, and no field for it otherwise."""
    record = replace(world.record, reference_in_events=bool(said))
    dataset = world.drop(metadata={"reference": "order 4711"})
    dispatcher = replace(world.dispatcher, record=record)
    replace(world.submitter, record=record, dispatcher=dispatcher).submit_dataset(dataset)
    first = world.events.changes[0].model_dump(mode="json")
    assert {name: first[name] for name in first if name == "reference"} == said


@pytest.mark.parametrize("setting", ["warn", "refuse"])
def test_misspelled_folder_is_refused_where_the_stack_says_so(world: World, setting: str) -> None:
    refuse = setting == "refuse"
    checker = replace(world.submitter.checker, refuse_misspelled_folder=refuse)
    dataset = world.drop(key="portait/ada.zip")
    job = replace(world.submitter, checker=checker).submit_dataset(dataset).job
    code = "parameter_preset_misspelled" if refuse else "parameter_preset_unlike"
    assert job.status is (Status.REJECTED if refuse else Status.SUBMITTED)
    assert code in (world.results.text(job, "report.json") or "")
    assert len(world.fal.posts) == (0 if refuse else 1)

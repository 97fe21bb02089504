import json
from typing import Any

import pytest

from lora_drop.jobs.errors import NotSubmittedError
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from tests.support.builders import make_dataset
from tests.support.world import World

REJECTED: dict[str, tuple[dict[str, Any], str]] = {
    "no ZIP": ({"data": b"hello"}, "archive_invalid_format"),
    "empty": ({"data": b""}, "archive_empty"),
    "few photos": ({"images": 3}, "dataset_insufficient_images"),
    "text": ({"members": {"fake.jpg": b"I am a text, honestly"}}, "image_invalid_format"),
    "bad parameter": ({"training": {"steps": 0}}, "parameter_out_of_range"),
    "other parameter": ({"metadata": {"trigger-word": "ada"}}, "parameter_unknown"),
}


@pytest.mark.parametrize("case", REJECTED)
def test_a_dataset_that_cannot_train_is_told_and_costs_nothing(world: World, case: str) -> None:
    drop, code = REJECTED[case]

    job = world.submit(world.drop(**drop))

    assert (Status.REJECTED, [code]) == (job.status, [problem.code for problem in job.problems])
    assert world.fal.posts == []
    status = json.loads(world.results.text(job, "status.json") or "")
    assert ("REJECTED", code) == (status["status"], status["problems"][0]["code"])
    told = world.results.text(job, "ERROR.txt") or ""
    assert "Nothing was paid." in told
    assert job.problems[0].message in told
    assert f"({code})" in told


def test_a_rejected_dataset_stays_rejected_when_its_event_comes_again(world: World) -> None:
    dataset = world.drop(images=3)

    first = world.submit(dataset)
    again = world.submit(dataset)

    assert first == again


def test_a_dataset_that_is_gone_is_rejected(world: World) -> None:
    job = world.submit(make_dataset("portrait/gone.zip"))

    assert (job.status, job.problems[0].code) == (Status.REJECTED, "dataset_missing")
    assert world.fal.posts == []


def test_a_dataset_that_is_deleted_while_it_waits_is_cancelled_for_free(world: World) -> None:
    dataset = world.drop()
    world.answer(NotSubmittedError("no connection"))
    world.submit(dataset)
    world.fal.posts.clear()
    world.datasets.objects.clear()

    job = world.submit(dataset)

    assert (job.status, job.problems[0].code) == (Status.CANCELLED, "dataset_missing")
    assert world.fal.posts == []


def test_a_file_that_is_no_zip_is_told_what_it_is(world: World) -> None:
    job = world.submit(world.drop("portrait/ada.jpg", data=b"\xff\xd8\xff\xe0 and so on"))

    assert "a JPEG image" in job.problems[0].message


@pytest.mark.parametrize("mistake", [TypeError("ada.jpg"), KeyError("ada.jpg"), ValueError("x")])
def test_a_mistake_in_the_check_is_a_verdict_and_not_a_job_without_end(
    world: World, monkeypatch: pytest.MonkeyPatch, mistake: Exception
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise mistake

    monkeypatch.setattr("lora_drop.services.check.layout_of", broken)

    job = world.submit(world.drop())

    [problem] = job.problems
    assert (job.status, problem.code) == (Status.REJECTED, "dataset_check_failed")
    assert type(mistake).__name__ in problem.message
    assert "ada.jpg" not in problem.message
    assert world.fal.posts == []


def test_a_mistake_of_ours_after_the_check_is_a_verdict_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = World()
    dataset = world.drop()
    replace = world.jobs.replace

    def broken(before: Job, after: Job, **more: Any) -> None:
        if after.status is Status.READY:
            raise ArithmeticError
        replace(before, after, **more)

    monkeypatch.setattr(world.jobs, "replace", broken)

    job = world.submit(dataset)

    assert (job.status, [each.code for each in job.problems]) == (
        Status.REJECTED,
        ["dataset_check_failed"],
    )
    assert "dataset_check_failed" in (world.results.text(job, "report.json") or "")

"""An owner's own reference: kept with the job, shown, and never sent to fal."""

import json
from dataclasses import replace

import pytest

from lora_drop.datasets.parameter_layers import worded
from lora_drop.fal.status import Failed
from lora_drop.jobs.events import StatusChange
from lora_drop.jobs.status import Status
from tests.support.builders import ADA, BAD_IMAGE
from tests.support.world import World


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


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("said", [{"reference": "order 4711"}, {}])
def test_events_have_the_reference_where_the_stack_says_so(
    world: World, said: dict[str, str]
) -> None:
    """An event has the owner's reference only from a stack that is set so, and no field for it otherwise."""
    record = replace(world.record, reference_in_events=bool(said))
    dataset = world.drop(metadata={"reference": "order 4711"})
    replace(world.submitter, record=record).submit_dataset(dataset)
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

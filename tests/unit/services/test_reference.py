"""An owner's own reference: kept with the job, shown, and never sent to fal."""

import json

import pytest

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


@pytest.mark.parametrize(
    ("text", "status", "kept"),
    [
        ("a" * 200, Status.SUBMITTED, "a" * 200),
        ("a" * 201, Status.REJECTED, None),
        ("two\nlines", Status.REJECTED, None),
        ("  ", Status.SUBMITTED, None),
        ("Zoë / 12", Status.SUBMITTED, "Zoë / 12"),
    ],
)
def test_reference_is_bounded(busy: World, text: str, status: Status, kept: str | None) -> None:
    job = busy.submit(busy.drop(metadata={"reference": text}))
    assert (job.status, job.reference) == (status, kept)

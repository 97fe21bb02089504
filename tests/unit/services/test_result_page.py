"""The report of a job that has its LoRA is its result page; a retry has one too."""

import pytest

from lora_drop.fal.status import Failed
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from tests.support.builders import ADA, BAD_IMAGE
from tests.support.world import World


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

"""A dataset's own address for its job's changes: kept with the job, sent nowhere, and only where the stack allows it."""

import pytest

from lora_drop.jobs.status import Status
from tests.support.world import World

OWN = "https://ada.customer.example/hook?key=private"


@pytest.mark.promise("nothing leaks")
@pytest.mark.parametrize("name", ["notify-url", "notify_url"])
def test_own_address_is_kept_private(name: str) -> None:
    """A dataset's own address is kept with the job and its retries, and is in no event, no file and no request to fal."""
    world = World()
    job = world.submit(world.drop(metadata={name: OWN}))
    ended = world.holds(world.job(job.job_id).move(Status.FAILED, now=world.clock()))
    again = world.retry_service.retry(ended.job_id, resume=False, by="ada")
    duplicate = world.submit(world.drop("portrait/bob.zip", metadata={name: OWN}))

    assert [each.notify_url for each in (job, again, duplicate)] == [OWN] * 3
    assert "customer.example" not in str(world.fal.posts) + str(world.events.changes)
    assert "customer.example" not in str(world.results.files)


REFUSED = [
    *("http://ada.customer.example/", "https://customer.example.evil/", "https://127.0.0.1/"),
    *("https://a@customer.example/", "https://customer.example:8443/", "ftp://customer.example/", "hook"),
    *(f"https://customer.example/{'x' * 500}", "https://customer.example\\@evil/", "https://other.example/"),
]  # fmt: skip


@pytest.mark.parametrize("url", REFUSED)
def test_other_address_refuses_the_dataset(url: str) -> None:
    """Nothing is paid for a dataset whose changes could not be sent where it wants them."""
    world = World()
    job = world.submit(world.drop(metadata={"notify-url": url}))
    assert (job.status, job.notify_url) == (Status.REJECTED, None)
    assert [problem.code for problem in job.problems] == ["parameter_address_not_allowed"]
    assert world.fal.posts == []


def test_address_is_no_parameter_of_training_json() -> None:
    """A ZIP is passed on, and an address in it would go along."""
    world = World()
    job = world.submit(world.drop(training={"notify_url": OWN}))
    assert [problem.code for problem in job.problems] == ["parameter_unknown"]

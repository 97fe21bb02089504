"""What others hear of a job's changes: whoever makes a change tells it at once, in its own right."""

from lora_drop.jobs.job import Status
from tests.security.iam.datasets_come_in import delivered, known_path
from tests.security.iam.harness import Harness, scenario
from tests.security.iam.results_go_out import later, stored
from tests.support.builders import make_job, webhook_body


@scenario
def a_new_dataset_is_told_by_whoever_took_it_in(harness: Harness) -> None:
    """From its coming to its submission."""
    assert harness.submitted().status is Status.SUBMITTED

    assert untold(harness) == {}


@scenario
def a_delivery_is_told_by_whoever_took_it_in(harness: Harness) -> None:
    """The result is there, and others hear of it."""
    harness.environment.add_job(make_job(Status.SUBMITTED))
    delivered(harness, known_path(), webhook_body())

    assert untold(harness) == {}


@scenario
def a_stored_result_is_told_by_whoever_stored_it(harness: Harness) -> None:
    """The event that most wait for."""
    harness.environment.add_job(make_job(Status.STORING))
    stored(harness)

    assert untold(harness) == {}


@scenario
def what_a_person_decides_is_told_by_whoever_took_the_order(harness: Harness) -> None:
    """A job that is stopped is one that has ended."""
    job = harness.environment.add_job(make_job(Status.READY))
    harness.asked("POST", f"/jobs/{job.job_id}/cancel")

    assert untold(harness) == {}


@scenario
def what_nobody_could_tell_is_told_by_the_round(harness: Harness) -> None:
    """Whoever made the change has died right after it."""
    job = harness.environment.add_job(make_job(Status.SUBMITTED))
    assert untold(harness) == {job.job_id: job.version}
    later(harness)

    assert untold(harness) == {}


def untold(harness: Harness) -> dict[str, int]:
    """What is in the outbox: whoever may not tell leaves it there."""
    return dict(harness.environment.jobs.outbox())

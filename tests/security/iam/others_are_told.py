"""What others hear of a job's changes: whoever makes a change tells it at once, in its own right."""

from lora_drop.jobs.status import Status
from tests.security.iam.datasets_come_in import delivered, known_path
from tests.security.iam.results_go_out import later, stored
from tests.security.iam.stage import Stage, scenario
from tests.support.builders import make_job, webhook_body


@scenario
def a_new_dataset_is_told_by_whoever_took_it_in(stage: Stage) -> None:
    """From its coming to its submission."""
    assert stage.submitted().status is Status.SUBMITTED

    assert untold(stage) == {}


@scenario
def a_delivery_is_told_by_whoever_took_it_in(stage: Stage) -> None:
    """The result is there, and others hear of it."""
    stage.house.holds(make_job(Status.SUBMITTED))
    delivered(stage, known_path(), webhook_body())

    assert untold(stage) == {}


@scenario
def a_stored_result_is_told_by_whoever_stored_it(stage: Stage) -> None:
    """The event that most wait for."""
    stage.house.holds(make_job(Status.STORING))
    stored(stage)

    assert untold(stage) == {}


@scenario
def what_a_person_decides_is_told_by_whoever_took_the_order(stage: Stage) -> None:
    """A job that is stopped is one that has ended."""
    job = stage.house.holds(make_job(Status.READY))
    stage.asked("POST", f"/jobs/{job.job_id}/cancel")

    assert untold(stage) == {}


@scenario
def what_nobody_could_tell_is_told_by_the_round(stage: Stage) -> None:
    """Whoever made the change has died right after it."""
    job = stage.house.holds(make_job(Status.SUBMITTED))
    assert untold(stage) == {job.job_id: job.version}
    later(stage)

    assert untold(stage) == {}


def untold(stage: Stage) -> dict[str, int]:
    """What is in the outbox: whoever may not tell leaves it there."""
    return dict(stage.house.jobs.outbox())

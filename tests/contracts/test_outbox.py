"""A change of state is in the outbox by the very write that makes it, until it is told."""

from lora_drop.jobs.status import Status
from lora_drop.ports import JobStore
from tests.contracts.kept import moved, waiting
from tests.support.builders import NOW, make_job


def test_a_new_job_is_in_the_outbox(jobs: JobStore) -> None:
    job = make_job()

    jobs.add(job)
    again = jobs.add(job)

    assert (jobs.outbox(), again) == ({job.job_id: job.version}, False)


def test_each_change_of_state_takes_the_place_of_the_one_before(jobs: JobStore) -> None:
    job = waiting(jobs, 1)

    after = moved(jobs, job, Status.SUBMITTING, Status.SUBMITTED)

    assert jobs.outbox() == {job.job_id: after.version}


def test_a_write_that_leaves_the_state_is_nothing_to_tell(jobs: JobStore) -> None:
    job = waiting(jobs, 1)
    jobs.mark_published(job.job_id, job.version)

    jobs.replace(job, job.model_copy(update={"version": job.version + 1, "images": 7}))

    assert jobs.outbox() == {}


def test_what_is_told_is_out_and_may_be_told_again(jobs: JobStore) -> None:
    first, second = waiting(jobs, 1), waiting(jobs, 2)

    jobs.mark_published(first.job_id, first.version)
    jobs.mark_published(first.job_id, first.version)

    assert jobs.outbox() == {second.job_id: second.version}


def test_whoever_tells_a_later_version_has_told_the_change(jobs: JobStore) -> None:
    job = waiting(jobs, 1)

    jobs.mark_published(job.job_id, job.version + 3)

    assert jobs.outbox() == {}


def test_whoever_tells_an_older_state_leaves_the_newer_one(jobs: JobStore) -> None:
    job = waiting(jobs, 1)
    held = job.move(Status.HELD, now=NOW)
    jobs.replace(job, held)

    jobs.mark_published(job.job_id, job.version)

    assert jobs.outbox() == {job.job_id: held.version}

import pytest

from shared.domain.errors import Conflict, ForeignRequest, UnknownJob
from shared.domain.facts import Fact, Failed, Finished, Gone, Running, failed
from shared.domain.jobs import TRANSITIONS, Job, Status
from shared.domain.problems import Problem
from tests.builders import ARTIFACTS, REQUEST_ID, make_job
from tests.memory_jobs import MemoryJobs
from tests.world import World

OTHER_REQUEST = "019d9e0b-6eb0-7920-8000-000000000000"
PROBLEM = Problem(code="fal_image_load_error", message="One of the images cannot be read.")
WAITING = Running(REQUEST_ID, started=False)
STARTED = Running(REQUEST_ID, started=True)
FINISHED = Finished(REQUEST_ID, ARTIFACTS)
FAILED = Failed(REQUEST_ID, PROBLEM)
GONE = Gone(REQUEST_ID)
FACTS: dict[str, Fact] = {
    "waiting": WAITING,
    "started": STARTED,
    "finished": FINISHED,
    "failed": FAILED,
    "gone": GONE,
}
# What each fact makes of a job that is at fal.
CONSEQUENCES = [
    (Status.SUBMITTED, "waiting", Status.SUBMITTED),
    (Status.SUBMITTED, "started", Status.TRAINING),
    (Status.SUBMITTED, "finished", Status.STORING),
    (Status.SUBMITTED, "failed", Status.FAILED),
    (Status.SUBMITTED, "gone", Status.EXPIRED),
    (Status.TRAINING, "waiting", Status.TRAINING),
    (Status.TRAINING, "started", Status.TRAINING),
    (Status.TRAINING, "finished", Status.STORING),
    (Status.TRAINING, "failed", Status.FAILED),
    (Status.TRAINING, "gone", Status.EXPIRED),
    (Status.STORING, "waiting", Status.STORING),
    (Status.STORING, "started", Status.STORING),
    (Status.STORING, "finished", Status.STORING),
    (Status.STORING, "failed", Status.STORING),
    (Status.STORING, "gone", Status.STORING),
]


@pytest.mark.parametrize(("status", "fact", "after"), CONSEQUENCES)
def test_a_fact_moves_a_job_that_is_at_fal_forwards_or_not_at_all(
    world: World, status: Status, fact: str, after: Status
) -> None:
    job = world.holds(make_job(status))

    received = world.receiver.receive(job.job_id, FACTS[fact])

    assert received.status is after
    assert received == world.job(job.job_id)


@pytest.mark.parametrize(
    ("status", "fact"),
    [
        (status, fact)
        for status in Status
        for fact in FACTS
        if status.terminal and (status, fact) != (Status.EXPIRED, "finished")  # see below
    ],
)
def test_what_has_ended_stays_as_it_ended(world: World, status: Status, fact: str) -> None:
    job = world.holds(make_job(status))

    received = world.receiver.receive(job.job_id, FACTS[fact])

    assert received == world.job(job.job_id) == job
    assert world.queue.handed == []


def test_a_result_that_comes_after_all_is_kept_because_it_was_paid_for(world: World) -> None:
    job = world.holds(make_job(Status.EXPIRED))

    received = world.receiver.receive(job.job_id, FINISHED)

    assert (received.status, received.problems) == (Status.STORING, ())
    assert world.queue.handed == [job.job_id]
    assert world.keeper.store_result(job.job_id).status is Status.SUCCEEDED


def test_a_late_success_without_files_brings_nothing_back(world: World) -> None:
    job = world.holds(make_job(Status.EXPIRED))

    received = world.receiver.receive(job.job_id, Finished(REQUEST_ID, ()))

    assert received == job


def test_a_request_that_somebody_cancelled_at_fal_is_cancelled(world: World) -> None:
    job = world.holds(make_job(Status.TRAINING))
    detail = {"detail": "Request was cancelled", "error_type": "client_cancelled"}

    received = world.receiver.receive(job.job_id, failed(REQUEST_ID, "cancelled", detail))

    assert received.status is Status.CANCELLED


def test_a_result_is_handed_over_with_its_files(world: World) -> None:
    job = world.holds(make_job(Status.SUBMITTED))

    received = world.receiver.receive(job.job_id, FINISHED)

    assert received.artifacts == ARTIFACTS
    assert world.queue.handed == [job.job_id]


def test_the_same_result_again_changes_nothing_but_is_handed_over_again(world: World) -> None:
    job = world.holds(make_job(Status.SUBMITTED))

    first = world.receiver.receive(job.job_id, FINISHED)
    again = world.receiver.receive(job.job_id, FINISHED)

    assert first == again
    assert world.queue.handed == [job.job_id, job.job_id]


def test_a_failure_is_told_with_fals_reason(world: World) -> None:
    job = world.holds(make_job(Status.TRAINING))

    received = world.receiver.receive(job.job_id, FAILED)

    assert received.problems == (PROBLEM,)
    assert PROBLEM.message in (world.results.text(job, "ERROR.txt") or "")


def test_a_result_that_fal_no_longer_keeps_is_told(world: World) -> None:
    job = world.holds(make_job(Status.SUBMITTED))

    received = world.receiver.receive(job.job_id, GONE)

    assert [problem.code for problem in received.problems] == ["result_expired"]
    assert "no longer" in (world.results.text(job, "ERROR.txt") or "")


def test_facts_in_any_order_end_where_the_final_one_says(world: World) -> None:
    job = world.holds(make_job(Status.SUBMITTED))

    for fact in (STARTED, WAITING, FINISHED, STARTED, GONE, FAILED, WAITING, FINISHED):
        world.receiver.receive(job.job_id, fact)

    assert [step.status for step in world.job(job.job_id).history[-2:]] == [
        Status.TRAINING,
        Status.STORING,
    ]


def test_an_unknown_job_is_told_as_such(world: World) -> None:
    with pytest.raises(UnknownJob):
        world.receiver.receive("ada-0000000000", FINISHED)


AT_FAL = [Status.SUBMITTED, Status.TRAINING, Status.STORING]
NEVER_SENT = [Status.RECEIVED, Status.READY, Status.HELD]


@pytest.mark.parametrize("status", [*AT_FAL, *NEVER_SENT])
def test_another_jobs_request_is_refused(world: World, status: Status) -> None:
    job = world.holds(make_job(status))

    with pytest.raises(ForeignRequest):
        world.receiver.receive(job.job_id, Finished(OTHER_REQUEST, ARTIFACTS))

    assert world.job(job.job_id) == job
    assert world.queue.handed == []


@pytest.mark.parametrize("status", [Status.SUBMITTING, Status.SUBMIT_UNKNOWN])
@pytest.mark.parametrize(
    ("fact", "after"),
    [
        ("waiting", Status.SUBMITTED),
        ("started", Status.TRAINING),
        ("finished", Status.STORING),
        ("failed", Status.FAILED),
        ("gone", Status.EXPIRED),
    ],
)
def test_a_job_whose_submission_was_never_answered_adopts_its_request(
    world: World, status: Status, fact: str, after: Status
) -> None:
    job = world.holds(make_job(status))

    received = world.receiver.receive(job.job_id, FACTS[fact])

    assert (received.status, received.request_id) == (after, REQUEST_ID)
    assert Status.SUBMITTED in [step.status for step in received.history]
    assert received == world.job(job.job_id)


def test_an_adopted_request_keeps_others_out(world: World) -> None:
    job = world.holds(make_job(Status.SUBMIT_UNKNOWN))
    world.receiver.receive(job.job_id, STARTED)

    with pytest.raises(ForeignRequest):
        world.receiver.receive(job.job_id, Finished(OTHER_REQUEST, ARTIFACTS))


def test_the_alarm_about_a_doubtful_submission_ends_with_the_evidence(world: World) -> None:
    job = world.holds(make_job(Status.SUBMIT_UNKNOWN))
    world.record.publish(job)

    received = world.receiver.receive(job.job_id, WAITING)

    assert received.problems == ()
    assert world.results.text(job, "ERROR.txt") is None


def test_a_write_that_somebody_else_overtook_is_told_and_nothing_is_handed_over(
    world: World,
) -> None:
    class Overtaken(MemoryJobs):
        def replace(self, before: Job, after: Job, **_: object) -> None:
            raise Conflict(f"{before.job_id} {after.status}")

    job = world.holds(make_job(Status.SUBMITTED))
    world.jobs = Overtaken(world.jobs.rows)

    with pytest.raises(Conflict):
        world.receiver.receive(job.job_id, FINISHED)

    assert world.queue.handed == []


def test_no_fact_leads_where_the_table_has_no_move(world: World) -> None:
    for status in Status:
        for fact in FACTS.values():
            job = world.holds(make_job(status))
            try:
                received = world.receiver.receive(job.job_id, fact)
            except ForeignRequest:
                continue
            for earlier, later in zip(received.history, received.history[1:], strict=False):
                assert later.status in TRANSITIONS[earlier.status]

"""A person stops a job, settles a submission in doubt, or lets a held job go on."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from lora_drop.fal.status import Failed, FalStatus, Finished, Gone, Running, failed
from lora_drop.jobs import errors
from lora_drop.jobs.budget import Charge
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from tests.support.builders import ADA, ARTIFACTS, BAD_IMAGE, NOW, REQUEST_ID, make_job
from tests.support.memory_jobs import MemoryJobs
from tests.support.queue import codes
from tests.support.world import World

STOPPED = failed(REQUEST_ID, "cancelled", {"detail": "stopped", "error_type": "client_cancelled"})


@pytest.mark.promise("it can be operated")
@pytest.mark.parametrize("status", [Status.RECEIVED, Status.READY, Status.HELD])
def test_unsent_job_is_cancelled_for_free(world: World, status: Status) -> None:
    """A job that is not at fal is cancelled for free, under the person's name, without an error."""
    job = world.holds(make_job(status))
    world.record.publish_files(job)
    cancelled = world.manual_actions.cancel(job.job_id, by=ADA)
    assert (cancelled.status, cancelled.history[-1].by) == (Status.CANCELLED, ADA)
    assert (codes(cancelled), cancelled.charges) == (["cancelled_by_person"], ())
    assert cancelled == world.job(job.job_id)
    assert world.fal.cancelled == []
    assert world.results.text(job, "ERROR.txt") is None


@pytest.mark.promise(
    "it can be operated",
    "A person stops a training, and fal is asked to cancel exactly its request.",
)
@pytest.mark.promise("never get stuck")
@pytest.mark.parametrize("status", [Status.SUBMITTED, Status.TRAINING])
def test_fal_is_asked_to_stop(world: World, status: Status) -> None:
    """fal is asked to stop a training, what it makes of it counts, and the slot is handed on."""
    job = world.holds(make_job(status))
    waiting = world.holds(make_job(Status.READY, job_id="next-1"))
    world.fal.facts[REQUEST_ID] = STOPPED
    cancelled = world.manual_actions.cancel(job.job_id, by=ADA)
    assert world.fal.cancelled == [REQUEST_ID]
    assert (cancelled.status, codes(cancelled)) == (Status.CANCELLED, ["cancelled_by_person"])
    # fal does not say that a training it has begun is free.
    assert [charge.state for charge in cancelled.charges] == ["wasted"]
    assert world.queue.datasets == [waiting.dataset]


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize(
    ("status", "ran", "units", "state"),
    [
        (Status.SUBMITTED, False, None, "free"),
        (Status.SUBMITTED, True, None, "wasted"),  # it may have begun before fal stopped it
        (Status.TRAINING, False, None, "wasted"),  # fal had said that it had begun
        (Status.SUBMITTED, False, "5", "wasted"),  # what was billed is known
        (Status.SUBMITTED, True, "0", "free"),
    ],
)
def test_what_fal_never_began_is_not_paid_for(
    world: World, status: Status, *, ran: bool, units: str | None, state: str
) -> None:
    """A cancelled training that fal never began counts as free; a webhook alone does not settle that."""
    charge = Charge.reserve(3.6, now=NOW)
    job = world.holds(make_job(status, charge=charge, cancel_by=ADA))
    stopped = {"detail": "stopped", "error_type": "client_cancelled"}
    fact = failed(REQUEST_ID, "x", stopped, billable_units=units, ran=ran)
    by_webhook = world.fal_updates.receive(job.job_id, failed(REQUEST_ID, "x", stopped))
    assert by_webhook.status is (status if status is Status.SUBMITTED else Status.CANCELLED)
    ended = world.fal_updates.receive(job.job_id, fact, asked=True)
    assert (ended.status, ended.history[-1].by) == (Status.CANCELLED, ADA)
    assert [each.state for each in ended.charges] == [state]
    assert ("does not bill" in ended.problems[0].message) == (state == "free")


@pytest.mark.parametrize("started", [False, True])
def test_unfinished_cancel_is_shown(world: World, *, started: bool) -> None:
    """Until fal has stopped it, the job says that it was asked; the reconciler learns the end."""
    job = world.holds(make_job(Status.SUBMITTED))
    world.fal.facts[REQUEST_ID] = Running(REQUEST_ID, started=started)
    asked = [world.manual_actions.cancel(job.job_id, by=ADA) for _ in range(3)][-1]
    assert asked.status is (Status.TRAINING if started else Status.SUBMITTED)
    assert world.fal.cancelled == [REQUEST_ID] * 3
    assert codes(asked) == ["cancel_requested"]
    assert "cancel_requested" in (world.results.text(job, "status.json") or "")
    assert world.results.text(job, "ERROR.txt") is None
    stopped = {"detail": "stopped", "error_type": "client_cancelled"}
    world.fal.facts[REQUEST_ID] = failed(REQUEST_ID, "x", stopped, billable_units="0")
    world.clock.now = NOW + timedelta(minutes=10)
    world.reconciler.reconcile()
    ended = world.job(job.job_id)
    assert (ended.status, ended.history[-1].by) == (Status.CANCELLED, ADA)
    assert codes(ended) == ["cancelled_by_person"]
    for part in ("lora-drop retry", "fal does not bill it"):
        assert part in ended.problems[0].message


@pytest.mark.promise("never lose a result", "A training that ended all the same is kept.")
@pytest.mark.parametrize(
    ("over", "fact", "end"),
    [
        (False, Finished(REQUEST_ID, ARTIFACTS), Status.STORING),
        (True, Finished(REQUEST_ID, ARTIFACTS), Status.STORING),
        (True, Failed(REQUEST_ID, BAD_IMAGE), Status.FAILED),
        (True, Gone(REQUEST_ID), Status.TRAINING),
    ],
    ids=["too late", "over", "failed", "quick denials"],
)
def test_ended_training_counts(world: World, fact: FalStatus, end: Status, *, over: bool) -> None:
    """A training that was over ends as it has ended, and is not shown as being stopped."""
    job = world.holds(make_job(Status.TRAINING))
    world.fal.over = over
    world.fal.facts[REQUEST_ID] = errors.FalUnavailableError("down")
    if over:
        with pytest.raises(errors.FalUnavailableError):
            world.manual_actions.cancel(job.job_id, by=ADA)
        assert world.job(job.job_id) == job
    world.fal.facts[REQUEST_ID] = fact
    times = 2 if isinstance(fact, Gone) else 1
    ended = [world.manual_actions.cancel(job.job_id, by=ADA) for _ in range(times)][-1]
    assert ended.status is end
    assert "cancel_requested" not in codes(ended)
    assert world.queue.handed == [job.job_id] * (end is Status.STORING)


WHY_NOT = {
    Status.SUBMITTING: "this very moment",
    Status.SUBMIT_UNKNOWN: "lora-drop resolve ada-486fb2366b",
    Status.STORING: "trained and paid",
    **{status: f"has ended: {status}" for status in Status if status.terminal},
}


OPEN = {
    "cancel": {status for status in Status if status not in WHY_NOT},
    "approve": {Status.HELD},
    "accepted": {Status.SUBMIT_UNKNOWN},
    "not_submitted": {Status.SUBMIT_UNKNOWN},
}


@pytest.mark.parametrize("status", list(Status))
@pytest.mark.parametrize("action", OPEN)
def test_closed_decision_says_why(world: World, status: Status, action: str) -> None:
    """A job that cannot be stopped, settled or approved now stays as it is, and says why."""
    job = world.holds(make_job(status))
    act, more = getattr(world.manual_actions, action), ["another"] * (action == "accepted")
    with pytest.raises(errors.JobNotFoundError):
        act("unknown", *more, by=ADA)
    if status in OPEN[action]:
        return
    with pytest.raises(errors.ActionNotAllowedError) as refused:
        act(job.job_id, *more, by=ADA)
    assert (WHY_NOT[status] if action == "cancel" else status) in str(refused.value)
    assert (world.job(job.job_id), world.fal.cancelled) == (job, [])


@pytest.mark.promise("never pay twice")
def test_job_being_sent_is_not_cancelled(world: World) -> None:
    """A job that is sent in this very moment is not taken for cancelled."""
    job = world.holds(make_job(Status.READY))

    class Slow(MemoryJobs):
        """The submitter comes between the reading and the writing."""

        def get(self, job_id: str) -> Job | None:
            found = super().get(job_id)
            if found and found.status is Status.READY:
                self.rows[job_id] = found.move(Status.SUBMITTING, now=NOW)
            return found

    world.jobs = Slow(world.jobs.rows)
    with pytest.raises(errors.ConflictError):
        world.manual_actions.cancel(job.job_id, by=ADA)

    assert world.job(job.job_id).status is Status.SUBMITTING


@pytest.fixture
def doubtful(world: World) -> Job:
    """A job whose answer was lost ten minutes ago."""
    job = world.holds(make_job(Status.SUBMIT_UNKNOWN))
    world.clock.now = NOW + timedelta(minutes=10)
    return job


@pytest.mark.promise(
    "never pay twice",
    "A submission that was not answered is found in fal's own list of requests and not paid again.",
)
@pytest.mark.promise("never lose a result")
@pytest.mark.parametrize(
    ("said", "after"),
    [
        (Finished(REQUEST_ID, ARTIFACTS), Status.STORING),
        (Running(REQUEST_ID, started=True), Status.TRAINING),
    ],
    ids=["finished", "running"],
)
def test_only_listed_request_is_adopted(
    world: World, doubtful: Job, said: FalStatus, after: Status
) -> None:
    """The one request of fal's list, from an hour before the intent, is adopted and asked about."""
    world.fal.known = [REQUEST_ID]
    world.fal.facts[REQUEST_ID] = said
    tally = world.reconciler.reconcile()
    job = world.job(doubtful.job_id)
    assert (job.status, job.request_id) == (after, REQUEST_ID)
    assert world.queue.handed == ([job.job_id] if after is Status.STORING else [])
    assert (world.fal.posts, tally.doubtful) == ([], 0)
    intended = next(s.at for s in doubtful.history if s.status is Status.SUBMITTING)
    assert world.fal.listed == [("v1", intended - timedelta(hours=1))]


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize(
    "known",
    [[], ["one", "two"], errors.FalUnavailableError("down")],
    ids=["none", "several", "no answer"],
)
def test_one_request_decides(world: World, doubtful: Job, known: Sequence[str] | Exception) -> None:
    """A list of fal with none or several requests settles no submission in doubt."""
    world.fal.known = known
    for _ in range(3):
        world.reconciler.reconcile()
    assert world.job(doubtful.job_id) == doubtful
    assert world.fal.posts == []
    assert world.queue.datasets == []


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize(
    ("named", "why"),
    [("theirs", "job-5"), ("earlier", "other"), ("typo", "fal knows no"), ("unanswered", "503")],
)
def test_foreign_request_settles_nothing(world: World, doubtful: Job, named: str, why: str) -> None:
    """A request that another job has, or an earlier try of it had, settles nothing."""
    for request_id in ("theirs", "earlier"):
        world.fal.facts[request_id] = Running(request_id, started=True)
    for number in range(120):
        job_id = f"job-{number}"
        request_id = "theirs" if number == 5 else f"request-{number}"
        world.holds(make_job(Status.TRAINING, job_id=job_id, request_id=request_id))
    world.holds(make_job(Status.HELD, job_id="other", earlier_requests=("earlier",)))
    world.fal.facts |= {"typo": Gone("typo"), "unanswered": errors.FalUnavailableError("503")}
    with pytest.raises((errors.ActionNotAllowedError, errors.FalUnavailableError), match=why):
        world.manual_actions.accepted(doubtful.job_id, named, by=ADA)
    assert world.job(doubtful.job_id) == doubtful

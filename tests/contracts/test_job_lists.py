"""Which job owns a content, which ids have no job, how far a sweep is, who waits, what is to be said."""

from datetime import timedelta

import pytest

from lora_drop.adapters import dynamodb_writes
from lora_drop.adapters.dynamodb import DynamoJobs
from lora_drop.jobs.artifacts import Upload
from lora_drop.jobs.errors import ConflictError
from lora_drop.jobs.job import Job
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.proof import PictureOrder
from lora_drop.jobs.status import TRANSITIONS, Status
from lora_drop.ports import Bookmarks, Claim, JobStore, WaitingJob
from tests.contracts.builders import moved, waiting
from tests.support.builders import NOW, make_job
from tests.support.memory_jobs import MemoryJobs

CONTENT = "0" * 64


@pytest.fixture
def bookmarks(jobs: JobStore) -> Bookmarks:
    assert isinstance(jobs, DynamoJobs | MemoryJobs)
    return jobs


def received(jobs: JobStore, name: str) -> Job:
    job = make_job(job_id=name)
    assert jobs.add(job)
    return job


def checked(job: Job, content: str | None = CONTENT) -> Job:
    return job.move(Status.READY, now=NOW, content_digest=content)


def test_write_depends_on_unchanged_jobs(jobs: JobStore) -> None:
    """A write that depends on other jobs is made while those are as they were read."""
    job, other = received(jobs, "a"), received(jobs, "b")
    jobs.replace(job, checked(job), unchanged=(other,))
    assert jobs.get("a") == checked(job)
    assert jobs.get("b") == other


@pytest.mark.promise("never pay twice")
def test_write_fails_if_dependency_changed(jobs: JobStore) -> None:
    """A write that depends on another job is not made once that job has changed."""
    job, other, third = received(jobs, "a"), received(jobs, "b"), received(jobs, "c")
    jobs.replace(other, other.move(Status.CANCELLED, now=NOW))
    with pytest.raises(ConflictError):
        jobs.replace(job, checked(job), unchanged=(third, other))
    assert jobs.get("a") == job
    assert [each.job_id for each in jobs.unfinished() if not each.terminal] == ["a", "c"]


def claims(jobs: JobStore, name: str, previous: str | None, *, new: bool) -> bool:
    """Whether a job claims its content, with the write that makes it or with one that changes it."""
    job = make_job(job_id=name) if new else received(jobs, name)
    try:
        if new:
            assert jobs.add(checked(job), claim=Claim(previous))
        else:
            jobs.replace(job, checked(job), claim=Claim(previous))
    except ConflictError:
        assert jobs.get(name) == (None if new else job)
        return False
    return True


@pytest.mark.promise(
    "never pay twice",
    "Of two jobs that found the content unclaimed the second one writes nothing.",
)
@pytest.mark.parametrize("new", [True, False], ids=["new", "changed"])
@pytest.mark.parametrize(
    ("asked", "won"),
    [
        ([("a", None)], ["a"]),
        ([("a", None), ("b", None)], ["a"]),
        ([("b", "a")], []),  # content without an owner
        (
            [
                *(("a", None), ("b", "a"), ("c", "b")),
                *((f"late {read}", read) for read in ("a", "b", None, "late a")),
            ],
            ["a", "b", "c"],
        ),
    ],
    ids=["one", "two", "no owner", "only from the owner"],
)
def test_claim_needs_the_owner_as_read(
    jobs: JobStore, asked: list[tuple[str, str | None]], won: list[str], *, new: bool
) -> None:
    assert [name for name, read in asked if claims(jobs, name, read, new=new)] == won
    assert jobs.owner(CONTENT) == (won[-1] if won else None)
    assert jobs.owner("1" * 64) is None
    there = won if new else sorted(name for name, _ in asked)
    assert [job.job_id for job in jobs.unfinished()] == there


def test_existing_job_claims_nothing(jobs: JobStore) -> None:
    """Adding a job that exists already claims nothing."""
    received(jobs, "a")
    assert not jobs.add(checked(make_job(job_id="a")), claim=Claim(None))
    assert jobs.owner(CONTENT) is None


def test_job_without_content_claims_nothing(jobs: JobStore) -> None:
    job = received(jobs, "a")
    jobs.replace(job, checked(job, content=None), claim=Claim("b"))
    assert jobs.add(checked(make_job(job_id="c"), content=None), claim=Claim(None))


def test_claim_outlives_the_job(jobs: JobStore) -> None:
    """A claim stays when its job has ended."""
    job = received(jobs, "a")
    ready = checked(job)
    jobs.replace(job, ready, claim=Claim(None))
    jobs.replace(ready, ready.move(Status.CANCELLED, now=NOW))
    assert jobs.owner(CONTENT) == "a"


@pytest.mark.parametrize("many", [0, 1, 2, 99, 100, 101, 250])
def test_missing_jobs_keep_the_asked_order(jobs: JobStore, many: int) -> None:
    """The ids without a job come back in the order in which they were asked."""
    known = [waiting(jobs, number).job_id for number in (1, 50, 99)]
    asked = [f"job-{number:02}" for number in reversed(range(many))]
    assert list(jobs.missing(asked)) == [each for each in asked if each not in known]


def test_missing_ids_may_repeat(jobs: JobStore) -> None:
    """An id that is asked for twice is answered twice."""
    received(jobs, "a")
    assert list(jobs.missing(["b", "a", "b", "a"])) == ["b", "b"]


def test_sweep_continues_at_its_bookmark(bookmarks: Bookmarks) -> None:
    assert bookmarks.bookmark("datasets") is None
    for place in ("a\nv1", "portrait/写真 + 1.zip\nnull", None, None):
        bookmarks.keep_bookmark("datasets", place)
        assert bookmarks.bookmark("datasets") == place
    assert bookmarks.bookmark("another") is None


def test_bookmark_is_no_job(jobs: JobStore, bookmarks: Bookmarks) -> None:
    bookmarks.keep_bookmark("datasets", "a")
    assert list(jobs.unfinished()) == []
    assert jobs.page(status=None, limit=10, cursor=None).jobs == ()
    assert jobs.next_waiting() is None


OUT_OF_THE_LINE = sorted(TRANSITIONS[Status.READY])
NOT_WAITING = [status for status in Status if status is not Status.READY]


@pytest.mark.promise("never get stuck")
def test_oldest_job_is_next(jobs: JobStore) -> None:
    """The oldest job that waits is next, in whatever order the jobs became ready."""
    waiting(jobs, 2)
    oldest = waiting(jobs, 1)
    waiting(jobs, 3)
    assert jobs.next_waiting() == oldest


def test_equal_age_has_stable_order(jobs: JobStore) -> None:
    for number in (2, 1, 3):
        waiting(jobs, number, created_at=NOW)
    found = [jobs.next_waiting() for _ in range(3)]
    assert [job and job.job_id for job in found] == ["job-01"] * 3


@pytest.mark.parametrize("microsecond", [0, 1, 999_999])
def test_age_counts_in_microseconds(jobs: JobStore, microsecond: int) -> None:
    later = NOW.replace(microsecond=microsecond)
    waiting(jobs, 1, created_at=later)
    earlier = waiting(jobs, 2, created_at=later - timedelta(microseconds=1))
    assert jobs.next_waiting() == earlier


@pytest.mark.parametrize("to", OUT_OF_THE_LINE)
def test_job_that_left_is_not_next(jobs: JobStore, to: Status) -> None:
    first, second = waiting(jobs, 1), waiting(jobs, 2)
    moved(jobs, first, to)
    assert jobs.next_waiting() == second


@pytest.mark.promise("never get stuck")
def test_queue_is_served_to_its_end(jobs: JobStore) -> None:
    """Every job that waits is served, each once and oldest first."""
    for number in (5, 1, 4, 2, 3):
        waiting(jobs, number)
    served = []
    while job := jobs.next_waiting():
        served.append(job.job_id)
        moved(jobs, job, Status.SUBMITTING)
    assert served == [f"job-{number:02}" for number in (1, 2, 3, 4, 5)]


@pytest.mark.parametrize(
    "way",
    [
        [Status.HELD, Status.READY],
        [Status.SUBMITTING, Status.READY],
        [Status.SUBMITTING, Status.SUBMIT_UNKNOWN, Status.READY],
        [Status.SUBMITTING, Status.SUBMITTED, Status.READY],
    ],
)
def test_returning_job_keeps_its_place(jobs: JobStore, way: list[Status]) -> None:
    first, _ = waiting(jobs, 1), waiting(jobs, 2)
    back = moved(jobs, first, *way)
    assert jobs.next_waiting() == back


@pytest.mark.parametrize("status", NOT_WAITING)
def test_only_ready_jobs_wait(jobs: JobStore, status: Status) -> None:
    assert jobs.add(make_job(status))
    assert jobs.next_waiting() is None


def test_new_job_may_be_ready(jobs: JobStore) -> None:
    job = waiting(jobs, 1)
    assert jobs.next_waiting() == job
    assert list(jobs.unfinished()) == [job]


def test_skipped_ready_state_leaves_no_row(jobs: JobStore) -> None:
    """Several steps past READY in one write leave no row in the queue."""
    job = make_job()
    assert jobs.add(job)
    jobs.replace(job, job.move(Status.READY, now=NOW).move(Status.HELD, now=NOW))
    assert jobs.next_waiting() is None


def test_waiting_jobs_say_since_when(jobs: JobStore) -> None:
    """Jobs that wait for their turn alone are listed in its order, each with since when it waits."""
    second, first = waiting(jobs, 2), waiting(jobs, 1)
    waiting(jobs, 3, problems=(Problem(code="fal_busy", message="fal is busy."),))
    waiting(jobs, 4, uploads=(Upload(name="a", upload_id="u", identity="e", size=1),))
    received(jobs, "a")
    assert list(jobs.waiting()) == [
        WaitingJob(each.job_id, each.created_at, each.updated_at) for each in (first, second)
    ]


def test_waiting_job_with_a_problem_is_not_left_out(jobs: JobStore) -> None:
    """What is in a waiting job's way takes it off the list, and it comes back once that is gone."""
    job = waiting(jobs, 1)
    busy = set_aside(jobs, job, Problem(code="fal_busy", message="fal is busy."))
    assert (list(jobs.waiting()), jobs.next_waiting()) == ([], busy)
    again = set_aside(jobs, busy)
    assert list(jobs.waiting()) == [WaitingJob(again.job_id, again.created_at, again.updated_at)]
    moved(jobs, again, Status.SUBMITTING)
    assert list(jobs.waiting()) == []


def set_aside(jobs: JobStore, job: Job, *problems: Problem) -> Job:
    """The waiting job with these problems, a minute later."""
    later = job.updated_at + timedelta(minutes=1)
    update = {"problems": problems, "version": job.version + 1, "updated_at": later}
    after = job.model_copy(update=update)
    jobs.replace(job, after)
    return after


def test_unfinished_jobs_may_be_left_out(jobs: JobStore) -> None:
    made = [waiting(jobs, number).job_id for number in range(130)]
    assert [each.job_id for each in jobs.unfinished()] == made
    assert [each.job_id for each in jobs.unfinished(but=made[1:-1])] == [made[0], made[-1]]


@pytest.mark.promise("never lose a result")
def test_new_job_is_in_the_outbox(jobs: JobStore) -> None:
    """A new job is in the outbox by the write that makes it."""
    job = make_job()
    jobs.add(job)
    again = jobs.add(job)
    assert (jobs.outbox(), again) == ({job.job_id: job.version}, False)


def test_every_change_stays_in_the_outbox(jobs: JobStore) -> None:
    """The outbox has every change of state until it is published, with the version that was written last."""
    job = waiting(jobs, 1)
    after = moved(jobs, job, Status.SUBMITTING, Status.SUBMITTED)
    left = jobs.left(job.job_id)
    assert left is not None
    assert [(each.version, each.status, each.since) for each in left] == [
        (job.version + number, step.status, step.at)
        for number, step in enumerate(after.history[-3:])
    ]
    assert all(each.agrees_with(after) for each in left)
    assert jobs.outbox() == {job.job_id: after.version}


@pytest.mark.parametrize("quiet", [True, False])
def test_unchanged_state_has_files_to_publish(jobs: JobStore, *, quiet: bool) -> None:
    """A write that leaves the state as it was is to be published as well, without a change, unless it is quiet."""
    job = waiting(jobs, 1)
    jobs.mark_published(job.job_id, job.version)
    after = job.model_copy(update={"version": job.version + 1, "images": 7})
    jobs.replace(job, after, quiet=quiet)
    assert jobs.outbox() == ({} if quiet else {job.job_id: after.version})
    assert list(jobs.left(job.job_id) or ()) == []
    assert jobs.mark_published(job.job_id, after.version, []) is not quiet
    assert jobs.outbox() == {}


@pytest.mark.promise(
    "it can be operated", "A change that another writer has left stays in the outbox."
)
def test_change_of_another_is_not_marked(jobs: JobStore) -> None:
    job = waiting(jobs, 1)
    after = moved(jobs, job, Status.SUBMITTING, Status.SUBMIT_UNKNOWN, Status.SUBMITTED)
    first, intent, unknown, last = range(job.version, after.version + 1)
    for mine in ([], [last], [first], [first, intent, last], [intent, unknown, last]):
        assert not jobs.mark_published(job.job_id, last, mine), "another's would be lost"
    assert not jobs.mark_published(job.job_id, unknown, [first, intent, unknown])
    assert jobs.outbox() == {job.job_id: last}
    assert jobs.mark_published(job.job_id, last, [first, intent, unknown, last])
    assert not jobs.mark_published(job.job_id, last, [first, intent, unknown, last])
    assert jobs.outbox() == {}


@pytest.mark.promise("never get stuck")
def test_outbox_of_a_job_is_bounded(jobs: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job goes on however many of its changes have no event yet: the last one is always kept."""
    monkeypatch.setattr(dynamodb_writes, "MOST_CHANGES", 3)
    job = waiting(jobs, 1)
    after = moved(jobs, job, Status.SUBMITTING, Status.READY, Status.SUBMITTING, Status.SUBMITTED)
    assert [each.version for each in jobs.left(job.job_id) or ()] == [
        after.version - 1,
        after.version,
    ]
    assert jobs.mark_published(job.job_id, after.version, [after.version - 1, after.version])


@pytest.mark.parametrize("later", [0, 3])
def test_published_change_leaves_the_outbox(jobs: JobStore, later: int) -> None:
    """A change leaves the outbox once its version or a later one is published, also twice."""
    first, second = waiting(jobs, 1), waiting(jobs, 2)
    for _ in range(2):
        jobs.mark_published(first.job_id, first.version + later)
    assert jobs.outbox() == {second.job_id: second.version}


def test_older_version_keeps_newer_change(jobs: JobStore) -> None:
    """Publishing an older state leaves the newer one in the outbox."""
    job = waiting(jobs, 1)
    held = job.move(Status.HELD, now=NOW)
    jobs.replace(job, held)
    jobs.mark_published(job.job_id, job.version)
    assert jobs.outbox() == {job.job_id: held.version}


def test_first_waiting_job_says_whether_it_is_alone(jobs: JobStore) -> None:
    assert jobs.first_waiting() == (None, False)
    first = waiting(jobs, 1)
    assert jobs.first_waiting() == (first, True)
    written = first.model_copy(update={"images": 7})
    assert jobs.first_waiting(written) == (written, True)
    second = waiting(jobs, 2)
    assert jobs.first_waiting(second) == (first, False)
    moved(jobs, first, Status.SUBMITTING)
    assert jobs.first_waiting() == (second, True)


def picture(number: int, status: Status = Status.READY) -> Job:
    """The job of one picture of a proof sheet."""
    order = PictureOrder(
        proof_of="ada-0123456789", number=number, prompt="a photo", seed=7, width=768, height=1024
    )
    return make_job(
        status,
        job_id=f"picture-{number}",
        created_at=NOW + timedelta(seconds=number),
        picture=order,
        estimated_cost_usd=0.035,
    )


@pytest.mark.promise("never get stuck")
def test_pictures_wait_like_jobs(jobs: JobStore) -> None:
    """A picture of a proof sheet is read as it was written, waits, is open, and counts before others."""
    training = waiting(jobs, 0)
    assert jobs.add(picture(1), unchanged=(training,))
    assert not jobs.add(picture(1))
    assert jobs.get("picture-1") == picture(1)
    assert jobs.next_waiting() == training
    assert jobs.waiting_before(picture(1)) == 1
    assert [each.job_id for each in jobs.unfinished()] == [training.job_id, "picture-1"]
    sent = moved(jobs, picture(1), Status.SUBMITTING)
    assert jobs.account("2026-11").in_flight == ("picture-1",)
    assert jobs.get("picture-1") == sent


@pytest.mark.promise("never get stuck")
def test_trainings_go_before_pictures(jobs: JobStore) -> None:
    """A training that comes later than a picture is sent before it, so no picture keeps a training waiting."""
    assert jobs.add(picture(1))
    assert jobs.add(picture(2))
    training = waiting(jobs, 9, created_at=NOW + timedelta(hours=1))
    assert jobs.next_waiting() == training
    assert (jobs.waiting_before(training), jobs.waiting_before(picture(1))) == (0, 1)
    moved(jobs, training, Status.SUBMITTING)
    assert jobs.next_waiting() == picture(1)
    again = moved(jobs, picture(1), Status.SUBMITTING, Status.READY)
    assert jobs.next_waiting() == again


def test_pictures_are_on_no_list(jobs: JobStore) -> None:
    """A picture is in no list of jobs, whatever becomes of it, and its changes are not to be published."""
    training = waiting(jobs, 0)
    assert jobs.add(picture(1))
    moved(jobs, picture(1), Status.SUBMITTING, Status.SUBMITTED)
    for status in (None, *Status):
        page = jobs.page(status=status, limit=10, cursor=None)
        assert page.jobs == ((training,) if status in (None, Status.READY) else ())
    assert jobs.outbox() == {training.job_id: training.version}


def test_picture_needs_its_training(jobs: JobStore) -> None:
    """A picture is not added for a training that is another by now."""
    training = waiting(jobs, 0)
    jobs.replace(training, training.move(Status.CANCELLED, now=NOW))
    with pytest.raises(ConflictError):
        jobs.add(picture(1), unchanged=(training,))
    assert jobs.get("picture-1") is None

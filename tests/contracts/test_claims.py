"""Which job owns a dataset's content, which ids have no job, and how far a sweep has come."""

import pytest

from lora_drop.adapters.dynamodb import DynamoJobs
from lora_drop.jobs.errors import ConflictError
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from lora_drop.ports import Bookmarks, Claim, JobStore
from tests.contracts.builders import waiting
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


def test_job_claims_its_content(jobs: JobStore) -> None:
    """A job claims its content, which had no owner, with the write that names it."""
    job = received(jobs, "a")
    assert jobs.owner(CONTENT) is None
    jobs.replace(job, checked(job), claim=Claim(None))
    assert jobs.owner(CONTENT) == "a"
    assert jobs.owner("1" * 64) is None


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


@pytest.mark.promise("never pay twice")
def test_second_claim_writes_nothing(jobs: JobStore) -> None:
    """Of two jobs that found the content unclaimed the second one writes nothing."""
    first, second = received(jobs, "a"), received(jobs, "b")
    jobs.replace(first, checked(first), claim=Claim(None))
    with pytest.raises(ConflictError):
        jobs.replace(second, checked(second), claim=Claim(None))
    assert jobs.owner(CONTENT) == "a"
    assert jobs.get("b") == second


def test_second_new_job_is_not_kept(jobs: JobStore) -> None:
    """Of two new jobs that found the content unclaimed the second one is not kept."""
    assert jobs.add(checked(make_job(job_id="a")), claim=Claim(None))
    with pytest.raises(ConflictError):
        jobs.add(checked(make_job(job_id="b")), claim=Claim(None))
    assert jobs.owner(CONTENT) == "a"
    assert jobs.get("b") is None
    assert [job.job_id for job in jobs.unfinished()] == ["a"]


def test_claim_passes_only_from_its_owner(jobs: JobStore) -> None:
    """A claim is taken over only from the job that was read as its owner."""
    for name, previous in (("a", None), ("b", "a"), ("c", "b")):
        job = received(jobs, name)
        jobs.replace(job, checked(job), claim=Claim(previous))
    assert jobs.owner(CONTENT) == "c"
    late = received(jobs, "d")
    for previous in ("a", "b", None, "d"):
        with pytest.raises(ConflictError):
            jobs.replace(late, checked(late), claim=Claim(previous))
    assert jobs.owner(CONTENT) == "c"


def test_claim_from_a_wrong_owner_fails(jobs: JobStore) -> None:
    """Content without an owner cannot be taken over from a job."""
    job = received(jobs, "b")
    with pytest.raises(ConflictError):
        jobs.replace(job, checked(job), claim=Claim("a"))
    assert jobs.owner(CONTENT) is None


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


def test_sweep_has_no_bookmark_at_first(bookmarks: Bookmarks) -> None:
    assert bookmarks.bookmark("datasets") is None


def test_sweep_continues_at_its_bookmark(bookmarks: Bookmarks) -> None:
    for place in ("a\nv1", "portrait/写真 + 1.zip\nnull"):
        bookmarks.keep_bookmark("datasets", place)
        assert bookmarks.bookmark("datasets") == place
    assert bookmarks.bookmark("another") is None


def test_finished_sweep_begins_again(bookmarks: Bookmarks) -> None:
    bookmarks.keep_bookmark("datasets", "a")
    for _ in range(2):
        bookmarks.keep_bookmark("datasets", None)
        assert bookmarks.bookmark("datasets") is None


def test_bookmark_is_no_job(jobs: JobStore, bookmarks: Bookmarks) -> None:
    bookmarks.keep_bookmark("datasets", "a")
    assert list(jobs.unfinished()) == []
    assert jobs.page(status=None, limit=10, cursor=None).jobs == ()
    assert jobs.next_waiting() is None

"""Which job is the one for a dataset's content; what no job is for; how far a sweep has come."""

import pytest

from lora_drop.adapters.dynamodb import DynamoJobs
from lora_drop.jobs.errors import ConflictError
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from lora_drop.ports import Bookmarks, Claim, JobStore
from tests.contracts.kept import waiting
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


def test_what_nobody_has_claimed_is_nobodys(jobs: JobStore) -> None:
    assert jobs.owner(CONTENT) is None


def test_a_job_claims_its_content_with_the_write_that_names_it(jobs: JobStore) -> None:
    job = received(jobs, "a")

    jobs.replace(job, checked(job), claim=Claim(None))

    assert jobs.owner(CONTENT) == "a"
    assert jobs.owner("1" * 64) is None


def test_a_write_that_rests_on_other_jobs_is_made_while_they_are_as_they_were_read(
    jobs: JobStore,
) -> None:
    job, other = received(jobs, "a"), received(jobs, "b")

    jobs.replace(job, checked(job), unchanged=(other,))

    assert jobs.get("a") == checked(job)
    assert jobs.get("b") == other


def test_a_write_that_rests_on_another_job_is_not_made_when_that_has_changed(
    jobs: JobStore,
) -> None:
    job, other, third = received(jobs, "a"), received(jobs, "b"), received(jobs, "c")
    jobs.replace(other, other.move(Status.CANCELLED, now=NOW))

    with pytest.raises(ConflictError):
        jobs.replace(job, checked(job), unchanged=(third, other))

    assert jobs.get("a") == job
    assert [each.job_id for each in jobs.unfinished() if not each.terminal] == ["a", "c"]


def test_a_new_job_may_claim_at_once(jobs: JobStore) -> None:
    assert jobs.add(checked(make_job(job_id="a")), claim=Claim(None))

    assert jobs.owner(CONTENT) == "a"


def test_of_two_who_found_it_free_the_second_writes_nothing(jobs: JobStore) -> None:
    first, second = received(jobs, "a"), received(jobs, "b")
    jobs.replace(first, checked(first), claim=Claim(None))

    with pytest.raises(ConflictError):
        jobs.replace(second, checked(second), claim=Claim(None))

    assert jobs.owner(CONTENT) == "a"
    assert jobs.get("b") == second


def test_of_two_new_jobs_who_found_it_free_the_second_is_not_kept(jobs: JobStore) -> None:
    assert jobs.add(checked(make_job(job_id="a")), claim=Claim(None))

    with pytest.raises(ConflictError):
        jobs.add(checked(make_job(job_id="b")), claim=Claim(None))

    assert jobs.owner(CONTENT) == "a"
    assert jobs.get("b") is None
    assert [job.job_id for job in jobs.unfinished()] == ["a"]


def test_a_claim_is_taken_over_from_whom_it_was_read(jobs: JobStore) -> None:
    for name, previous in (("a", None), ("b", "a"), ("c", "b")):
        job = received(jobs, name)
        jobs.replace(job, checked(job), claim=Claim(previous))

    assert jobs.owner(CONTENT) == "c"
    late = received(jobs, "d")
    for previous in ("a", "b", None, "d"):
        with pytest.raises(ConflictError):
            jobs.replace(late, checked(late), claim=Claim(previous))
    assert jobs.owner(CONTENT) == "c"


def test_a_claim_of_what_nobody_has_is_none(jobs: JobStore) -> None:
    job = received(jobs, "b")

    with pytest.raises(ConflictError):
        jobs.replace(job, checked(job), claim=Claim("a"))

    assert jobs.owner(CONTENT) is None


def test_a_job_that_is_there_already_claims_nothing(jobs: JobStore) -> None:
    received(jobs, "a")

    assert not jobs.add(checked(make_job(job_id="a")), claim=Claim(None))

    assert jobs.owner(CONTENT) is None


def test_a_job_without_content_claims_none(jobs: JobStore) -> None:
    job = received(jobs, "a")

    jobs.replace(job, checked(job, content=None), claim=Claim("b"))

    assert jobs.add(checked(make_job(job_id="c"), content=None), claim=Claim(None))


def test_a_claim_outlives_the_job(jobs: JobStore) -> None:
    job = received(jobs, "a")
    ready = checked(job)
    jobs.replace(job, ready, claim=Claim(None))

    jobs.replace(ready, ready.move(Status.CANCELLED, now=NOW))

    assert jobs.owner(CONTENT) == "a"


@pytest.mark.parametrize("many", [0, 1, 2, 99, 100, 101, 250])
def test_what_no_job_is_for_is_told_in_the_order_it_was_asked(jobs: JobStore, many: int) -> None:
    known = [waiting(jobs, number).job_id for number in (1, 50, 99)]
    asked = [f"job-{number:02}" for number in reversed(range(many))]

    assert list(jobs.missing(asked)) == [each for each in asked if each not in known]


def test_who_asks_twice_is_told_twice(jobs: JobStore) -> None:
    received(jobs, "a")

    assert list(jobs.missing(["b", "a", "b", "a"])) == ["b", "b"]


def test_a_sweep_begins_at_the_beginning(bookmarks: Bookmarks) -> None:
    assert bookmarks.bookmark("datasets") is None


def test_a_sweep_goes_on_where_it_was(bookmarks: Bookmarks) -> None:
    for place in ("a\nv1", "portrait/写真 + 1.zip\nnull"):
        bookmarks.keep_bookmark("datasets", place)

        assert bookmarks.bookmark("datasets") == place
    assert bookmarks.bookmark("another") is None


def test_a_sweep_that_is_through_begins_again(bookmarks: Bookmarks) -> None:
    bookmarks.keep_bookmark("datasets", "a")

    for _ in range(2):
        bookmarks.keep_bookmark("datasets", None)

        assert bookmarks.bookmark("datasets") is None


def test_a_bookmark_is_no_job(jobs: JobStore, bookmarks: Bookmarks) -> None:
    bookmarks.keep_bookmark("datasets", "a")

    assert list(jobs.unfinished()) == []
    assert jobs.page(status=None, limit=10, cursor=None).jobs == ()
    assert jobs.next_waiting() is None

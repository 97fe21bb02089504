"""Each outcome of the paid POST over a real socket: counted at fal's end, and what it leads to."""

import sys
from collections.abc import Iterator

import pytest
from fal_client.client import BackupDomainTransport

from lora_drop.jobs.errors import NotSubmittedError, SubmissionRefusedError, SubmissionUnknownError
from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from lora_drop.services.dispatch import PAUSE
from tests.resilience.comparison.our_pipeline import Ours
from tests.resilience.submit_table import ROWS, Row
from tests.support.fal_answers import GOOD, Place
from tests.support.faulty_fal import FaultyFal, faulty_fal, timeouts
from tests.support.sweeps import sweep
from tests.support.wire import submit

RAISES = {
    Status.READY: NotSubmittedError,
    Status.HELD: SubmissionRefusedError,
    Status.FAILED: SubmissionRefusedError,
    Status.SUBMIT_UNKNOWN: SubmissionUnknownError,
}
IMPATIENT = 0.15  # seconds, where the fault is that nothing comes
ANY_ROW = pytest.mark.parametrize("row", sweep(ROWS, sample=20, ids=lambda row: row.title))


@pytest.fixture(scope="module")
def standing() -> Iterator[FaultyFal]:
    with faulty_fal() as fal:
        yield fal


@pytest.fixture
def fal(standing: FaultyFal, row: Row) -> FaultyFal:
    """Has become of every POST what the row says."""
    if row.fault.place is Place.CROWDED and sys.platform != "linux":
        pytest.skip("only Linux lets a connection wait for ever")
    standing.exchange.clear()
    standing.strike(row.fault, times=None)
    return standing


def test_no_two_rows_share_a_name() -> None:
    assert len({row.title for row in ROWS}) == len(ROWS)


@pytest.mark.promise("never pay twice")
@ANY_ROW
def test_one_attempt_is_one_post(fal: FaultyFal, row: Row, monkeypatch: pytest.MonkeyPatch) -> None:
    """One attempt to submit is one POST at most, and its outcome is the row's."""
    monkeypatch.setattr("lora_drop.adapters.fal.SUBMIT_TIMEOUT", timeouts(row.fault, IMPATIENT))

    if row.leads_to is Status.SUBMITTED:
        submission = submit(BackupDomainTransport)
        assert [post.request_id for post in fal.posts] == [submission.request_id]
    else:
        with pytest.raises(RAISES[row.leads_to]):
            submit(BackupDomainTransport)

    assert len(fal.posts) == row.posts
    assert len(fal.paid) == row.fault.accepted


@ANY_ROW
def test_each_outcome_leads_to_its_state(fal: FaultyFal, row: Row) -> None:
    """The job comes to the state of the row, and a repeated event never pays again."""
    ours = Ours()
    ours.drop(timeouts(row.fault, IMPATIENT))

    ours.arrive()

    assert only_job(ours).status is row.leads_to
    assert len(fal.posts) == row.posts

    fal.strike(GOOD)
    ours.pass_time(PAUSE)
    for _ in range(3):
        ours.arrive()

    sent_again = row.leads_to is Status.READY
    assert len(fal.posts) == row.posts + sent_again
    assert len(fal.paid) == row.fault.accepted + sent_again
    assert only_job(ours).status is (Status.SUBMITTED if sent_again else row.leads_to)


def only_job(ours: Ours) -> Job:
    [job] = ours.world.jobs.rows.values()
    return job

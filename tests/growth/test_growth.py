"""What a page, a round and a job cost does not grow with the number of jobs; `make bench` measures it at larger sizes."""

import json
import subprocess
import sys

import pytest

from lora_drop.local.tools import ROOT
from tests.growth.burst import Burst
from tests.growth.lists import LIMIT, PAGES, Lists


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("jobs", [10, 1000])
def test_page_reads_its_own_rows_alone(jobs: int, page: str) -> None:
    """A page of the jobs list is one call that reads the rows it shows, however many jobs there are."""
    read = Lists(jobs).measured(page)
    assert (read["calls"], read["rows"]) == (1, LIMIT)


@pytest.fixture(autouse=True)
def _few_slots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.growth.burst.SLOTS", 10)


@pytest.mark.promise("never get stuck")
def test_burst_drains_as_fast_as_its_slots() -> None:
    """Many datasets dropped at once are each paid for once, and take no longer than their slots need."""
    assert Burst(40).run()["drain"] <= 1.05


def test_round_makes_no_call_for_a_waiting_job() -> None:
    """A round in which eighty jobs wait makes as many calls as one in which twenty do."""
    few, many = Burst(30), Burst(90)
    for burst in (few, many):
        burst.run()
    assert (
        many.of_rounds[4] == few.of_rounds[4]
    )  # 25 minutes after the drop, before the first has ended


MOST_CALLS, OWN = 40, ("submit", "webhook", "store")


def test_job_makes_forty_calls_at_most() -> None:
    """A warm stack makes at most 40 calls to AWS for a job that goes well, and none of them is a scan."""
    line = [sys.executable, "-m", "benchmarks.calls_run", "2", "1"]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603  # our own words
    calls = json.loads(done.stdout.splitlines()[-1])["calls"]
    assert sum(sum(calls[phase].values()) for phase in OWN) <= MOST_CALLS
    assert not [name for phase in calls.values() for name in phase if "Scan" in name]

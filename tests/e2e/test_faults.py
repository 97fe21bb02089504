"""The deployed stack under faults: a burst with workers that die, and wires at their worst."""

from pathlib import Path

import pytest

from tests.resilience.faults import bad_wires, burst
from tests.resilience.faults.wire_rules import OUTAGE

pytestmark = [pytest.mark.stack, pytest.mark.proof]
KILLS = 6
KINDS = 25  # of those that there are: chance decides which of the rare ones strike


@pytest.mark.promise("never pay twice")
@pytest.mark.skipif(not Path("/proc/self/syscall").exists(), reason="workers are found by /proc")
def test_burst_is_paid_once_each() -> None:
    """Forty datasets at once are paid once each, with never more at fal than there are slots, while workers die."""
    plan = burst.Burst(
        jobs=40, in_flight=5, seed=1, kills=KILLS, pause=(0.2, 1.0), hurry=15, limit=600
    )

    figures = burst.run(plan)

    assert figures.violations == ()
    assert (figures.paid, figures.succeeded) == (40, 40)
    assert (figures.lost, figures.doubled) == (8, 4)
    assert 1 < figures.at_fal_by_slots <= 5  # how many at once, a slow machine decides
    assert 1 <= figures.at_fal_by_fal <= 5
    assert figures.killed == KILLS
    assert figures.messages_of_the_killed > 0


@pytest.mark.promise("never get stuck")
def test_bad_wires_break_no_promise() -> None:
    """With faults on every wire to AWS and fal, all jobs come to an end and no promise is broken."""
    report = bad_wires.run(bad_wires.Wires(jobs=12, storm=45, limit=300))

    assert report.violations == ()
    assert sum(report.states.values()) == 12
    assert report.redriven["inbox"] > 0
    assert report.struck[OUTAGE.name] > 0
    assert sum(count > 0 for count in report.struck.values()) >= KINDS

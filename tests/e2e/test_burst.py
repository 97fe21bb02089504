"""Many datasets at once, webhooks lost and doubled, and workers that die while they store."""

from pathlib import Path

import pytest

from tests.resilience.faults.burst import Burst, run

pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(
        not Path("/proc/self/syscall").exists(), reason="workers are found by /proc"
    ),
]
KILLS = 6


def test_a_burst_is_paid_once_a_job_and_never_more_are_at_fal_than_may_be() -> None:
    burst = Burst(jobs=40, in_flight=5, seed=1, kills=KILLS, pause=(0.2, 1.0), hurry=15, limit=600)

    figures = run(burst)

    assert figures.violations == ()
    assert (figures.paid, figures.succeeded) == (40, 40)
    assert (figures.lost, figures.doubled) == (8, 4)
    assert figures.at_fal_by_slots == 5
    assert 1 <= figures.at_fal_by_fal <= 5
    assert figures.killed == KILLS
    assert figures.messages_of_the_killed > 0

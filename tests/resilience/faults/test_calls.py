"""How many calls to AWS a job that goes well makes; `make bench TOPICS=calls` measures the same in more detail."""

from collections import Counter

from tests.resilience.faults import crash, functions
from tests.resilience.faults.cloud import on_moto

# moto keeps no checksum of a whole object, so each of the two copied files is read back; S3's is compared.
READ_BACK = 2
COLD = 3  # secrets that the functions read once
MOST, ROUND = 40, 14  # and of the one round of the reconciler, nine of which are its own


def test_a_good_job_makes_few_calls() -> None:
    with functions.quietly():
        run = crash.run_scenario(on=on_moto)
    calls = Counter(str(effect) for effect, _ in run.effects if effect.port != "fal")
    assert run.wrong == ()
    assert calls.total() <= MOST + ROUND + READ_BACK + COLD, calls
    assert not [name for name in calls if name.endswith(".Scan")]

"""Many datasets at once on the deployed stack: how long all of them take, by the slots that there are.

The real template on the emulator, with shorter trainings: two cores have to do the work of every function, of AWS and of fal.
"""

import math
import time
from collections import Counter
from collections.abc import Mapping

from lora_drop.jobs.status import Status
from lora_drop.simulator.config import SimulatorConfig
from lora_drop.simulator.running import running_simulator
from tests.resilience.faults.deployed import deployed
from tests.resilience.faults.quiescence import Waiter, broken_promises, most_at_once

SLOTS, TRAINING = 50, 60.0  # seconds
# The first trainings take less or more by so much, as no two take the same time. Otherwise all of them would end in the
# same second, and the two cores start fifty webhook functions at once; each would have a CPU of its own on AWS.
SPREAD = 0.3
HURRY = 60  # seconds until a message that failed is tried again; 18 minutes on AWS
EVERY = 60.0  # seconds between two rounds: as many for each training as on AWS, and some more
# Looking for faces in 14 photos takes a second of a core: here all datasets share two.
PARAMETERS = {
    "MaxInFlight": str(SLOTS),
    "MonthlyBudgetUsd": "100000",
    "LogLevel": "INFO",
    "FaceCheck": "false",
}


def run(jobs: int) -> Mapping[str, float]:
    """Drop so many datasets, wait until each job has succeeded, and return what was measured; raises AssertionError for a broken promise."""
    fal = SimulatorConfig(
        training_seconds=TRAINING, lora_rank=1, max_in_progress=jobs, balance_usd=100 * jobs
    )
    waves = math.ceil(jobs / SLOTS)
    with running_simulator(fal) as simulator, deployed(simulator, PARAMETERS) as stack:
        for number in range(SLOTS):
            share = 1 + SPREAD * (2 * number / (SLOTS - 1) - 1)
            simulator.inject("training_slow", seconds=share * TRAINING)
        began = time.monotonic()
        waiter = Waiter(stack, every=EVERY, hurry=HURRY)
        job_ids = stack.drop([f"burst/{number:06}" for number in range(jobs)])
        found = waiter.wait(job_ids, limit=3 * waves * TRAINING + 300)
        seconds = time.monotonic() - began
        ended = Counter(job.status for job in found.values())
        paid = sum(row["accepted"] for row in stack.fal.ledger()["submissions"])
        broken = broken_promises(stack, job_ids)
    most = most_at_once(found.values())
    if ended[Status.SUCCEEDED] != jobs or paid != jobs or most > SLOTS or broken:
        raise AssertionError(f"{ended}, {paid} paid, {most} at fal, {broken}")
    return {
        "jobs": jobs,
        "seconds": seconds,
        "drain": seconds / (waves * TRAINING),
        "paid": paid,
        "most": most,
        "rounds": waiter.rounds,
        "slowest_round": waiter.slowest_round,
    }

"""A thousand datasets at once on the deployed stack: ``python -m benchmarks emulator``, by hand, for it takes 25 minutes."""

from benchmarks.burst import DRAINED
from benchmarks.figures import Figure, Topic
from benchmarks.growth import measured, started

JOBS = 1_000
WHY = "not profiled; every function, AWS and fal are on these cores, and a job that has ended leaves its slot empty until the next is sent"


def measure() -> Topic:
    """Run it once; raises SystemExit where a job was lost or paid for twice."""
    [row] = measured(started("emulator", JOBS))
    drain, key = row["drain"], f"emulator.{JOBS}"
    why = "" if DRAINED.holds(drain) else WHY
    says = f"{JOBS:,} jobs: time until the last has succeeded, over jobs / slots * 60 seconds"
    return Topic(
        "emulator",
        "A thousand datasets at once, on the emulator",
        "`python -m benchmarks emulator`, by hand: the real template on the emulator and the simulator of fal, 50 slots, 60 seconds a training (the first fifty 42 to 78), no search for faces, one run. "
        "Each job was paid for once, and has succeeded.",
        [
            Figure(f"{key}.drain", says, "ratio", (drain,), goal=DRAINED, why=why),
            Figure(f"{key}.seconds", f"{JOBS:,} jobs: all of it", "s", (row["seconds"],)),
            Figure(f"{key}.most", f"{JOBS:,} jobs: at fal at a time", "count", (row["most"],)),
            Figure(
                f"{key}.round", f"{JOBS:,} jobs: the slowest round", "s", (row["slowest_round"],)
            ),
        ],
    )

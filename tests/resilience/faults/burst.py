"""Many datasets dropped at once on the deployed stack: ``python -m tests.resilience.faults.burst --jobs 200``.

A fifth of fal's webhooks is lost, every ninth comes twice, and workers of the store function are
killed at random. Each job must be paid for once and end well, and never may more be at fal at a
time than ``MaxInFlight``.
"""

import argparse
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from lora_drop.jobs.job import Job
from lora_drop.jobs.status import Status
from lora_drop.simulator.config import SimulatorConfig
from lora_drop.simulator.running import running_simulator
from tests.resilience.faults.deployed import Deployed, deployed
from tests.resilience.faults.quiescence import Row, Waiter, broken_promises, most_at_once, rows
from tests.resilience.faults.report import finish

PROC = Path("/proc")
READ = frozenset({"0", "63"})  # the system call's number: x86_64, arm64
STDIN = "0x0"
LOOK = 0.03  # seconds between two looks for a worker at work


def workers(group: int, function: str) -> Iterator[int]:
    """The emulator's processes that run this function; its group is the one it was started with."""
    for process in PROC.glob("[0-9]*"):
        try:
            fields = (process / "stat").read_text().rpartition(")")[2].split()
            if int(fields[2]) != group or fields[0] == "Z":
                continue
            environment = (process / "environ").read_bytes().split(b"\0")
        except OSError:
            continue  # it has just ended
        if f"AWS_LAMBDA_FUNCTION_NAME={function}".encode() in environment:
            yield int(process.name)


def at_work(pid: int) -> bool:
    """Whether the worker does anything but wait for its next event, on its standard input."""
    try:
        number, *arguments = (PROC / str(pid) / "syscall").read_text().split()
    except OSError:
        return False
    return not (number in READ and arguments[:1] == [STDIN])


def speaks_to(pid: int, port: int) -> bool:
    wanted = f":{port:04X}"
    rows = (line.split() for line in (PROC / "net" / "tcp").read_text().splitlines()[1:])
    theirs = {f"socket:[{row[9]}]" for row in rows if row[2].endswith(wanted)}
    try:
        return any(str(each.readlink()) in theirs for each in (PROC / str(pid) / "fd").iterdir())
    except OSError:
        return False


@dataclass
class Killer:
    """A thread that kills until it is stopped, or has killed enough.

    A worker that speaks to ``port`` is at the work to be interrupted.
    """

    group: int
    function: str
    port: int
    most: int
    seed: int
    pause: tuple[float, float]  # seconds between two kills
    into: tuple[float, float] = (0.0, 0.2)  # seconds that a worker is let work before
    killed: list[int] = field(default_factory=list)
    _warm: set[int] = field(default_factory=set)
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        source = random.Random(self.seed)  # noqa: S311  # moments, no secrets
        while len(self.killed) < self.most and not self._over.wait(source.uniform(*self.pause)):
            victim = self._victim(source)
            if victim is None:
                return
            os.kill(victim, signal.SIGKILL)
            self.killed.append(victim)

    def _victim(self, source: random.Random) -> int | None:
        """Return a worker that has worked for a random while and still does; a cold start is no work."""
        while not self._over.is_set():
            working = {pid: at_work(pid) for pid in workers(self.group, self.function)}
            self._warm |= {pid for pid, busy in working.items() if not busy}
            busy = [pid for pid in working if working[pid] and pid in self._warm]
            if busy := [pid for pid in busy if speaks_to(pid, self.port)]:
                victim = source.choice(busy)
                time.sleep(source.uniform(*self.into))
                if at_work(victim):
                    return victim
            time.sleep(LOOK)
        return None


LORA_RANK = 2  # 11 MB: in two parts
ROUND_EVERY = 3.0  # seconds
LIMIT = 3600.0  # seconds


@dataclass(frozen=True)
class Burst:
    """What is done to a stack; ``hurry`` as in Waiter, None takes the template's own times.

    ``pause``: the least and the most seconds between two kills.
    """

    jobs: int = 200
    in_flight: int = 5
    seed: int = 0
    kills: int = 20
    pause: tuple[float, float] = (1.0, 4.0)
    hurry: int | None = None
    limit: float = LIMIT


@dataclass(frozen=True)
class Figures:
    seconds: float
    paid: int
    succeeded: int
    at_fal_by_fal: int
    at_fal_by_slots: int
    at_fal_by_history: int
    lost: int
    doubled: int
    killed: int
    messages_of_the_killed: int
    messages_given_back: int
    leases_abandoned: int
    rounds: int
    rounds_failed: int
    slowest_round: float
    dead_letters: int
    in_flight_messages: int
    violations: tuple[str, ...]

    @property
    def rows(self) -> list[Row]:
        struck = {
            "fal: webhook_lost": self.lost,
            "fal: webhook_doubled": self.doubled,
            "store worker killed at work": self.killed,
        }
        return rows(struck, len(self.violations))


def run(burst: Burst) -> Figures:
    parameters = {
        "MaxInFlight": str(burst.in_flight),
        "MonthlyBudgetUsd": "100000",
        "LateAfterSeconds": "5",
        "LogLevel": "INFO",
    }
    # fal would take them all: what is in progress there at once is what we have let through.
    fal = SimulatorConfig(
        training_seconds=0.3, lora_rank=LORA_RANK, max_in_progress=max(burst.jobs, 2)
    )
    with running_simulator(fal) as simulator, deployed(simulator, parameters) as stack:
        simulator.inject("webhook_lost", times=None, every=5)
        simulator.inject("webhook_doubled", times=None, every=9)
        return _measure(burst, stack)


def _measure(burst: Burst, stack: Deployed) -> Figures:
    began = time.monotonic()
    waiter = Waiter(stack, every=ROUND_EVERY, hurry=burst.hurry)
    store = stack["StoreFunctionName"]
    killer = Killer(
        group=stack.stack.emulator.pid,
        function=store,
        port=stack.fal.access.port,
        most=burst.kills,
        seed=burst.seed,
        pause=burst.pause,
    )
    with killer:
        job_ids = stack.drop([f"burst/{burst.seed}-{number:03}" for number in range(burst.jobs)])
        jobs = waiter.wait(job_ids, limit=burst.limit)
    seconds = time.monotonic() - began
    left = _left_over(stack, store, limit=burst.limit)
    ledger = stack.fal.ledger()
    injected = {fault["fault"]: fault["injected"] for fault in stack.fal.faults()}
    dead = sum(stack.dead_letters().values())
    by_state = Counter(job.status for job in jobs.values())
    figures: dict[str, Any] = {
        "seconds": round(seconds, 1),
        "paid": sum(row["accepted"] for row in ledger["submissions"]),
        "succeeded": by_state[Status.SUCCEEDED],
        "at_fal_by_fal": ledger["max_in_progress"],
        "at_fal_by_slots": waiter.most_at_fal,
        "at_fal_by_history": most_at_once(jobs.values()),
        "lost": injected["webhook_lost"],
        "doubled": injected["webhook_doubled"],
        "killed": len(killer.killed),
        "messages_of_the_killed": stack.died(store),
        "messages_given_back": stack.gave_back(store),
        "leases_abandoned": len(waiter.abandoned),
        "rounds": waiter.rounds,
        "rounds_failed": waiter.failed_rounds,
        "slowest_round": round(waiter.slowest_round, 1),
        "dead_letters": dead,
        "in_flight_messages": left,
    }
    wrong = [*_wrong(burst, jobs, figures), *broken_promises(stack, job_ids)]
    return Figures(**figures, violations=tuple(wrong))


def _left_over(stack: Deployed, store: str, *, limit: float) -> int:
    """Count the messages to the store worker that stay, once it had the time for those that came twice."""
    end = time.monotonic() + limit
    while True:
        left = sum(stack.messages("ResultsQueue"))
        if left <= stack.died(store) + stack.gave_back(store) or time.monotonic() > end:
            return left
        time.sleep(1)


def _wrong(burst: Burst, jobs: Mapping[str, Job], figures: Mapping[str, Any]) -> list[str]:
    found = [
        f"{figures[name]} {name} of {burst.jobs}"
        for name in ("paid", "succeeded")
        if figures[name] != burst.jobs
    ]
    found += [
        f"{name}: {figures[name]}, and {burst.in_flight} may be"
        for name in ("at_fal_by_fal", "at_fal_by_slots", "at_fal_by_history")
        if figures[name] > burst.in_flight
    ]
    if figures["dead_letters"]:
        found.append(f"{figures['dead_letters']} dead letters without an explanation")
    explained = figures["messages_of_the_killed"] + figures["messages_given_back"]
    if figures["in_flight_messages"] > explained:
        found.append(f"of {figures['in_flight_messages']} messages {explained} were not handled")
    estimate = {job.estimated_cost_usd for job in jobs.values()}
    if len(estimate) != 1:
        found.append(f"the estimates are {estimate}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.resilience.faults.burst")
    given = Burst()
    parser.add_argument("--jobs", type=int, default=given.jobs)
    parser.add_argument("--in-flight", type=int, default=given.in_flight)
    parser.add_argument("--seed", type=int, default=given.seed)
    parser.add_argument("--kills", type=int, default=given.kills)
    parser.add_argument(
        "--hurry", type=int, default=given.hurry, help="see tests/resilience/faults/quiescence.py"
    )
    figures = run(Burst(**vars(parser.parse_args())))
    shown = {name: value for name, value in asdict(figures).items() if name != "violations"}
    finish(shown, [], figures.violations)


if __name__ == "__main__":
    main()

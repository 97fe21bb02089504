"""The deployed stack on bad wires: ``python -m tests.resilience.faults.bad_wires --jobs 25``.

Between the functions and the emulator stands a proxy that throttles, fails and hangs up as AWS
does; fal does its worst at the same time. Afterwards the wires are good again, persons do what
is asked of them, and every promise must have been kept.
"""

import argparse
import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lora_drop.jobs.job import Job
from lora_drop.jobs.job_files import ERROR_FILE
from lora_drop.jobs.status import Status
from lora_drop.local.processes import free_port
from lora_drop.local.wire_faults import WireFault, WireFaults
from lora_drop.simulator.config import SimulatorConfig
from lora_drop.simulator.running import ControlClient, running_simulator
from tests.resilience.faults import quiescence
from tests.resilience.faults.deployed import Deployed, deployed
from tests.resilience.faults.report import finish, table
from tests.resilience.faults.wire_rules import FAL, OUTAGE, wire_faults

LORA_RANK = 2  # 11 MB: in two parts
ROUND_EVERY = 2.0  # seconds
HURRY = 15  # seconds, see Waiter
DYING = 3  # seconds that a message is invisible while it is to die
FIRST = 2  # datasets that are dropped while S3 is away


@dataclass(frozen=True)
class Wires:
    """What is done to a stack; ``storm`` and ``limit`` in seconds."""

    jobs: int = 25
    in_flight: int = 5
    storm: float = 90.0
    limit: float = 600.0


@dataclass(frozen=True)
class Report:
    seconds: float
    calls: int
    rounds: int
    states: dict[str, int]
    redriven: dict[str, int]
    settled: tuple[str, ...]
    struck: dict[str, int]
    violations: tuple[str, ...]

    @property
    def rows(self) -> list[quiescence.Row]:
        return quiescence.rows(self.struck, len(self.violations))


class WireFaultControl:
    """Every fault of a run, those of the proxy and those of the simulator, and their count."""

    def __init__(self, fal: ControlClient, proxy: WireFaults) -> None:
        self._fal = fal
        self._proxy = proxy
        self._active: list[WireFault] = []
        self.struck: Counter[str] = Counter()

    def outage(self) -> None:
        self._turn([OUTAGE])

    def all_faults(self) -> None:
        self._turn(list(wire_faults()))
        for settings in FAL:
            self._fal.inject(**{"times": None, **settings})

    def calm(self) -> None:
        self._turn([])
        for row in self._fal.faults():
            status = f" {row['settings']['status']}" if row["settings"].get("status") else ""
            self.struck[f"fal: {row['fault']}{status}"] += row["injected"]
        self._fal.clear()

    def _turn(self, faults: list[WireFault]) -> None:
        for fault, count in zip(self._active, self._proxy.injected(), strict=True):
            self.struck[fault.name] += count
        self._proxy.inject(faults)
        self._active = faults


class Person:
    def __init__(self, stack: Deployed) -> None:
        self._stack = stack
        self._client = stack.person()
        self.redriven: Counter[str] = Counter()
        self.settled: list[str] = []
        self.unwarned: list[str] = []

    def act(self, jobs: Iterable[Job]) -> None:
        self.redriven.update(self._client.redrive())
        for job in jobs:
            if job.status not in (Status.HELD, Status.SUBMIT_UNKNOWN):
                continue
            if quiescence.text_of(self._stack, job, ERROR_FILE) is None:
                self.unwarned.append(f"{job.job_id} is {job.status}, and ERROR.txt is missing")
            if job.status is Status.HELD:
                self._client.approve(job.job_id)
            else:
                # As fal's dashboard shows it.
                posts = quiescence.accepted_posts(self._stack.fal.ledger(), job)
                live = [each for each in posts if each not in job.earlier_requests]
                self._client.resolve(job.job_id, request_id=live[0] if live else None)
            self.settled.append(f"{job.job_id} was {job.status}")


def run(wires: Wires) -> Report:
    """Bring a stack up behind the proxy, let the faults pass, and look at what is left."""
    port = free_port()
    parameters = {
        "MaxInFlight": str(wires.in_flight),
        "MonthlyBudgetUsd": "100000",
        "LateAfterSeconds": "5",
        "LogLevel": "INFO",
    }
    variables = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
    fal = SimulatorConfig(training_seconds=0.3, lora_rank=LORA_RANK, max_in_progress=wires.jobs)
    proxies: list[WireFaults] = []

    def between(emulator_url: str, state: Path) -> None:
        # It needs the emulator's address, and the functions need its own.
        proxies.append(WireFaults.start(emulator_url, state / "proxy.log", port=port))

    with running_simulator(fal) as simulator:
        try:
            with deployed(simulator, parameters, variables, between=between) as stack:
                return _measure(wires, stack, proxies[0])
        finally:
            for proxy in proxies:
                proxy.process.end()


def _measure(wires: Wires, stack: Deployed, proxy: WireFaults) -> Report:
    began = time.monotonic()
    control, person = WireFaultControl(stack.fal, proxy), Person(stack)
    waiter = quiescence.Waiter(stack, every=ROUND_EVERY, hurry=DYING)
    control.outage()
    job_ids = stack.drop([f"wire/dead-{number}" for number in range(FIRST)])
    waiter.wait(job_ids, limit=wires.storm, stop=lambda _: any(stack.dead_letters().values()))
    waiter.hasten(HURRY)
    control.all_faults()
    job_ids += stack.drop([f"wire/{number:02}" for number in range(FIRST, wires.jobs)])
    waiter.wait(job_ids, limit=wires.storm, stop=lambda jobs: _stand_still(jobs, job_ids))
    control.calm()
    _come_to_rest(waiter, person, job_ids, limit=wires.limit)
    jobs = stack.jobs()
    return Report(
        seconds=round(time.monotonic() - began, 1),
        calls=proxy.requests(),
        rounds=waiter.rounds,
        states=dict(Counter(str(job.status) for job in jobs.values())),
        redriven=dict(person.redriven),
        settled=tuple(person.settled),
        struck=dict(control.struck),
        violations=(
            *person.unwarned,
            *_wrong(stack, waiter, wires),
            *quiescence.broken_promises(stack, job_ids),
        ),
    )


def _come_to_rest(
    waiter: quiescence.Waiter, person: Person, job_ids: Collection[str], *, limit: float
) -> None:
    end = time.monotonic() + limit
    while (left := end - time.monotonic()) > 0:
        rounds = waiter.rounds

        def settled(jobs: dict[str, Job], since: int = rounds) -> bool:
            # Two whole rounds: what the stack can do by itself is done by then.
            return waiter.rounds > since + 2 or quiescence.all_ended(jobs, job_ids)

        jobs = waiter.wait(job_ids, limit=left, stop=settled)
        person.act(jobs.values())
        if quiescence.all_ended(jobs, job_ids) and not any(waiter.stack.dead_letters().values()):
            return


def _stand_still(jobs: Mapping[str, Job], job_ids: Collection[str]) -> bool:
    """Whether nothing goes on but for a person, among whose letters the first datasets still lie."""
    waits = (Status.HELD, Status.SUBMIT_UNKNOWN)
    return len(jobs) >= len(job_ids) - FIRST and all(
        job.terminal or job.status in waits for job in jobs.values()
    )


def _wrong(stack: Deployed, waiter: quiescence.Waiter, wires: Wires) -> list[str]:
    found = [
        f"{count} dead letters of {name}" for name, count in stack.dead_letters().items() if count
    ]
    failed = {row["request_id"] for row in stack.fal.requests() if row["error_type"]}
    found += [
        f"{job.job_id} is {job.status}, and fal had no part in that"
        for job in stack.jobs().values()
        if job.status is not Status.SUCCEEDED and job.request_id not in failed
    ]
    most = max(waiter.most_at_fal, stack.fal.ledger()["max_in_progress"])
    if most > wires.in_flight:
        found.append(f"{most} were at fal, and {wires.in_flight} may be")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.resilience.faults.bad_wires")
    given = Wires()
    parser.add_argument("--jobs", type=int, default=given.jobs)
    parser.add_argument("--in-flight", type=int, default=given.in_flight)
    parser.add_argument("--storm", type=float, default=given.storm, help="seconds at most")
    report = run(Wires(**vars(parser.parse_args())))
    names = ("seconds", "calls", "rounds", "states", "redriven", "settled")
    shown = {name: getattr(report, name) for name in names}
    finish(shown, table(quiescence.HEAD, report.rows), report.violations)


if __name__ == "__main__":
    main()

"""The process dies at every effect of a run, once or twice; then run goes on as AWS and fal do."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from lora_drop.jobs.status import Status
from tests.resilience.faults.effects import Effect
from tests.resilience.faults.faults import Killed
from tests.resilience.faults.harness import Harness
from tests.resilience.faults.invariants import broken_promises
from tests.resilience.faults.scenarios import HAPPY, Scenario

LONGEST = timedelta(hours=6)


@dataclass(frozen=True, order=True)
class Interruption:
    at: int
    after: bool = False
    fails: bool = False

    def __str__(self) -> str:
        what = "failed" if self.fails else "killed"
        return f"{what} {'after' if self.after else 'before'} {self.at}"


@dataclass
class CrashInjector:
    interruptions: tuple[Interruption, ...] = ()
    seen: list[tuple[Effect, int]] = field(default_factory=list)
    harness: Harness | None = None

    def __post_init__(self) -> None:
        self._next = {interruption.at: interruption for interruption in self.interruptions}

    def act[R](self, effect: Effect, call: Callable[[], R]) -> R:
        assert self.harness is not None
        self.seen.append((effect, self.harness.invocations))
        interruption = self._next.get(len(self.seen))
        if interruption is None:
            return call()
        end = (
            self.harness.trouble(effect, after=interruption.after)
            if interruption.fails
            else Killed()
        )
        if not interruption.after:
            raise end
        try:
            call()
        except Exception as refused:
            raise end from refused  # no caller sees it
        raise end


type Backend = Callable[[CrashInjector], AbstractContextManager[Harness]]


@dataclass(frozen=True)
class ScenarioRun:
    """One run with its interruptions: its effects by invocation, and the violations at its end."""

    scenario: str
    interruptions: tuple[Interruption, ...]
    effects: tuple[tuple[Effect, int], ...]
    wrong: tuple[str, ...]
    doubted: bool
    reached: Counter[Status]

    def __str__(self) -> str:
        where = ", ".join(
            f"{interruption} ({self.effects[interruption.at - 1][0]})"
            for interruption in self.interruptions
        )
        return f"{self.scenario}; {where or 'undisturbed'}: " + "; ".join(self.wrong)

    def further(self) -> Iterator[tuple[Interruption, int]]:
        """Every later interruption that makes a run of its own, and how many interruptions it stands for.

        To die after an effect is to die before the next one, unless that is another invocation's.
        """
        last = max((interruption.at for interruption in self.interruptions), default=0)
        for at in range(last + 1, len(self.effects) + 1):
            ends = at == len(self.effects) or self.effects[at][1] != self.effects[at - 1][1]
            begins = at == last + 1 or self.effects[at - 2][1] != self.effects[at - 1][1]
            yield Interruption(at), 1 if begins else 2
            if ends:
                yield Interruption(at, after=True), 1


@contextmanager
def in_memory(interceptor: CrashInjector) -> Iterator[Harness]:
    yield Harness(interceptor)


def run_scenario(
    *interruptions: Interruption, scenario: Scenario = HAPPY, on: Backend = in_memory
) -> ScenarioRun:
    injector = CrashInjector(interruptions)
    with on(injector) as harness:
        injector.harness, harness.failing = (
            harness,
            any(interruption.fails for interruption in interruptions),
        )
        scenario.prepare(harness)
        born = harness.clock.now
        while not harness.quiet:
            if harness.clock.now - born > LONGEST:
                harness.violated(f"nothing has come to rest in {LONGEST}")
                break
            harness.act_as_person()
            harness.next()()
        effects = tuple(injector.seen)
        harness.clock.now += timedelta(hours=3)  # what is abandoned is swept by then
        for _ in range(2):
            harness.round()
        wrong = tuple(_wrong(harness, interruptions, scenario))
    doubted = bool(harness.decided)
    return ScenarioRun(scenario.name, interruptions, effects, wrong, doubted, harness.rows.reached)


def _wrong(
    harness: Harness, interruptions: tuple[Interruption, ...], scenario: Scenario
) -> Iterator[str]:
    yield from broken_promises(harness)
    ends = (len(harness.fal.requests), *sorted(job.status for job in harness.rows.values()))
    if ends not in {(paid, *sorted(statuses)) for paid, *statuses in scenario.ends}:
        yield f"paid {ends[0]} times, ended as {', '.join(map(str, ends[1:]))}"
    deadly = sum(not interruption.fails for interruption in interruptions)
    if harness.deaths < deadly:
        yield f"{harness.deaths} of {deadly} interruptions struck"


def singles(effects: int) -> Iterator[Interruption]:
    """Return a death and a failure for either side of each effect."""
    for at in range(1, effects + 1):
        for fails in (False, True):
            yield Interruption(at, fails=fails)
            yield Interruption(at, after=True, fails=fails)


@dataclass
class Report:
    """The sum of many runs; ``effects`` are those of an undisturbed one."""

    effects: int = 0
    singles: int = 0
    pairs: int = 0
    triples: int = 0
    runs: int = 0
    doubted: int = 0
    broken: list[ScenarioRun] = field(default_factory=list)
    reached: Counter[Status] = field(default_factory=Counter)

    def add(self, run: ScenarioRun) -> ScenarioRun:
        self.runs += 1
        self.doubted += run.doubted
        self.reached += run.reached
        if run.wrong:
            self.broken.append(run)
        return run


def every_single(report: Report, scenario: Scenario = HAPPY, on: Backend = in_memory) -> None:
    whole = report.add(run_scenario(scenario=scenario, on=on))
    report.effects += len(whole.effects)
    for interruption in singles(len(whole.effects)):
        report.add(run_scenario(interruption, scenario=scenario, on=on))
        report.singles += 1


def every_pair(report: Report, scenario: Scenario = HAPPY) -> None:
    """A run for each two, but for those that are the same run."""
    for first, stands_for in run_scenario(scenario=scenario).further():
        once = run_scenario(first, scenario=scenario)
        for second, also in once.further():
            report.add(run_scenario(first, second, scenario=scenario))
            report.pairs += stands_for * also


def some_triples(report: Report, number: int, seed: int) -> None:
    chance, whole = random.Random(seed), run_scenario()  # noqa: S311  # to be repeated, not to be secret
    for _ in range(number):
        run = whole
        for _ in range(3):
            later = [interruption for interruption, _ in run.further()]
            run = run_scenario(*run.interruptions, chance.choice(later)) if later else run
        report.add(run)
        report.triples += 1

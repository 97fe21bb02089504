"""The process dies at every effect of a life, once or twice; then life goes on as AWS and fal do."""

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from lora_drop.jobs.status import Status
from tests.resilience.faults.effects import Effect
from tests.resilience.faults.harness import Stage
from tests.resilience.faults.killed import Killed
from tests.resilience.faults.scenarios import HAPPY, Scenario
from tests.resilience.faults.truth import broken_promises

LONGEST = timedelta(hours=6)


@dataclass(frozen=True, order=True)
class Blow:
    """Where the process dies, or where a call fails: before or after the n-th effect of the life."""

    at: int
    after: bool = False
    fails: bool = False

    def __str__(self) -> str:
        what = "failed" if self.fails else "killed"
        return f"{what} {'after' if self.after else 'before'} {self.at}"


@dataclass
class Mortal:
    """A hand that counts, and deals its blows."""

    blows: tuple[Blow, ...] = ()
    seen: list[tuple[Effect, int]] = field(default_factory=list)
    stage: Stage | None = None

    def __post_init__(self) -> None:
        self._next = {blow.at: blow for blow in self.blows}

    def act[R](self, effect: Effect, call: Callable[[], R]) -> R:
        assert self.stage is not None
        self.seen.append((effect, self.stage.invocations))
        blow = self._next.get(len(self.seen))
        if blow is None:
            return call()
        end = self.stage.trouble(effect, after=blow.after) if blow.fails else Killed()
        if not blow.after:
            raise end
        try:
            call()
        except Exception as refused:
            raise end from refused  # nobody has heard of it
        raise end


type Place = Callable[[Mortal], AbstractContextManager[Stage]]


@dataclass(frozen=True)
class Life:
    """A whole life with its blows: what it did, in which invocation, and what is wrong at its end."""

    scenario: str
    blows: tuple[Blow, ...]
    effects: tuple[tuple[Effect, int], ...]
    wrong: tuple[str, ...]
    doubted: bool
    reached: Counter[Status]

    def __str__(self) -> str:
        where = ", ".join(f"{blow} ({self.effects[blow.at - 1][0]})" for blow in self.blows)
        return f"{self.scenario}; {where or 'undisturbed'}: " + "; ".join(self.wrong)

    def further(self) -> Iterator[tuple[Blow, int]]:
        """Every later blow that makes a life of its own, and how many blows it stands for.

        To die after an effect is to die before the next one, unless that is another invocation's.
        """
        last = max((blow.at for blow in self.blows), default=0)
        for at in range(last + 1, len(self.effects) + 1):
            ends = at == len(self.effects) or self.effects[at][1] != self.effects[at - 1][1]
            begins = at == last + 1 or self.effects[at - 2][1] != self.effects[at - 1][1]
            yield Blow(at), 1 if begins else 2
            if ends:
                yield Blow(at, after=True), 1


@contextmanager
def in_memory(hand: Mortal) -> Iterator[Stage]:
    """The stage on the in-memory stores."""
    yield Stage(hand)


def live(*blows: Blow, scenario: Scenario = HAPPY, on: Place = in_memory) -> Life:
    """From the drop to its rest, come what may."""
    mortal = Mortal(blows)
    with on(mortal) as stage:
        mortal.stage, stage.failing = stage, any(blow.fails for blow in blows)
        scenario.prepare(stage)
        born = stage.clock.now
        while not stage.quiet:
            if stage.clock.now - born > LONGEST:
                stage.violated(f"nothing has come to rest in {LONGEST}")
                break
            stage.people()
            stage.next()()
        effects = tuple(mortal.seen)
        stage.clock.now += timedelta(hours=3)  # what is abandoned is swept by then
        for _ in range(2):
            stage.round()
        wrong = tuple(_wrong(stage, blows, scenario))
    doubted = bool(stage.decided)
    return Life(scenario.name, blows, effects, wrong, doubted, stage.rows.reached)


def _wrong(stage: Stage, blows: tuple[Blow, ...], scenario: Scenario) -> Iterator[str]:
    yield from broken_promises(stage)
    ends = (len(stage.fal.requests), *sorted(job.status for job in stage.rows.values()))
    if ends not in {(paid, *sorted(statuses)) for paid, *statuses in scenario.ends}:
        yield f"paid {ends[0]} times, ended as {', '.join(map(str, ends[1:]))}"
    deadly = sum(not blow.fails for blow in blows)
    if stage.deaths < deadly:
        yield f"{stage.deaths} of {deadly} blows struck"


def singles(effects: int) -> Iterator[Blow]:
    """Either side of each effect, once to die there and once to fail."""
    for at in range(1, effects + 1):
        for fails in (False, True):
            yield Blow(at, fails=fails)
            yield Blow(at, after=True, fails=fails)


@dataclass
class Report:
    """What the lives with accidents came to; ``effects`` are those of an undisturbed life."""

    effects: int = 0
    singles: int = 0
    pairs: int = 0
    triples: int = 0
    lived: int = 0
    doubted: int = 0
    broken: list[Life] = field(default_factory=list)
    reached: Counter[Status] = field(default_factory=Counter)

    def add(self, life: Life) -> Life:
        """Count a life."""
        self.lived += 1
        self.doubted += life.doubted
        self.reached += life.reached
        if life.wrong:
            self.broken.append(life)
        return life


def every_single(report: Report, scenario: Scenario = HAPPY, on: Place = in_memory) -> None:
    """A life for each side of each effect."""
    whole = report.add(live(scenario=scenario, on=on))
    report.effects += len(whole.effects)
    for blow in singles(len(whole.effects)):
        report.add(live(blow, scenario=scenario, on=on))
        report.singles += 1


def every_pair(report: Report, scenario: Scenario = HAPPY) -> None:
    """A life for each two, but for those that are the same life."""
    for first, stands_for in live(scenario=scenario).further():
        once = live(first, scenario=scenario)
        for second, also in once.further():
            report.add(live(first, second, scenario=scenario))
            report.pairs += stands_for * also


def some_triples(report: Report, number: int, seed: int) -> None:
    """Lives with three blows each, drawn."""
    chance, whole = random.Random(seed), live()  # noqa: S311  # to be repeated, not to be secret
    for _ in range(number):
        life = whole
        for _ in range(3):
            later = [blow for blow, _ in life.further()]
            life = live(*life.blows, chance.choice(later)) if later else life
        report.add(life)
        report.triples += 1

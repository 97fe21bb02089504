"""The same harness in Hypothesis' hands: it looks for a short story that breaks a promise."""

from contextlib import ExitStack
from datetime import timedelta
from functools import cache, partial

from hypothesis import HealthCheck, settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.resilience.faults import functions
from tests.resilience.faults.faults import Decisions, Fault
from tests.resilience.faults.schedule import Schedule, archive, by_seed

EXAMPLES, STEPS = 30, 25
MINUTE = timedelta(minutes=1)


class PreparedSource:
    """A Source whose next choices by a name are laid ready; all others are the ordinary ones."""

    def __init__(self) -> None:
        self.ready: dict[str, list[tuple[int, int]]] = {}

    def arm(self, name: str, after: int, choice: int) -> None:
        """When this has been asked so many times more, that is chosen."""
        self.ready.setdefault(name, []).append((after, choice))

    def choose(self, name: str, number: int, options: int, likely: float) -> int:  # noqa: ARG002  # a Source's shape
        waiting = self.ready.get(name)
        if not waiting:
            return 0
        after, choice = waiting[0]
        if after:
            waiting[0] = (after - 1, choice)
            return 0
        waiting.pop(0)
        return min(choice, options - 1)


@cache
def names() -> list[str]:
    with functions.quietly():
        return sorted({name for seed in range(60) for name in by_seed(seed).made})


class FaultMachine(RuleBasedStateMachine):
    """Drops, faults, persons and strangers in any order; at the end all invariants are checked."""

    def __init__(self) -> None:
        super().__init__()
        self.around = ExitStack()
        self.around.enter_context(functions.quietly())
        self.source = PreparedSource()

    @initialize(slots=strategies.integers(0, 2), budget=strategies.integers(0, 2))
    def begin(self, slots: int, budget: int) -> None:
        self.source.arm("slots", 0, slots)
        self.source.arm("budget", 0, budget)
        self.source.arm("overlap", 0, 1)
        self.schedule = Schedule(Decisions(self.source))
        self.harness = self.schedule.harness

    @rule(
        name=strategies.deferred(lambda: strategies.sampled_from(names())),
        after=strategies.integers(0, 6),
        choice=strategies.integers(1, 10),
    )
    def decide(self, name: str, after: int, choice: int) -> None:
        self.source.arm(name, after, choice)

    @rule(times=strategies.integers(1, 12))
    def go_on(self, times: int) -> None:
        for _ in range(times):
            self.schedule.step()

    @rule(number=strategies.integers(0, 3), valid=strategies.booleans())
    def drop(self, number: int, valid: bool) -> None:  # noqa: FBT001  # Hypothesis names it
        data = archive(number, valid=valid)
        self.schedule.inputs.announce(self.harness.drop(f"portrait/ada-{number}.zip", data))

    @rule(number=strategies.integers(0, 3))
    def delete(self, number: int) -> None:
        key = f"portrait/ada-{number}.zip"
        if self.harness.datasets.objects.get(key):
            self.harness.datasets.put(key, None)

    @rule(what=strategies.sampled_from(["stranger", "person"]))
    def call_from_outside(self, what: str) -> None:
        act = self.schedule.inputs.stranger if what == "stranger" else self.schedule.person
        self.harness.plan(self.harness.clock.now, act)

    @rule(minutes=strategies.integers(10, 70))
    def go_down(self, minutes: int) -> None:
        self.harness.plan(
            self.harness.clock.now, partial(self.schedule.go_down, timedelta(minutes=minutes))
        )

    @invariant()
    def no_promise_is_broken_on_the_way(self) -> None:
        harness = getattr(self, "harness", None)
        assert not (harness and harness.violations), harness and list(harness.violations)

    def teardown(self) -> None:
        try:
            if hasattr(self, "schedule"):
                self.schedule.rest()
                outcome = self.schedule.outcome()
                assert outcome.wrong == (), (outcome.wrong, [str(Fault(x)) for x in outcome.struck])
        finally:
            self.around.close()


TestFaults = FaultMachine.TestCase
TestFaults.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)

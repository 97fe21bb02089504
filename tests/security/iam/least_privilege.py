"""What the roles grant against what is used of it, and what breaks when a part of it is dropped."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from time import process_time

from tests.security.iam import scenarios_datasets, scenarios_people, scenarios_results  # noqa: F401  # they register their scenarios
from tests.security.iam.harness import SCENARIOS, Scenario, new_harness
from tests.security.iam.policies import Grant, Policy, functions
from tests.security.iam.rights import Right


@dataclass(frozen=True)
class Used:
    """What the scenarios have asked for, each for itself, and the policies that were in force.

    The scenarios are in the order of how long they took.
    """

    policies: Mapping[str, Policy]
    asked: Mapping[str, frozenset[tuple[str, Right]]]

    def granted(self, function: str) -> Sequence[Grant]:
        """Everything that this function may."""
        return self.policies[function].grants

    def rights(self, function: str) -> frozenset[Right]:
        """Everything that this function has asked for."""
        every = frozenset[tuple[str, Right]]().union(*self.asked.values())
        return frozenset(right for who, right in every if who == function)

    def unused(self, function: str) -> Sequence[Grant]:
        """Return what is granted and never asked for."""
        asked = self.rights(function)
        return [grant for grant in self.granted(function) if not any(map(grant.covers, asked))]

    def missing(self, function: str) -> Sequence[Right]:
        """What was asked for, and is not granted."""
        return sorted(
            right for right in self.rights(function) if not self.policies[function].allows(right)
        )

    def needing(self, function: str, dropped: Sequence[Grant]) -> Iterator[str]:
        """The scenarios that ask for any of these."""
        for name, asked in self.asked.items():
            if any(who == function and grant.covers(it) for who, it in asked for grant in dropped):
                yield name


@dataclass(frozen=True, slots=True)
class Mutation:
    """A part of a function's policy that is dropped: a whole statement, or one of its grants."""

    function: str
    dropped: tuple[Grant, ...]
    whole: bool

    @property
    def name(self) -> str:
        """How a report calls it."""
        first = self.dropped[0]
        what = "" if self.whole else f", {first.action} on {first.resource}"
        return f"{self.function}: {first.sid}{what}"


@dataclass(frozen=True, slots=True)
class Run:
    """What one scenario has asked for, with everything allowed, and what its roles do not grant."""

    policies: Mapping[str, Policy]
    asked: frozenset[tuple[str, Right]]
    denied: frozenset[tuple[str, Right]]
    seconds: float


@cache
def run(name: str) -> Run:
    """Carry a scenario through with everything allowed; raises what the scenario raises."""
    began = process_time()
    with new_harness() as harness:
        harness.guard.enforced = False
        SCENARIOS[name](harness)
        guard = harness.guard
        seconds = process_time() - began
        return Run(guard.policies, frozenset(guard.asked), frozenset(guard.denied), seconds)


def used() -> Used:
    """Return what all scenarios have used."""
    runs = {name: run(name) for name in SCENARIOS}
    by_time = sorted(runs, key=lambda name: runs[name].seconds)
    policies = runs[by_time[0]].policies
    return Used(policies, {name: runs[name].asked for name in by_time})


def mutations(policies: Mapping[str, Policy]) -> Iterator[Mutation]:
    """Every statement dropped, and every grant of those that have several."""
    for function in functions():
        for grants in policies[function].statements.values():
            yield Mutation(function, tuple(grants), whole=True)
            if len(grants) > 1:
                yield from (Mutation(function, (grant,), whole=False) for grant in grants)


def survives(mutation: Mutation, scenarios: Iterable[str]) -> bool:
    """Whether every one of these scenarios is still carried through without what was dropped.

    A scenario that breaks must have been refused exactly that, or it broke for another reason.
    """
    return not any(_breaks(SCENARIOS[name], mutation) for name in scenarios)


def _breaks(scenario: Scenario, mutation: Mutation) -> bool:
    with new_harness() as harness:
        less = harness.guard.policies[mutation.function].without(mutation.dropped)
        harness.guard.policies = {**harness.guard.policies, mutation.function: less}
        try:
            scenario(harness)
        except Exception:  # noqa: BLE001  # whatever a missing right breaks
            return any(
                who == mutation.function and any(grant.covers(right) for grant in mutation.dropped)
                for who, right in harness.guard.denied
            )
    return False

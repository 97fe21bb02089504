"""What the roles grant against what is used of it, and what breaks when a part of it is dropped."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import process_time

from tests.security.iam import (  # noqa: F401  # they tell their scenarios
    datasets_come_in,
    jobs_are_forgotten,
    others_are_told,
    people_decide,
    results_go_out,
)
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
        """What is granted, and nobody asked for."""
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


def used() -> Used:
    """Every scenario, undisturbed, with everything allowed; raises what a scenario raises."""
    asked: dict[str, frozenset[tuple[str, Right]]] = {}
    policies: Mapping[str, Policy] = {}
    took: dict[str, float] = {}
    for name, scenario in SCENARIOS.items():
        began = process_time()
        with new_harness() as harness:
            harness.guard.enforced = False
            scenario(harness)
            policies, asked[name] = harness.guard.policies, frozenset(harness.guard.asked)
        took[name] = process_time() - began
    return Used(policies, {name: asked[name] for name in sorted(asked, key=took.__getitem__)})


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

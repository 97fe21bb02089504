"""Every reachable state within small bounds, with all guards of the real code and without each."""

from functools import cache

import pytest

from tests.resilience.model.search import Found, check
from tests.resilience.model.world import SMALL, Bounds
from tests.resilience.mutations import OF_MODEL, Mutation
from tests.support.sweeps import sweep

LARGE = {  # of 50,000 states and more; the chaos run of CI has them as well
    "any two faults",
    "any fault, and a round",
    "any fault, and a person",
    "any fault, or a deadline too early",
    "a proof sheet, any fault",
    "a proof sheet, no money for it",
}
complete = cache(check)
# Those of two equal jobs and two rounds take most of the time.
quick = [each for each in OF_MODEL if each.model and each.model.rounds < 2]
mutations = [
    *sweep(quick, sample=6, ids=lambda each: each.name),
    *sweep([each for each in OF_MODEL if each not in quick], sample=0, ids=lambda each: each.name),
]
bounds_of_all = [
    pytest.param(each, id=each.name, marks=[pytest.mark.proof] * (each.name in LARGE))
    for each in SMALL
]


def assert_sound(found: Found) -> None:
    assert not found.wrong, "\n".join((found.wrong, *found.steps))
    assert found.complete


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize("bounds", bounds_of_all)
def test_no_reachable_state_breaks_an_invariant(bounds: Bounds) -> None:
    """No state that a job can reach breaks a promise, and from each the job comes to a good end."""
    assert_sound(complete(bounds))


@pytest.mark.parametrize("mutation", mutations)
def test_without_a_guard_a_violation_is_found(mutation: Mutation) -> None:
    """Each guard matters: without it the check finds a way to a broken promise."""
    assert mutation.model
    with mutation.off():
        found = check(mutation.model)
    assert found.wrong
    assert found.steps


@pytest.mark.parametrize("mutation", mutations)
def test_with_the_guard_none_is_found(mutation: Mutation) -> None:
    assert mutation.model
    assert_sound(complete(mutation.model))

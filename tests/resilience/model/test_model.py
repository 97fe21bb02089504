"""Every reachable state within small bounds, with all guards of the real code and without each."""

from functools import cache

import pytest

from tests.resilience.model.bounds import SMALL, Bounds
from tests.resilience.model.search import Found, check
from tests.resilience.mutations import OF_MODEL, Mutation

complete = cache(check)
each_guard = pytest.mark.parametrize(("mutation", "bounds"), OF_MODEL, ids=lambda each: each.name)


def assert_sound(found: Found) -> None:
    assert not found.wrong, "\n".join((found.wrong, *found.steps))
    assert found.complete


@pytest.mark.promise("never pay twice")
@pytest.mark.parametrize("bounds", SMALL, ids=lambda bounds: bounds.name)
def test_no_reachable_state_breaks_an_invariant(bounds: Bounds) -> None:
    """No state that a job can reach breaks a promise, and from each the job comes to a good end."""
    assert_sound(complete(bounds))


@each_guard
def test_without_a_guard_a_violation_is_found(mutation: Mutation, bounds: Bounds) -> None:
    """Each guard matters: without it the check finds a way to a broken promise."""
    with mutation.off():
        found = check(bounds)

    assert found.wrong
    assert found.steps


@each_guard
def test_with_the_guard_none_is_found(mutation: Mutation, bounds: Bounds) -> None:
    """With the guard there is no violation within the same bounds."""
    assert mutation.model is bounds
    assert_sound(complete(bounds))

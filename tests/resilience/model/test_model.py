import pytest

from tests.resilience.model.bounds import Bounds
from tests.resilience.model.configurations import SMALL
from tests.resilience.model.guards import GUARDS, Guard, check


@pytest.mark.parametrize("bounds", SMALL, ids=lambda bounds: bounds.name)
def test_no_promise_is_broken_at_any_moment_of_a_jobs_life(bounds: Bounds) -> None:
    found = check(bounds)

    assert not found.wrong, "\n".join((found.wrong, *found.steps))
    assert found.complete


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_without_a_guard_the_check_finds_the_way_to_a_violation(guard: Guard) -> None:
    found = guard.missed()

    assert found.wrong
    assert found.steps


@pytest.mark.parametrize("guard", GUARDS, ids=lambda guard: guard.name)
def test_with_the_guard_there_is_none_within_the_same_bounds(guard: Guard) -> None:
    found = guard.kept()

    assert not found.wrong, "\n".join((found.wrong, *found.steps))
    assert found.complete

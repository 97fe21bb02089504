import pytest

from shared.domain.costs import estimated_cost_usd


@pytest.mark.parametrize(
    ("steps", "usd"), [(1, 2.4), (1000, 2.4), (1001, 2.4), (1500, 3.6), (2500, 6.0), (10_000, 24.0)]
)
def test_a_training_costs_by_its_steps_and_a_thousand_at_least(steps: int, usd: float) -> None:
    assert estimated_cost_usd(steps) == usd

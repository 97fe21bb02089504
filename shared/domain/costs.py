"""What a training costs, before it is paid."""

# About $0.0024 a step with 1000 steps billed at least: three independent reports agree; fal's own
# page for the portrait trainer states no price.
USD_PER_STEP = 0.0024
MIN_BILLED_STEPS = 1000


def estimated_cost_usd(steps: int) -> float:
    """US dollars for one training of this many steps."""
    return round(max(steps, MIN_BILLED_STEPS) * USD_PER_STEP, 2)

"""A slip in a parameter's name is told before anything is built."""

from local.deployment import unknown_parameter
from tests.template import template


def test_every_parameter_of_the_template_is_known() -> None:
    assert unknown_parameter(template()["Parameters"]) == ""


def test_a_slip_is_told_with_what_was_meant() -> None:
    assert "MaxJobUsd" in unknown_parameter(["MaxJobUSD"]).split("did you mean")[1].split("?")[0]


def test_what_is_like_nothing_is_told_with_all_there_are() -> None:
    assert "MonthlyBudgetUsd" in unknown_parameter(["x"])

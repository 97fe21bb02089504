"""A slip in a parameter, its name or its value, is told before anything is built."""

from lora_drop.local.inputs import known, what_is_wrong
from tests.support.template import template


def test_every_parameter_of_the_template_is_known_and_takes_its_default() -> None:
    defaults = {name: str(each["Default"]) for name, each in template()["Parameters"].items()}

    assert known().keys() == defaults.keys()
    assert what_is_wrong(defaults) == ""


def test_a_slip_is_told_with_what_was_meant() -> None:
    told = what_is_wrong({"MaxJobUSD": "1"})

    assert "MaxJobUsd" in told.split("did you mean")[1].split("?")[0]


def test_what_is_like_nothing_is_told_with_all_there_are() -> None:
    assert "MonthlyBudgetUsd" in what_is_wrong({"x": "1"})

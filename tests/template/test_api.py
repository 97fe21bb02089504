"""What the API lets through, and what can be set."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.security.iam.policies import functions
from tests.support.template import properties, template

PARAMETERS: dict[str, Any] = template()["Parameters"]
NUMBERS = [name for name, each in PARAMETERS.items() if each["Type"] == "Number"]
ALL = ("/*", "*")


def throttles() -> dict[tuple[str, str], tuple[int, int]]:
    """Rate and burst by path and method."""
    return {
        (each["ResourcePath"], each["HttpMethod"]): (
            each["ThrottlingRateLimit"],
            each["ThrottlingBurstLimit"],
        )
        for each in properties("Api")["MethodSettings"]
    }


def open_routes() -> list[tuple[str, str]]:
    """The routes that anybody may call, in the form of a method's settings: ``/`` is ``~1`` there."""
    routes = [
        event["Properties"]
        for function in functions().values()
        for event in function.get("Events", {}).values()
        if event["Type"] == "Api" and event["Properties"].get("Auth")
    ]
    return [("/" + each["Path"].replace("/", "~1"), each["Method"]) for each in routes]


def test_every_method_is_throttled() -> None:
    assert throttles()[ALL] == (50, 100)


def test_a_flood_of_what_is_open_to_all_leaves_the_others_theirs() -> None:
    assert len(open_routes()) == 1
    for route in open_routes():
        assert throttles()[route] < throttles()[ALL]


def test_no_body_is_logged_by_the_api() -> None:
    for settings in properties("Api")["MethodSettings"]:
        assert not {"DataTraceEnabled", "LoggingLevel"} & settings.keys()
    # The path of a delivery holds its job's token.
    assert "AccessLogSetting" not in properties("Api")


def test_the_api_needs_credentials_and_lends_none() -> None:
    auth = properties("Api")["Auth"]

    assert (auth["DefaultAuthorizer"], auth["InvokeRole"]) == ("AWS_IAM", "NONE")
    assert "Cors" not in properties("Api")


@pytest.mark.parametrize("name", NUMBERS)
def test_a_number_has_a_least_value_that_its_default_keeps(name: str) -> None:
    parameter = PARAMETERS[name]
    allowed = parameter.get("AllowedValues", [parameter["Default"]])
    least = parameter.get("MinValue", min(allowed))

    assert parameter["Default"] in allowed
    assert least <= parameter["Default"] <= parameter.get("MaxValue", parameter["Default"])


def test_what_the_environments_override_can_be_set(root: Path) -> None:
    config = tomllib.loads((root / "samconfig.toml").read_text())
    given = [
        override.split("=", 1)
        for environment in config.values()
        if isinstance(environment, dict)
        for override in environment["deploy"]["parameters"].get("parameter_overrides", "").split()
    ]

    assert given
    for name, value in given:
        allowed = [str(each) for each in PARAMETERS[name].get("AllowedValues", [value])]
        assert value in allowed

"""What template.yaml promises, resource by resource."""

import json
import re
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from lora_drop import settings
from lora_drop.fal.trainers.table import DEFAULT, TRAINERS
from tests.security.iam.policies import functions
from tests.support.template import of_type, properties, template

FUNCTION = "AWS::Serverless::Function"
NAMES = ("Submit", "Webhook", "Store", "Reconcile", "Jobs", "Forget")
# Read by Powertools, boto3 and httpx themselves.
OF_LIBRARIES = re.compile(r"POWERTOOLS_\w+|AWS_ENDPOINT_URL|SSL_CERT_FILE|FAL_(QUEUE_)?RUN_HOST")


def environment_of(name: str) -> dict[str, Any]:
    own = properties(f"{name}Function").get("Environment", {})
    everywhere = template()["Globals"]["Function"]["Environment"]
    return {**everywhere["Variables"], **own.get("Variables", {})}


def test_there_are_six_functions() -> None:
    assert set(of_type(FUNCTION)) == {f"{name}Function" for name in NAMES}


def test_every_trainer_can_be_chosen() -> None:
    parameter = template()["Parameters"]["FalApplication"]

    assert parameter["AllowedValues"] == list(TRAINERS)
    assert parameter["Default"] == DEFAULT.application
    assert "FalApplication" in template()["Outputs"]


@pytest.mark.parametrize("name", NAMES)
def test_handler_can_be_imported(name: str) -> None:
    module, _, function = of_type(FUNCTION)[f"{name}Function"]["Handler"].rpartition(".")

    assert callable(getattr(import_module(module), function))


@pytest.mark.parametrize("name", NAMES)
def test_function_gets_its_settings(name: str) -> None:
    """A function gets every setting that it reads, and no other."""
    model = getattr(settings, f"{name}Settings")
    known = {field.upper(): info.is_required() for field, info in model.model_fields.items()}

    given = environment_of(name)

    assert {setting for setting, required in known.items() if required} <= set(given)
    assert [each for each in given if each not in known and not OF_LIBRARIES.fullmatch(each)] == []


@pytest.mark.promise("never pay twice")
def test_limits_are_the_same_everywhere() -> None:
    """Every function that counts slots and money has the same limits."""
    limits = ("MAX_IN_FLIGHT", "MONTHLY_BUDGET_USD", "MAX_JOB_USD")
    names = ("MaxInFlight", "MonthlyBudgetUsd", "MaxJobUsd")

    given = {name: [environment_of(name).get(limit) for limit in limits] for name in NAMES}

    same: list[object] = [{"Ref": name} for name in names]
    none: list[object] = [None] * 3
    assert given == {
        "Submit": same,
        "Reconcile": same,
        "Jobs": same,
        "Webhook": none,
        "Store": none,
        "Forget": none,
    }
    assert [template()["Parameters"][name]["MinValue"] for name in names] == [1, 0, 0]


@pytest.mark.promise("never lose a result")
def test_late_jobs_precede_fal_expiry() -> None:
    """A late job is asked about long before fal deletes its result after an hour."""
    late = template()["Parameters"]["LateAfterSeconds"]

    assert late["Default"] <= late["MaxValue"] <= 3600 / 2


@pytest.mark.promise("nothing leaks")
def test_only_the_webhook_is_open() -> None:
    """Only the webhook can be called without AWS credentials."""
    api = of_type("AWS::Serverless::Api")["Api"]
    routes = {
        event["Properties"]["Path"]: event["Properties"].get("Auth")
        for function in of_type(FUNCTION).values()
        for event in function.get("Events", {}).values()
        if event["Type"] == "Api"
    }

    assert api["Auth"]["DefaultAuthorizer"] == "AWS_IAM"
    assert [path for path, auth in routes.items() if auth] == ["/webhooks/fal/{job_id}/{token}"]


def test_parameters_are_used_and_explained() -> None:
    used = json.dumps([template()[part] for part in ("Conditions", "Globals", "Resources")])

    for name, parameter in template()["Parameters"].items():
        assert f'{{"Ref": "{name}"}}' in used
        assert parameter["Description"].endswith((".", "pem."))


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


def test_open_route_is_throttled_harder() -> None:
    assert len(open_routes()) == 1
    for route in open_routes():
        assert throttles()[route] < throttles()[ALL]


def test_api_logs_no_body() -> None:
    for method in properties("Api")["MethodSettings"]:
        assert not {"DataTraceEnabled", "LoggingLevel"} & method.keys()
    # The path of a delivery holds its job's token.
    assert "AccessLogSetting" not in properties("Api")


def test_api_needs_credentials() -> None:
    auth = properties("Api")["Auth"]

    assert (auth["DefaultAuthorizer"], auth["InvokeRole"]) == ("AWS_IAM", "NONE")
    assert "Cors" not in properties("Api")


@pytest.mark.parametrize("name", NUMBERS)
def test_number_default_is_in_range(name: str) -> None:
    parameter = PARAMETERS[name]
    allowed = parameter.get("AllowedValues", [parameter["Default"]])
    least = parameter.get("MinValue", min(allowed))

    assert parameter["Default"] in allowed
    assert least <= parameter["Default"] <= parameter.get("MaxValue", parameter["Default"])


def test_environment_overrides_are_allowed(root: Path) -> None:
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

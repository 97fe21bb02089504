"""What template.yaml promises, resource by resource."""

import json
import re
from importlib import import_module
from typing import Any

import pytest

from lora_drop import settings
from lora_drop.fal.trainers.table import DEFAULT, TRAINERS
from tests.support.template import of_type, properties
from tests.support.template import template as whole

FUNCTION = "AWS::Serverless::Function"
NAMES = ("Submit", "Webhook", "Store", "Reconcile", "Jobs", "Forget")
# Read by Powertools, boto3 and httpx themselves.
OF_LIBRARIES = re.compile(r"POWERTOOLS_\w+|AWS_ENDPOINT_URL|SSL_CERT_FILE|FAL_(QUEUE_)?RUN_HOST")


@pytest.fixture
def template() -> dict[str, Any]:
    return whole()


def environment_of(template: dict[str, Any], name: str) -> dict[str, Any]:
    own = properties(f"{name}Function").get("Environment", {})
    everywhere = template["Globals"]["Function"]["Environment"]
    return {**everywhere["Variables"], **own.get("Variables", {})}


def test_there_are_six_functions() -> None:
    assert set(of_type(FUNCTION)) == {f"{name}Function" for name in NAMES}


def test_a_stack_can_be_set_to_every_trainer_that_is_known_and_says_to_which(
    template: dict[str, Any],
) -> None:
    parameter = template["Parameters"]["FalApplication"]

    assert parameter["AllowedValues"] == list(TRAINERS)
    assert parameter["Default"] == DEFAULT.application
    assert "FalApplication" in template["Outputs"]


@pytest.mark.parametrize("name", NAMES)
def test_a_handler_is_where_the_template_says(name: str) -> None:
    module, _, function = of_type(FUNCTION)[f"{name}Function"]["Handler"].rpartition(".")

    assert callable(getattr(import_module(module), function))


@pytest.mark.parametrize("name", NAMES)
def test_a_function_gets_every_setting_it_reads_and_none_it_does_not(
    template: dict[str, Any], name: str
) -> None:
    model = getattr(settings, f"{name}Settings")
    known = {field.upper(): info.is_required() for field, info in model.model_fields.items()}

    given = environment_of(template, name)

    assert {setting for setting, required in known.items() if required} <= set(given)
    assert [each for each in given if each not in known and not OF_LIBRARIES.fullmatch(each)] == []


def test_every_dead_letter_calls_a_person_who_is_told_what_to_do() -> None:
    queues = of_type("AWS::SQS::Queue")
    dead = {
        queue["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"].removesuffix(".Arn")
        for queue in queues.values()
        if "RedrivePolicy" in queue
    }

    watched = {
        alarm["Dimensions"][0]["Value"]["Fn::GetAtt"].removesuffix(".QueueName"): alarm
        for alarm in of_type("AWS::CloudWatch::Alarm").values()
        if alarm.get("Namespace") == "AWS/SQS"
    }
    assert set(watched) == dead == {"InboxDeadLetters", "ResultsDeadLetters"}
    for alarm in watched.values():
        assert (alarm["Threshold"], alarm["MetricName"]) == (
            1,
            "ApproximateNumberOfMessagesVisible",
        )
        assert "lora-drop redrive" in alarm["AlarmDescription"]


def test_whoever_counts_slots_and_money_is_given_the_same_limits(
    template: dict[str, Any],
) -> None:
    limits = ("MAX_IN_FLIGHT", "MONTHLY_BUDGET_USD", "MAX_JOB_USD")
    names = ("MaxInFlight", "MonthlyBudgetUsd", "MaxJobUsd")

    given = {
        name: [environment_of(template, name).get(limit) for limit in limits] for name in NAMES
    }

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
    assert [template["Parameters"][name]["MinValue"] for name in names] == [1, 0, 0]


def test_a_job_is_looked_after_well_before_fal_forgets_its_result(
    template: dict[str, Any],
) -> None:
    late = template["Parameters"]["LateAfterSeconds"]

    assert late["Default"] <= late["MaxValue"] <= 3600 / 2


def test_only_the_webhook_is_open_to_callers_without_credentials() -> None:
    api = of_type("AWS::Serverless::Api")["Api"]
    routes = {
        event["Properties"]["Path"]: event["Properties"].get("Auth")
        for function in of_type(FUNCTION).values()
        for event in function.get("Events", {}).values()
        if event["Type"] == "Api"
    }

    assert api["Auth"]["DefaultAuthorizer"] == "AWS_IAM"
    assert [path for path, auth in routes.items() if auth] == ["/webhooks/fal/{job_id}/{token}"]


def test_no_trace_holds_the_path_that_fal_calls(template: dict[str, Any]) -> None:
    # API Gateway notes the whole path, and fal's ends with the job's token.
    assert of_type("AWS::Serverless::Api")["Api"]["TracingEnabled"] is False
    assert template["Globals"]["Function"]["Tracing"] == "Active"


def test_every_parameter_is_used_and_explained(template: dict[str, Any]) -> None:
    used = json.dumps([template[part] for part in ("Conditions", "Globals", "Resources")])

    for name, parameter in template["Parameters"].items():
        assert f'{{"Ref": "{name}"}}' in used
        assert parameter["Description"].endswith((".", "pem."))


def test_what_costs_money_to_lose_outlives_the_stack(template: dict[str, Any]) -> None:
    kept = {
        name
        for name, resource in template["Resources"].items()
        if resource.get("DeletionPolicy") == "Retain"
    }

    assert kept == {"DatasetsBucket", "JobsTable", "ModelsBucket"}

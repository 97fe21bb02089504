"""What is missing is said with what to do; nothing is changed, nothing is paid, and no key is shown."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import boto3
import httpx
import pytest
from botocore.hooks import HierarchicalEmitter
from moto import mock_aws

from lora_drop.client import doctor, stack_doctor
from lora_drop.client.errors import CommandError
from lora_drop.client.stack_client import StackClient
from lora_drop.local.stack import HOME
from tests.support.client_fixtures import invoke

KEY = "0badcafe-id:0badcafe-secret"
READS = ("Describe", "Get", "List")
BUDGET = {"left_usd": 40.0, "limits": {"monthly_usd": 100.0, "max_in_flight": 2}, "in_flight": []}
OUTPUTS = ("DatasetsBucketName", "ModelsBucketName", "JobsTableName", "ApiUrl")

type Make = Callable[..., None]


class Fal:
    """fal's price list: what was asked, and how it answers."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.status = 200
        self.ahead = timedelta()

    def get(self, url: str, **named: Any) -> httpx.Response:
        self.asked.append((url, named["headers"]["Authorization"]))
        date = format_datetime(datetime.now(UTC) + self.ahead, usegmt=True)
        return httpx.Response(
            self.status, headers={"date": date}, request=httpx.Request("GET", url)
        )


@pytest.fixture
def fal(monkeypatch: pytest.MonkeyPatch) -> Fal:
    found = Fal()
    monkeypatch.setattr("lora_drop.client.doctor.httpx.get", found.get)
    return found


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of all that is asked of AWS."""
    seen: list[str] = []
    emit = HierarchicalEmitter.emit_until_response

    def watched(self: Any, name: str, **named: Any) -> Any:
        if name.startswith("before-call."):
            seen.append(name.rpartition(".")[2])
        return emit(self, name, **named)

    monkeypatch.setattr(HierarchicalEmitter, "emit_until_response", watched)
    return seen


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Iterator[Make]:
    """Deploy a stack of the outputs that are looked at into moto."""
    monkeypatch.setenv(HOME, str(tmp_path))
    monkeypatch.setattr(StackClient, "budget", lambda _: BUDGET)
    with mock_aws():

        def made(
            *,
            key: str | None = KEY,
            letters: int = 0,
            alarm: bool = False,
            older: bool = False,
            **parameters: str,
        ) -> None:
            sqs, secrets = boto3.client("sqs"), boto3.client("secretsmanager")
            queue = sqs.create_queue(QueueName="letters")["QueueUrl"]
            for _ in range(letters):
                sqs.send_message(QueueUrl=queue, MessageBody="{}")
            secret = secrets.create_secret(Name="key")["ARN"]
            if key:
                secrets.put_secret_value(SecretId=secret, SecretString=key)
            values = {**dict.fromkeys(OUTPUTS, "x"), "FalKeySecretArn": secret}
            values |= dict.fromkeys(stack_doctor.LETTERS.values(), queue)
            if older:
                del values["NotifyDeadLettersUrl"]
            template = {
                "Parameters": {name: {"Type": "String"} for name in parameters},
                "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
                "Outputs": {name: {"Value": value} for name, value in values.items()},
            }
            boto3.client("cloudformation").create_stack(
                StackName="lora-drop-dev",
                TemplateBody=json.dumps(template),
                Parameters=[
                    {"ParameterKey": each, "ParameterValue": value}
                    for each, value in parameters.items()
                ],
            )
            if alarm:
                named = {
                    "AlarmName": "lora-drop-dev-JobOverdueAlarm-1",
                    "AlarmDescription": "A job is overdue.",
                }
                watch = boto3.client("cloudwatch")
                watch.put_metric_alarm(
                    **named,
                    MetricName="m",
                    Namespace="n",
                    Period=60,
                    EvaluationPeriods=1,
                    Threshold=1,
                    ComparisonOperator="GreaterThanThreshold",
                    Statistic="Sum",
                )
                watch.set_alarm_state(
                    AlarmName=named["AlarmName"], StateValue="ALARM", StateReason="test"
                )

        yield made


def looked(*words: str) -> tuple[int, dict[tuple[str, str], Any]]:
    result = invoke("doctor", *words, "--json")
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert KEY not in result.output
    return result.exit_code, {(row["outcome"], row["name"]): row for row in rows}


STACK = ("--stack", "lora-drop-dev")


@pytest.mark.promise("it can be operated")
def test_doctor_only_reads(
    make: Make, fal: Fal, calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`lora-drop doctor` asks AWS and fal only what changes nothing and costs nothing, and shows no key."""
    make(MaxInFlight="2")
    calls.clear()
    monkeypatch.setenv("FAL_KEY", KEY)
    code, found = looked(*STACK)
    assert code == 0
    assert {"ok"} == {outcome for outcome, name in found if name != "Docker"}
    assert calls
    assert all(call.startswith(READS) for call in calls)
    assert {url for url, _ in fal.asked} == {"https://api.fal.ai/v1/models/pricing"}
    assert "Nothing is missing." in invoke("doctor", *STACK).stdout


@pytest.mark.parametrize(
    ("made", "name", "says", "fix"),
    [
        ({"key": None}, "fal key", "no fal key yet", "lora-drop deploy dev --replace-key"),
        (
            {"key": "put-your-key-here"},
            "fal key",
            "ID:SECRET",
            "lora-drop deploy dev --replace-key",
        ),
        ({"letters": 3}, "dead letters", "3 of the notify", "lora-drop redrive"),
        ({"letters": 3, "older": True}, "dead letters", "3 of the results", "lora-drop redrive"),
        ({"alarm": True}, "alarms", "A job is overdue.", "runbook"),
        (
            {"MonthlyBudgetUsd": "0"},
            "parameters",
            "MonthlyBudgetUsd is 0",
            "--parameter MonthlyBudgetUsd=VALUE",
        ),
        ({"MaxInFlight": "0.0"}, "parameters", "MaxInFlight is 0", "--parameter MaxInFlight=VALUE"),
    ],
)
@pytest.mark.usefixtures("fal")
def test_what_is_missing_in_a_stack(make: Make, made: Any, name: str, says: str, fix: str) -> None:
    make(**made)
    code, found = looked(*STACK)
    row = found["error", name]
    assert (code, says in row["says"], fix in row["fix"]) == (1, True, True)


@pytest.mark.parametrize(
    ("status", "outcome", "fix"),
    [
        ("ROLLBACK_COMPLETE", "error", "lora-drop deploy dev --delete-failed"),
        ("UPDATE_ROLLBACK_FAILED", "error", "continue-update-rollback"),
        ("REVIEW_IN_PROGRESS", "error", "not confirmed"),
        ("UPDATE_ROLLBACK_COMPLETE", "warning", "lora-drop deploy dev"),
        ("UPDATE_IN_PROGRESS", "warning", "lora-drop doctor"),
        ("UPDATE_COMPLETE", "ok", ""),
    ],
)
def test_state_of_the_stack_is_explained(status: str, outcome: str, fix: str) -> None:
    view = stack_doctor.StackView("lora-drop-dev", lambda _: None, {}, {}, doctor.FalPlace(""))
    found = stack_doctor._state(view, status)
    assert (found.outcome, fix in (found.fix or "")) == (outcome, True)


@pytest.mark.usefixtures("fal")
def test_missing_stack_or_outputs(make: Make) -> None:
    assert "lora-drop init" in looked("--stack", "another")[1]["error", "stack"]["fix"]
    make(key=KEY)
    boto3.client("cloudformation").update_stack(
        StackName="lora-drop-dev",
        TemplateBody=json.dumps({"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}}),
    )
    assert "FalKeySecretArn" in looked(*STACK)[1]["error", "outputs"]["says"]


@pytest.mark.parametrize(
    ("status", "outcome", "said"),
    [
        (401, "error", "does not know"),
        (403, "error", "locked"),
        (404, "warning", "no price"),
        (500, "warning", "500"),
    ],
)
def test_answer_of_fal_is_explained(fal: Fal, status: int, outcome: str, said: str) -> None:
    fal.status = status
    [found, _] = doctor.fal_key(
        "stack", KEY, "fal-ai/x", doctor.FalPlace("https://api.example/v1/"), "fix"
    )
    assert (found.outcome, said in found.says) == (outcome, True)


@pytest.mark.parametrize(("ahead", "said"), [(-400, "ahead"), (400, "behind"), (3, "agrees")])
def test_clock_is_compared(ahead: int, said: str) -> None:
    then = format_datetime(datetime.now(UTC) + timedelta(seconds=ahead), usegmt=True)
    assert said in doctor.clock("AWS", "AWS's clock", then).says
    assert doctor.clock("AWS", "AWS's clock", "no date").outcome == "note"


@pytest.mark.usefixtures("make")
@pytest.mark.parametrize(("key", "code"), [(KEY, 0), ("no-key", 1), ("", 1)])
def test_a_key_is_enough_without_a_stack(
    fal: Fal, monkeypatch: pytest.MonkeyPatch, key: str, code: int
) -> None:
    monkeypatch.setenv("FAL_KEY", key)
    found = looked()
    assert found[0] == code
    assert bool(fal.asked) is (code == 0)


@pytest.mark.usefixtures("fal")
def test_one_failure_hides_no_other(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> Any:
        raise CommandError("The stack's API does not answer.")

    make(letters=1)
    monkeypatch.setattr(StackClient, "budget", fails)
    monkeypatch.setattr(stack_doctor, "_alarms", fails)
    _, found = looked(*STACK)
    assert {("error", "API"), ("warning", "alarms"), ("error", "dead letters")} <= set(found)


@pytest.mark.parametrize(
    ("variable", "raised", "says", "fix"),
    [
        ("/no/file.pem", None, "/no/file.pem) cannot be read", "unset SSL_CERT_FILE"),
        (
            "",
            httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed"),
            "is not one that this machine trusts",
            "SSL_CERT_FILE=FILE",
        ),
        ("", httpx.ConnectTimeout(""), "fal does not answer (ConnectTimeout)", "online"),
    ],
)
@pytest.mark.usefixtures("make")
def test_missing_certificates_are_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, raised: Exception | None, says: str, fix: str
) -> None:
    def get(*_: object, **__: object) -> Any:
        if raised:
            raise raised

    monkeypatch.setattr("lora_drop.client.doctor.httpx.get", get)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", variable)
    monkeypatch.setenv("FAL_KEY", KEY)
    code, found = looked()
    row = found["error", "fal"]
    assert (code, says in row["says"], fix in row["fix"]) == (1, True, True)
    assert [name for outcome, name in found if outcome == "error"] == ["fal"]

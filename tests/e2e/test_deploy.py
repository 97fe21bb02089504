"""The README's lines for an AWS account, on an account in which there is nothing: one that they serve."""

import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from lora_drop.client.stack import find_stack
from lora_drop.local.emulator import own_environment
from tests.support.template import template

pytestmark = [pytest.mark.stack, pytest.mark.proof]

ROOT = Path(__file__).parents[2]
PATIENCE = 900  # seconds
SECTION = (ROOT / "README.md").read_text().split("\n## Deploy\n", 1)[1].split("\n## ", 1)[0]
LINES = re.findall(r"^\$ (.*?)(?:\s+#.*)?$", SECTION, re.MULTILINE)
[SERVE] = [line for line in LINES if "lora_drop.local.emulator" in line]
[DEPLOY] = [line for line in LINES if "make deploy" in line and "FAL_KEY" in line]
KEY = re.findall(r"FAL_KEY=(\S+)", DEPLOY)[0]
ALARMS = sum(  # those with a condition are of what is off by default
    each["Type"] == "AWS::CloudWatch::Alarm" and "Condition" not in each
    for each in template()["Resources"].values()
)


@pytest.fixture(scope="module")
def account() -> Iterator[dict[str, str]]:
    """Return the environment after a person has typed what the README's emulator says."""
    with subprocess.Popen(  # noqa: S603  # the README's own words
        ["/bin/bash", "-c", SERVE],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as serving:
        try:
            assert serving.stdout is not None
            said = next(line for line in serving.stdout if line.strip().startswith("export "))
            words = shlex.split(said)[1:]
            yield own_environment(**dict(word.split("=", 1) for word in words))
        finally:
            os.killpg(serving.pid, signal.SIGINT)


def typed(line: str, environment: dict[str, str], *, works: bool = True) -> str:
    done = subprocess.run(  # noqa: S603  # the README's own words
        ["/bin/bash", "-c", line],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode == 0) is works, done.stdout + done.stderr
    return done.stdout + done.stderr


def client(environment: dict[str, str], service: str) -> Any:
    return boto3.client(  # type: ignore[call-overload]  # a name, not a literal
        service,
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region_name=environment["AWS_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )


@pytest.mark.promise("it can be operated")
def test_readme_deploys_into_empty_account(
    account: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lines of the README alone deploy the stack with its key and alarms into an empty account."""
    said = typed(DEPLOY, account)

    stacks = client(account, "cloudformation").describe_stacks(StackName="lora-drop-dev")["Stacks"]
    outputs = {row["OutputKey"]: row["OutputValue"] for row in stacks[0]["Outputs"]}
    secret = client(account, "secretsmanager").get_secret_value(SecretId=outputs["FalKeySecretArn"])
    alarms = client(account, "cloudwatch").describe_alarms()["MetricAlarms"]
    topics = client(account, "sns").list_topics()["Topics"]
    assert secret["SecretString"] == KEY
    assert all(value in said for value in outputs.values())
    assert KEY not in said
    assert len(alarms) == ALARMS
    assert [alarm for alarm in alarms if alarm["AlarmActions"]] == topics == []
    for name in ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, account[name])
    assert find_stack("lora-drop-dev").datasets_bucket == outputs["DatasetsBucketName"]


def test_second_deployment_only_adds_mails(account: dict[str, str]) -> None:
    again = DEPLOY.replace(KEY, "''")
    mails = "PARAMETERS='AlarmEmail=ops@example.com JobEmail=ada@example.com'"

    said = typed(again.replace("ENV=dev", f"ENV=dev {mails}"), account)

    subscribed = client(account, "sns").list_subscriptions()["Subscriptions"]
    alarms = client(account, "cloudwatch").describe_alarms()["MetricAlarms"]
    assert "stays as it is" in said
    assert {row["Endpoint"] for row in subscribed} == {"ops@example.com", "ada@example.com"}
    assert all(len(alarm["AlarmActions"]) == 1 for alarm in alarms)


def test_mail_says_that_a_job_ended(account: dict[str, str]) -> None:
    events, sns, sqs = (client(account, name) for name in ("events", "sns", "sqs"))
    [topic] = [
        row["TopicArn"] for row in sns.list_topics()["Topics"] if "JobTopic" in row["TopicArn"]
    ]
    queue = sqs.create_queue(QueueName="a-mailbox")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]
    sns.subscribe(
        TopicArn=topic,
        Protocol="sqs",
        Endpoint=arn["QueueArn"],
        Attributes={"RawMessageDelivery": "true"},
    )

    for stack, status, again in (
        ("dev", "HELD", "true"),
        ("dev", "SUCCEEDED", "false"),
        ("dev", "TRAINING", "false"),
        ("prod", "FAILED", "false"),
    ):
        bucket = f"lora-drop-{stack}-models-000000000000-us-east-1"
        detail = (
            f'{{"job_id": "ada-486fb2366b", "status": "{status}", "bucket": "{bucket}", '
            f'"since": "2026-11-24T15:06:54Z", "again": {again}}}'
        )
        entry = {
            "Source": "lora-drop",
            "DetailType": "Training Job Status Changed",
            "Detail": detail,
        }
        assert events.put_events(Entries=[entry])["FailedEntryCount"] == 0

    heard = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=5, MaxNumberOfMessages=10)[
        "Messages"
    ]
    [mail] = [message["Body"] for message in heard]
    assert "Job ada-486fb2366b is SUCCEEDED since 2026-11-24T15:06:54Z." in mail
    assert "--stack lora-drop-dev" in mail


# A bucket as template.yaml has it, and an alarm that CloudFormation cannot make.
NOT_MADE = """
Resources:
  ModelsBucket:
    Type: AWS::S3::Bucket
    DeletionPolicy: RetainExceptOnCreate
    Properties: {BucketName: !Sub "${AWS::StackName}-models-${AWS::AccountId}-${AWS::Region}"}
  BudgetNearlySpentAlarm:
    Type: AWS::CloudWatch::Alarm
    DependsOn: ModelsBucket
    Properties: {Namespace: LoraDrop, MetricName: BudgetPercent, EvaluationPeriods: 1, ComparisonOperator: LessThanThreshold}
"""


def stack_of(formation: Any) -> dict[str, Any]:
    found: dict[str, Any] = formation.describe_stacks(StackName="lora-drop-prod")["Stacks"][0]
    return found


@pytest.mark.promise("it can be operated")
def test_failed_first_deployment_is_made_good(account: dict[str, str]) -> None:
    """After a build and a first deployment that failed, the line that the command prints deploys the stack."""
    deploy, formation = DEPLOY.replace("ENV=dev", "ENV=prod"), client(account, "cloudformation")
    said = typed(f"CA_FILE=/there/is/none.pem {deploy}", account, works=False)
    assert "sam build has failed" in said

    formation.create_stack(StackName="lora-drop-prod", TemplateBody=NOT_MADE)
    while stack_of(formation)["StackStatus"].endswith("IN_PROGRESS"):
        time.sleep(0.2)
    said = typed(deploy, account, works=False)
    assert (
        "first deployment of lora-drop-prod failed (ROLLBACK_COMPLETE). BudgetNearlySpentAlarm: "
        in said
    )
    [line] = re.findall(r"deploy again: (.+)$", said, re.MULTILINE)

    said = typed(f"FAL_KEY={KEY} {line} < /dev/null", account)

    stack = stack_of(formation)
    outputs = {row["OutputKey"]: row["OutputValue"] for row in stack["Outputs"]}
    assert "lora-drop-prod is deleted." in said
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    assert outputs["ModelsBucketName"] in said

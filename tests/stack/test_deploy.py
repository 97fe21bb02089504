"""The README's lines for an AWS account, on an account in which there is nothing."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from client.stack import find_stack
from local.emulator import own_environment, running_emulator

pytestmark = pytest.mark.stack

ROOT = Path(__file__).parents[2]
KEY = "key-of-the-readme:its-secret-words"
PATIENCE = 400  # seconds


@pytest.fixture(scope="module")
def account() -> Iterator[dict[str, str]]:
    """The environment of somebody who has logged in to an empty account and exported the fal key."""
    with running_emulator() as url:
        yield own_environment(AWS_ENDPOINT_URL=url, AWS_REGION="us-east-1", FAL_KEY=KEY)


def lines() -> list[str]:
    """What the README says to type under Deploy, for dev."""
    section = (ROOT / "README.md").read_text().split("\n## Deploy\n", 1)[1].split("\n## ", 1)[0]
    typed = re.findall(r"^\$ (.*?)(?:\s+#.*)?$", section, re.MULTILINE)
    return [line for line in typed if line.startswith("make deploy ENV=dev")]


def typed(line: str, environment: dict[str, str]) -> str:
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
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def client(environment: dict[str, str], service: str) -> Any:
    return boto3.client(  # type: ignore[call-overload]  # a name, not a literal
        service,
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        region_name=environment["AWS_REGION"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
    )


def test_an_empty_account_has_the_stack_its_key_and_its_alarms_from_the_readme_alone(
    account: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    [line] = lines()

    said = typed(line, account)

    stacks = client(account, "cloudformation").describe_stacks(StackName="lora-drop-dev")["Stacks"]
    outputs = {row["OutputKey"]: row["OutputValue"] for row in stacks[0]["Outputs"]}
    secret = client(account, "secretsmanager").get_secret_value(SecretId=outputs["FalKeySecretArn"])
    alarms = client(account, "cloudwatch").describe_alarms()["MetricAlarms"]
    topics = client(account, "sns").list_topics()["Topics"]
    assert secret["SecretString"] == KEY
    assert all(value in said for value in outputs.values())
    assert KEY not in said
    assert len(alarms) == 20
    assert [alarm for alarm in alarms if alarm["AlarmActions"]] == topics == []
    for name in ("AWS_ENDPOINT_URL", "AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, account[name])
    assert find_stack("lora-drop-dev").datasets_bucket == outputs["DatasetsBucketName"]


def test_deploying_again_changes_nothing_and_mails_are_a_parameter(account: dict[str, str]) -> None:
    [line] = lines()
    mails = "PARAMETERS='AlarmEmail=ops@example.com JobEmail=ada@example.com'"

    said = typed(f"{line} {mails}", {**account, "FAL_KEY": ""})

    subscribed = client(account, "sns").list_subscriptions()["Subscriptions"]
    alarms = client(account, "cloudwatch").describe_alarms()["MetricAlarms"]
    assert "stays as it is" in said
    assert {row["Endpoint"] for row in subscribed} == {"ops@example.com", "ada@example.com"}
    assert all(len(alarm["AlarmActions"]) == 1 for alarm in alarms)


def test_whoever_wants_mails_hears_of_ends_in_words(account: dict[str, str]) -> None:
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

    for stack, status in (("dev", "SUCCEEDED"), ("dev", "TRAINING"), ("prod", "FAILED")):
        bucket = f"lora-drop-{stack}-models-000000000000-us-east-1"
        detail = (
            f'{{"job_id": "ada-486fb2366b", "status": "{status}", "bucket": "{bucket}", '
            f'"since": "2026-11-24T15:06:54Z"}}'
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

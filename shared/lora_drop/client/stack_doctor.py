"""What is missing in a stack: its state, outputs, parameters, key, alarms and dead letters; only read calls are made."""

import os
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from lora_drop.client.config_file import aws_session
from lora_drop.client.doctor import FalPlace, Finding, Outcome, clock, fal_key
from lora_drop.client.errors import CommandError
from lora_drop.client.stack import DEFAULT, LOCAL, find_stack, local_failures, local_stack
from lora_drop.client.stack_client import StackClient
from lora_drop.fal.hosts import API_URL, KEYS_PAGE
from lora_drop.fal.trainers.table import DEFAULT as TRAINER
from lora_drop.local.deploy_checks import FAILED, UNCONFIRMED
from lora_drop.local.inputs import FORM
from lora_drop.local.tools import none_is_up

FAST = Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 2})
LOG_IN = "Log in (aws sso login, or aws configure) and name the profile: export AWS_PROFILE=NAME"
ZEROS = ("MaxInFlight", "MonthlyBudgetUsd", "MaxJobUsd")  # at 0 no job is sent
SECTIONS = ("dev", "prod")
STUCK = "UPDATE_ROLLBACK_FAILED"
WENT_BACK = "UPDATE_ROLLBACK_COMPLETE"
OUTPUTS = (
    *("DatasetsBucketName", "ModelsBucketName", "JobsTableName", "ApiUrl", "FalKeySecretArn"),
    *("InboxDeadLettersUrl", "ResultsDeadLettersUrl"),
)
LETTERS = {
    "inbox": "InboxDeadLettersUrl",
    "results": "ResultsDeadLettersUrl",
    "notify": "NotifyDeadLettersUrl",  # an older stack has none, so it is not one of OUTPUTS
}

type Client = Callable[[str], Any]
type Viewed = Generator[Finding, None, "StackView | None"]


@dataclass(frozen=True, slots=True)
class StackView:
    """A stack as CloudFormation, or this machine's own record, has it."""

    name: str
    client: Client
    outputs: Mapping[str, str]
    parameters: Mapping[str, str]
    fal: FalPlace

    @property
    def deploy(self) -> str:
        """What a person types to deploy this stack: samconfig.toml's names have a section of their own."""
        if self.name == LOCAL:
            return "lora-drop up"
        for section in SECTIONS:
            if self.name == f"lora-drop-{section}":
                return f"lora-drop deploy {section}"
        return f"sam deploy --stack-name {self.name}"

    @property
    def replace_key(self) -> str:
        """What a person types to put in another fal key."""
        if self.name == LOCAL:
            return "lora-drop down, then lora-drop up"
        if self.deploy.startswith("sam"):
            secret = self.outputs["FalKeySecretArn"]
            return f"aws secretsmanager put-secret-value --secret-id {secret} --secret-string file://FILE"
        return f"{self.deploy} --replace-key"

    def with_parameter(self, name: str) -> str:
        """What a person types to change a parameter."""
        option = "--parameter-overrides" if self.deploy.startswith("sam") else "--parameter"
        return f"{self.deploy} {option} {name}=VALUE"


def stack_findings(asked: str | None) -> Iterator[Finding]:
    """Look at AWS and at the stack that a command would speak to; ``asked`` as its --stack."""
    try:
        with local_failures():
            access = local_stack().access() if asked in (None, LOCAL) else None
    except CommandError as wrong:
        yield Finding("stack", "stack", Outcome.ERROR, str(wrong), "lora-drop down")
        return
    if access is None and asked == LOCAL:
        yield Finding("stack", "stack", Outcome.ERROR, none_is_up(), "lora-drop up")
        return
    view = _local(access) if access else None
    if view is None:
        view = yield from _in_aws(asked)
    else:
        yield Finding("stack", "stack", Outcome.OK, "The stack on this machine is up.")
    if view is not None:
        yield from _looks(view)


def _local(access: Mapping[str, Any]) -> StackView:
    fal = local_stack().running().fal
    address = FalPlace(fal.api_url, str(fal.ca_file or ""))
    return StackView(LOCAL, find_stack(LOCAL).client, access["outputs"], {}, address)


def _in_aws(asked: str | None) -> Viewed:
    """Look at region, credentials and the stack; returns the view of one that is there."""
    try:
        session = aws_session()
        if not session.region_name:
            says = "No AWS region is set."
            fix = "For a deployed stack: lora-drop config set region eu-central-1. On this machine: lora-drop up"
            yield Finding("AWS", "region", Outcome.ERROR, says, fix)
            return None
        yield Finding("AWS", "region", Outcome.OK, f"{session.region_name}.")
        who = session.client("sts", config=FAST).get_caller_identity()
    except CommandError as unusable:
        yield Finding("AWS", "settings", Outcome.ERROR, str(unusable))
        return None
    except (BotoCoreError, ClientError) as error:
        yield Finding(
            "AWS", "credentials", Outcome.ERROR, f"AWS does not know you: {error}.", LOG_IN
        )
        return None
    yield Finding("AWS", "credentials", Outcome.OK, f"{who['Arn']}.")
    if date := who["ResponseMetadata"].get("HTTPHeaders", {}).get("date"):
        yield clock("AWS", "AWS's clock", date)
    return (yield from _stack(session, asked or DEFAULT))


def _stack(session: boto3.Session, name: str) -> Viewed:
    def client(service: str) -> Any:
        return session.client(service, config=FAST)  # type: ignore[call-overload]  # a name, not a literal

    try:
        found = client("cloudformation").describe_stacks(StackName=name)["Stacks"][0]
    except (BotoCoreError, ClientError) as error:
        if "does not exist" not in str(error):
            yield Finding(
                "stack", "stack", Outcome.ERROR, f"{name} cannot be read: {error}.", LOG_IN
            )
            return None
        says = f"There is no stack {name} in {session.region_name}."
        fix = "Deploy one: lora-drop init. Or name one: lora-drop config set stack lora-drop-dev"
        yield Finding("stack", "stack", Outcome.ERROR, says, fix)
        return None
    outputs = {row["OutputKey"]: row["OutputValue"] for row in found.get("Outputs", [])}
    values = {row["ParameterKey"]: row["ParameterValue"] for row in found.get("Parameters", [])}
    fal = FalPlace(os.environ.get("FAL_API_URL") or API_URL)
    view = StackView(name, client, outputs, values, fal)
    yield _state(view, str(found["StackStatus"]))
    missing = [each for each in OUTPUTS if each not in outputs]
    if missing:
        says = f"{name} has no output {', '.join(missing)}: it never came to its end, or is older than this command."
        yield Finding("stack", "outputs", Outcome.ERROR, says, view.deploy)
        return None
    return view


def _state(view: StackView, status: str) -> Finding:
    """Say what CloudFormation's status means (AWS, "Stack status codes")."""
    says, outcome, fix = f"{view.name} is {status}.", Outcome.ERROR, ""
    if status in FAILED:
        fix = f"{view.deploy} --delete-failed"
    elif status == STUCK:
        fix = f"aws cloudformation continue-update-rollback --stack-name {view.name}"
    elif status == UNCONFIRMED:
        fix = f"Its changes were shown and not confirmed: {view.deploy}"
    elif status == WENT_BACK:
        outcome = Outcome.WARNING
        fix = f"The last update failed, and the stack is as before. Look why, then: {view.deploy}"
    elif status.endswith("_IN_PROGRESS"):
        outcome, fix = Outcome.WARNING, "Wait for its end: lora-drop doctor"
    else:
        outcome = Outcome.OK
    return Finding("stack", "stack", outcome, says, fix or None)


def _looks(view: StackView) -> Iterator[Finding]:
    """Look at everything in a stack; what cannot be read is said, and the rest is looked at all the same."""
    looks: Mapping[str, Callable[[StackView], Iterator[Finding]]] = {
        "parameters": _parameters,
        "API": _api,
        "fal key": _key,
        "alarms": _alarms,
        "dead letters": _letters,
    }
    for name, look in looks.items():
        try:
            yield from look(view)
        except (BotoCoreError, ClientError, CommandError) as error:
            yield Finding(
                "stack", name, Outcome.WARNING, f"It cannot be read by you: {error}", LOG_IN
            )


def _parameters(view: StackView) -> Iterator[Finding]:
    zeros = [each for each in ZEROS if _is_zero(view.parameters.get(each))]
    for each in zeros:
        says = f"{each} is 0: no training is sent to fal."
        yield Finding("stack", "parameters", Outcome.ERROR, says, view.with_parameter(each))
    if view.parameters and not zeros:
        yield Finding("stack", "parameters", Outcome.OK, "They let trainings be sent.")


def _is_zero(value: str | None) -> bool:
    try:
        return value is not None and float(value) == 0
    except ValueError:
        return False


def _api(view: StackView) -> Iterator[Finding]:
    try:
        account = StackClient(find_stack(view.name)).budget()
    except CommandError as error:
        yield Finding("stack", "API", Outcome.ERROR, str(error))
        return
    yield Finding("stack", "API", Outcome.OK, "It answers you.")
    limits, left = account["limits"], float(account["left_usd"])
    if limits["monthly_usd"] > 0 and left <= 0:
        says = (
            f"The month's ${limits['monthly_usd']:,.2f} are spent or reserved: new jobs are held."
        )
        fix = f"{view.with_parameter('MonthlyBudgetUsd')}, or lora-drop approve JOB for one"
        yield Finding("stack", "budget", Outcome.WARNING, says, fix)
    else:
        says = f"${left:,.2f} of ${limits['monthly_usd']:,.2f} are left this month."
        yield Finding("stack", "budget", Outcome.OK, says)


def _key(view: StackView) -> Iterator[Finding]:
    """Look at the secret, which is never shown, and ask fal about the key in it."""
    secret, replace = view.outputs["FalKeySecretArn"], view.replace_key
    try:
        key = view.client("secretsmanager").get_secret_value(SecretId=secret)["SecretString"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "ResourceNotFoundException":
            raise
        key = ""
    if not key.strip():
        yield Finding(
            "stack", "fal key", Outcome.ERROR, "The secret holds no fal key yet.", replace
        )
    elif not (_emulated(view) or FORM.fullmatch(key.strip())):
        says = "What the secret holds is no fal key, which is of the form ID:SECRET."
        yield Finding("stack", "fal key", Outcome.ERROR, says, f"{replace} ({KEYS_PAGE})")
    else:
        application = view.outputs.get("FalApplication", TRAINER.application)
        yield from fal_key("stack", key, application, view.fal, f"{replace} ({KEYS_PAGE})")


def _emulated(view: StackView) -> bool:
    """Whether it is on an emulator, whose fal takes keys of other forms."""
    return view.name == LOCAL or "AWS_ENDPOINT_URL" in os.environ


def _alarms(view: StackView) -> Iterator[Finding]:
    if view.name == LOCAL:
        return  # the emulator's never go off
    found = view.client("cloudwatch").describe_alarms(
        AlarmNamePrefix=f"{view.name}-", StateValue="ALARM"
    )
    rows: Sequence[Mapping[str, Any]] = found.get("MetricAlarms", [])
    for row in rows:
        says = f"{row['AlarmName']} is in ALARM. {row.get('AlarmDescription', '')}".strip()
        yield Finding(
            "stack", "alarms", Outcome.ERROR, says, "docs/runbook.md has what to do for each alarm"
        )
    if not rows:
        yield Finding("stack", "alarms", Outcome.OK, "None is in ALARM.")


def _letters(view: StackView) -> Iterator[Finding]:
    sqs, many = view.client("sqs"), "ApproximateNumberOfMessages"
    waiting = {}
    for name, output in LETTERS.items():
        if (url := view.outputs.get(output)) is None:
            continue
        asked = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[many])
        if count := int(asked["Attributes"][many]):
            waiting[name] = count
    for name, count in waiting.items():
        says = f"{count} of the {name} queue could not be handled."
        yield Finding(
            "stack",
            "dead letters",
            Outcome.ERROR,
            says,
            "Mend the cause (the logs say it), then: lora-drop redrive",
        )
    if not waiting:
        yield Finding("stack", "dead letters", Outcome.OK, "There are none.")

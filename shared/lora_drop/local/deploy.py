"""``lora-drop deploy dev|prod``: the stack into an AWS account, with its key and what to do next.

Goes by AWS's own variables and profiles, ``AWS_ENDPOINT_URL`` for an emulator, and by the section
of samconfig.toml that is named like the environment.
"""

import argparse
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from lora_drop.local import overlay
from lora_drop.local.deploy_checks import FAILED, UNCONFIRMED, DeployError, prepare
from lora_drop.local.deployment import SamError, machine
from lora_drop.local.inputs import FalKeyError, find_key, has_key, known, put_key, what_is_wrong
from lora_drop.local.tools import (
    MissingExtraError,
    command,
    deployment_files,
    environment,
    in_checkout,
    project_folder,
    require_extra,
)

PLATFORMS = {"arm64": "aarch64-manylinux_2_28", "x86_64": "x86_64-manylinux_2_28"}
ASKED = {
    "FalUserId": "Your fal user id (https://fal.ai/dashboard); empty accepts webhooks of any user",
    "MonthlyBudgetUsd": "US dollars that a month may cost; empty is 100",
    "AlarmEmail": "Who is written to when an alarm goes off; empty is no one",
    "JobEmail": "Who is written to about every job's end; empty is no one",
}
GIVEN = re.compile(r"(\w+)=(.*)", re.DOTALL)
YES = ("1", "y", "yes", "true", "on")
# Nothing for SAM, nor for the Makefile that it runs: make keeps in its own what it was given.
OURS_ALONE = ("FAL_KEY", "MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "PARAMETERS", "KEY_FILE")


@dataclass(frozen=True, slots=True)
class Target:
    """Where to: an account and region, the caller, and the stack's name there."""

    environment: str
    stack: str
    region: str
    account: str
    caller: str
    endpoint_url: str | None
    session: boto3.Session

    def client(self, service: str) -> Any:
        """A boto3 client there."""
        return self.session.client(service)  # type: ignore[call-overload]  # a name, not a literal

    def status(self) -> str | None:
        """The stack's status; None where there is no stack."""
        found = self._described()
        return str(found["StackStatus"]) if found else None

    def deployed(self) -> "Deployed | None":
        """What is there; None where there is no stack yet, or none that ever came to its end."""
        found = self._described()
        if not found or found["StackStatus"] in (*FAILED, UNCONFIRMED):
            return None
        outputs = {row["OutputKey"]: row["OutputValue"] for row in found.get("Outputs", [])}
        values = {row["ParameterKey"]: row["ParameterValue"] for row in found.get("Parameters", [])}
        since = found.get("LastUpdatedTime", found["CreationTime"])
        return Deployed(outputs, values, since) if outputs else None

    def _described(self) -> Mapping[str, Any] | None:
        try:
            found = self.client("cloudformation").describe_stacks(StackName=self.stack)["Stacks"]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        stack: Mapping[str, Any] = found[0]
        return stack


@dataclass(frozen=True, slots=True)
class Deployed:
    """A stack: its outputs, its parameters, and since when it is as it is."""

    outputs: Mapping[str, str]
    parameters: Mapping[str, str]
    since: datetime


def configured(name: str) -> Mapping[str, Any]:
    """What samconfig.toml says of deploying this environment; raises DeployError."""
    sections = tomllib.loads((deployment_files() / "samconfig.toml").read_text())
    there = [each for each in sections if isinstance(sections[each], dict) and each != "default"]
    if name not in there:
        raise DeployError(
            f"Say which of {', '.join(there)}: lora-drop deploy {there[0]}, or make deploy ENV={there[0]}"
        )
    found: Mapping[str, Any] = sections[name]["deploy"]["parameters"]
    return found


def target_of(name: str) -> Target:
    """Where AWS's variables and profiles lead to; raises DeployError."""
    stack = configured(name)["stack_name"]
    try:
        session = boto3.Session(region_name=os.environ.get("AWS_REGION") or None)
        if session.region_name is None:
            raise DeployError("No AWS region is set: export AWS_REGION=eu-central-1, for example.")
        who = session.client("sts").get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        raise DeployError(
            f"AWS does not know you: {error}. Log in (aws sso login, or aws configure) and name the "
            "profile with AWS_PROFILE."
        ) from error
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    return Target(name, stack, session.region_name, who["Account"], who["Arn"], endpoint, session)


def parameters(
    target: Target, before: Deployed | None, given: Sequence[str], answers: Mapping[str, str]
) -> Mapping[str, str]:
    """The template's parameters, all of them that differ from their defaults or once did.

    A new stack has samconfig.toml's and the answers, one that is there has its own; what is given
    goes before. Raises DeployError.
    """
    if before is None:
        values = dict(each.split("=", 1) for each in shlex.split(_overrides(target.environment)))
        values |= {name: answer for name, answer in answers.items() if answer}
    else:
        values = {name: value for name, value in before.parameters.items() if name in known()}
    if target.endpoint_url:
        # The emulator's functions are processes of this machine.
        values |= {"Architecture": machine()[0]}
    for each in given:
        if not (pair := GIVEN.fullmatch(each)):
            raise DeployError(f"{each!r} is not of the form NAME=VALUE.")
        values[pair[1]] = pair[2]
    if wrong := what_is_wrong(values):
        raise DeployError(wrong)
    return values


def build(target: Target, values: Mapping[str, str]) -> None:
    """``sam build`` for the processor that the functions will have; raises DeployError."""
    architecture = values.get("Architecture", "arm64")
    platform = machine()[1] if target.endpoint_url else PLATFORMS.get(architecture, "")
    _sam("build", "--config-env", target.environment, PLATFORM=platform)


def deploy(target: Target, values: Mapping[str, str], *, terminal: bool) -> Deployed:
    """``sam deploy``; on a terminal it shows the changes first where samconfig.toml says so.

    SAM says nothing of changes that were not confirmed: it ends as if all were well. Raises DeployError.
    """
    line = ["deploy", "--config-env", target.environment, "--no-fail-on-empty-changeset"]
    line += ["--region", target.region]
    if target.endpoint_url:
        line += overlay.emulated(project_folder(), target.endpoint_url)
    line += [] if terminal else ["--no-confirm-changeset", "--no-progressbar"]
    # In quotes of its own, for SAM ends a value at its first space.
    line += ["--parameter-overrides", *(f'{name}="{value}"' for name, value in values.items())]
    _sam(*line)
    after = target.deployed()
    if after is None:
        raise DeployError("Nothing is deployed: the changes were not confirmed.")
    return after


def key_for(
    target: Target, before: Deployed | None, asked: argparse.Namespace, *, terminal: bool
) -> str | None:
    """The key to put in once it is deployed; None where the stack has one that stays.

    It is settled before anything is built, so a wrong one leaves nothing half done. Raises FalKeyError.
    """
    secret = before and before.outputs["FalKeySecretArn"]
    if secret and not asked.replace_key and has_key(target.client("secretsmanager"), secret):
        return None
    return find_key(os.environ, asked.key_file, terminal=terminal)


def main(words: Sequence[str] | None = None) -> None:
    """Deploy, and say what to do next; exits 1 with a sentence where it cannot."""
    asked = _arguments(words)
    terminal = sys.stdin.isatty()
    try:
        require_extra()
        target = target_of(asked.environment)
        _say(f"{target.stack} in account {target.account}, {target.region}, as {target.caller}")
        before = target.deployed()
        if before is None:
            prepare(target, _agreement(terminal=terminal, given=asked.delete_failed), _say)
        answers = _ask() if terminal and before is None else {}
        values = parameters(target, before, asked.parameter, answers)
        key = key_for(target, before, asked, terminal=terminal)
        build(target, values)
        after = deploy(target, values, terminal=terminal)
        _settle(target, after, key)
    except (DeployError, FalKeyError, MissingExtraError, SamError) as failure:
        sys.exit(str(failure))
    if before is not None and before.since == after.since:
        _say("The stack stays as it was: there was nothing to change, or it was not confirmed.")
    else:
        _conclude(target, after)


def _settle(target: Target, after: Deployed, key: str | None) -> None:
    if key is None:
        _say("The fal key stays as it is (REPLACE_KEY=1 puts in another).")
    else:
        put_key(target.client("secretsmanager"), after.outputs["FalKeySecretArn"], key)
        _say("The fal key is in the secret; functions take it once fal refuses an older one.")


def _conclude(target: Target, after: Deployed) -> None:
    width = max(map(len, after.outputs))
    for name, value in sorted(after.outputs.items()):
        _say(f"  {name:{width}}  {value}")
    for name in ("AlarmEmail", "JobEmail"):
        if after.parameters.get(name):
            _say(
                f"AWS writes to {after.parameters[name]} once the link in its first mail is opened."
            )
    _say("Next, with the same AWS credentials:")
    if in_checkout():
        _say("  source .venv/bin/activate")
    _say(f"  export AWS_REGION={target.region} LORA_DROP_STACK={target.stack}")
    _say("  lora-drop train photos/")


def _agreement(*, terminal: bool, given: bool) -> Callable[[str], bool]:
    """Return what asks a person on a terminal, unless the answer was given before."""

    def agreed(question: str) -> bool:
        answer = input(f"{question} [y/N] ") if terminal and not given else ""
        return given or answer.strip().lower() in ("y", "yes")

    return agreed


def _ask() -> Mapping[str, str]:
    """What a new stack is asked; the rest has defaults, and all of it can be changed later."""
    _say("This stack is new. Press Enter for what stands there as empty.")
    return {name: input(f"{question}: ").strip() for name, question in ASKED.items()}


def _overrides(name: str) -> str:
    overrides = configured(name).get("parameter_overrides", "")
    return overrides if isinstance(overrides, str) else " ".join(overrides)


def _sam(*line: str, **env: str) -> None:
    env = {name: value for name, value in environment(**env).items() if name not in OURS_ALONE}
    done = subprocess.run(command("sam", *line), env=env, cwd=project_folder(), check=False)  # noqa: S603  # our own words
    if done.returncode:
        raise DeployError(f"sam {line[0]} has failed; what it says stands above.")


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    """From the command line, and what is not said there from the variables that make exports."""
    made = os.environ
    parser = argparse.ArgumentParser(prog="lora-drop deploy", description=__doc__)
    parser.add_argument("environment", help="dev or prod: a section of samconfig.toml")
    parser.add_argument("--parameter", action="append", metavar="NAME=VALUE")
    parser.add_argument("--key-file", type=Path, help="a file that holds the fal key")
    parser.add_argument(
        "--delete-failed", action="store_true", help="delete a stack whose first deployment failed"
    )
    parser.add_argument("--replace-key", action="store_true", help="put in a key over another")
    asked = parser.parse_args(words)
    try:
        asked.parameter = asked.parameter or shlex.split(made.get("PARAMETERS", ""))
    except ValueError as error:
        sys.exit(f"PARAMETERS is no list of NAME=VALUE: {error}")
    asked.key_file = asked.key_file or (Path(made["KEY_FILE"]) if made.get("KEY_FILE") else None)
    asked.replace_key = asked.replace_key or made.get("REPLACE_KEY", "").lower() in YES
    asked.delete_failed = asked.delete_failed or made.get("DELETE_FAILED", "").lower() in YES
    return asked


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()

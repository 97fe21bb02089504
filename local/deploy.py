"""``python -m local.deploy dev|prod``: the stack into an AWS account, with its key and what to do next.

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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from local.deployment import SamFailed, machine, unknown_parameter
from local.fal_key import KeyTrouble, find_key, has_key, put_key
from local.tools import ROOT, command, environment

PLATFORMS = {"arm64": "aarch64-manylinux_2_28", "x86_64": "x86_64-manylinux_2_28"}
ASKED = {
    "FalUserId": "Your fal user id (https://fal.ai/dashboard); empty accepts webhooks of any user",
    "MonthlyBudgetUsd": "US dollars that a month may cost; empty is 100",
    "AlarmEmail": "Who is written to when an alarm goes off; empty is nobody",
    "JobEmail": "Who is written to about every job's end; empty is nobody",
}
GIVEN = re.compile(r"(\w+)=(.*)", re.DOTALL)


class DeployFailed(RuntimeError):
    """Raised when it cannot go on; says what to do."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to: an account and region, as somebody, and the stack's name there."""

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

    def outputs(self) -> dict[str, str] | None:
        """The deployed stack's; None where there is none yet, or none that ever came to its end."""
        try:
            found = self.client("cloudformation").describe_stacks(StackName=self.stack)["Stacks"]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        return {row["OutputKey"]: row["OutputValue"] for row in found[0].get("Outputs", [])} or None


def configured(name: str) -> Mapping[str, Any]:
    """What samconfig.toml says of deploying this environment; raises DeployFailed."""
    sections = tomllib.loads((ROOT / "samconfig.toml").read_text())
    known = [each for each in sections if isinstance(sections[each], dict) and each != "default"]
    if name not in known:
        raise DeployFailed(f"Say which of {', '.join(known)}: make deploy ENV={known[0]}")
    found: Mapping[str, Any] = sections[name]["deploy"]["parameters"]
    return found


def target_of(name: str) -> Target:
    """Where AWS's variables and profiles lead to; raises DeployFailed."""
    stack = configured(name)["stack_name"]
    try:
        session = boto3.Session(region_name=os.environ.get("AWS_REGION") or None)
        if session.region_name is None:
            raise DeployFailed("No AWS region is set: export AWS_REGION=eu-central-1, for example.")
        who = session.client("sts").get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        raise DeployFailed(
            f"AWS does not know you: {error}. Log in (aws sso login, or aws configure) and name the "
            "profile with AWS_PROFILE."
        ) from error
    endpoint = os.environ.get("AWS_ENDPOINT_URL")
    return Target(name, stack, session.region_name, who["Account"], who["Arn"], endpoint, session)


def parameters(
    target: Target, given: Sequence[str], answers: Mapping[str, str]
) -> Mapping[str, str]:
    """The template's parameters: samconfig.toml's, then the answers, then what was given.

    What is named nowhere stays as the deployed stack has it. Raises DeployFailed.
    """
    values = dict(each.split("=", 1) for each in shlex.split(_overrides(target.environment)))
    values |= {name: answer for name, answer in answers.items() if answer}
    if target.endpoint_url:
        # The emulator's functions are processes of this machine.
        values |= {"AwsEndpointUrl": target.endpoint_url, "Architecture": machine()[0]}
    for each in given:
        if not (pair := GIVEN.fullmatch(each)):
            raise DeployFailed(f"{each!r} is not of the form NAME=VALUE.")
        values[pair[1]] = pair[2]
    if wrong := unknown_parameter(values):
        raise DeployFailed(wrong)
    return values


def build(target: Target, values: Mapping[str, str]) -> None:
    """``sam build`` for the processor that the functions will have; raises DeployFailed."""
    architecture = values.get("Architecture", "arm64")
    platform = machine()[1] if target.endpoint_url else PLATFORMS.get(architecture, "")
    _sam("build", "--config-env", target.environment, PLATFORM=platform)


def deploy(target: Target, values: Mapping[str, str], *, terminal: bool) -> None:
    """``sam deploy``; on a terminal it shows the changes first where samconfig.toml says so."""
    line = ["deploy", "--config-env", target.environment, "--region", target.region]
    line += ["--no-fail-on-empty-changeset"]
    line += [] if terminal else ["--no-confirm-changeset", "--no-progressbar"]
    # In quotes of its own, for SAM ends a value at its first space.
    line += ["--parameter-overrides", *(f'{name}="{value}"' for name, value in values.items())]
    _sam(*line)


def key_for(
    target: Target, outputs: Mapping[str, str] | None, asked: argparse.Namespace, *, terminal: bool
) -> str | None:
    """The key to put in once it is deployed; None where the stack has one that stays.

    It is settled before anything is built, so a wrong one leaves nothing half done. Raises KeyTrouble.
    """
    secret = (outputs or {}).get("FalKeySecretArn")
    if secret and not asked.replace_key and has_key(target.client("secretsmanager"), secret):
        return None
    return find_key(os.environ, asked.key_file, terminal=terminal)


def main(words: Sequence[str] | None = None) -> None:
    """Deploy, and say what to do next; exits 1 with a sentence where it cannot."""
    asked = _arguments(words)
    terminal = sys.stdin.isatty()
    try:
        target = target_of(asked.environment)
        _say(f"{target.stack} in account {target.account}, {target.region}, as {target.caller}")
        before = target.outputs()
        answers = _ask() if terminal and before is None else {}
        values = parameters(target, asked.parameter, answers)
        key = key_for(target, before, asked, terminal=terminal)
        build(target, values)
        deploy(target, values, terminal=terminal)
        outputs = target.outputs() or {}
        if key is None:
            _say("The fal key stays as it is (REPLACE_KEY=1 puts in another).")
        else:
            put_key(target.client("secretsmanager"), outputs["FalKeySecretArn"], key)
            _say("The fal key is in the secret; functions take it once fal refuses an older one.")
    except (DeployFailed, KeyTrouble, SamFailed) as failure:
        sys.exit(str(failure))
    _conclude(target, outputs, values)


def _conclude(target: Target, outputs: Mapping[str, str], values: Mapping[str, str]) -> None:
    width = max(map(len, outputs))
    for name, value in sorted(outputs.items()):
        _say(f"  {name:{width}}  {value}")
    for name in ("AlarmEmail", "JobEmail"):
        if values.get(name):
            _say(f"AWS has written to {values[name]}: open the link there, or no mail will come.")
    _say("Next, with the same AWS credentials:")
    _say(f"  export AWS_REGION={target.region} LORA_DROP_STACK={target.stack}")
    _say("  lora-drop train photos/")


def _ask() -> Mapping[str, str]:
    """What a new stack is asked; the rest has defaults, and all of it can be changed later."""
    _say("This stack is new. Press Enter for what stands there as empty.")
    return {name: input(f"{question}: ").strip() for name, question in ASKED.items()}


def _overrides(name: str) -> str:
    overrides = configured(name).get("parameter_overrides", "")
    return overrides if isinstance(overrides, str) else " ".join(overrides)


def _sam(*line: str, **env: str) -> None:
    # What is in the key's variable is nothing for SAM, nor for the Makefile that it runs.
    env = {name: value for name, value in environment(**env).items() if name != "FAL_KEY"}
    done = subprocess.run(command("sam", *line), env=env, cwd=ROOT, check=False)  # noqa: S603  # our own words
    if done.returncode:
        raise DeployFailed(f"sam {line[0]} has failed; what it says stands above.")


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.deploy", description=__doc__)
    parser.add_argument("environment", help="dev or prod: a section of samconfig.toml")
    parser.add_argument("--parameter", action="append", default=[], metavar="NAME=VALUE")
    parser.add_argument("--key-file", type=Path, help="a file that holds the fal key")
    parser.add_argument("--replace-key", action="store_true", help="put in a key over another")
    return parser.parse_args(words)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

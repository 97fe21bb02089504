"""The command for the first use: it asks for what is needed, deploys, and proves by free calls that all is well."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lora_drop.cli.terminal import output, reporting
from lora_drop.client.errors import CommandError

if TYPE_CHECKING:
    from lora_drop.cli.display import Display
    from lora_drop.client.doctor import Finding

ENVIRONMENTS = Literal["dev", "prod"]
REGION = "eu-central-1"
NO_TERMINAL = (
    "There is no terminal to ask on, so say what is wanted. With a fal key alone: FAL_KEY=ID:SECRET lora-drop init "
    "--direct. A stack in AWS: FAL_KEY=ID:SECRET lora-drop init dev --yes --region eu-central-1 [--profile NAME] "
    "[--key-file FILE]. A stack on this machine: lora-drop up"
)


def init(
    environment: Annotated[
        ENVIRONMENTS | None, typer.Argument(help="dev or prod: the stack to deploy; else asked.")
    ] = None,
    *,
    direct: Annotated[
        bool, typer.Option("--direct", help="Without AWS: you need only a fal key.")
    ] = False,
    key_file: Annotated[Path | None, typer.Option(help="A file that holds the fal key.")] = None,
    region: Annotated[str | None, typer.Option(help="The AWS region; kept as the default.")] = None,
    profile: Annotated[
        str | None, typer.Option(help="The AWS profile; kept as the default.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Deploy without asking.")] = False,
) -> None:
    """Set lora-drop up, step by step: tools, AWS, the fal key, a deployment, and a free check that proves it.

    It can be run again at any time: what is there already stays. The key is typed without being shown, and kept in
    the stack's secret alone. Without AWS you need only a key (--direct), and without that, nothing: lora-drop up.
    """
    with reporting() as display:
        if direct and (environment or region or profile):
            raise CommandError(
                "--direct needs no stack: say dev, --region or --profile without it."
            )
        if not (_terminal() or direct or (environment and yes)):
            raise CommandError(NO_TERMINAL)
        _tools(display, direct=direct)
        alone = direct or not _wants_stack(display, environment, profile, region)
        if alone:
            good = _direct(display, key_file)
        else:
            good = _deployed(display, environment or _chosen(), key_file, yes=yes)
        _prove(display)
    shown = output()
    if good:
        option = " --direct" if alone else ""
        shown.say("Next, with a folder or a ZIP of your photos:")
        shown.say("  lora-drop check photos/ --trigger ada")
        shown.say(f"  lora-drop train photos/ --trigger ada{option}")
        shown.say(
            "The check is free. The training asks before it pays."
            if alone
            else "The check is free."
        )
    else:
        again = " --direct" if alone else f" {environment}" if environment else ""
        shown.say(f"Mend what has an x above, then: lora-drop init{again}")
    raise typer.Exit(not good)


def _terminal() -> bool:
    return sys.stdin.isatty()


def _tools(display: Display, *, direct: bool) -> None:
    from lora_drop.client.doctor import Outcome, machine

    display.say("This machine")
    found = [each for each in machine() if each.name != "Docker"]
    _say(display, found)
    if any(each.outcome is Outcome.ERROR for each in found):
        raise CommandError(f"Mend that first, then: lora-drop init{' --direct' if direct else ''}")
    if not direct and not _terminal() and any(each.outcome is Outcome.NOTE for each in found):
        raise CommandError("A deployment needs the extra: pip install 'lora-drop[local]'")


def _wants_stack(
    display: Display, environment: str | None, profile: str | None, region: str | None
) -> bool:
    """Whether a stack is to be deployed; a person is asked first, and AWS only then."""
    from botocore.exceptions import BotoCoreError, ClientError

    from lora_drop.client.config_file import aws_session, use_defaults

    display.say("AWS")
    _keep({"profile": profile, "region": region})
    use_defaults()
    if not (environment or profile or region or _asked_for_aws()):
        return False
    try:
        session = aws_session()
        if session.region_name is None:
            _keep({"region": _asked_region()})
            use_defaults()
            session = aws_session()
        who = session.client("sts").get_caller_identity()
    except (BotoCoreError, ClientError) as error:
        again = f"lora-drop init {environment}" if environment else "lora-drop init"
        raise CommandError(
            f"AWS does not know you: {error}. Log in (aws sso login, or aws configure), then: {again}. "
            "Without AWS: lora-drop init --direct"
        ) from error
    display.say(f"  account {who['Account']}, {session.region_name}, as {who['Arn']}")
    return True


def _asked_for_aws() -> bool:
    """Whether a person wants a stack in AWS; that is the default where there are credentials."""
    from botocore.exceptions import BotoCoreError

    from lora_drop.client.config_file import aws_session

    try:
        known = aws_session().get_credentials() is not None
    except BotoCoreError:
        known = False
    words = "  Train with a stack in AWS? Without one you need only a fal key."
    return typer.confirm(words, default=known, err=True)


def _asked_region() -> str:
    from lora_drop.client.config_file import what_is_wrong

    if not _terminal():
        raise CommandError("No AWS region is set: lora-drop init dev --region eu-central-1")
    while wrong := what_is_wrong("region", given := typer.prompt("  AWS region", REGION, err=True)):
        typer.echo(f"  {wrong}", err=True)
    return str(given)


def _chosen() -> str:
    words = "  dev (short logs, may be deleted) or prod"
    while (given := str(typer.prompt(words, "dev", err=True))) not in ("dev", "prod"):
        typer.echo("  Say dev or prod.", err=True)
    return given


def _keep(values: dict[str, str | None]) -> None:
    """Write these defaults, as far as they are given; raises CommandError for a wrong one."""
    from lora_drop.client.config_file import what_is_wrong, written

    given = {name: value for name, value in values.items() if value is not None}
    for name, value in given.items():
        if wrong := what_is_wrong(name, value):
            raise CommandError(wrong)
    if given:
        written(lambda kept: kept.update(given))
        for name, variable in (("profile", "AWS_PROFILE"), ("region", "AWS_REGION")):
            if name in given:  # what is said here counts more than what this shell has
                os.environ[variable] = given[name]


def _deployed(display: Display, environment: str, key_file: Path | None, *, yes: bool) -> bool:
    """Deploy unless it is there and sound, keep it as the default, and look at it; whether nothing is wrong."""
    from lora_drop.client.doctor import Outcome
    from lora_drop.client.stack_doctor import stack_findings
    from lora_drop.local.deploy import main as deploy_main
    from lora_drop.local.tools import require_extra

    stack = f"lora-drop-{environment}"
    display.say(f"The stack {stack}")
    found = list(stack_findings(stack))
    sound = not any(
        each.outcome is Outcome.ERROR and each.name in ("stack", "outputs", "fal key")
        for each in found
    )
    if sound:
        display.say(f"  It is there and stays as it is; lora-drop deploy {environment} updates it.")
    else:
        try:
            require_extra()
        except RuntimeError as missing:
            raise CommandError(str(missing)) from missing
        if not (
            yes or typer.confirm("  Deploy it now? It takes some minutes.", default=True, err=True)
        ):
            raise CommandError(f"Nothing was deployed. Later: lora-drop init {environment}")
        deploy_main([*([f"--key-file={key_file}"] if key_file else []), "--", environment])
        found = list(stack_findings(stack))
    _keep({"stack": stack})
    _say(display, found)
    display.say("  Kept as the default, for every later command (lora-drop config lists it).")
    return not any(each.outcome is Outcome.ERROR for each in found)


def _direct(display: Display, key_file: Path | None) -> bool:
    """Ask fal about the key, and say how the commands get it; whether fal knows it."""
    from lora_drop.client.doctor import Outcome, direct_mode
    from lora_drop.local.inputs import FalKeyError, find_key

    display.say("The fal key")
    before = os.environ.get("FAL_KEY")
    if not (before or key_file or _terminal()):
        raise CommandError(
            "There is no fal key: say FAL_KEY=ID:SECRET before the command, or --key-file FILE."
        )
    try:
        os.environ["FAL_KEY"] = find_key(os.environ, key_file, terminal=_terminal())
    except FalKeyError as error:
        raise CommandError(str(error)) from error
    found = list(direct_mode())
    _say(display, found)
    if not before:
        display.say("  It is kept nowhere. For each shell that trains: export FAL_KEY=ID:SECRET")
    return not any(each.outcome is Outcome.ERROR for each in found)


def _prove(display: Display) -> None:
    """Check the sample dataset on this machine, which is free."""
    from lora_drop.cli.reports import summary
    from lora_drop.client.check import check_dataset
    from lora_drop.local.stack import LocalStack

    display.say("A free check")
    sample = LocalStack.here().sample
    with display.console.status("checking the sample"):
        report = check_dataset(sample)
    display.say(f"  {sample}: {summary(report)}")


def _say(display: Display, found: Iterable[Finding]) -> None:
    signs = {"ok": "ok", "note": "-", "warning": "!", "error": "x"}
    for each in found:
        fix = f" {each.fix}" if each.fix else ""
        display.say(f"  {signs[each.outcome]:<3}{each.name}: {each.says}{fix}")

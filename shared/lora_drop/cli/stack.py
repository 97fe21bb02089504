"""The commands for a stack: up, down, demo, event and fal-sim on this machine, deploy in AWS."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lora_drop.cli.terminal import Json, Progress, output, reporting, write, write_line
from lora_drop.client.errors import CommandError

if TYPE_CHECKING:
    from lora_drop.cli.display import Display
    from lora_drop.client.stack_client import StackClient

COMING_UP = "bringing the stack up: one to two minutes the first time, seconds after that"
DEMO_TIMEOUT = 180.0  # seconds
PROOF_TIMEOUT, PROOF_ROUND = 60.0, 1.0  # seconds
DEMO_TRAINING = 3.0  # seconds: long enough to see it

# No `type` statement: typer looks into none, and would show neither the help nor the placeholder.
Pictures = Annotated[
    Path | None,
    typer.Option(
        metavar="DIR",
        help="Folder of photos that the simulator answers with in a proof sheet; else it draws.",
        file_okay=False,
        exists=True,
    ),
]


def up(
    *,
    fal: Annotated[
        str | None,
        typer.Option(help="https://HOST:PORT that speaks fal's protocol; else the simulator."),
    ] = None,
    fal_ca: Annotated[
        Path | None, typer.Option(help="PEM file with the certificate authority of --fal.")
    ] = None,
    host: Annotated[
        str | None,
        typer.Option(help="Address to listen on, 127.0.0.1; for containers, the Docker bridge's."),
    ] = None,
    training_seconds: Annotated[
        float | None, typer.Option(min=0, help="How long the simulator trains; 3 seconds.")
    ] = None,
    pictures: Pictures = None,
    parameter: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE, a parameter of the template; may be given several times."),
    ] = None,
    json_output: Json = False,
    progress: Progress = False,
) -> None:
    """Bring the whole stack up on this machine: no account, no key, no Docker.

    Up already, it keeps its data: what has changed is built and deployed again, and with --parameter
    that parameter changes alone.
    """
    from lora_drop.client.stack import local_failures, local_stack

    with reporting(json_output=json_output, progress=progress) as display:
        if fal_ca and not fal:
            raise CommandError("--fal-ca goes with --fal.")
        if pictures and fal:
            raise CommandError("--pictures is for the simulator, and --fal takes its place.")
        local = local_stack()
        with local_failures():
            was_up = local.access() is not None
            if not was_up:
                display.say(COMING_UP)
            local.up(
                step=display.step,
                fal=fal,
                fal_ca=fal_ca,
                host=host,
                training_seconds=training_seconds,
                pictures=pictures,
                parameters=_parameters(parameter or []),
            )
            access = local.access()
            if was_up and parameter and local.is_behind():
                display.say(
                    "The code has changed since it was built. It goes along with: lora-drop up"
                )
    if json_output:
        write(access)
        return
    for name, value in _shown(access).items():
        write_line(f"{name:<18} {value}")
    output().say(f"\nNext:\n{_next(local.sample)}")
    home = shlex.quote(access["home"])
    write_line(f"\nFor lora-drop in another environment or folder:\nexport LORA_DROP_HOME={home}")
    write_line("\nFor aws and other tools:\n" + _exports(access))
    if access["sam_local"]:
        write_line(f"\nlora-drop event s3_put --key KEY | {access['sam_local']}")


def _next(sample: Path) -> str:
    """What a person does with a stack that is up."""
    words = {
        f"lora-drop train {shlex.quote(str(sample))}": "a sample; half a minute, and nothing is paid",
        "lora-drop ui": "a page: drop photos, look, train, follow",
        "lora-drop train PHOTOS/ --trigger ada": "your own folder or ZIP",
        "lora-drop up --parameter MaxInFlight=5": "another setting, in seconds",
        "lora-drop down": "ends it; its jobs are gone then",
    }
    return "\n".join(f"  {line}\n      {what}" for line, what in words.items())


def _parameters(given: Sequence[str]) -> dict[str, str]:
    pairs = [each.partition("=") for each in given]
    for name, equals, _ in pairs:
        if not (name.isalnum() and equals):
            raise CommandError("--parameter is NAME=VALUE, like --parameter MaxInFlight=5.")
    return {name: value for name, _, value in pairs}


def down(*, json_output: Json = False) -> None:
    """End the stack on this machine; its buckets and jobs are gone with it."""
    from lora_drop.client.stack import local_failures, local_stack

    with reporting(json_output=json_output) as display, local_failures():
        display.say("ending the stack on this machine, which may take a minute")
        was_up = local_stack().down(say=display.say)
    if json_output:
        write({"was_up": was_up})
    else:
        write_line("The stack is down." if was_up else "No stack was up.")


def event(
    name: Annotated[str, typer.Argument(help="A file of events/, without .json.")],
    *,
    job: Annotated[str, typer.Option(help="The job that a webhook or message is about.")] = "",
    key: Annotated[str, typer.Option(help="The dropped object that S3 names.")] = "",
) -> None:
    """Print an event of events/, made to fit the stack on this machine, for sam local invoke."""
    from lora_drop.local.events import printable_event

    try:
        made = printable_event(name, job_id=job, key=key)
    except RuntimeError as failure:
        typer.echo(str(failure), err=True)
        raise typer.Exit(1) from failure
    write(made)


def deploy(
    environment: Annotated[str, typer.Argument(help="dev or prod: a section of samconfig.toml.")],
    *,
    parameter: Annotated[
        list[str] | None,
        typer.Option(help="NAME=VALUE, a parameter of the template; may be given several times."),
    ] = None,
    key_file: Annotated[Path | None, typer.Option(help="A file that holds the fal key.")] = None,
    delete_failed: Annotated[
        bool,
        typer.Option("--delete-failed", help="Delete a stack whose first deployment failed."),
    ] = False,
    replace_key: Annotated[
        bool, typer.Option("--replace-key", help="Put in a key where there is one already.")
    ] = False,
) -> None:
    """Deploy the stack into an AWS account, with its fal key.

    Goes by AWS's own variables and profiles, else by lora-drop config. The key is read from --key-file, from FAL_KEY, or is asked
    for. PARAMETERS, KEY_FILE and REPLACE_KEY in the environment stand for options that are not given.
    """
    from lora_drop.client.config_file import use_defaults
    from lora_drop.local.deploy import main

    with reporting():
        use_defaults()
    words = [f"--parameter={each}" for each in parameter or ()]
    words += [f"--key-file={key_file}"] if key_file else []
    words += ["--replace-key"] if replace_key else []
    words += ["--delete-failed"] if delete_failed else []
    main([*words, "--", environment])


def demo(
    *, pictures: Pictures = None, json_output: Json = False, progress: Progress = False
) -> None:
    """The main job from start to end: stack up, a dataset dropped, its LoRA stored, stack down.

    A stack that is up already is used, and stays up. With --pictures a proof sheet is ordered as well.
    """
    from lora_drop.cli.follow import follow_job
    from lora_drop.cli.job_table import lora_line
    from lora_drop.client.following import EventReader, Watch
    from lora_drop.client.stack import LOCAL, find_stack, local_failures
    from lora_drop.client.stack_client import StackClient

    with (
        reporting(json_output=json_output, progress=progress) as display,
        _stack_for_a_while(display, pictures) as local,
    ):
        lora_drop = StackClient(find_stack(LOCAL))
        # On a stack that is up, the sample may have been trained before.
        parameters = {"force": True, **({"proof": True} if pictures else {})}
        with display.upload(local.sample.name) as sending:
            job_id = lora_drop.drop(local.sample, parameters=parameters, progress=sending)
        watch = Watch(lora_drop, job_id, DEMO_TIMEOUT)
        job = follow_job(display, EventReader(watch), percents=False)
        display.outcome(job)
        with local_failures():
            ledger = local.ledger()
        _hold_against(ledger, job, display)
        if pictures:
            _say_proof(lora_drop, job_id, display)
    if json_output:
        write(job)
    else:
        write_line(lora_line(job))
    raise typer.Exit(job["status"] != "SUCCEEDED")


@contextmanager
def _stack_for_a_while(display: Display, pictures: Path | None) -> Iterator[Any]:
    """The stack on this machine, up."""
    from lora_drop.client.stack import local_failures, local_stack

    local = local_stack()
    with local_failures():
        was_up = local.access() is not None
        if was_up and pictures:
            raise CommandError("A stack is up, and draws as it was started: lora-drop down first.")
        if was_up:
            display.say("using the stack that is up")
        else:
            display.say(COMING_UP)
            local.up(step=display.step, training_seconds=DEMO_TRAINING, pictures=pictures)
    try:
        yield local
    finally:
        if not was_up:
            with local_failures():
                local.down(say=display.say)
            display.say("the stack is down again; `lora-drop up` brings one up to stay")


def _say_proof(lora_drop: StackClient, job_id: str, display: Display) -> None:
    """Wait for the proof sheet, and say how much its pictures look like the photos; raises CommandError."""
    from time import monotonic, sleep

    from lora_drop.jobs.proof import Likeness, ProofSheet

    until = monotonic() + PROOF_TIMEOUT
    sheet = ProofSheet()
    while not (sheet.done_at or sheet.note):
        if monotonic() > until:
            raise CommandError(f"The proof sheet is not done yet: lora-drop job {job_id}")
        sleep(PROOF_ROUND)
        sheet = ProofSheet.model_validate(lora_drop.job(job_id)["proof"] or {})
    found = sheet.likeness or Likeness()
    words = f"Looks like the photos: {found.words}." if found.words else sheet.note
    said = (f"The proof sheet has {len(sheet.pictures)} pictures.", words, found.advice)
    display.say(lora_drop.stack.simulated)
    display.say(" ".join(filter(None, said)))


def _hold_against(
    ledger: Mapping[str, Any] | None, job: Mapping[str, Any], display: Display
) -> None:
    """Compare what we paid for and stored with fal's own account of it; raises CommandError."""
    if ledger is None or job["status"] != "SUCCEEDED":
        return
    paid = [row for row in ledger["submissions"] if row["request_id"] == job["request_id"]]
    served: Counter[str] = Counter()
    for row in ledger["served"]:  # a file may leave in ranges
        served[row["file_sha256"]] += row["bytes"] if row["complete"] else 0
    whole = all(served[file["sha256"]] >= file["size"] for file in job["files"])
    if len(paid) != 1 or not whole:
        raise CommandError("The simulator's ledger disagrees: something was lost or paid twice.")
    display.say("The simulator's ledger agrees: one POST was paid, and these very bytes served.")


def _exports(access: Mapping[str, Any]) -> str:
    """What points a program at this stack's AWS."""
    values = {
        "AWS_ENDPOINT_URL": access["endpoint_url"],
        "AWS_ACCESS_KEY_ID": access["access_key"],
        "AWS_SECRET_ACCESS_KEY": access["secret_key"],
        "AWS_REGION": access["region"],
        "AWS_DEFAULT_REGION": access["region"],  # all that boto3 itself reads
    }
    return "export " + " ".join(f"{name}={value}" for name, value in values.items())


def _shown(access: Mapping[str, Any]) -> dict[str, str]:
    outputs = access["outputs"]
    return {
        "datasets bucket": outputs["DatasetsBucketName"],
        "models bucket": outputs["ModelsBucketName"],
        "jobs table": outputs["JobsTableName"],
        "API": access["api_url"],
        **({"API by key": access["key_api_url"]} if access["key_api_url"] else {}),
        "AWS": access["endpoint_url"],
        "fal": access["fal_url"],
        "fal's CA": access["fal_ca_file"] or "the system's",
    }

"""What all commands share: their options, their errors, their output.

Everything heavy is imported on first use, so that a command starts at once.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lora_drop.client.errors import CommandError

if TYPE_CHECKING:
    from lora_drop.cli.display import Display
    from lora_drop.client.stack_client import StackClient

WIDE = 4096  # characters
INTERRUPTED = 128 + signal.SIGINT
ENDS = (signal.SIGTERM, signal.SIGHUP)
# They stay as they are: scripts go by them.
EXIT_CODES: Mapping[int, str] = {
    0: "it is done: of `train`, `watch` and `demo` that the LoRA is there, of `check` that every dataset is accepted",
    1: "it is not done: the dataset is rejected, the job ended without a LoRA or waits for a person (HELD), the time of "
    "`--timeout` is over, or what was asked for is not possible; the last line of standard error says which",
    2: "the words of the command line are wrong; nothing was begun",
    INTERRUPTED: "interrupted (Ctrl-C, SIGTERM, a closed terminal); a job that was begun goes on",
}

# Said here as well, since the tables that have them take long to import; a test compares.
DEFAULT_TRAINER = "flux-lora-portrait-trainer"
PRESETS = ("portrait", "style", "fast", "quality")
ALONE = "lora-drop jobs lists the trainings that this machine has sent to fal"
SHOWN_IDS = 50  # jobs that a shell offers
COMPLETION_TIMEOUT = 2.0  # seconds
# The values of `Status`, whose module takes long to import; a test compares.
StatusName = Literal[
    "RECEIVED",
    "REJECTED",
    "READY",
    "HELD",
    "SUBMITTING",
    "SUBMIT_UNKNOWN",
    "SUBMITTED",
    "TRAINING",
    "STORING",
    "SUCCEEDED",
    "FAILED",
    "CANCELLED",
    "EXPIRED",
]

TrainerName = Annotated[
    str | None,
    typer.Option("--trainer", help=f"As {DEFAULT_TRAINER}; all of them: docs/trainers.md."),
]
Preset = Annotated[str | None, typer.Option(help=f"One of {', '.join(PRESETS)}.")]
Trigger = Annotated[
    str | None,
    typer.Option("--trigger", "--trigger-phrase", help="The word that calls the person up."),
]
Steps = Annotated[int | None, typer.Option(help="How long it trains.")]
LearningRate = Annotated[float | None, typer.Option(help="How much each step counts.")]
Multiresolution = Annotated[
    bool | None,
    typer.Option("--multiresolution/--no-multiresolution", help="Train on several sizes."),
]
SubjectCrop = Annotated[
    bool | None,
    typer.Option("--subject-crop/--no-subject-crop", help="Crop photos to the person."),
]
Proof = Annotated[
    bool | None,
    typer.Option(
        "--proof/--no-proof",
        help="Make a proof sheet: a few pictures with the LoRA, which are paid too. Else as the stack is set.",
    ),
]
CreateMasks = Annotated[
    bool | None,
    typer.Option("--create-masks/--no-create-masks", help="Mask everything but the person."),
]
Checkpoint = Annotated[
    str | None, typer.Option(help="An earlier LoRA to go on from: its URL, or its job's id.")
]
NoFaces = Annotated[
    bool,
    typer.Option("--no-faces", help="Look for no faces in the photos, and compare none."),
]
Others = Annotated[
    list[str] | None,
    typer.Option("--set", help="NAME=VALUE, any input of the trainer; as often as needed."),
]


def job_ids(context: typer.Context, incomplete: str) -> list[str]:
    """The ids of the stack's newest jobs that begin so, for a shell at the Tab key.

    Empty where the stack cannot be reached or does not answer soon: a completion shows no errors.
    """
    found: list[str] = []

    def ask() -> None:
        try:
            jobs = client_of(context.params.get("stack")).jobs(limit=SHOWN_IDS)["jobs"]
            found.extend(job["job_id"] for job in jobs)
        except Exception:  # noqa: BLE001, S110  # whatever it is, there is nothing to complete
            pass

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(COMPLETION_TIMEOUT)
    return [each for each in found if each.startswith(incomplete)]


JobId = Annotated[
    str,
    typer.Argument(
        help="As `lora-drop jobs` lists it; watch, usage, open and cancel also take a folder or request of train --direct.",
        autocompletion=job_ids,
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print JSON instead of text, one object per line.")
]
Progress = Annotated[
    bool,
    typer.Option(
        "--progress", help="With --json: each step on a line of its own, before the last."
    ),
]
StackName = Annotated[
    str | None,
    typer.Option(
        "--stack",
        envvar="LORA_DROP_STACK",
        help="A CloudFormation stack, or “local”; else the one on this machine, if it is up.",
    ),
]


def client_of(stack: str | None, alone: str = ALONE) -> StackClient:
    """The client of this stack; raises CommandError, which names what goes ``alone``, with a fal key and no stack."""
    from lora_drop.client.direct_choice import or_direct
    from lora_drop.client.stack import find_stack
    from lora_drop.client.stack_client import StackClient

    with or_direct(stack, alone):
        return StackClient(find_stack(stack))


@contextmanager
def reporting(*, json_output: bool = False, progress: bool = False) -> Iterator[Display]:
    """A display on standard error; a failure is one sentence there, and the command exits 1.

    With ``json_output`` the failure is an object with ``error`` on standard output as well, and with
    ``progress`` each step is one with ``progress``.

    Interrupted, asked to end (SIGTERM) or without its terminal (SIGHUP), it says so and exits 130, as a shell does.
    """
    from rich.console import Console

    from lora_drop.cli.display import Display

    watch = (lambda step: write({"progress": step})) if progress else None
    display = Display(Console(stderr=True, soft_wrap=not sys.stderr.isatty()), watch)
    try:
        with ended_in_order():
            _refuse_progress(alone=progress and (not json_output or _collected is not None))
            yield display
    except CommandError as failure:
        display.say(str(failure))
        if json_output:
            write({"error": {"message": str(failure)}})
        raise typer.Exit(1) from failure
    except KeyboardInterrupt as interrupt:
        display.say(str(interrupt) or "Interrupted.")
        raise typer.Exit(INTERRUPTED) from interrupt


def _refuse_progress(*, alone: bool) -> None:
    if alone:
        raise CommandError("--progress goes with --json, which is --output jsonl.")


@contextmanager
def ended_in_order() -> Iterator[None]:
    """Treat a request to end, or a closed terminal, as Ctrl-C: what was started is ended first.

    What the caller has ignored (nohup) stays ignored. Python hears signals in its main thread alone.
    """
    main = threading.current_thread() is threading.main_thread()
    heard = [each for each in ENDS if main and signal.getsignal(each) is not signal.SIG_IGN]

    def interrupt(_number: int, _frame: object) -> None:
        for each in heard:  # asking twice does not end it sooner, it leaves things behind
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {each: signal.signal(each, interrupt) for each in heard}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def output() -> Display:
    """A display on standard output; a file or a pipe is as wide as a row needs."""
    from rich.console import Console

    from lora_drop.cli.display import Display

    return Display(Console() if sys.stdout.isatty() else Console(width=WIDE, soft_wrap=True))


_collected: list[Mapping[str, Any]] | None = None  # what one document is made of; None: a line each


def write(value: Mapping[str, Any]) -> None:
    """One JSON object on standard output, on one line, unless ``one_document`` collects them."""
    if _collected is None:
        write_line(json.dumps(value))
    else:
        _collected.append(value)


@contextmanager
def one_document(*, array: bool) -> Iterator[None]:
    """Write all that the block writes as one JSON document at its end: an ``array``, or the last object.

    An error is a document of its own.
    """
    global _collected  # noqa: PLW0603  # a command is one process
    rows: list[Mapping[str, Any]] = []
    _collected = rows
    try:
        yield
    finally:
        _collected = None
        failed = bool(rows) and rows[-1].keys() == {"error"}
        if array and not failed:
            write_line(json.dumps(rows, indent=2))
        elif rows:
            write_line(json.dumps(rows[-1], indent=2))


def write_line(line: str) -> None:
    """One line on standard output."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def parameters_of(given: Mapping[str, object], others: Sequence[str] | None) -> dict[str, object]:
    """What is given by an option of its own, and by ``--set``; raises CommandError."""
    parameters = {name: value for name, value in given.items() if value is not None}
    for each in others or ():
        name, equals, value = each.partition("=")
        name = name.strip().replace("-", "_")
        if not (name and equals):
            raise CommandError("--set is NAME=VALUE, like --set training_style=style.")
        if name in parameters:
            raise CommandError(f"{name} is given twice. Keep one of them.")
        parameters[name] = value
    return parameters

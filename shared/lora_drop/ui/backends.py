"""What the page asks of where trainings run: of a stack, or of fal with a key alone."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from lora_drop.client.errors import StackUnreachableError
from lora_drop.client.face_check import FaceCheck
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.progress import PublicProgress
from lora_drop.jobs.status import Status

WAYS = (
    "Without AWS: start a stack on this machine, lora-drop up; or train at fal with a key alone, which FAL_KEY holds. "
    "lora-drop init asks what you have, and sets it up."
)
type Progress = Callable[[int, int], None]
"""(bytes sent, bytes in all)"""


class Action(StrEnum):
    """What a person can decide about a job."""

    CANCEL = "cancel"
    RETRY = "retry"
    APPROVE = "approve"
    FORGET = "forget"


@dataclass(frozen=True, slots=True)
class Question:
    """What a person is asked before something is done: what it means, and the button's words.

    ``jobs`` are the ids of all jobs that go with an erasing.
    """

    action: Action
    title: str
    sentences: tuple[str, ...]
    button: str
    jobs: tuple[str, ...] = ()

    @property
    def mark(self) -> str:
        """Return what is another where a person would read something else."""
        said = "\n".join((self.title, *self.sentences, self.button, *self.jobs))
        return hashlib.sha256(said.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class JobRow:
    """One line of the list of jobs; ``usd`` is what was paid or is reserved, else the estimate.

    ``likeness`` is of its proof sheet, in short: “0.72 of 0.84”.
    """

    id: str
    dataset: str
    status: Status
    created_at: datetime | None
    usd: float | None = None
    percent: float | None = None
    trigger_phrase: str | None = None
    reference: str | None = None
    likeness: str = ""

    @property
    def shown(self) -> Status:
        """The state in which a person sees it."""
        begun = self.status is Status.SUBMITTED and self.percent is not None
        return Status.TRAINING if begun else self.status


@dataclass(frozen=True, slots=True)
class JobPage:
    """Some jobs, the newest first; ``next`` is the cursor of the page after them."""

    rows: tuple[JobRow, ...]
    next: str | None = None


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of the trainer's log."""

    message: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class JobFile:
    """A file of a job's result; ``size`` in bytes, ``sha256`` in hex."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class CardPicture:
    """One picture of a proof sheet: what it was made of, how much it looks like the photos, and what is to be said."""

    number: int
    made: bool = True
    likeness: float | None = None
    prompt: str = ""
    seed: int | None = None
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ProofCard:
    """The proof sheet of a job: pictures once it is ``done``, and how much they look like the photos, in words.

    ``simulated`` says of the pictures that no LoRA has made them, where a simulator is the stack's fal.
    Before it is done ``ended`` of the ``total`` pictures that were ordered are there, or were not made.
    """

    done: bool = False
    ended: int = 0
    total: int = 0
    pictures: tuple[CardPicture, ...] = ()
    likeness: str = ""
    advice: str = ""
    note: str = ""
    simulated: str = ""


@dataclass(frozen=True, slots=True)
class JobCard:
    """Everything that the page shows of one job at one moment.

    ``cost`` says in words what is paid, reserved or expected. ``waiting`` says what it waits for, ``silence`` why
    nothing new is known. ``log`` has the last lines. ``actions`` are those that make sense now.
    """

    id: str
    dataset: str
    status: Status
    history: tuple[tuple[Status, datetime], ...] = ()
    progress: PublicProgress | None = None
    queue_position: int | None = None
    waiting: str | None = None
    silence: str | None = None
    log: tuple[LogLine, ...] = ()
    cost: str = ""
    trigger_phrase: str | None = None
    preset: str | None = None
    steps: int | None = None
    images: int | None = None
    problems: tuple[Problem, ...] = ()
    files: tuple[JobFile, ...] = ()
    location: str | None = None
    has_report: bool = False
    duplicate_of: str | None = None
    retry_of: str | None = None
    proof: ProofCard | None = None
    actions: tuple[Action, ...] = ()

    @property
    def shown(self) -> Status:
        """The state in which a person sees it: fal says that it has begun later than its log shows it."""
        begun = self.status is Status.SUBMITTED and self.progress is not None
        return Status.TRAINING if begun else self.status

    @property
    def ended(self) -> bool:
        """Whether nothing changes any more by itself."""
        return self.status.terminal


@dataclass(frozen=True, slots=True)
class Budget:
    """The month's dollars; ``limit`` None is without one."""

    month: str
    used_usd: float
    limit_usd: float | None
    words: str


@dataclass(frozen=True, slots=True)
class Usage:
    """How a LoRA is used: a program for fal, and one for diffusers."""

    trigger_phrase: str | None
    fal_application: str
    base_model: str
    fal: str
    diffusers: str


class Backend(Protocol):
    """Where trainings run. Every method may take seconds, and raises LoraDropError with what to do."""

    @property
    def name(self) -> str:
        """What it is, for the head of the page: “stack lora-drop, eu-central-1”, “fal.ai with a key alone”."""

    @property
    def application(self) -> str:
        """Fal's name of the trainer of datasets that name none."""

    @property
    def faces(self) -> FaceCheck:
        """What a check does about faces before a dataset is sent there."""

    @property
    def proof(self) -> bool | None:
        """Whether a proof sheet is made where an order says nothing of it; None where none can be made."""

    def jobs(
        self, *, status: Status | None = None, search: str | None = None, cursor: str | None = None
    ) -> JobPage:
        """Return jobs, the newest first; ``search`` is a part of the dataset's name, the id or the reference."""

    def card(self, job_id: str) -> JobCard:
        """Return what there is to see of a job; raises JobUnknownError.

        A job whose dataset has just been uploaded, and that the stack has not seen yet, is RECEIVED.
        """

    def budget(self) -> Budget | None:
        """Return the month's dollars; None where there is no budget."""

    def train(
        self,
        archive: Path,
        *,
        name: str,
        parameters: Mapping[str, object],
        progress: Progress,
    ) -> str:
        """Send a checked dataset, pay once, and return the id of its job.

        Called again with the same, it returns the same training and pays nothing.
        """

    def question(self, job_id: str, action: Action) -> Question:
        """Return what a person has to know before it is done."""

    def act(self, job_id: str, action: Action) -> str:
        """Do it, and return the id of the job to look at next; the same, or the new one of a retry."""

    def file(self, job_id: str, name: str) -> Path | str:
        """Return a file of a job's result: where it lies here, or an address that needs no credentials."""

    def report(self, job_id: str) -> bytes | None:
        """Return ``report.html`` of a job's dataset; None where there is none (yet, or any more)."""

    def picture(self, job_id: str, number: int) -> bytes | None:
        """Return a picture of a job's proof sheet, a JPEG or PNG; None where there is none."""

    def usage(self, job_id: str) -> Usage | None:
        """Return how a job's LoRA is used; None where it has none."""

    def close(self) -> None:
        """Close its connections."""


def backend_of(stack_name: str | None, *, direct: bool = False, no_faces: bool = False) -> Backend:
    """Return where trainings run, as the commands find it: the stack, or fal with a key alone.

    ``direct`` asks for the latter, which is also taken where there is FAL_KEY and no stack. ``no_faces``: faces are not
    looked for, wherever they would be. Raises CommandError with what there has to be.
    """
    from lora_drop.client.direct_choice import NoStackError, or_direct  # noqa: PLC0415
    from lora_drop.client.stack import find_stack  # noqa: PLC0415
    from lora_drop.client.stack_client import StackClient  # noqa: PLC0415
    from lora_drop.ui.stack_backend import StackBackend  # noqa: PLC0415

    if direct:
        return _with_key_alone(no_faces=no_faces)
    try:
        with or_direct(stack_name, "lora-drop ui --direct"):
            return StackBackend(StackClient(find_stack(stack_name)), no_faces)
    except NoStackError:
        return _with_key_alone(no_faces=no_faces)
    except StackUnreachableError as none:
        if stack_name is not None:
            raise
        raise StackUnreachableError(f"{none}\n{WAYS}") from none


def _with_key_alone(*, no_faces: bool) -> Backend:
    from lora_drop.client.portrait_trainer import PortraitTrainer  # noqa: PLC0415
    from lora_drop.ui.direct_backend import DirectBackend  # noqa: PLC0415

    backend = DirectBackend(PortraitTrainer(), FaceCheck(wanted=not no_faces))
    backend.follow()
    return backend

"""A backend of the page that says what a test wants, with a job in each state that a person may see."""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

from PIL import Image

from lora_drop.client.errors import CommandError, JobUnknownError
from lora_drop.client.face_check import FaceCheck
from lora_drop.fal.trainers.table import DEFAULT
from lora_drop.jobs.problems import Problem
from lora_drop.jobs.progress import PublicProgress
from lora_drop.jobs.status import Status
from lora_drop.ui.backends import (
    Action,
    Budget,
    CardPicture,
    JobCard,
    JobFile,
    JobPage,
    JobRow,
    LogLine,
    Progress,
    ProofCard,
    Question,
    Usage,
)

AT = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
FAR = PublicProgress(step=740, steps=1500, percent=49.3, eta_seconds=720, at=AT)
LINES = tuple(
    LogLine(f"{n}0/1500 [12:31<11:58, 1.02it/s, loss=0.41{n % 10}]") for n in range(68, 75)
)
LORA = JobFile("lora.safetensors", 89_745_304, "72f6c927d9caa29ec3a443120beb0352" * 2)
OVER = (
    "The training costs about $12.00, and one may cost $5.00 (MaxJobUsd). Approve it, or cancel it."
)
CUT = "IMG_0007.jpg cannot be opened to its end: it is damaged or was cut off. Copy it again."
PROMPTS = ("a photo of ada, a portrait", "a photo of ada in a garden", "a photo of ada at a desk")
PROOF = ProofCard(
    done=True,
    pictures=(
        CardPicture(1, likeness=0.71, prompt=PROMPTS[0], seed=1001),
        CardPicture(2, likeness=0.97, prompt=PROMPTS[1], seed=1002, remarks=("Is nearly the same as the photo IMG_0003.jpg.",)),
        CardPicture(3, made=False, prompt=PROMPTS[2], seed=1003, remarks=("It was not made: fal could not make it.",)),
    ),
    likeness="0.84 of the 0.86 that the photos reach among themselves",
    advice="Picture 2 is nearly the same as the photo IMG_0003.jpg. The LoRA repeats photos: fewer steps help, or photos that differ more from each other.",
)  # fmt: skip
USAGE = Usage("ada", "fal-ai/flux-lora", "FLUX.1 [dev]", "import fal_client\n", "import torch\n")
WAITED = (
    (Status.RECEIVED, AT),
    (Status.READY, AT),
    (Status.SUBMITTING, AT),
    (Status.SUBMITTED, AT),
)


def job(status: Status, **more: object) -> JobCard:
    """A job of Ada's photos that stands here."""
    base = JobCard(
        id=f"ada-{status.lower()}",
        dataset="ada.zip",
        status=status,
        history=(*WAITED, (status, AT)),
        cost="$3.60 reserved",
        trigger_phrase="ada",
        preset="portrait",
        steps=1500,
        images=28,
        has_report=True,
    )
    return replace(base, **more)  # type: ignore[arg-type]  # fields of the card


def jobs() -> dict[str, JobCard]:
    """A job in each state."""
    ended = (Action.RETRY, Action.FORGET)
    cards = [
        job(Status.TRAINING, progress=FAR, log=LINES, actions=(Action.CANCEL,)),
        job(Status.HELD, problems=(Problem(code="job_over_limit", message=OVER),), cost="about $12.00", actions=(Action.APPROVE, Action.CANCEL)),
        job(Status.SUBMITTED, queue_position=3, actions=(Action.CANCEL,), silence="connection refused."),
        job(Status.READY, waiting="3 of 3 places at fal are taken; 2 older jobs come first.", actions=(Action.CANCEL,)),
        job(Status.RECEIVED, history=(), cost="", has_report=False),
        job(Status.STORING),
        job(Status.SUCCEEDED, cost="$3.60 paid, and $0.14 for the proof sheet", files=(LORA, JobFile("config.json", 342, "ab" * 32)), actions=ended, proof=PROOF),
        job(Status.FAILED, problems=(Problem(code="training_failed", message="fal could not train it."),), actions=ended),
        job(Status.REJECTED, problems=(Problem(code="image_damaged", message=CUT),), cost="nothing paid", actions=(Action.FORGET,)),
        job(Status.CANCELLED, cost="nothing paid", actions=ended),
    ]  # fmt: skip
    return {card.id: card for card in cards}


@dataclass
class StubBackend:
    """A stack as the page sees it; ``trained`` and ``acted`` are what it was asked to do."""

    cards: dict[str, JobCard] = field(default_factory=jobs)
    trained: list[tuple[bytes, str, dict[str, object]]] = field(default_factory=list)
    acted: list[tuple[str, Action]] = field(default_factory=list)
    unreachable: bool = False
    words: str = "It costs $3.60 ({})."
    silent: Event = field(default_factory=Event)  # where it is cleared, no answer comes
    name: str = "stack lora-drop, eu-central-1"
    application: str = DEFAULT.application
    faces: FaceCheck = field(default_factory=FaceCheck)
    proof: bool | None = False

    def jobs(
        self, *, status: Status | None = None, search: str | None = None, cursor: str | None = None
    ) -> JobPage:
        """All cards that fit, as rows; ``cursor`` is not needed for so few."""
        assert cursor is None
        self._refuse()
        fitting = [
            card
            for card in self.cards.values()
            if status in (None, card.status) and (search or "") in card.id + card.dataset
        ]
        return JobPage(tuple(map(_row, fitting)))

    def card(self, job_id: str) -> JobCard:
        """The card of this id."""
        self._refuse()
        if job_id not in self.cards:
            raise JobUnknownError(f"There is no job {job_id!r}.")
        return self.cards[job_id]

    def budget(self) -> Budget | None:
        """A month of which a part is used."""
        self.silent.wait()
        return Budget("2026-11", 41.0, 100.0, "$41.00 of $100.00 this month")

    def train(
        self, archive: Path, *, name: str, parameters: Mapping[str, object], progress: Progress
    ) -> str:
        """Keep what was sent; it becomes the job that trains."""
        data = archive.read_bytes()
        progress(len(data), len(data))
        self.trained.append((data, name, dict(parameters)))
        return "ada-training"

    def question(self, job_id: str, action: Action) -> Question:
        """A question with a sentence."""
        return Question(action, f"{action.value} {job_id}?", (self.words.format(job_id),), "Yes")

    def act(self, job_id: str, action: Action) -> str:
        """Keep what was decided."""
        self.acted.append((job_id, action))
        return job_id

    def file(self, job_id: str, name: str) -> Path | str:
        """An address, as a stack has it."""
        return f"https://models.example/{job_id}/{name}?signature=x"

    def report(self, job_id: str) -> bytes | None:
        """A page that is as hostile as can be."""
        return f"<title>Report</title><script>top.broken = true</script><p>{job_id}".encode()

    def picture(self, job_id: str, number: int) -> bytes | None:
        """A picture of a proof sheet, one colour for each number."""
        card = self.cards[job_id]
        made = card.proof and any(
            each.number == number and each.made for each in card.proof.pictures
        )
        return plain_picture(number) if made else None

    def usage(self, job_id: str) -> Usage | None:
        """How the LoRA is used."""
        return USAGE if self.cards[job_id].files else None

    def close(self) -> None:
        """Nothing is open."""

    def __post_init__(self) -> None:
        self.silent.set()

    def _refuse(self) -> None:
        self.silent.wait()
        if self.unreachable:
            raise CommandError("The stack does not answer. What hinders it: lora-drop doctor")


def plain_picture(number: int) -> bytes:
    """A JPEG of one colour."""
    buffer = io.BytesIO()
    Image.new("RGB", (768, 1024), (60 + 40 * number, 90, 120)).save(buffer, "JPEG")
    return buffer.getvalue()


def _row(card: JobCard) -> JobRow:
    percent = card.progress.percent if card.progress else None
    likeness = "0.84 of 0.86" if card.proof and card.proof.done else ""
    return JobRow(
        *(card.id, card.dataset, card.status, AT, 3.6, percent, card.trigger_phrase),
        likeness=likeness,
    )

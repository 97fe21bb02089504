"""What a dataset's check has found, for people and programs: ``report.html`` and ``report.json``."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from lora_drop.fal.trainers.parameters import ParameterSource
from lora_drop.fal.trainers.trainer import STEPS
from lora_drop.jobs.problems import Problem

SCHEMA_VERSION: Final = 1

type Value = bool | int | float | str


class Verdict(StrEnum):
    """Whether a dataset can be trained on."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"


class ImageOutcome(StrEnum):
    """What becomes of one file of the archive."""

    KEPT = "kept"  # byte for byte
    MENDED = "mended"
    DROPPED = "dropped"  # it is left out, and nothing is lost by that
    REFUSED = "refused"  # it has to be put right first


class FaceMark(StrEnum):
    """What is remarkable of a face; each but ``profile`` is said by a problem as well."""

    SEVERAL = "several"  # one of several in the photo
    SMALL = "small"
    COVERED = "covered"
    BLURRED = "blurred"
    PROFILE = "profile"  # seen from the side: a few of these are good
    TURNED = "turned"  # it lies on its side
    OTHER_PERSON = "other_person"
    SECOND_PERSON = "second_person"  # one of two whom the photos show


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class ReportedChange(_Value):
    """One thing that was changed, with a stable code and a sentence; ``member`` is its old name."""

    code: str
    member: str
    message: str


class FaceReport(_Value):
    """One face of a photo: where it is, how large, what is remarkable of it.

    ``left``, ``top``, ``width`` and ``height`` are parts of the upright photo's, from 0 to 1; ``pixels`` is the
    shorter side of the face in those of the photo. ``similarity`` is the cosine to the other faces of the person whom
    most photos show, -1 to 1 and rounded to two digits; None where the face was not compared.
    """

    left: float
    top: float
    width: float
    height: float
    pixels: int
    mark: FaceMark | None = None
    similarity: float | None = None


class ImageReport(_Value):
    """One photo: what it is, what becomes of it, what is wrong or could be better.

    ``width`` and ``height`` are those a viewer sees, in pixels; ``size`` in bytes. ``name`` is what it
    is called in what fal gets, None where it gets nothing; ``caption_text`` is its caption there.
    ``similar_to`` is the photo that this one looks like, or is the same file as; None where there is none.
    ``faces`` has the largest first; None where they were not looked for, or do not matter.
    ``sha256`` in hex is that of the file as it was given, None for one that is no photo and in older reports.
    ``thumbnail`` is a JPEG of at most 320 pixels a side; it is in ``report.html`` alone.
    """

    member: str
    fate: ImageOutcome
    name: str | None = None
    format: str | None = None
    width: int | None = None
    height: int | None = None
    size: int
    caption: bool = False
    caption_text: str = ""
    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    changes: tuple[ReportedChange, ...] = ()
    similar_to: str | None = None
    faces: tuple[FaceReport, ...] | None = None
    sha256: str | None = None
    thumbnail: Annotated[bytes, Field(exclude=True, repr=False)] = b""


class ParameterReport(_Value):
    """One input of the trainer, and where its value is from."""

    name: str
    value: Value
    source: ParameterSource


@dataclass(frozen=True, slots=True)
class Estimate:
    """What a training is expected to cost at the most, in US dollars; ``trainer`` is fal's name of it."""

    usd: float
    steps: int
    trainer: str

    def __str__(self) -> str:
        """Return the amount as people write it."""
        return f"${self.usd:,.2f}"


class Report(_Value):
    """Everything that is known of a dataset before it is paid for.

    ``errors``: nothing is paid while there is one. ``warnings``: it trains, and could train better.
    Both have everything that is in the images' own, and what is about the dataset as a whole.
    ``images`` counts the photos that are trained on, ``photos`` are all that were found, in the order
    of the archive. ``mended`` says whether fal gets a clean copy instead of the archive itself.
    ``faces_checked``: the faces were looked for and judged, which they are not for a style.
    ``seconds`` is how long the check took, ``requests`` and ``bytes_read`` what it read.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    file: str
    verdict: Verdict
    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    images: int = 0
    photos: tuple[ImageReport, ...] = ()
    changes: tuple[ReportedChange, ...] = ()
    mended: bool = False
    size: int = 0
    job_id: str | None = None
    trainer: str | None = None
    preset: str | None = None
    parameters: tuple[ParameterReport, ...] = ()
    estimated_cost_usd: float | None = None
    faces_checked: bool = False
    bytes_read: int = 0
    requests: int = 0
    seconds: float = 0.0

    @property
    def accepted(self) -> bool:
        """Return whether the dataset can be trained on."""
        return self.verdict is Verdict.ACCEPTED

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Return all problems, the errors before the warnings."""
        return (*self.errors, *self.warnings)

    @property
    def every_change(self) -> tuple[ReportedChange, ...]:
        """Return what was changed, each once, whether a photo's own or also one of the dataset's."""
        own = (change for photo in self.photos for change in photo.changes)
        return tuple(dict.fromkeys((*self.changes, *own)))

    @property
    def estimate(self) -> Estimate | None:
        """Return what the training is expected to cost; None for a rejected dataset and an unknown price."""
        steps = next((each.value for each in self.parameters if each.name == STEPS), None)
        if self.estimated_cost_usd is None or steps is None or self.trainer is None:
            return None
        return Estimate(self.estimated_cost_usd, int(steps), self.trainer)

    @property
    def unused(self) -> tuple[str, ...]:
        """Return the files that are neither photos nor anything else that is used."""
        dropped = (photo for photo in self.photos if photo.fate is ImageOutcome.DROPPED)
        return tuple(photo.member for photo in dropped if photo.format is None)

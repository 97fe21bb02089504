"""The report on a proof sheet's pictures, of what was seen of them and of the photos."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lora_drop.datasets.faces.face import Face
from lora_drop.datasets.faces.likeness import ComparedPictures
from lora_drop.datasets.images.pictures import ImageInspection
from lora_drop.datasets.reports.proof_sheet import ProofPhoto, ProofPicture, ProofReport
from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.job import Job
from lora_drop.jobs.problems import MAX_NAME, shortened
from lora_drop.jobs.proof import Likeness
from lora_drop.jobs.status import Status

SHOWN_PHOTOS = 12
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png")
# Of 255. No photo has less light in its brightest twentieth; a JPEG's black is not always 0.
BLACK = 2


@dataclass(frozen=True, slots=True)
class SeenImage:
    """A picture or a photo that was looked at: its name or number, how it looks, and its face, where it counts."""

    name: str
    look: ImageInspection
    face: Face | None

    @property
    def black(self) -> bool:
        """Return whether there is nothing to see, as in a picture that fal's safety checker has replaced."""
        return self.look.highlights <= BLACK


@dataclass(slots=True)
class SeenDataset:
    """The dataset's photos as far as they were looked at, and whether any has a caption."""

    photos: list[SeenImage] = field(default_factory=list)
    captioned: bool | None = None


def report_on(
    job: Job,
    pictures: Sequence[Job],
    seen: Mapping[str, SeenImage | None],
    comparison: ComparedPictures | None,
    dataset: SeenDataset,
) -> ProofReport:
    """Return the report on pictures, what was seen of each by its job's id; None of one that cannot be seen."""
    found = comparison.likeness if comparison else Likeness()
    looks = {each.name: each.look for each in dataset.photos}
    compared = list(comparison.photos.items()) if comparison else []
    shown = {name for name, _ in spread(compared, SHOWN_PHOTOS)}
    return ProofReport(
        job_id=job.job_id,
        application=job.application,
        preset=job.preset,
        trigger_phrase=job.parameters.trigger_phrase if job.parameters else None,
        steps=job.parameters.steps if job.parameters else None,
        images=job.images,
        likeness=found.likeness,
        among_photos=found.among_photos,
        advice=found.advice,
        pictures=tuple(_picture_report(each, seen[each.job_id], found) for each in pictures),
        photos=tuple(
            ProofPhoto(
                name=shortened(name, MAX_NAME),
                likeness=number,
                thumbnail=looks[name].thumbnail if name in shown else b"",
            )
            for name, number in compared
        ),
    )


def _picture_report(picture: Job, seen: SeenImage | None, found: Likeness) -> ProofPicture:
    order = picture.picture
    number = number_of(picture)
    stored = {each.name: each for each in picture.files}.get(seen.name) if seen else None
    measured = next((each for each in found.pictures if each.number == number), None)
    return ProofPicture(
        number=number,
        job_id=picture.job_id,
        status=picture.status,
        prompt=order.prompt if order else "",
        seed=order.seed if order else 0,
        width=order.width if order else 0,
        height=order.height if order else 0,
        file=f"{number}/{stored.name}" if stored else None,
        sha256=stored.sha256 if stored else None,
        likeness=measured.likeness if measured else None,
        copy_of=measured.copy_of if measured else None,
        blackened=seen is not None and seen.black,
        problem=_why_missing(picture) if stored is None else None,
        thumbnail=seen.look.thumbnail if seen else b"",
    )


def plain_report(job: Job, pictures: Sequence[Job], likeness: Likeness) -> ProofReport:
    """Return the report on pictures that were not looked at: where they lie, and why they were not."""
    seen = dict.fromkeys((each.job_id for each in pictures), None)
    report = report_on(job, pictures, seen, ComparedPictures(likeness), SeenDataset())
    plain = [
        shown.model_copy(
            update={
                "file": f"{shown.number}/{stored.name}",
                "sha256": stored.sha256,
                "problem": None,
            }
        )
        if (stored := stored_picture(each))
        else shown
        for each, shown in zip(pictures, report.pictures, strict=True)
    ]
    return report.model_copy(update={"pictures": tuple(plain)})


def stored_picture(picture: Job) -> StoredFile | None:
    """Return the file of a picture; None where it was not made."""
    if picture.status is not Status.SUCCEEDED:
        return None
    return next((f for f in picture.files if f.name.lower().endswith(PICTURE_SUFFIXES)), None)


def _why_missing(picture: Job) -> str:
    if picture.status is Status.SUCCEEDED:
        return "It was made, and its file can no longer be read."
    why = " ".join(each.message for each in picture.problems)
    return f"It was not made: {why or picture.status.value}"


def number_of(picture: Job) -> int:
    """Return which of its sheet's pictures it is, from 1; 0 for a job that is none."""
    return picture.picture.number if picture.picture else 0


def spread[T](items: Sequence[T], most: int) -> Sequence[T]:
    """Return at most so many of the items, evenly from first to last."""
    if len(items) <= most:
        return items
    return [items[at * len(items) // most] for at in range(most)]

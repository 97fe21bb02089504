"""What comes of a proof sheet once all of its pictures have ended: the comparison with the photos, and its page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic

from lora_drop.datasets.archives import RangedReader, read_member, structure_of
from lora_drop.datasets.dataset import MAX_IMAGE_BYTES
from lora_drop.datasets.faces.face import Face, FaceComparer, FacesSeen
from lora_drop.datasets.faces.findings import is_of_a_person
from lora_drop.datasets.faces.likeness import (
    ComparedPictures,
    Trained,
    compare,
    photo_face,
    picture_face,
)
from lora_drop.datasets.images.describe import describe
from lora_drop.datasets.images.formats import CONVERTED, SNIFFED, TRAINED, sniff
from lora_drop.datasets.images.header import InvalidImageError, check_size
from lora_drop.datasets.images.pictures import ImageInspection, Pictures
from lora_drop.datasets.images.reading import WholeImage
from lora_drop.datasets.reports.proof_sheet import (
    ProofPhoto,
    ProofPicture,
    ProofReport,
    proof_html,
    proof_json,
)
from lora_drop.datasets.selection import select
from lora_drop.fal.trainers.table import TRAINERS
from lora_drop.jobs.artifacts import StoredFile
from lora_drop.jobs.errors import DatasetRejectedError, DatasetUnreadableError
from lora_drop.jobs.events import ProofSheetReady
from lora_drop.jobs.job import Job
from lora_drop.jobs.job_files import JOB_FILE, job_text
from lora_drop.jobs.problems import MAX_NAME, shortened
from lora_drop.jobs.proof import PROOF_FILE, PROOF_FOLDER, PROOF_PAGE, Likeness, ProofSheet
from lora_drop.jobs.status import Status
from lora_drop.jobs.time_limits import PROOF_PATIENCE
from lora_drop.ports import DatasetStore
from lora_drop.services.internal_errors import INTERNAL_ERRORS, place_of
from lora_drop.services.record import Record

PATIENCE = PROOF_PATIENCE.total_seconds()
# More photos do not move their centre, and each takes time.
MOST_PHOTOS = 100
SHOWN_PHOTOS = 12
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png")
# Of 255. No photo has less light in its brightest twentieth; a JPEG's black is not always 0.
BLACK = 2
type _FaceOf = Callable[[FacesSeen | None], Face | None]

NOTHING_MADE = "There is no picture that could be compared with the photos."
GONE = (
    "The photos are no longer there, so it is not known how much the pictures look like the person."
)
BROKEN = "The comparison itself broke, which is our mistake ({}). Please report it. The pictures are there."


@dataclass(frozen=True, slots=True)
class _Seen:
    """A picture or a photo that was looked at: its name or number, how it looks, and its face, where it counts."""

    name: str
    look: ImageInspection
    face: Face | None

    @property
    def black(self) -> bool:
        """Return whether there is nothing to see, as in a picture that fal's safety checker has replaced."""
        return self.look.highlights <= BLACK


@dataclass(slots=True)
class _Dataset:
    """The dataset's photos as far as they were looked at, and whether any has a caption."""

    photos: list[_Seen] = field(default_factory=list)
    captioned: bool | None = None


@dataclass(frozen=True, slots=True)
class ProofResults:
    """Compares the pictures of proof sheets with the photos, and writes their pages.

    ``faces`` None: faces are not looked for in this stack, and a sheet has its pictures alone.
    """

    record: Record
    datasets: DatasetStore
    pictures: Pictures
    faces: FaceComparer | None = None
    patience: float = PATIENCE
    now: Callable[[], float] = monotonic

    def measure(self, job: Job, pictures: Sequence[Job]) -> ProofSheet:
        """Return the job's proof sheet with its likeness, after its files and its event are published.

        ``pictures``: the jobs of its pictures, all ended. Safe to repeat: the same files are written again, and the
        event comes at least once. Where our own mistake keeps them from being looked at, the sheet has the pictures
        alone. Raises EventsUnavailableError. ``done_at`` is the caller's, with the job's row.
        """
        try:
            sheet, report = self._measured(job, pictures)
        except INTERNAL_ERRORS as mistake:
            # The same pictures would break it for ever, and they are paid.
            broken = Likeness(advice=BROKEN.format(place_of(mistake)))
            sheet = (job.proof or ProofSheet()).model_copy(update={"likeness": broken})
            report = _plain_report(job, pictures, broken)
            self._write(job.model_copy(update={"proof": sheet}), report)
        self._publish(job, sheet, report)
        return sheet

    def _measured(self, job: Job, pictures: Sequence[Job]) -> tuple[ProofSheet, ProofReport]:
        seen = {each.job_id: self._picture(each) for each in pictures}
        comparison, dataset = self._compared(job, pictures, seen)
        likeness = comparison.likeness if comparison else None
        sheet = (job.proof or ProofSheet()).model_copy(update={"likeness": likeness})
        report = _report(job, pictures, seen, comparison, dataset)
        self._write(job.model_copy(update={"proof": sheet}), report)
        return sheet, report

    def _compared(
        self, job: Job, pictures: Sequence[Job], seen: dict[str, _Seen | None]
    ) -> tuple[ComparedPictures | None, _Dataset]:
        dataset = _Dataset()
        values = job.parameters.values if job.parameters else {}
        if self.faces is None or not is_of_a_person(job.preset, values):
            return None, dataset
        if not any(each and not each.black for each in seen.values()):
            return ComparedPictures(Likeness(advice=NOTHING_MADE)), dataset
        try:
            self._look_at(job, dataset)
            return self._comparison(job, pictures, seen, dataset, self.faces), dataset
        except (DatasetUnreadableError, DatasetRejectedError):
            return ComparedPictures(Likeness(advice=GONE)), dataset
        except INTERNAL_ERRORS as mistake:
            # The same photos would break it for ever, and the pictures are paid.
            return ComparedPictures(Likeness(advice=BROKEN.format(place_of(mistake)))), dataset

    def _comparison(
        self,
        job: Job,
        pictures: Sequence[Job],
        seen: dict[str, _Seen | None],
        dataset: _Dataset,
        faces: FaceComparer,
    ) -> ComparedPictures:
        photos = [(each.name, each.face.crop) for each in dataset.photos if each.face]
        shown = {_number(each): seen[each.job_id] for each in pictures}
        shown = {number: each for number, each in shown.items() if each and not each.black}
        found = {number: each.face.crop for number, each in shown.items() if each and each.face}
        crops = [crop for _, crop in photos]
        return compare(
            faces.similarities([*crops, *found.values()]),
            photos=[name for name, _ in photos],
            pictures=list(found),
            faceless=[number for number in shown if number not in found],
            trained=_trained(job, dataset),
        )

    def _look_at(self, job: Job, dataset: _Dataset) -> None:
        """Look at the photos that were trained on, as long as there is time."""
        until = self.now() + self.patience
        archive = self._archive(job)
        selection = select(structure_of(archive).members)
        dataset.captioned = bool(selection.captions)
        for member in _spread(selection.others, MOST_PHOTOS):
            if self.now() > until:
                return
            if member.size <= MAX_IMAGE_BYTES:
                data = read_member(archive, member, member.size)
                if seen := self._seen(member.name, data, photo_face):
                    dataset.photos.append(seen)

    def _archive(self, job: Job) -> RangedReader:
        """Return what was trained on; raises DatasetRejectedError and DatasetUnreadableError."""
        if job.clean is not None:
            return self.record.results.reader(job.clean)
        return self.datasets.open(job.dataset).archive

    def _picture(self, picture: Job) -> _Seen | None:
        """Return how a stored picture looks; None where it was not made, is no longer there or cannot be read."""
        stored = _stored(picture)
        if stored is None:
            return None
        try:
            reader = self.record.results.reader(stored)
            data = reader.read(0, min(reader.size, MAX_IMAGE_BYTES))
        except (DatasetUnreadableError, DatasetRejectedError):
            return None
        return self._seen(stored.name, data, picture_face)

    def _seen(self, name: str, data: bytes, face_of: _FaceOf) -> _Seen | None:
        """Return how an image looks; None for a file that is none."""
        if sniff(data[:SNIFFED]) not in TRAINED | CONVERTED:
            return None
        try:
            header = describe(WholeImage(data))
            check_size(header)
            look = self.pictures.look(data, header)
        except InvalidImageError:
            return None
        return _Seen(name, look, face_of(look.faces))

    def _write(self, job: Job, report: ProofReport) -> None:
        results, folder = self.record.results, f"{job.prefix}{PROOF_FOLDER}/"
        shows_photos = any(photo.thumbnail for photo in report.photos)
        results.write(folder + PROOF_FILE, proof_json(report), "application/json")
        results.write(folder + PROOF_PAGE, proof_html(report), "text/html", expires=shows_photos)
        results.write(job.prefix + JOB_FILE, job_text(job), "application/json")

    def _publish(self, job: Job, sheet: ProofSheet, report: ProofReport) -> None:
        ready = ProofSheetReady.of(
            job,
            sheet,
            made=sum(picture.file is not None for picture in report.pictures),
            bucket=self.record.results.bucket,
            with_reference=self.record.reference_in_events,
        )
        self.record.events.emit(ready)


def _trained(job: Job, dataset: _Dataset) -> Trained:
    trainer = TRAINERS.get(job.application)
    return Trained(
        images=job.images,
        steps=job.parameters.steps if job.parameters else None,
        usual_steps=trainer.steps.default if trainer else None,
        captioned=dataset.captioned,
    )


def _report(
    job: Job,
    pictures: Sequence[Job],
    seen: dict[str, _Seen | None],
    comparison: ComparedPictures | None,
    dataset: _Dataset,
) -> ProofReport:
    found = comparison.likeness if comparison else Likeness()
    looks = {each.name: each.look for each in dataset.photos}
    compared = list(comparison.photos.items()) if comparison else []
    shown = {name for name, _ in _spread(compared, SHOWN_PHOTOS)}
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


def _picture_report(picture: Job, seen: _Seen | None, found: Likeness) -> ProofPicture:
    order = picture.picture
    number = _number(picture)
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


def _plain_report(job: Job, pictures: Sequence[Job], likeness: Likeness) -> ProofReport:
    """Return the report on pictures that were not looked at: where they lie, and why they were not."""
    seen = dict.fromkeys((each.job_id for each in pictures), None)
    report = _report(job, pictures, seen, ComparedPictures(likeness), _Dataset())
    plain = [
        shown.model_copy(
            update={
                "file": f"{shown.number}/{stored.name}",
                "sha256": stored.sha256,
                "problem": None,
            }
        )
        if (stored := _stored(each))
        else shown
        for each, shown in zip(pictures, report.pictures, strict=True)
    ]
    return report.model_copy(update={"pictures": tuple(plain)})


def _stored(picture: Job) -> StoredFile | None:
    """Return the file of a picture; None where it was not made."""
    if picture.status is not Status.SUCCEEDED:
        return None
    return next((f for f in picture.files if f.name.lower().endswith(PICTURE_SUFFIXES)), None)


def _why_missing(picture: Job) -> str:
    if picture.status is Status.SUCCEEDED:
        return "It was made, and its file can no longer be read."
    why = " ".join(each.message for each in picture.problems)
    return f"It was not made: {why or picture.status.value}"


def _number(picture: Job) -> int:
    return picture.picture.number if picture.picture else 0


def _spread[T](items: Sequence[T], most: int) -> Sequence[T]:
    """Return at most so many of the items, evenly from first to last."""
    if len(items) <= most:
        return items
    return [items[at * len(items) // most] for at in range(most)]

"""What comes of a proof sheet once all of its pictures have ended: the comparison with the photos, and its page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic

from lora_drop.datasets.archives import RangedReader, read_member, structure_of
from lora_drop.datasets.dataset import MAX_IMAGE_BYTES
from lora_drop.datasets.faces.face import Face, FaceComparer, FacesSeen
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
from lora_drop.datasets.images.pictures import Pictures
from lora_drop.datasets.images.reading import WholeImage
from lora_drop.datasets.reports.proof_sheet import ProofReport, proof_html, proof_json
from lora_drop.datasets.selection import select
from lora_drop.datasets.style import is_of_a_person
from lora_drop.fal.trainers.table import TRAINERS
from lora_drop.fal.trainers.trainer import STEPS
from lora_drop.jobs.errors import DatasetRejectedError, DatasetUnreadableError
from lora_drop.jobs.events import ProofSheetReady
from lora_drop.jobs.job import Job
from lora_drop.jobs.job_files import JOB_FILE, job_text
from lora_drop.jobs.proof import PROOF_FILE, PROOF_FOLDER, PROOF_PAGE, Likeness, ProofSheet
from lora_drop.jobs.time_limits import PROOF_PATIENCE
from lora_drop.ports import DatasetStore
from lora_drop.services.internal_errors import INTERNAL_ERRORS, place_of, similarities_of
from lora_drop.services.proof_report import (
    SeenDataset,
    SeenImage,
    number_of,
    plain_report,
    report_on,
    spread,
    stored_picture,
)
from lora_drop.services.record import Record

PATIENCE = PROOF_PATIENCE.total_seconds()
# More photos do not move their centre, and each takes time.
MOST_PHOTOS = 100
type _FaceOf = Callable[[FacesSeen | None], Face | None]

NOTHING_MADE = "There is no picture that could be compared with the photos."
GONE = (
    "The photos are no longer there, so it is not known how much the pictures look like the person."
)
BROKEN = "The comparison itself broke, which is our mistake ({}). Please report it. The pictures are there."


@dataclass(frozen=True, slots=True)
class ProofResults:
    """Compares the pictures of proof sheets with the photos, and writes their pages.

    ``faces`` None: faces are not looked for in this stack, and a sheet has its pictures alone. ``simulated`` says of
    the pictures that no LoRA has made them, where a simulator is the stack's fal. ``failed`` is called with each
    mistake of ours that keeps pictures from being looked at or compared.
    """

    record: Record
    datasets: DatasetStore
    pictures: Pictures
    faces: FaceComparer | None = None
    failed: Callable[[Exception], None] = lambda _: None
    simulated: str = ""
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
            self.failed(mistake)
            broken = Likeness(advice=BROKEN.format(place_of(mistake)))
            sheet = (job.proof or ProofSheet()).model_copy(update={"likeness": broken})
            report = plain_report(job, pictures, broken)
            report = report.model_copy(update={"simulated": self.simulated})
            self._write(job.model_copy(update={"proof": sheet}), report)
        self._publish(job, sheet, report)
        return sheet

    def _measured(self, job: Job, pictures: Sequence[Job]) -> tuple[ProofSheet, ProofReport]:
        seen = {each.job_id: self._picture(each) for each in pictures}
        comparison, dataset = self._compared(job, pictures, seen)
        likeness = comparison.likeness if comparison else None
        sheet = (job.proof or ProofSheet()).model_copy(update={"likeness": likeness})
        report = report_on(job, pictures, seen, comparison, dataset)
        report = report.model_copy(update={"simulated": self.simulated})
        self._write(job.model_copy(update={"proof": sheet}), report)
        return sheet, report

    def _compared(
        self, job: Job, pictures: Sequence[Job], seen: dict[str, SeenImage | None]
    ) -> tuple[ComparedPictures | None, SeenDataset]:
        dataset = SeenDataset()
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
            self.failed(mistake)
            return ComparedPictures(Likeness(advice=BROKEN.format(place_of(mistake)))), dataset

    def _comparison(
        self,
        job: Job,
        pictures: Sequence[Job],
        seen: dict[str, SeenImage | None],
        dataset: SeenDataset,
        faces: FaceComparer,
    ) -> ComparedPictures:
        photos = [(each.name, each.face.crop) for each in dataset.photos if each.face]
        shown = {number_of(each): seen[each.job_id] for each in pictures}
        shown = {number: each for number, each in shown.items() if each and not each.black}
        found = {number: each.face.crop for number, each in shown.items() if each and each.face}
        crops = [crop for _, crop in photos]
        return compare(
            similarities_of(faces, [*crops, *found.values()]),
            photos=[name for name, _ in photos],
            pictures=list(found),
            faceless=[number for number in shown if number not in found],
            trained=None if self.simulated else _trained(job, dataset),
        )

    def _look_at(self, job: Job, dataset: SeenDataset) -> None:
        """Look at the photos that were trained on, as long as there is time."""
        until = self.now() + self.patience
        archive = self._archive(job)
        selection = select(structure_of(archive).members)
        dataset.captioned = bool(selection.captions)
        for member in spread(selection.others, MOST_PHOTOS):
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

    def _picture(self, picture: Job) -> SeenImage | None:
        """Return how a stored picture looks; None where it was not made, is no longer there or cannot be read."""
        stored = stored_picture(picture)
        if stored is None:
            return None
        try:
            reader = self.record.results.reader(stored)
            data = reader.read(0, min(reader.size, MAX_IMAGE_BYTES))
        except (DatasetUnreadableError, DatasetRejectedError):
            return None
        return self._seen(stored.name, data, picture_face)

    def _seen(self, name: str, data: bytes, face_of: _FaceOf) -> SeenImage | None:
        """Return how an image looks; None for a file that is none."""
        if sniff(data[:SNIFFED]) not in TRAINED | CONVERTED:
            return None
        try:
            header = describe(WholeImage(data))
            check_size(header)
            look = self.pictures.look(data, header)
        except InvalidImageError:
            return None
        return SeenImage(name, look, face_of(look.faces))

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


def _trained(job: Job, dataset: SeenDataset) -> Trained:
    return Trained(
        images=job.images,
        steps=job.parameters.steps if job.parameters else None,
        usual_steps=_usual_steps(job),
        captioned=dataset.captioned,
    )


def _usual_steps(job: Job) -> int | None:
    """Return the steps of the job's preset, else the trainer's own; None where the trainer is not known."""
    trainer = TRAINERS.get(job.application)
    if trainer is None:
        return None
    preset = trainer.presets.get(job.preset or "")
    chosen = preset.values.get(STEPS) if preset else None
    return chosen if isinstance(chosen, int) else trainer.steps.default

"""Proof sheets: pictures are opened as jobs of their own, awaited, and compared with the dataset.

The order of writes makes it safe to die anywhere. The training's row names its pictures before any of them
exists; each is added under an id that follows from the training and its number, and only while the training's
row is as it was read: a training that is forgotten at that moment gets no picture. From then on a picture is
paid for, awaited and stored by the rules of every job. The training stays on the list of open jobs until its
sheet is done, so the reconciler takes every step again that a worker has not taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from lora_drop.datasets.style import STYLE, is_of_a_person
from lora_drop.fal.proof_prompts import (
    PICTURES,
    no_pictures,
    picture_application,
    picture_orders,
    picture_usd,
)
from lora_drop.jobs.budget import paid_usd
from lora_drop.jobs.errors import ConflictError, JobForgottenError
from lora_drop.jobs.ids import picture_job_id
from lora_drop.jobs.job import Job, Step
from lora_drop.jobs.proof import PictureOrder, ProofSheet
from lora_drop.jobs.status import Status
from lora_drop.ports import Inbox
from lora_drop.services.internal_errors import INTERNAL_ERRORS, place_of
from lora_drop.services.record import Record

# Against others who write the same training's row.
ATTEMPTS = 3
FORGOTTEN = "Its pictures were forgotten."
UNWRITTEN = (
    "There is no proof.html of its pictures: writing it broke, which is our mistake ({}). Please report it. The pictures "
    "themselves are in the folders proof/1/, proof/2/ and so on."
)


class ProofComparer(Protocol):
    """Compares the pictures of a training with its dataset, and writes the sheet."""

    def measure(self, parent: Job, pictures: Sequence[Job]) -> ProofSheet:
        """Return what came of the pictures, all of which have ended; safe to repeat.

        Writes ``proof/proof.json`` and ``proof/proof.html`` before it returns. Raises EventsUnavailableError where
        it is to be called again.
        """


@dataclass(frozen=True, slots=True)
class ProofOrders:
    """Opens the pictures of a proof sheet, ``count`` of them, and asks for the sheet once they have ended."""

    record: Record
    inbox: Inbox
    count: int = PICTURES

    def begin(self, job: Job) -> Job:
        """Return the job with its pictures, each of them a job that waits to be sent; a second call changes nothing.

        Does nothing for a job without a LoRA or without an order for a sheet. Raises ConflictError where another
        worker has changed the job meanwhile, after which it may be called again.
        """
        if not job.proof_open or job.proof is None:
            return job
        orders = self._orders_of(job)
        if not job.proof.pictures:
            ids = tuple(picture_job_id(job.job_id, order.number) for order in orders)
            sheet = job.proof.model_copy(update={"pictures": ids})
            named = job.model_copy(update={"proof": sheet, "version": job.version + 1})
            job = self.record.write(job, named)
        opened = [self._open(job, order) for order in orders]
        if any(opened):
            # By the message that wakes the submitter for any waiting job.
            self.inbox.announce(job.dataset)
        return job

    def go_on(self, job: Job) -> None:
        """Take the steps that a worker has not taken, of a training or a picture that has ended.

        What is missing of a late sheet is opened, and the sheet is asked for where every picture has ended, or where it
        does not have this picture.
        """
        if job.picture is not None:
            self._report_late(job)
        if not job.proof_open:
            return
        job = self.begin(job)
        pictures = _pictures(self.record, job)
        if pictures is not None and all(each.terminal for each in pictures):
            self.inbox.finish_proof(job.job_id)

    def _report_late(self, picture: Job) -> None:
        """Ask once more for the sheet of a picture that has ended, unless the sheet has it already."""
        order = picture.picture
        parent = self.record.jobs.get(order.proof_of) if order else None
        if parent and parent.proof and not _made_from(parent.proof, [picture]):
            self.inbox.finish_proof(parent.job_id)

    def _orders_of(self, job: Job) -> Sequence[PictureOrder]:
        """Return what the pictures are made of: as many as the job names already, where it does.

        A trainer's own value says as well as the preset that a training is of a style.
        """
        phrase = job.parameters.trigger_phrase if job.parameters else None
        values = job.parameters.values if job.parameters else {}
        preset = job.preset if is_of_a_person(job.preset, values) else STYLE
        named = len(job.proof.pictures) if job.proof else 0
        return picture_orders(job.job_id, preset, phrase, named or self.count)

    def _open(self, parent: Job, order: PictureOrder) -> bool:
        """Add the job of one picture; False where it is there, or was forgotten."""
        picture = picture_job(parent, order, now=self.record.clock())
        if self.record.jobs.get(picture.job_id) is not None:
            return False
        try:
            return self.record.open(picture, unchanged=(parent,)) == picture
        except JobForgottenError:
            return False


@dataclass(frozen=True, slots=True)
class ProofSheets:
    """Ends proof sheets: the pictures are compared once, when all of them have ended."""

    record: Record
    results: ProofComparer

    def finish(self, job_id: str, *, again: bool = False) -> Job:
        """Return the training with its finished sheet; as it stands while a picture has not ended yet.

        A picture that failed is not made again, and the sheet goes without it. One whose result came after the
        sheet was done is taken in. Where all were forgotten, by an order that has not come to their training yet, the
        sheet says so. ``again``: the files are written once more where the sheet is done, since a worker that died may have
        written older ones over them. Raises JobNotFoundError; and ConflictError, where others write the training all the
        time, and EventsUnavailableError, after each of which it is to be called ``again``.
        """
        for _ in range(ATTEMPTS - 1):
            try:
                return self._finish(job_id, again=again)
            except ConflictError:
                # Its files may stand over those that another worker has made of more pictures.
                again = True
        return self._finish(job_id, again=again)

    def _finish(self, job_id: str, *, again: bool) -> Job:
        job = self.record.known(job_id)
        if job.proof is None or not job.proof.pictures or job.status is not Status.SUCCEEDED:
            return job
        pictures = _pictures(self.record, job)
        if pictures is None or not all(each.terminal for each in pictures):
            return job
        if not again and _made_from(job.proof, pictures):
            return job
        paid = paid_usd(charge for each in pictures for charge in each.charges)
        known = job.proof.model_copy(update={"paid_usd": paid})
        measured = self._measured(job.model_copy(update={"proof": known}), pictures)
        now = self.record.clock()
        sheet = measured.model_copy(
            update={
                "pictures": job.proof.pictures,
                "made_from": {each.job_id: each.version for each in pictures},
                "paid_usd": paid,
                "done_at": now,
            }
        )
        done = {"proof": sheet, "version": job.version + 1, "updated_at": now}
        return self.record.write(job, job.model_copy(update=done))

    def _measured(self, job: Job, pictures: Sequence[Job]) -> ProofSheet:
        if not pictures:
            return ProofSheet(note=FORGOTTEN)
        try:
            return self.results.measure(job, pictures)
        except INTERNAL_ERRORS as mistake:
            # The same pictures would fail the same way for ever; they are paid for, and there to be looked at.
            return ProofSheet(note=UNWRITTEN.format(place_of(mistake)))


def ordered_sheet(trainer: str, *, wanted: bool, now: datetime) -> ProofSheet | None:
    """Return the sheet that a training begins with, None where none is wanted.

    For a trainer without an endpoint for pictures it is done at once, and says so.
    """
    if not wanted:
        return None
    if picture_application(trainer) is None:
        return ProofSheet(note=no_pictures(trainer), done_at=now)
    return ProofSheet()


def sheet_of_earlier(job: Job) -> ProofSheet:
    """Return what a job has in place of a sheet whose files are those of an earlier job."""
    note = f"The one of this LoRA belongs to {job.job_id}: lora-drop job {job.job_id} shows it."
    return ProofSheet(note=note, done_at=job.updated_at)


def picture_job(parent: Job, order: PictureOrder, *, now: datetime) -> Job:
    """Return the job of one picture, as it waits to be sent."""
    return Job(
        job_id=picture_job_id(parent.job_id, order.number),
        status=Status.READY,
        dataset=parent.dataset,
        application=picture_application(parent.application) or parent.application,
        created_at=now + order.number * timedelta(microseconds=1),  # the first one is sent first
        updated_at=now,
        history=(Step(status=Status.READY, at=now),),
        preset=parent.preset,
        estimated_cost_usd=picture_usd(order),
        picture=order,
    )


def report_picture(inbox: Inbox, job: Job) -> None:
    """Ask for the proof sheet of a picture that has ended; when this is lost, the reconciler does it."""
    if job.picture is not None and job.terminal:
        inbox.finish_proof(job.picture.proof_of)


def _pictures(record: Record, job: Job) -> Sequence[Job] | None:
    """Return the jobs of a sheet's pictures but those that were forgotten; None while one is still to be opened."""
    found = []
    for picture_id in job.proof.pictures if job.proof else ():
        picture = record.jobs.get(picture_id)
        if picture is not None:
            found.append(picture)
        elif not record.jobs.forgotten(picture_id):
            return None
    return found


def _made_from(sheet: ProofSheet, pictures: Sequence[Job]) -> bool:
    """Return whether the finished sheet was made from these pictures as they are."""
    return sheet.done_at is not None and all(
        sheet.made_from.get(each.job_id) == each.version for each in pictures
    )

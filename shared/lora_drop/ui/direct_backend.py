"""Trainings at fal with a key alone: what this machine has sent, and the folders that their files come into."""

import copy
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from lora_drop.client.direct_choice import application_of
from lora_drop.client.direct_folders import (
    about_order,
    describe,
    folder_beside,
    folder_of,
    is_here,
    usage_subject,
)
from lora_drop.client.direct_training import PreparedTraining
from lora_drop.client.errors import CommandError, DatasetRejectedError, JobUnknownError
from lora_drop.client.face_check import FaceCheck
from lora_drop.client.portrait_trainer import Again, PortraitTrainer
from lora_drop.client.report_files import report_files
from lora_drop.client.result_files import refuse_folder
from lora_drop.client.submissions import SentRequest
from lora_drop.client.usage import request_usage
from lora_drop.jobs.errors import LoraDropError
from lora_drop.jobs.job_files import REPORT_PAGE
from lora_drop.jobs.status import ENDED, Status
from lora_drop.ui.backends import (
    Action,
    Budget,
    JobCard,
    JobPage,
    JobRow,
    Progress,
    Question,
    Usage,
)
from lora_drop.ui.direct_cards import (
    UNFINISHED,
    dataset_of,
    files_of,
    phrase_of,
    price_of,
    request_card,
    watched_card,
)
from lora_drop.ui.direct_watch import RequestFollower, page_sentence

ROWS = 20  # of a page


class DirectBackend:
    """Implements ``Backend`` without a stack; nothing is paid for twice, also not by the command beside it.

    ``faces`` is what a check does about them.
    """

    def __init__(self, trainer: PortraitTrainer, faces: FaceCheck | None = None) -> None:
        self.trainer = trainer
        self.faces = faces or FaceCheck()
        self.proof: bool | None = None  # its pictures need a stack
        self.follower = RequestFollower(trainer.submissions, self._trainer)

    @property
    def name(self) -> str:
        """What it is, for the head of the page."""
        return f"{os.environ.get('FAL_QUEUE_RUN_HOST') or 'fal.ai'} with a key alone"

    @property
    def application(self) -> str:
        """Fal's name of the trainer of datasets that name none."""
        return self.trainer.application

    def follow(self) -> None:
        """Look at what is not done yet and fetch its files, in a thread, until it is closed."""
        self.follower.start()

    def jobs(
        self, *, status: Status | None = None, search: str | None = None, cursor: str | None = None
    ) -> JobPage:
        """Return what this machine has sent, the newest first, in the state that was seen last."""
        submissions, begin = self.trainer.submissions, _number(cursor)
        sent = submissions.sent() if submissions.exists else ()
        rows = [row for each in sent if _fits(row := self._row(each), status, search or "")]
        end = begin + ROWS
        return JobPage(tuple(rows[begin:end]), str(end) if rows[end:] else None)

    def card(self, job_id: str) -> JobCard:
        """Return what there is to see of a request; one that is done is fetched when it is looked at."""
        request = self._request(job_id)
        if is_here(request):
            return request_card(request, Status.SUCCEEDED, cost=price_of(request, "{} paid"))
        watch = self.follower.watch(request)
        watch.look()
        if watch.result is not None:
            self.follower.want(request)
        return watched_card(request, watch)

    def budget(self) -> Budget | None:
        """Return None: fal's balance is the only limit."""
        return None

    def train(
        self, archive: Path, *, name: str, parameters: Mapping[str, object], progress: Progress
    ) -> str:
        """Send a checked dataset and return the id of the request; the same one again is never sent twice.

        One of which fal states that it has failed or was cancelled, and that a person can have seen, is paid again.
        Raises CommandError where nothing was sent, and where fal's answer was lost, with what to do.
        """
        given: dict[str, Any] = {key: each for key, each in parameters.items() if each is not None}
        trainer = self._trainer(application_of(given.pop("trainer", self.application)))
        try:
            with trainer.prepared(archive, faces=self.faces.wanted, **given) as training:
                again = self._again(trainer.ordered(training))
                request_id = trainer.ordered(training, again=again)
                if request_id is None:
                    refuse_folder(folder_beside(name, "new"), None)
                    size = training.dataset.file.stat().st_size
                    progress(0, size)
                    request_id = trainer.send(training, again=again)
                    progress(size, size)
                self._keep(request_id, training, name)
        except DatasetRejectedError as refused:
            messages = (each.message for each in refused.problems)
            raise CommandError("\n".join(("Nothing was sent.", *messages))) from refused
        except LoraDropError as error:
            raise CommandError(page_sentence(error)) from error
        return request_id

    def question(self, job_id: str, action: Action) -> Question:
        """Return what a person has to know before a training is cancelled; raises CommandError for anything else."""
        card = self.card(job_id)
        if action not in card.actions:
            raise CommandError(
                f"{card.dataset} is {card.status} at fal, where this is not possible: {action}."
            )
        said = (
            "fal is asked to stop it. What has run already may be billed by fal.",
            "A training that is almost done may still end: its files are fetched then, and it is paid.",
        )
        return Question(action, f"Cancel {card.dataset}?", said, "Cancel the training")

    def act(self, job_id: str, action: Action) -> str:
        """Ask fal once to cancel a training; raises CommandError for anything else, and for one that had ended."""
        request = self._request(job_id)
        if action is not Action.CANCEL:
            raise CommandError(f"Without a stack this is not possible: {action}.")
        try:
            asked = self._trainer(request.application).cancel(job_id)
        except LoraDropError as error:
            raise CommandError(page_sentence(error)) from error
        if not asked:
            raise CommandError("It had ended before, and is not cancelled.")
        return job_id

    def file(self, job_id: str, name: str) -> Path | str:
        """Return where a file of a result lies here; raises CommandError for a name that ``job.json`` does not list."""
        request = self._request(job_id)
        for each in files_of(request):
            if each.name == name and Path(name).name == name:
                return folder_of(request).absolute() / each.name
        raise CommandError(f"This training has no file {name!r}. Its page lists those that it has.")

    def report(self, job_id: str) -> bytes | None:
        """Return ``report.html`` of the folder; None where the training was not sent from here."""
        page = folder_of(self._request(job_id)) / REPORT_PAGE
        try:
            return page.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CommandError(f"The report cannot be read: {error}.") from error

    def picture(self, job_id: str, number: int) -> bytes | None:  # noqa: ARG002  # as Backend has it
        """Return None: a proof sheet needs a stack."""
        return None

    def usage(self, job_id: str) -> Usage | None:
        """Return how the LoRA is used from its folder; None where it is not here.

        Raises CommandError for a trainer whose use is not known.
        """
        request = self._request(job_id)
        if not is_here(request):
            return None
        found = request_usage(usage_subject(request), None)
        return Usage(**{each: found[each] for each in Usage.__dataclass_fields__})

    def close(self) -> None:
        """End the thread."""
        self.follower.close()

    def _trainer(self, application: str) -> PortraitTrainer:
        """Return the same for another of fal's trainers."""
        other = copy.copy(self.trainer)
        other.application = application
        return other

    def _again(self, request_id: str | None) -> Again:
        """Return whether a person who presses Train wants another training in the place of this one if that failed.

        Not of a request that has no folder: its answer was lost, and what became of it is shown first.
        """
        known = request_id and self.trainer.submissions.request(request_id)
        return "failed" if known and known.folder else False

    def _request(self, request_id: str) -> SentRequest:
        submissions = self.trainer.submissions
        found = submissions.request(request_id) if submissions.exists else None
        if found is None:
            raise JobUnknownError(f"This machine has sent no request {request_id!r} to fal.")
        return found

    def _keep(self, request_id: str, training: PreparedTraining, name: str) -> None:
        """Keep what was ordered and its report; that fails without harm to the training, which is sent."""
        submissions = self.trainer.submissions
        known = submissions.request(request_id)
        about = about_order(known, training, name, known.about.get("reference") if known else None)
        folder = (known and known.folder) or folder_beside(name, request_id).absolute()
        describe(submissions, request_id, known, about, folder)
        with suppress(CommandError):  # the folder may hold another file of that name
            report_files(f"{folder}/").write(training.dataset.report)
        self.follower.watch(self._request(request_id)).wanted = True

    def _row(self, request: SentRequest) -> JobRow:
        seen, status = self.follower.seen(request)
        free = status in ENDED - {Status.SUCCEEDED} and seen.billed is False
        return JobRow(
            id=request.request_id,
            dataset=dataset_of(request),
            status=status,
            created_at=request.sent_at,
            usd=0.0 if free else request.about.get("estimated_cost_usd"),
            percent=seen.progress.percent if status in UNFINISHED and seen.progress else None,
            trigger_phrase=phrase_of(request),
            reference=request.about.get("reference"),
        )


def _fits(row: JobRow, status: Status | None, search: str) -> bool:
    searched = (row.id, row.dataset, row.trigger_phrase or "", row.reference or "")
    return status in (None, row.status) and any(
        search.casefold() in each.casefold() for each in searched
    )


def _number(cursor: str | None) -> int:
    if cursor is None:
        return 0
    if not cursor.isascii() or not cursor.isdigit():
        raise CommandError("There is no such page of the list. Begin with the first one.")
    return int(cursor)

"""Trainings of a stack: a deployed one, or the one on this machine."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from lora_drop.client.archive import key_of
from lora_drop.client.errors import (
    CommandError,
    JobErasedError,
    JobUnknownError,
    StackUnreachableError,
)
from lora_drop.client.face_check import FaceCheck
from lora_drop.client.job_view import public_job
from lora_drop.client.report_page import if_there, proof_content, report_content
from lora_drop.client.result_files import LORA
from lora_drop.client.stack_client import StackClient
from lora_drop.client.usage import job_usage
from lora_drop.datasets.reports.proof_sheet import ProofReport
from lora_drop.jobs.job_files import REPORT_PAGE
from lora_drop.jobs.progress import AT_WORK
from lora_drop.jobs.proof import PICTURE_NAME, PROOF_FILE
from lora_drop.jobs.status import Status
from lora_drop.ui.backends import (
    Action,
    Budget,
    JobCard,
    JobPage,
    LogLine,
    Progress,
    ProofCard,
    Question,
    Usage,
)
from lora_drop.ui.stack_cards import BEFORE_SENT, card_of, last_lines, row_of
from lora_drop.ui.stack_questions import forget_question, question_of

ROWS = 20  # of a page
READ_AGAIN = 200  # lines of the log that are read at each look, for the last ones of them
USUAL = timedelta(minutes=2)  # from the upload until the stack has seen it
PAUSE = 1.0  # seconds between two calls for one erasing
ERASED_WITHIN = 300.0  # seconds; it goes on by itself
FAILURES = 5  # calls in a row for one erasing to which the stack does not answer
HOURS = 1  # how long fal may fetch the LoRA from the address in the program


@dataclass(frozen=True, slots=True)
class _Sent:
    """A dataset that this backend has uploaded, and that the stack has not seen yet."""

    name: str
    at: datetime


@dataclass(frozen=True, slots=True)
class _Log:
    """The last lines of a training's log, and with which line the next ones begin."""

    lines: tuple[LogLine, ...] = ()
    next: int = 0


@dataclass(slots=True)
class StackBackend:
    """Implements ``Backend`` over a stack; what it remembers is only for the time in which the stack is silent.

    ``no_faces``: they are not looked for here, whatever the stack does.
    """

    client: StackClient
    no_faces: bool = False
    _sent: dict[str, _Sent] = field(default_factory=dict)
    _cards: dict[str, JobCard] = field(default_factory=dict)
    _logs: dict[str, _Log] = field(default_factory=dict)
    _named: dict[str, frozenset[str]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What it is, for the head of the page."""
        stack = self.client.stack
        if stack.endpoint_url:
            return f"stack on this machine, {urlsplit(stack.endpoint_url).netloc}"
        return f"stack {stack.name}, {stack.session.region_name}"

    @property
    def application(self) -> str:
        """Fal's name of the trainer of datasets that name none."""
        return self.client.stack.application

    @property
    def faces(self) -> FaceCheck:
        """What the stack's check does about faces, or nothing."""
        return self.client.stack.faces.unless(no_faces=self.no_faces)

    @property
    def proof(self) -> bool | None:
        """Whether the stack makes a proof sheet by itself; None for one that makes none."""
        return self.client.stack.proof_sheet

    def jobs(
        self, *, status: Status | None = None, search: str | None = None, cursor: str | None = None
    ) -> JobPage:
        """Return jobs, the newest first; with a ``search`` pages are read until 20 jobs fit."""
        page = self.client.jobs(status=status, search=search, limit=ROWS, cursor=cursor)
        return JobPage(tuple(map(row_of, page["jobs"])), page["next"])

    def card(self, job_id: str) -> JobCard:
        """Return what there is to see of a job; while the stack is silent, what was seen last.

        Raises JobUnknownError, and StackUnreachableError for a job that was never seen.
        """
        try:
            card = self._simulated(self._seen(self.client.job(job_id)))
        except JobUnknownError:
            if (sent := self._sent.get(job_id)) is None:
                raise
            return _unseen(job_id, sent)
        except StackUnreachableError as error:
            return self._silent(job_id, error)
        self._sent.pop(job_id, None)
        self._cards[job_id] = replace(card, silence=None)
        return card

    def budget(self) -> Budget | None:
        """Return the month's dollars."""
        account = self.client.budget()
        used, reserved = account["reserved_usd"] + account["spent_usd"], account["reserved_usd"]
        limit = account["limits"]["monthly_usd"]
        of = f" of ${limit:,.2f}" if limit is not None else ""
        words = f"${used:,.2f}{of} this month"
        if reserved:
            words += f", ${reserved:,.2f} of it reserved"
        return Budget(account["month"], round(used, 2), limit, words)

    def train(
        self, archive: Path, *, name: str, parameters: Mapping[str, object], progress: Progress
    ) -> str:
        """Upload a checked dataset, and return the id of the job that it becomes.

        The stack pays for the same photos, captions and parameters once: sent again, they become a job that has the
        files of the first.
        """
        job_id = self.client.drop(
            archive, key=key_of(name), parameters=parameters, progress=progress
        )
        self._sent[job_id] = _Sent(key_of(name), datetime.now(UTC))
        return job_id

    def question(self, job_id: str, action: Action) -> Question:
        """Return what a person has to know before it is done; raises CommandError for what is no longer possible."""
        if action is Action.FORGET:
            going = self.client.to_be_forgotten(job_id, family=True)
            self._named[job_id] = frozenset(each["job_id"] for each in going)
            return forget_question(job_id, going)
        document = self.client.job(job_id)
        if action not in card_of(document).actions:
            raise CommandError(
                f"{job_id} is {document['status']} by now, so this is no longer possible: {action}."
            )
        return question_of(public_job(document), action)

    def act(self, job_id: str, action: Action) -> str:
        """Do it once; forgetting goes on until all is erased, but for the last look, which comes by itself."""
        match action:
            case Action.CANCEL:
                self.client.cancel(job_id)
            case Action.APPROVE:
                self.client.approve(job_id)
            case Action.RETRY:
                return str(self.client.retry(job_id)["job_id"])
            case Action.FORGET:
                self._forget(job_id)
        return job_id

    def file(self, job_id: str, name: str) -> Path | str:
        """Return an address of a file of a job's result, which works for an hour; raises CommandError."""
        for each in self.client.files(job_id):
            if each["name"] == name:
                return str(each["url"])
        raise CommandError(f"{job_id} has no file {name!r}. Its page lists those that it has.")

    def report(self, job_id: str) -> bytes | None:
        """Return ``report.html`` of a job's dataset; None where there is none (yet, or any more)."""
        job = self.client.job(job_id)
        return if_there(job_id, partial(report_content, self.client.stack, job, REPORT_PAGE))

    def picture(self, job_id: str, number: int) -> bytes | None:
        """Return a picture of a job's proof sheet; None where there is none."""
        return self._of_proof(self.client.job(job_id), f"{number}/{PICTURE_NAME}")

    def usage(self, job_id: str) -> Usage | None:
        """Return how a job's LoRA is used; None where it has none.

        Raises CommandError for a trainer whose use is not known.
        """
        job = self.client.job(job_id)
        if all(each["name"] != LORA for each in job["files"]):
            return None
        found = job_usage(self.client.stack, job, here=LORA, hours=HOURS)
        return Usage(**{each: found[each] for each in Usage.__dataclass_fields__})

    def close(self) -> None:
        """Close its connections."""
        self.client.close()

    def _seen(self, document: Mapping[str, Any]) -> JobCard:
        """Return the card of a job, with the last lines of its training; also of one that has ended, as they were."""
        job_id, status = document["job_id"], Status(document["status"])
        if status in BEFORE_SENT:
            self._logs.pop(job_id, None)
        known = self._logs.get(job_id, _Log())
        if status not in AT_WORK:
            card = card_of(document, self._sheet(document))
            return replace(card, log=known.lines, proof=self._counted(card, document))
        after = max(0, known.next - READ_AGAIN)
        try:
            said = self.client.logs(job_id, after)
        except CommandError as error:
            return replace(card_of(document), log=known.lines, silence=str(error))
        if said["lines"] or said["next"] < after:  # else fal has given no log this time
            known = self._logs[job_id] = _Log(last_lines(said["lines"]), said["next"])
        far = {
            name: said[name] for name in ("progress", "queue_position") if said[name] is not None
        }
        return replace(card_of({**document, **far}), log=known.lines)

    def _simulated(self, card: JobCard) -> JobCard:
        """Return the card, whose proof sheet says where a simulator has made its pictures."""
        if card.proof is None:
            return card
        return replace(card, proof=replace(card.proof, simulated=self.client.stack.simulated))

    def _sheet(self, document: Mapping[str, Any]) -> ProofReport | None:
        """Return what ``proof.json`` of a job says; None where there is none, or one of another version."""
        proof = document.get("proof")
        if not proof or not proof["done_at"] or not proof["pictures"]:
            return None
        content = self._of_proof(document, PROOF_FILE)
        try:
            return ProofReport.model_validate_json(content) if content is not None else None
        except ValidationError:
            return None  # the job itself has the numbers

    def _counted(self, card: JobCard, document: Mapping[str, Any]) -> ProofCard | None:
        """Return the proof sheet of a card; while its pictures are being made, with how many have ended."""
        if card.proof is None or card.proof.done or not card.proof.total:
            return card.proof
        return replace(card.proof, ended=sum(map(self._has_ended, document["proof"]["pictures"])))

    def _has_ended(self, picture_id: str) -> bool:
        try:
            return Status(self.client.job(picture_id)["status"]).terminal
        except (JobUnknownError, JobErasedError):
            return False  # it is being erased with its sheet, or is not written yet

    def _of_proof(self, job: Mapping[str, Any], name: str) -> bytes | None:
        """Return a file of a job's proof sheet; None where there is none."""
        return if_there(job["job_id"], partial(proof_content, self.client.stack, job, name))

    def _silent(self, job_id: str, error: StackUnreachableError) -> JobCard:
        """Return what was seen last of a job, with why nothing new is known; raises the error for one never seen."""
        if card := self._cards.get(job_id):
            return replace(card, silence=str(error))
        if sent := self._sent.get(job_id):
            return replace(_unseen(job_id, sent), silence=str(error))
        raise error

    def _forget(self, job_id: str) -> None:
        going = {each["job_id"] for each in self.client.to_be_forgotten(job_id, family=True)}
        if unnamed := going - self._named.get(job_id, frozenset({job_id})):
            raise CommandError(
                f"These jobs would go with it and were not named: {', '.join(sorted(unnamed))}. Nothing was erased. "
                "Ask for it again, and look at what goes."
            )
        self._erase(job_id, family=len(going) > 1)
        for each in {job_id, *going}:
            for known in (self._sent, self._cards, self._logs, self._named):
                known.pop(each, None)

    def _erase(self, job_id: str, *, family: bool) -> None:
        """Return when all is erased: the same call again goes on where the one before has stopped."""
        until, failures = time.monotonic() + ERASED_WITHIN, 0
        while True:
            try:
                answer, failures = self.client.forget(job_id, family=family), 0
            except StackUnreachableError:
                failures += 1
                if failures == FAILURES:
                    raise
            else:
                if answer["done"] or all(proof["erased_at"] for proof in answer["erasures"]):
                    return
            if time.monotonic() > until:
                raise CommandError(
                    f"The erasing of {job_id} is begun, takes longer than usual and goes on by itself. Forget it again "
                    "later to see that it is done."
                )
            time.sleep(PAUSE)


def _unseen(job_id: str, sent: _Sent) -> JobCard:
    """Return the card of a job whose dataset is uploaded, and that the stack has not seen yet."""
    since = datetime.now(UTC) - sent.at
    waiting = "the dataset is uploaded; the stack begins with it in a moment"
    if since > USUAL:
        minutes = round(since.total_seconds() / 60)
        waiting = (
            f"uploaded {minutes} min ago and not seen by the stack yet, which is unusual. What hinders it: "
            "lora-drop doctor"
        )
    return JobCard(job_id, sent.name, Status.RECEIVED, waiting=waiting)

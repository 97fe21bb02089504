"""A dataset that is not sent yet, as the templates show it."""

import json
import re
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from lora_drop.datasets.report import ImageOutcome
from lora_drop.datasets.reports.markup import Anchors, Html
from lora_drop.datasets.reports.sections import by_importance, group_item, groups_of
from lora_drop.fal.trainers.parameters import ParameterSource
from lora_drop.fal.trainers.trainer import TRIGGER_PHRASE
from lora_drop.jobs.problems import MAX_NAME, shortened
from lora_drop.ui.backends import Budget
from lora_drop.ui.drafts import Draft
from lora_drop.ui.face_notice import FaceNotice, face_notices, unlooked
from lora_drop.ui.page import Page, in_thread
from lora_drop.ui.proof_choice import ProofChoice, proof_choice
from lora_drop.ui.sheet import ALL, Filter, SheetPhoto, card_of, filters_of, photos_of, shown
from lora_drop.ui.training_form import inputs_of, presets_of

# Of a file, or of a revision, in an address or a form; one of more digits is of nothing.
NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class DraftView:
    """What the templates show of a draft; ``shown`` are those of its photos that the filter ``kind`` lets through.

    ``proof`` is the proof sheet that can be ordered with it, ``unlooked`` why its faces were not looked for.
    """

    draft: Draft
    photos: list[SheetPhoto]
    shown: list[SheetPhoto]
    kind: str
    budget: Budget | None
    backend: str
    proof: ProofChoice | None = None
    unlooked: str = ""

    @property
    def elsewhere(self) -> str | None:
        """What to do where it was ordered over another backend; None where it was not."""
        return self.draft.order.elsewhere(self.backend) if self.draft.order else None

    @property
    def editable(self) -> bool:
        """Whether a person can still change it: what was ordered may be paid, and stays as it was sent."""
        return self.draft.order is None

    @property
    def filters(self) -> list[Filter]:
        """Return what can be shown."""
        return filters_of(self.photos)

    @property
    def phrase(self) -> str:
        """The trigger phrase that was chosen; empty where one is made up for the job, or the trainer has none."""
        parameters = self.draft.report.parameters if self.draft.report else ()
        chosen = (each for each in parameters if each.source is not ParameterSource.GENERATED)
        return next((str(each.value) for each in chosen if each.name == TRIGGER_PHRASE), "")

    @property
    def usd(self) -> float | None:
        """What the training costs, with its proof sheet; None where the price is not known."""
        training = self.draft.report.estimated_cost_usd if self.draft.report else None
        sheet = self.proof.usd if self.proof and self.proof.ordered else 0.0
        return None if training is None else round(training + sheet, 2)

    @property
    def faces(self) -> list[FaceNotice]:
        """What a person should see of the faces beside the verdict."""
        return face_notices(self.draft.report) if self.draft.report else []

    @property
    def refused(self) -> int:
        """How many photos the newest check refuses, and a person can leave out."""
        return sum(
            photo.checked and photo.report.fate is ImageOutcome.REFUSED for photo in self.photos
        )

    @property
    def mended(self) -> int:
        """How many photos fal gets in another form."""
        return sum(
            photo.checked and photo.report.fate is ImageOutcome.MENDED for photo in self.photos
        )

    def card(self, photo: SheetPhoto) -> Html:
        """Return a photo's card."""
        return card_of(photo, editable=self.editable, kind=self.kind)

    def groups(self, which: str) -> list[Html]:
        """Return the errors, the warnings or the changes in groups, each with a link to its photos."""
        report, anchors = self.draft.report, self._anchors
        if report is None:
            return []
        if which == "changes":
            made = groups_of(report.every_change)
            return [group_item(group, anchors, shown=0) for group in made]
        cases = report.errors if which == "errors" else report.warnings
        return [group_item(group, anchors) for group in by_importance(groups_of(cases))]

    @property
    def _anchors(self) -> Anchors:
        return {
            name: photo.place
            for photo in self.shown
            for name in (photo.file.name, shortened(photo.file.name, MAX_NAME))
        }


def cards_of(view: DraftView) -> dict[str, str]:
    """Return the cards that are shown, by their ids, as they are sent to a page that is open."""
    return {photo.place: view.card(photo).text for photo in view.shown}


def sheet_of(draft: Draft) -> tuple[object, ...]:
    """Return what differs when a card of the sheet would show something else."""
    return draft.revision, draft.report_revision, draft.complete, draft.order is None


def signature_of(draft: Draft) -> str:
    """Return what differs when a person would see something else."""
    order = draft.order
    sent = order and (order.running, order.sent, order.total, order.job_id, order.problem)
    checking = draft.checking and (draft.checking.done, draft.checking.total)
    what = (*sheet_of(draft), len(draft.files), draft.problem, checking, sent)
    return json.dumps(what, separators=(",", ":"))


async def requested_view(request: Request, page: Page) -> DraftView:
    """Return the draft that an address names, with the filter that it has."""
    draft = await in_thread(page.drafts.get, request.path_params["draft_id"])
    return await view_of(request, page, draft)


async def view_of(request: Request, page: Page, draft: Draft) -> DraftView:
    """Return a draft as this request shows it."""
    kind = request.query_params.get("show", ALL)
    photos, budget = await in_thread(photos_of, draft), await page.budget()
    backend = page.backend
    return DraftView(
        *(draft, photos, shown(photos, kind), kind, budget, backend.name),
        proof=proof_choice(draft, backend.application, backend.proof),
        unlooked=await in_thread(unlooked, draft.report, backend.faces),
    )


def training_parts(page: Page, view: DraftView) -> dict[str, Any]:
    """Return what the templates show of a training's inputs."""
    application = page.backend.application
    return {
        "presets": presets_of(view.draft, application),
        "inputs": inputs_of(view.draft, application),
    }


async def around(request: Request, page: Page, draft: Draft) -> str:
    """Return everything of a draft's page but the sheet, for a page that is open."""
    view = await view_of(request, page, draft)
    parts = {"whole": False, "cards": [], "added": [], "seen": ""}
    return page.render("draft_changes.html", view=view, **parts, **training_parts(page, view))

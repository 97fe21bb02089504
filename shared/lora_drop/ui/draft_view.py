"""A dataset that is not sent yet, as the templates show it."""

import json
from dataclasses import dataclass
from typing import Any

from lora_drop.datasets.report import ImageOutcome
from lora_drop.datasets.reports.markup import Anchors, Html
from lora_drop.datasets.reports.sections import by_importance, group_item, groups_of
from lora_drop.fal.trainers.parameters import ParameterSource
from lora_drop.fal.trainers.trainer import TRIGGER_PHRASE
from lora_drop.jobs.problems import MAX_NAME, shortened
from lora_drop.ui.backends import Budget
from lora_drop.ui.drafts import Draft
from lora_drop.ui.sheet import Filter, SheetPhoto, card_of, filters_of, shown


@dataclass(frozen=True, slots=True)
class DraftView:
    """What the templates show of a draft."""

    draft: Draft
    photos: list[SheetPhoto]
    kind: str
    budget: Budget | None
    backend: str

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
    def shown(self) -> list[SheetPhoto]:
        """Return the photos that are shown."""
        return shown(self.photos, self.kind)

    @property
    def phrase(self) -> str:
        """The trigger phrase that was chosen; empty where one is made up for the job, or the trainer has none."""
        parameters = self.draft.report.parameters if self.draft.report else ()
        chosen = (each for each in parameters if each.source is not ParameterSource.GENERATED)
        return next((str(each.value) for each in chosen if each.name == TRIGGER_PHRASE), "")

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
        report = self.draft.report
        if report is None:
            return []
        if which == "changes":
            own = (change for photo in report.photos for change in photo.changes)
            cases: Any = dict.fromkeys((*report.changes, *own))
            return [group_item(group, self._anchors, shown=0) for group in groups_of(cases)]
        cases = report.errors if which == "errors" else report.warnings
        return [group_item(group, self._anchors) for group in by_importance(groups_of(cases))]

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


def signature_of(draft: Draft) -> str:
    """Return what differs when a person would see something else."""
    order = draft.order
    sent = order and (order.running, order.sent, order.total, order.job_id, order.problem)
    checking = draft.checking and (draft.checking.done, draft.checking.total)
    what = (
        draft.revision,
        draft.report_revision,
        draft.complete,
        len(draft.files),
        draft.problem,
        checking,
        sent,
    )
    return json.dumps(what, separators=(",", ":"))

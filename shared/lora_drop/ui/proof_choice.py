"""Whether a training on the page is ordered with a proof sheet, and what the sheet costs."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lora_drop.datasets.owner_metadata import PROOF
from lora_drop.fal.proof_prompts import picture_application, sheet_usd

if TYPE_CHECKING:
    from lora_drop.ui.drafts import Draft


@dataclass(frozen=True, slots=True)
class ProofChoice:
    """A proof sheet that can be ordered with a training; ``usd`` is what its pictures cost."""

    ordered: bool
    usd: float


def proof_choice(draft: "Draft", application: str, usual: bool | None) -> ProofChoice | None:  # noqa: FBT001  # the backend's own answer
    """Return what is chosen for a dataset; None where no sheet can be made of it.

    ``usual``: one is made where the order says nothing of it; None where none can be made at all. Of the LoRAs of some
    trainers fal makes no pictures. What was ordered stays as it was sent.
    """
    trainer = (draft.report and draft.report.trainer) or application
    if usual is None or picture_application(trainer) is None:
        return None
    if draft.order is not None:
        return ProofChoice(bool(draft.order.proof), sheet_usd())
    chosen = str(draft.parameters.get(PROOF, usual)).lower() == "true"
    return ProofChoice(chosen, sheet_usd())

"""What is said of a proof sheet beside a training: its price, and how far its pictures are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lora_drop.datasets.reports.markup import dollars
from lora_drop.fal.proof_prompts import PICTURES, picture_application, sheet_usd
from lora_drop.jobs.status import Status

NUMBERS = {1: "one picture", 2: "two pictures", 3: "three pictures", 4: "four pictures"}
UNDER_WAY = "being made"


def order_words(trainer: str, pictures: int = PICTURES) -> str:
    """Return what an order of a sheet of so many pictures costs, or that a LoRA of this trainer has none."""
    if picture_application(trainer) is None:
        return f"no proof sheet, since {trainer} has none"
    price = dollars(sheet_usd(pictures))
    return f"and a proof sheet of {NUMBERS.get(pictures, f'{pictures:,} pictures')}, about {price}"


def proof_usd(job: Mapping[str, Any]) -> float | None:
    """Return what the pictures of a job of the API were charged in US dollars; None while that is not known, or without any."""
    proof = job.get("proof") or {}
    return proof.get("paid_usd") if proof.get("pictures") else None


def ordered_cost_words(job: Mapping[str, Any]) -> str:
    """Return the same of a job that has pictures, or has not ended and whose sheet is ordered; else it is empty."""
    if words := proof_cost_words(job):
        return words
    proof = job.get("proof")
    ordered = proof is not None and proof.get("done_at") is None
    return cost_beside(sheet_usd()) if ordered and not Status(job["status"]).terminal else ""


def proof_cost_words(job: Mapping[str, Any]) -> str:
    """Return “and $0.14 for the proof sheet” of a job of the API, “about” before it is done; empty without pictures."""
    proof = job.get("proof") or {}
    return sheet_cost_words(len(proof.get("pictures") or ()), proof.get("paid_usd"))


def sheet_cost_words(pictures: int, paid_usd: float | None) -> str:
    """Return the same for so many pictures; ``paid_usd`` None is not known yet."""
    if not pictures:
        return ""
    return cost_beside(sheet_usd(pictures), "about ") if paid_usd is None else cost_beside(paid_usd)


def cost_beside(usd: float | None, about: str = "") -> str:
    """Return what the pictures cost, beside what the training does; empty for None. ``about`` stands before the amount."""
    return "" if usd is None else f"and {about}{dollars(usd)} for the proof sheet"


def is_open(job: Mapping[str, Any]) -> bool:
    """Return whether a job of the API has its LoRA, and a proof sheet that is not done."""
    proof = job.get("proof")
    if not proof or proof.get("done_at") is not None:
        return False
    return bool(job["status"] == Status.SUCCEEDED)


@dataclass(frozen=True, slots=True)
class SheetProgress:
    """How far a proof sheet is that is not done: how many pictures there are, and the jobs that wait for a person."""

    made: int = 0
    held: Sequence[Mapping[str, Any]] = ()

    def words(self, pictures: int) -> str:
        """Return how far it is, of so many pictures: “2 of 4 pictures”."""
        return f"{self.made:,} of {pictures:,} pictures" if self.made else UNDER_WAY

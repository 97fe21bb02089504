"""What a job is in short, and what differs between two: parameters and photos. Pure, over the API's documents."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from lora_drop.client.proof_words import proof_usd
from lora_drop.datasets.faces.likeness import reservations
from lora_drop.datasets.parameters import CHECKPOINT
from lora_drop.datasets.report import ImageOutcome, ImageReport, Report
from lora_drop.fal.trainers.parameters import TRAINER, ParameterSource
from lora_drop.fal.trainers.trainer import STEPS, TRIGGER_PHRASE
from lora_drop.jobs.artifacts import holds_weights
from lora_drop.jobs.proof import Likeness

type Document = Mapping[str, Any]
type Value = bool | int | float | str

PAID = frozenset({"spent", "wasted"})  # states of a charge
TRAINED_ON = frozenset({ImageOutcome.KEPT, ImageOutcome.MENDED})


@dataclass(frozen=True, slots=True)
class JobSummary:
    """One job in a row: ``paid_usd`` in US dollars, ``seconds`` of its training at fal, ``size`` of the LoRA in bytes.

    ``proof_usd`` is what the pictures of its proof sheet cost besides, in US dollars. None is what is not known, or not yet. ``likeness`` is of its proof sheet, and ``among_photos`` what its photos
    reach among themselves; ``likeness_note`` says what the number hides: pictures that did not count, or of another person.
    """

    job_id: str
    status: str
    created_at: str
    dataset: str
    trainer: str
    preset: str | None
    steps: int | None
    images: int | None
    content_digest: str | None
    paid_usd: float | None
    proof_usd: float | None
    seconds: float | None
    size: int | None
    sha256: str | None
    ranks: tuple[int, ...]
    dtypes: tuple[str, ...]
    likeness: float | None
    among_photos: float | None
    likeness_note: str

    @classmethod
    def of(cls, job: Document) -> Self:
        """Return a job of the API in short."""
        weights, lora = lora_file(job) or {}, job.get("lora") or {}
        likeness = Likeness.model_validate((job.get("proof") or {}).get("likeness") or {})
        return cls(
            job_id=job["job_id"],
            status=job["status"],
            created_at=job["created_at"],
            dataset=job["dataset"]["key"],
            trainer=job["application"],
            preset=job["preset"],
            steps=(job["parameters"] or {}).get(STEPS),
            images=job["images"],
            content_digest=job["content_digest"],
            paid_usd=_paid(job),
            proof_usd=proof_usd(job),
            seconds=_trained_for(job),
            size=weights.get("size"),
            sha256=weights.get("sha256"),
            ranks=tuple(lora.get("ranks", ())),
            dtypes=tuple(lora.get("dtypes", ())),
            likeness=likeness.likeness,
            among_photos=likeness.among_photos,
            likeness_note=" ".join(reservations(likeness)),
        )


@dataclass(frozen=True, slots=True)
class PhotoChanges:
    """The photos that only the later job was trained on, and those that only the earlier one was; names in its ZIP.

    ``captions`` are photos of both whose caption is another one in the later job.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    captions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JobChanges:
    """What a job has otherwise than another: each parameter with both values, None for none.

    ``photos`` is None where a report is missing, or is of a version that did not name its photos by their SHA-256.
    ``other_content``: nothing of it differs, and the content digest does: by masks, or by the bytes of captions.
    """

    parameters: Mapping[str, tuple[Value | None, Value | None]]
    photos: PhotoChanges | None
    other_content: bool = False

    @classmethod
    def between(
        cls,
        before: Document,
        after: Document,
        reports: tuple[Report | None, Report | None] = (None, None),
    ) -> Self:
        """Return what differs from the job ``before`` to the job ``after``; their reports in the same order."""
        parameters, photos = _parameters(before, after), _photos(before, after, reports)
        same = not parameters and photos == PhotoChanges()
        digests = {before["content_digest"], after["content_digest"]} - {None}
        dropped_again = before["dataset"] != after["dataset"]
        return cls(parameters, photos, same and dropped_again and len(digests) > 1)


def lora_file(job: Document) -> Document | None:
    """Return the LoRA among a job's files; None where it has none."""
    return next((each for each in job["files"] if holds_weights(each["name"])), None)


def _parameters(before: Document, after: Document) -> dict[str, tuple[Value | None, Value | None]]:
    old, new = _values(before), _values(after)
    if _made_up(before) and _made_up(after):
        old, new = ({**each, TRIGGER_PHRASE: None} for each in (old, new))
    names = dict.fromkeys((*old, *new))
    return {
        name: (old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)
    }


def _values(job: Document) -> dict[str, Value | None]:
    """Return what a job is trained with, under the names of ``training.json``: the job that it continues as well."""
    resumed = {CHECKPOINT: job["resume_from"]} if job["resume_from"] else {}
    return {TRAINER: job["application"], **(job["parameters"] or {}), **resumed}


def _made_up(job: Document) -> bool:
    """Return whether the trigger phrase was made for this job: then it says nothing that anyone has changed."""
    return (job["parameter_sources"] or {}).get(TRIGGER_PHRASE) == ParameterSource.GENERATED


def _photos(
    before: Document, after: Document, reports: tuple[Report | None, Report | None]
) -> PhotoChanges | None:
    if before["dataset"] == after["dataset"]:
        return PhotoChanges()
    old, new = (_trained_on(each) for each in reports)
    if old is None or new is None:
        return None
    return PhotoChanges(
        added=tuple(photo.member for digest, photo in new.items() if digest not in old),
        removed=tuple(photo.member for digest, photo in old.items() if digest not in new),
        captions=tuple(
            photo.member
            for digest, photo in new.items()
            if digest in old and old[digest].caption_text != photo.caption_text
        ),
    )


def _trained_on(report: Report | None) -> dict[str, ImageReport] | None:
    """Return the photos that are trained on by the SHA-256 of their files; None where that is not known."""
    if report is None:
        return None
    photos = [
        each for each in report.photos if each.name and each.fate in TRAINED_ON and each.format
    ]
    known = {each.sha256: each for each in photos if each.sha256}
    return known if len(known) == len({each.sha256 for each in photos}) else None


def _paid(job: Document) -> float | None:
    """Return the dollars that fal bills for a job; 0 for a duplicate, None before anything is known."""
    if job["duplicate_of"]:
        return 0.0
    charges = [each for each in (*job["past_charges"], job["charge"]) if each]
    known = [each["usd"] for each in charges if each["state"] in PAID]
    return round(sum(known), 6) if known else None


def _trained_for(job: Document) -> float | None:
    since = {step["status"]: datetime.fromisoformat(step["at"]) for step in job["history"]}
    if not {"SUBMITTED", "STORING"} <= since.keys():
        return None
    return round((since["STORING"] - since["SUBMITTED"]).total_seconds(), 1)

"""``proof.html`` and ``proof.json``: the pictures that were made with a LoRA, and how much they look like the photos."""

import base64
import json
from collections.abc import Iterator
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from lora_drop.datasets.faces.thresholds import LOW_LIKENESS, OTHER_PERSON
from lora_drop.datasets.reports.markup import Html, counted, tag
from lora_drop.datasets.reports.page import document
from lora_drop.datasets.reports.sheet import JPEG, TIMES
from lora_drop.datasets.reports.style import STYLE
from lora_drop.jobs.problems import MAX_NAME, shortened
from lora_drop.jobs.proof import Likeness
from lora_drop.jobs.status import Status

SCHEMA_VERSION: Final = 1
MAX_PROMPT = 600  # characters that are shown
NUMBERS = (
    "The number says how much the face looks like that in the photos: 1 is the same face, and another person's stays "
    f"below {OTHER_PERSON}."
)
SHEET = """\
.advice{background:var(--warn);color:var(--warn-ink)}
.plain{background:var(--calm);color:var(--calm-ink)}
.pictures .frame{aspect-ratio:3/4}
.pictures .badge{font-size:.875rem}
.badge.low{background:var(--warn);color:var(--warn-ink)}
.pictures{grid-template-columns:repeat(auto-fill,minmax(clamp(9.5rem,20vw,16rem),1fr))}
.beside{grid-template-columns:repeat(auto-fill,minmax(6rem,1fr));gap:.75rem}
.beside .photo{contain-intrinsic-size:auto 8rem;padding-bottom:.5rem}
.beside .photo>:not(.frame){margin-left:.5rem;margin-right:.5rem}
.beside .title{font-size:.75rem;font-weight:400}
.photo .frame a{position:absolute;inset:0}
"""
PROOF_STYLE = STYLE + SHEET


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True)


class ProofPicture(_Value):
    """One picture: what it was made of, where it lies, and how much it looks like the photos.

    ``file`` is its place beside ``proof.json``, None where it was not made; ``likeness`` the cosine to the photos'
    centre, None where no face was found or nothing was compared; ``copy_of`` the photo that it is nearly the same
    as. ``blackened``: fal's safety checker has made it black. ``problem`` says why it was not made.
    """

    number: int
    job_id: str
    status: Status
    prompt: str
    seed: int
    width: int
    height: int
    file: str | None = None
    sha256: str | None = None
    likeness: float | None = None
    copy_of: str | None = None
    blackened: bool = False
    problem: str | None = None
    thumbnail: Annotated[bytes, Field(exclude=True, repr=False)] = b""


class ProofPhoto(_Value):
    """One of the photos that the pictures are compared with: its cosine to the centre of the others."""

    name: str
    likeness: float
    thumbnail: Annotated[bytes, Field(exclude=True, repr=False)] = b""


class ProofReport(_Value):
    """A training's proof sheet.

    ``likeness`` is the median of the pictures, ``among_photos`` the median of the photos; None where nothing was
    compared, and ``advice`` says why. ``simulated`` says where a simulator has made the pictures, and no LoRA. There
    is no embedding in it, of any face.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    job_id: str
    application: str
    preset: str | None = None
    trigger_phrase: str | None = None
    steps: int | None = None
    images: int | None = None
    likeness: float | None = None
    among_photos: float | None = None
    advice: str = ""
    simulated: str = ""
    pictures: tuple[ProofPicture, ...] = ()
    photos: tuple[ProofPhoto, ...] = ()


def proof_json(report: ProofReport) -> str:
    """Return ``proof.json``: everything but the small pictures, as docs/proof.schema.json describes it."""
    written = json.dumps(report.model_dump(mode="json"), indent=2, ensure_ascii=False)
    return written.encode(errors="replace").decode() + "\n"


def proof_html(report: ProofReport) -> str:
    """Return ``proof.html``: one file without scripts that fetches nothing and links the large pictures beside it."""
    made = sum(picture.file is not None for picture in report.pictures)
    title = f"Proof sheet: {made} of {counted(len(report.pictures), 'picture')}"
    if made == len(report.pictures):
        title = f"Proof sheet: {counted(made, 'picture')}"
    main = tag("main", _pictures(report), _photos(report))
    footer = tag("footer", tag("p", "Job ", tag("code", report.job_id)))
    return document(
        f"{title} ({report.job_id})",
        tag("header", _band(title, report), tag("dl", *_facts(report), class_="dataset")),
        main,
        footer,
        style=PROOF_STYLE,
    )


def _band(title: str, report: ProofReport) -> Html:
    said = Likeness(likeness=report.likeness, among_photos=report.among_photos).words
    likeness = f"Looks like the photos: {said}." if said else ""
    words = filter(None, (report.simulated, likeness, report.advice))
    kind = "advice" if report.advice else "accepted"
    if not said and (report.simulated or not report.advice):
        kind = "plain"
    inside = tag("div", tag("h1", title), *(tag("p", each) for each in words))
    return tag("div", inside, class_=f"verdict {kind}")


def _facts(report: ProofReport) -> Iterator[Html]:
    rows = {
        "Trigger phrase": report.trigger_phrase,
        "Trainer": report.application,
        "Preset": report.preset,
        "Steps": f"{report.steps:,}" if report.steps else None,
        "Photos": f"{report.images:,}" if report.images else None,
    }
    for name, value in rows.items():
        if value:
            yield tag("div", tag("dt", name), tag("dd", value))


def _pictures(report: ProofReport) -> Html:
    cards = [_card(picture, report) for picture in report.pictures]
    heading = tag("h2", "Pictures ", tag("span", f"{len(cards):,}", class_="count"))
    numbered = any(picture.likeness is not None for picture in report.pictures)
    note = tag("p", NUMBERS, class_="note") if numbered else None
    return tag("section", heading, note, tag("ol", *cards, class_="photos pictures"), id="pictures")


def _card(picture: ProofPicture, report: ProofReport) -> Html:
    remarks = [tag("li", each, class_="warning") for each in remarks_on(picture, report)]
    shown = _image(picture.thumbnail, f"Picture {picture.number}")
    if picture.file:
        shown = tag("a", shown, href=picture.file)
    return tag(
        "li",
        tag("div", shown, _badge(picture, report), class_="frame"),
        tag("p", f"Picture {picture.number}", class_="title"),
        tag(
            "p",
            f"Seed {picture.seed} · {picture.width:,} {TIMES} {picture.height:,}",
            class_="facts",
        ),
        tag("p", tag("q", shortened(picture.prompt, MAX_PROMPT)), class_="caption"),
        tag("ul", *remarks, class_="remarks") if remarks else None,
        class_="photo",
    )


def _badge(picture: ProofPicture, report: ProofReport) -> Html | None:
    """Return the number of a picture, apart in colour where it is low."""
    if picture.likeness is None or report.among_photos is None:
        return None
    low = picture.likeness < max(OTHER_PERSON, LOW_LIKENESS * report.among_photos)
    return tag("span", f"{picture.likeness:.2f}", class_="badge low" if low else "badge kept")


def remarks_on(picture: ProofPicture, report: ProofReport) -> Iterator[str]:
    """Yield what is to be said of one picture."""
    if picture.file is None:
        yield picture.problem or "It was not made."
    elif picture.blackened:
        yield "fal's safety checker has made it black."
    elif picture.likeness is None and report.among_photos is not None and not _is_drawn(report):
        yield "It has no face that can be compared."
    elif picture.likeness is not None and picture.likeness < OTHER_PERSON:
        yield "It shows another person than the photos."
    if picture.copy_of is not None:
        yield f"Is nearly the same as the photo {picture.copy_of}."


def _is_drawn(report: ProofReport) -> bool:
    """Return whether a simulator has drawn the pictures: it is said of all of them that none has a face."""
    return bool(report.simulated) and report.likeness is None


def _photos(report: ProofReport) -> Html | None:
    shown = [photo for photo in report.photos if photo.thumbnail]
    if not shown:
        return None
    cards = [
        tag(
            "li",
            tag("div", _image(photo.thumbnail, f"Photo {photo.name}"), class_="frame"),
            tag("p", tag("bdi", shortened(photo.name, MAX_NAME), class_="name"), class_="title"),
            tag("p", f"{photo.likeness:.2f}", class_="facts"),
            class_="photo",
        )
        for photo in shown
    ]
    note = (
        f"{counted(len(report.photos), 'photo')} of the person, of which {len(shown):,} are shown, each with how much it "
        "looks like the others."
    )
    if report.likeness is not None:
        note = f"The pictures were compared with {note}"
    return tag(
        "section",
        tag("h2", "The photos"),
        tag("p", note, class_="note"),
        tag("ol", *cards, class_="photos beside"),
        id="photos",
    )


def _image(thumbnail: bytes, words: str) -> Html:
    if not thumbnail.startswith(JPEG):
        return tag("span", "No picture", class_="no-picture")
    data = base64.b64encode(thumbnail).decode()
    return tag("img", src=f"data:image/jpeg;base64,{data}", alt=words, decoding="async")

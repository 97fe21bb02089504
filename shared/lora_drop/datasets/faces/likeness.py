"""How much the pictures of a proof sheet look like the person in the photos, from the similarities alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from lora_drop.datasets.dataset import GOOD_IMAGES
from lora_drop.datasets.faces.face import Face, FacesSeen, Similarities
from lora_drop.datasets.faces.groups import centre_similarities, people_in
from lora_drop.datasets.faces.hints import can_be_compared
from lora_drop.datasets.faces.thresholds import (
    COPIED_PHOTO,
    ENOUGH_FACES,
    LOW_LIKENESS,
    OTHER_PERSON,
)
from lora_drop.jobs.problems import MAX_NAME, shortened
from lora_drop.jobs.proof import Likeness, PictureLikeness

DIGITS = 2


@dataclass(frozen=True, slots=True)
class Trained:
    """What the advice goes by: photos, steps, the steps that its preset or trainer has of itself, and whether photos had captions.

    None where it is not known.
    """

    images: int | None = None
    steps: int | None = None
    usual_steps: int | None = None
    captioned: bool | None = None


NOT_KNOWN = Trained()


@dataclass(frozen=True, slots=True)
class ComparedPictures:
    """What a proof sheet shows: the likeness, and by its name each photo's cosine to the centre of the others."""

    likeness: Likeness
    photos: Mapping[str, float] = field(default_factory=dict)


def photo_face(seen: FacesSeen | None) -> Face | None:
    """Return the face of a photo that the pictures are compared with; None where it has none that is clear."""
    return seen.main if seen and can_be_compared(seen) else None


def picture_face(seen: FacesSeen | None) -> Face | None:
    """Return the face of a picture, the largest also where there are others; None where it is not clear."""
    main = seen.main if seen else None
    return main if main and can_be_compared(FacesSeen((main,))) else None


def compare(
    similarities: Similarities,
    *,
    photos: Sequence[str],
    pictures: Sequence[int],
    faceless: Sequence[int] = (),
    trained: Trained | None = NOT_KNOWN,
) -> ComparedPictures:
    """Return how much the pictures look like the person whom most photos show.

    ``similarities``: of the photos' faces in the order of their names, then of the pictures' in the order of their
    numbers. ``faceless``: pictures without a clear face. Photos of others count neither for the pictures nor among
    themselves. ``trained`` None: the pictures say nothing of the LoRA, and nothing is advised for it.
    """
    among_themselves = [row[: len(photos)] for row in similarities[: len(photos)]]
    own = people_in(among_themselves).person if photos else ()
    like = centre_similarities(similarities, own)
    usual = median(like[at] for at in own) if len(own) >= ENOUGH_FACES else None
    # Photos that are nearly one another's copies cannot show that a picture is one.
    can_tell = usual is None or usual < COPIED_PHOTO
    found = [PictureLikeness(number=number) for number in faceless]
    for at, number in enumerate(pictures, len(photos)):
        reached = None if usual is None else _rounded(like[at])
        copied = _copied(similarities[at], photos) if can_tell else None
        found.append(PictureLikeness(number=number, likeness=reached, copy_of=copied))
    numbers = [each.likeness for each in found if each.likeness is not None]
    likeness = Likeness(
        likeness=_rounded(median(numbers)) if numbers else None,
        among_photos=None if usual is None else _rounded(usual),
        pictures=tuple(sorted(found, key=lambda each: each.number)),
    )
    advice = advice_on(likeness, len(own), trained)
    among = {} if usual is None else {photos[at]: _rounded(like[at]) for at in own}
    return ComparedPictures(likeness.model_copy(update={"advice": advice}), among)


def advice_on(likeness: Likeness, photos: int, trained: Trained | None) -> str:
    """Return what to do about a likeness, in sentences; empty where there is nothing to say.

    ``photos``: how many of the dataset's photos it was compared with. ``trained`` None: what is seen is said alone.
    """
    said = [*_about_numbers(likeness, photos, trained), *_about_copies(likeness, trained)]
    return " ".join(said)


def reservations(likeness: Likeness) -> Iterator[str]:
    """Yield what the median does not show: how many of the pictures count in it, and which of them are of another person.

    Nothing where it is all or none of them: then the advice says it.
    """
    numbers = {each.number: each.likeness for each in likeness.pictures}
    counted = {number: reached for number, reached in numbers.items() if reached is not None}
    if 0 < len(counted) < len(numbers):
        have = "has" if len(counted) == 1 else "have"
        yield f"{len(counted)} of {len(numbers)} pictures {have} a face that can be compared."
    others = [str(number) for number, reached in counted.items() if reached < OTHER_PERSON]
    if 0 < len(others) < len(counted):
        *rest, last = others
        which = f"Pictures {', '.join(rest)} and {last} show" if rest else f"Picture {last} shows"
        yield f"{which} another person."


def _about_numbers(likeness: Likeness, photos: int, trained: Trained | None) -> Iterator[str]:
    if not likeness.pictures:
        return
    yield from reservations(likeness)
    if likeness.among_photos is None:
        yield (
            f"One person's face is clear in {photos} of the photos, and at least {ENOUGH_FACES} are needed: how much "
            "the pictures look like the person is not known."
        )
        return
    if likeness.likeness is None:
        yield "The pictures have no face that can be compared."
    elif all(each.likeness is None or each.likeness < OTHER_PERSON for each in likeness.pictures):
        yield "The pictures seem to show another person than the photos."
    elif likeness.likeness < LOW_LIKENESS * likeness.among_photos:
        yield "The pictures look less like the person than the photos do."
    else:
        return
    if trained is not None:
        yield _ways(trained)


def _about_copies(likeness: Likeness, trained: Trained | None) -> Iterator[str]:
    copies = [each for each in likeness.pictures if each.copy_of is not None]
    for each in copies:
        yield f"Picture {each.number} is nearly the same as the photo {each.copy_of}."
    if copies and trained is not None:
        yield "The LoRA repeats photos: fewer steps help, or photos that differ more from each other."


def _ways(trained: Trained) -> str:
    """Return what would make a LoRA look more like the person, by what this one was trained on."""
    ways = []
    if trained.images is not None and trained.images < GOOD_IMAGES:
        ways.append(f"more photos (it had {trained.images}; 20 to 50 are best)")
    if trained.steps and trained.usual_steps and trained.steps < trained.usual_steps:
        ways.append(f"more steps (it had {trained.steps:,}; {trained.usual_steps:,} are usual)")
    if trained.captioned is False:
        ways.append("captions that say what changes from photo to photo")
    if not ways:
        ways.append("photos that show the face larger, sharper and from more sides")
    *rest, last = ways
    return f"What helps: {', '.join(rest)}{' and ' if rest else ''}{last}."


def _copied(like: Sequence[float], photos: Sequence[str]) -> str | None:
    """Return the photo that a picture is nearly the same as."""
    nearest = max(range(len(photos)), key=lambda at: like[at], default=None)
    if nearest is None or like[nearest] < COPIED_PHOTO:
        return None
    return shortened(photos[nearest], MAX_NAME)


def _rounded(cosine: float) -> float:
    return round(cosine, DIGITS) + 0.0  # no -0.0, which people would read

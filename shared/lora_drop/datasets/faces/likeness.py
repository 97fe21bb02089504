"""How much the pictures of a proof sheet look like the person in the photos, from the similarities alone.

The centre of some faces is the mean of their embeddings, and it is never computed: the cosine of a face to it
follows from the matrix of the similarities G (the Gram matrix of vectors of length 1),
cos(x, centre) = sum_j G[x, j] / sqrt(sum_jk G[j, k]).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from statistics import median

from lora_drop.datasets.dataset import GOOD_IMAGES
from lora_drop.datasets.faces.face import Face, Similarities
from lora_drop.jobs.problems import MAX_NAME, shortened
from lora_drop.jobs.proof import Likeness, PictureLikeness

# Fewer photos have no centre to speak of.
MIN_PHOTOS = 4
# SFace finds 0.50 and less for a face of 16 pixels, 0.70 for one of 32 and more.
MIN_PIXELS = 32
# Variance of the Laplacian of the aligned face; below it a face is out of focus.
MIN_SHARPNESS = 10.0
# OpenCV's tutorial on SFace: two faces of a cosine of 0.363 and more are the same person's
# (https://docs.opencv.org/4.x/d0/dd4/tutorial_dnn_face.html). To a centre other people reach 0.25 at the most.
SAME_PERSON = 0.363
# Two photos of one person reach 0.75, a picture that is nearly the photo itself more than this.
COPY = 0.95
# Of what the photos reach among themselves. A picture that people take for the person reaches four fifths and more.
LOW_SHARE = 0.75
DIGITS = 2


@dataclass(frozen=True, slots=True)
class Trained:
    """What the advice goes by: photos, steps, the trainer's own number of steps, and whether photos had captions.

    None where it is not known.
    """

    images: int | None = None
    steps: int | None = None
    usual_steps: int | None = None
    captioned: bool | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a proof sheet shows: the likeness, and by its name each photo's cosine to the centre of the others."""

    likeness: Likeness
    photos: Mapping[str, float] = field(default_factory=dict)


def is_comparable(face: Face) -> bool:
    """Return whether a face is large and sharp enough to say whose it is."""
    return bool(face.crop) and face.pixels >= MIN_PIXELS and face.sharpness >= MIN_SHARPNESS


def compare(
    similarities: Similarities,
    *,
    photos: Sequence[str],
    pictures: Sequence[int],
    faceless: Sequence[int] = (),
    trained: Trained | None = None,
) -> Comparison:
    """Return how much the pictures look like the photos.

    ``similarities``: of the photos' faces in the order of their names, then of the pictures' in the order of their
    numbers. ``faceless``: pictures in which no face was found. Photos of someone else than the rest's person count
    neither for the pictures nor among themselves.
    """
    own = _of_one_person(similarities, range(len(photos)))
    among = {photos[at]: _without_itself(similarities, at, own) for at in own}
    found = [
        _picture(similarities, number, at, own, photos)
        for at, number in enumerate(pictures, len(photos))
    ]
    found += [PictureLikeness(number=number) for number in faceless]
    enough = len(own) >= MIN_PHOTOS
    reached = [each.likeness for each in found if each.likeness is not None]
    likeness = Likeness(
        likeness=_rounded(median(reached)) if enough and reached else None,
        among_photos=_rounded(median(among.values())) if enough else None,
        pictures=tuple(sorted(found, key=lambda each: each.number)),
    )
    advice = advice_on(likeness, len(own), trained or Trained())
    said = likeness.model_copy(update={"advice": advice})
    return Comparison(
        said, {name: _rounded(each) for name, each in among.items()} if enough else {}
    )


def advice_on(likeness: Likeness, photos: int, trained: Trained) -> str:
    """Return what to do about a likeness, in sentences; empty where there is nothing to say.

    ``photos``: how many of the dataset's photos it was compared with.
    """
    return " ".join((*_about_numbers(likeness, photos, trained), *_about_copies(likeness)))


def _about_numbers(likeness: Likeness, photos: int, trained: Trained) -> Iterator[str]:
    if not likeness.pictures:
        return
    if photos < MIN_PHOTOS:
        yield (
            f"{_counted(photos)} a face that is large and sharp enough to compare, and at least {MIN_PHOTOS} are "
            "needed: how much the pictures look like the person is not known."
        )
    elif likeness.likeness is None or likeness.among_photos is None:
        yield f"No face was found in the pictures. {_ways(trained)}"
    elif likeness.likeness < SAME_PERSON:
        yield f"The pictures show someone else than the photos. {_ways(trained)}"
    elif likeness.likeness < LOW_SHARE * likeness.among_photos:
        yield f"The pictures look less like the person than the photos do. {_ways(trained)}"


def _about_copies(likeness: Likeness) -> Iterator[str]:
    copies = [each for each in likeness.pictures if each.copy_of is not None]
    for each in copies:
        yield f"Picture {each.number} is nearly the same as the photo {each.copy_of}."
    if copies:
        yield "The LoRA repeats photos: fewer steps help, or photos that differ more from each other."


def _counted(photos: int) -> str:
    if photos == 1:
        return "1 photo has"
    return f"{photos or 'No'} photos have"


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


def _picture(
    similarities: Similarities,
    number: int,
    at: int,
    own: Sequence[int],
    photos: Sequence[str],
) -> PictureLikeness:
    """Return one picture against the photos; without a number where these are too few."""
    nearest = max(range(len(photos)), key=lambda photo: similarities[at][photo], default=None)
    same = nearest is not None and similarities[at][nearest] > COPY
    return PictureLikeness(
        number=number,
        likeness=_rounded(_to_centre(similarities, at, own)) if len(own) >= MIN_PHOTOS else None,
        copy_of=shortened(photos[nearest], MAX_NAME) if same and nearest is not None else None,
    )


def _of_one_person(similarities: Similarities, photos: Sequence[int]) -> Sequence[int]:
    """Return the photos that look like most others; all where there are no such most."""
    own = [at for at in photos if _without_itself(similarities, at, photos) >= SAME_PERSON]
    return own if 2 * len(own) > len(photos) else list(photos)


def _without_itself(similarities: Similarities, at: int, photos: Sequence[int]) -> float:
    return _to_centre(similarities, at, [other for other in photos if other != at])


def _to_centre(similarities: Similarities, at: int, photos: Sequence[int]) -> float:
    """Return the cosine of a face to the centre of these; 0 where they have none."""
    square = sum(similarities[one][other] for one in photos for other in photos)
    if square <= 0:
        return 0.0
    cosine = sum(similarities[at][photo] for photo in photos) / sqrt(square)
    return min(1.0, max(-1.0, cosine))


def _rounded(cosine: float) -> float:
    return round(cosine, DIGITS)

"""Whether the faces of a dataset are seen from more than one side and in more than one place."""

from collections import Counter
from collections.abc import Sequence
from itertools import batched, combinations
from statistics import fmean

from lora_drop.datasets.faces.face import Face, FacesSeen
from lora_drop.datasets.faces.thresholds import (
    ENOUGH_ANGLES,
    ENOUGH_SETTINGS,
    ENOUGH_SURROUNDINGS,
    MOST_SETTINGS,
    ONE_ANGLE,
    ONE_SETTING,
    SAME_SURROUNDINGS,
)
from lora_drop.jobs.problems import Problem

type Pixel = tuple[int, ...]
NO_PIXEL = (0, 0, 0)  # a part of a face


def angle_hint(faces: Sequence[Face]) -> Problem | None:
    """Return a warning where all of these faces are seen from one angle; None where they are not, or are few."""
    if len(faces) < ENOUGH_ANGLES:
        return None
    yaws = [face.yaw for face in faces]
    if max(yaws) - min(yaws) > ONE_ANGLE:
        return None
    front = abs(fmean(yaws)) <= ONE_ANGLE / 2
    seen = "from the front" if front else "from one side"
    missing = "with the head turned to the left and to the right" if front else "from the front"
    return Problem(
        code="dataset_face_one_angle",
        message=f"All photos show the face {seen}. Add photos {missing}: what no photo shows has to be guessed.",
    )


def setting_hint(seen: Sequence[FacesSeen]) -> Problem | None:
    """Return advice where nearly all of these have the same surroundings; None where they have not, or are few.

    Of a large set some are compared, spread over all of it. That costs little, and cannot tell clothes from a background.
    """
    step = -(-len(seen) // MOST_SETTINGS) or 1
    pictures = [list(batched(each.surroundings, 3)) for each in seen[::step]]
    if len(pictures) < ENOUGH_SETTINGS:
        return None
    like = Counter(range(len(pictures)))  # each is like itself
    for (one, mine), (other, its) in combinations(enumerate(pictures), 2):
        if _alike(mine, its):
            like.update((one, other))
    most = max(like.values())
    if most < ONE_SETTING * len(pictures):
        return None
    share = most / len(pictures)
    return Problem(
        code="dataset_face_one_setting",
        message=f"In {share:.0%} of the photos the background or the clothes look the same. They are learned as a part of "
        "the person: add photos in other places and clothes, or say in the captions what is seen of them.",
    )


def _alike(one: Sequence[Pixel], other: Sequence[Pixel]) -> bool:
    """Return whether two pictures have the same surroundings, where both have enough of them."""
    apart = [
        abs(a[0] - b[0]) + abs(a[1] - b[1]) + abs(a[2] - b[2])
        for a, b in zip(one, other, strict=False)
        if a != NO_PIXEL != b
    ]
    enough = len(apart) >= ENOUGH_SURROUNDINGS
    return enough and sum(apart) <= SAME_SURROUNDINGS * len(apart) * len(NO_PIXEL)

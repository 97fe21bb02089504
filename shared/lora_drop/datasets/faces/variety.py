"""Whether the faces of a dataset are seen from more than one side and in more than one place."""

from collections.abc import Collection, Sequence
from itertools import batched
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

NO_PIXEL = (0, 0, 0)  # a part of a face


def angle_hint(faces: Sequence[Face]) -> Problem | None:
    """Return a warning where all of these faces are seen from one angle; None where they are not, or are few."""
    if len(faces) < ENOUGH_ANGLES:
        return None
    yaws = [face.yaw for face in faces]
    if max(yaws) - min(yaws) > ONE_ANGLE:
        return None
    front = abs(fmean(yaws)) <= ONE_ANGLE
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
    most = max(sum(_alike(one, other) for other in pictures) for one in pictures)
    if most < ONE_SETTING * len(pictures):
        return None
    share = most / len(pictures)
    return Problem(
        code="dataset_face_one_setting",
        message=f"In {share:.0%} of the photos the background or the clothes look the same. They are learned as a part of "
        "the person: add photos in other places and clothes, or say in the captions what is seen of them.",
    )


def _alike(one: Sequence[Collection[int]], other: Sequence[Collection[int]]) -> bool:
    """Return whether two pictures have the same surroundings, where both have enough of them."""
    apart = [
        fmean(abs(a - b) for a, b in zip(mine, its, strict=True))
        for mine, its in zip(one, other, strict=False)
        if mine != NO_PIXEL != its
    ]
    return len(apart) >= ENOUGH_SURROUNDINGS and fmean(apart) <= SAME_SURROUNDINGS

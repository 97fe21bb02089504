"""Which faces are the same person's, from how similar each two of them are."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from lora_drop.datasets.faces.face import Similarities
from lora_drop.datasets.faces.thresholds import (
    COMPARABLE,
    MANY_PEOPLE,
    OTHER_PERSON,
    SAME_PERSON,
    SEVERAL_PHOTOS,
)

# A group is found again from its centre until it stays as it is; a few rounds do.
ROUNDS = 10

type Group = tuple[int, ...]
"""Faces by their place in the order of the crops, ascending."""


@dataclass(frozen=True, slots=True)
class People:
    """Whose faces they are: the ``person`` whom most photos show, a ``second`` one, and the ``others``.

    ``second`` is empty unless it is seen about as often as the person. ``many``: no one is seen in most photos;
    the three groups are empty then.
    """

    person: Group = ()
    second: Group = ()
    others: Group = ()
    many: bool = False


def people_in(similarities: Similarities) -> People:
    """Return whose faces these are; equal for equal similarities, whatever the photos are called."""
    every = range(len(similarities))
    if not every:
        return People()
    person = _largest_group(similarities, every)
    left = [face for face in every if face not in set(person)]
    if not left:
        return People(person)
    second = _largest_group(similarities, left)
    if len(second) < max(SEVERAL_PHOTOS, COMPARABLE * len(person)):
        second = ()
    others = tuple(face for face in left if face not in set(second))
    if len(others) > MANY_PEOPLE * len(every) if second else 2 * len(person) <= len(every):
        return People(many=True)
    return People(person, second, others)


def centre_similarities(similarities: Similarities, group: Collection[int]) -> tuple[float, ...]:
    """Return for each face its cosine to the centre of a group's faces, itself left out; -1 to 1.

    The centre is the mean of the faces' embeddings, each of length 1, so the cosine follows from those of the pairs: the sum over
    the group, divided by the root of the sum over all of its pairs. It is 0 where the group has no other face.
    """
    members = sorted(group)
    sums = [math.fsum(row[other] for other in members) for row in similarities]
    pairs = math.fsum(sums[face] for face in members)
    inside = set(members)
    found = []
    for face, total in enumerate(sums):
        own = similarities[face][face] if face in inside else 0.0
        near, whole = (total - own, pairs - 2 * total + own) if face in inside else (total, pairs)
        found.append(max(-1.0, min(1.0, near / math.sqrt(whole))) if whole > 0 else 0.0)
    return tuple(found)


def _largest_group(similarities: Similarities, faces: Sequence[int]) -> Group:
    """Return the faces of the person whom most of these show."""
    near = {
        face: tuple(other for other in faces if similarities[face][other] >= SAME_PERSON)
        for face in faces
    }
    first = max(
        faces, key=lambda face: (len(near[face]), math.fsum(similarities[face][o] for o in faces))
    )
    group = near[first]
    for _ in range(ROUNDS):
        if len(group) < SEVERAL_PHOTOS:
            return (first,)
        like = centre_similarities(similarities, group)
        again = tuple(face for face in faces if like[face] >= OTHER_PERSON)
        if again == group:
            break
        group = again
    return group

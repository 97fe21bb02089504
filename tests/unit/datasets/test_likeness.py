"""How much the pictures of a proof sheet look like the photos, from similarities alone."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lora_drop.datasets.faces.face import CROP_BYTES, FacesSeen
from lora_drop.datasets.faces.likeness import (
    ComparedPictures,
    Trained,
    compare,
    photo_face,
    picture_face,
)
from lora_drop.jobs.proof import Likeness
from tests.support.faces import make_face, make_group
from tests.support.likeness import ADA, LabelComparer

ENOUGH = Trained(images=24, steps=2500, usual_steps=2500, captioned=True)


def compared(
    *pictures: str, photos: Sequence[str] = ADA, trained: Trained = ENOUGH, faceless: int = 0
) -> ComparedPictures:
    """These pictures against these photos, by what they are called."""
    crops = [label.encode().ljust(CROP_BYTES, b"\0") for label in (*photos, *pictures)]
    numbers = range(1, len(pictures) + 1)
    return compare(
        LabelComparer().similarities(crops),
        photos=photos,
        pictures=numbers,
        faceless=range(len(pictures) + 1, len(pictures) + 1 + faceless),
        trained=trained,
    )


def numbers(found: ComparedPictures) -> list[float | None]:
    return [each.likeness for each in found.likeness.pictures]


@pytest.mark.promise("it can be operated")
def test_own_pictures_look_like_photos() -> None:
    """Pictures of the photos' own person reach what the photos reach among themselves, and nothing is advised."""
    likeness = compared("ada 20", "ada 21", "ada 22").likeness

    assert likeness.likeness is not None
    assert likeness.among_photos is not None
    assert likeness.likeness >= 0.95 * likeness.among_photos > 0.8
    assert likeness.advice == ""
    assert likeness.words == (
        f"{likeness.likeness:.2f} of the {likeness.among_photos:.2f} that the photos reach among themselves"
    )


@pytest.mark.parametrize("likeness", [0.91, 0.87])
def test_better_than_photos_is_readable(likeness: float) -> None:
    assert Likeness(likeness=likeness, among_photos=0.87).words == (
        f"{likeness:.2f}, as much as the photos reach among themselves (0.87)"
    )


@pytest.mark.promise("it can be operated")
def test_strangers_pictures_are_said() -> None:
    """Pictures of someone else are far below what the photos reach, and a sentence says so."""
    likeness = compared("bob 20", "bob 21", "bob 22").likeness

    assert likeness.likeness is not None
    assert likeness.likeness < 0.3
    assert likeness.advice.startswith("The pictures seem to show another person than the photos.")


@pytest.mark.promise("it can be operated")
def test_what_the_median_hides_is_said() -> None:
    """A picture without a face and one of another person are named beside the median of the others."""
    likeness = compared("bob 20", "ada 20", faceless=2).likeness

    assert likeness.advice.startswith(
        "2 of 4 pictures have a face that can be compared. Picture 1 shows another person. "
        "The pictures look less like the person than the photos do."
    )


HIDDEN: list[tuple[tuple[str, ...], int, str]] = [
    (("ada 20", "ada 21"), 0, ""),
    (("ada 20",), 2, "1 of 3 pictures has a face that can be compared."),
    (("ada 20", "ada 21", "bob 20"), 0, "Picture 3 shows another person."),
    (
        ("bob 20", "ada 20", "bob 21", "ada 21", "ada 22"),
        0,
        "Pictures 1 and 3 show another person.",
    ),
]


@pytest.mark.parametrize(("pictures", "faceless", "said"), HIDDEN)
def test_good_median_hides_nothing(pictures: tuple[str, ...], faceless: int, said: str) -> None:
    assert compared(*pictures, faceless=faceless).likeness.advice == said


def test_mostly_strangers_are_named() -> None:
    advice = compared("bob 20", "bob 21", "ada 22").likeness.advice

    assert advice.startswith(
        "Pictures 1 and 2 show another person. The pictures look less like the person than the photos do. What"
    )


def test_low_likeness_is_said() -> None:
    likeness = compared("ada 20 unlike", "ada 21 unlike", "ada 22").likeness

    assert likeness.likeness is not None
    assert 0.4 < likeness.likeness < 0.65
    assert likeness.advice.startswith("The pictures look less like the person than the photos do.")


EVERY_WAY = (
    "What helps: more photos (it had 12; 20 to 50 are best), more steps (it had 1,000; 2,500 are usual) and captions "
    "that say what changes from photo to photo."
)
ADVICE: list[tuple[Trained, str]] = [
    (
        Trained(images=12, steps=1000, usual_steps=2500, captioned=False),
        EVERY_WAY,
    ),
    (
        Trained(images=12, steps=2500, usual_steps=2500, captioned=True),
        "What helps: more photos (it had 12; 20 to 50 are best).",
    ),
    (
        Trained(images=30, steps=1000, usual_steps=2500),
        "What helps: more steps (it had 1,000; 2,500 are usual).",
    ),
    (ENOUGH, "What helps: photos that show the face larger, sharper and from more sides."),
    (Trained(), "What helps: photos that show the face larger, sharper and from more sides."),
]


@pytest.mark.parametrize(("trained", "said"), ADVICE)
def test_advice_fits_the_training(trained: Trained, said: str) -> None:
    assert compared("ada 20 unlike", trained=trained).likeness.advice.endswith(said)


@pytest.mark.promise("it can be operated")
def test_copy_of_photo_is_warned() -> None:
    """A picture that is nearly one of the photos is named with that photo."""
    likeness = compared("ada 20", ADA[4], "ada 22").likeness

    assert [each.copy_of for each in likeness.pictures] == [None, ADA[4], None]
    assert f"Picture 2 is nearly the same as the photo {ADA[4]}." in likeness.advice
    assert "repeats photos" in likeness.advice


def test_photos_alike_show_no_copy() -> None:
    """Where all photos are nearly one photo, every good picture is near one of them."""
    near = [[1.0 if one == other else 0.97 for other in range(7)] for one in range(7)]
    likeness = compare(near, photos=[f"{n}.jpg" for n in range(6)], pictures=[1]).likeness

    assert likeness.among_photos is not None
    assert likeness.among_photos >= 0.97
    assert (likeness.pictures[0].copy_of, likeness.advice) == (None, "")


def test_few_photos_give_no_number() -> None:
    found = compared("ada 20", photos=ADA[:3])

    assert (found.likeness.likeness, found.likeness.among_photos, found.photos) == (None, None, {})
    assert numbers(found) == [None]
    assert found.likeness.advice.startswith("One person's face is clear in 3 of the photos")
    assert compared("ada 20", photos=ADA[:4]).likeness.likeness is not None


def test_photos_of_many_people_give_no_number() -> None:
    crowd = [f"{name} 1" for name in ("ada", "bob", "eve", "dan", "fay", "gus")]

    likeness = compared("ada 20", photos=crowd).likeness
    assert likeness.likeness is None
    assert likeness.advice.startswith("One person's face is clear in 0 of the photos")
    assert compared("ada 20", photos=()).likeness.likeness is None


def test_picture_without_face_is_listed() -> None:
    found = compared("ada 20", faceless=2)

    assert [value is None for value in numbers(found)] == [False, True, True]
    none = compared(faceless=2).likeness
    assert none.likeness is None
    assert none.among_photos is not None
    assert none.advice.startswith("The pictures have no face that can be compared.")


def test_stranger_among_photos_is_ignored() -> None:
    alone, mixed = compared("ada 20"), compared("ada 20", photos=(*ADA, "bob 1"))

    assert mixed.likeness == alone.likeness
    assert "bob 1" not in mixed.photos
    assert set(mixed.photos) == set(ADA)


def test_copy_of_strangers_photo_is_warned() -> None:
    found = compared("bob 1", photos=(*ADA, "bob 1"))

    assert found.likeness.pictures[0].copy_of == "bob 1"


def test_centre_is_that_of_embeddings() -> None:
    """The cosine from the similarities is the one to the mean of the vectors."""
    vectors = [(1.0, 0.0), (0.8, 0.6), (0.6, 0.8), (0.96, 0.28), (0.28, 0.96)]
    gram = [[sum(map(float.__mul__, one, other)) for other in vectors] for one in vectors]
    mean = [sum(values) / 4 for values in zip(*vectors[:4], strict=True)]
    expected = sum(map(float.__mul__, vectors[4], mean)) / math.hypot(*mean)

    found = compare(gram, photos=["a", "b", "c", "d"], pictures=[1])

    assert found.likeness.pictures[0].likeness == round(expected, 2)


@given(st.permutations(ADA))
def test_order_of_photos_changes_nothing(photos: Sequence[str]) -> None:
    assert compared("ada 20", "bob 3", photos=photos) == compared("ada 20", "bob 3")


@given(
    st.lists(st.lists(st.floats(-1, 1), min_size=6, max_size=6), min_size=6, max_size=6),
    st.integers(0, 6),
)
def test_any_similarities_give_bounded_numbers(gram: list[list[float]], photos: int) -> None:
    found = compare(gram, photos=[f"{n}.jpg" for n in range(photos)], pictures=range(1, 7 - photos))
    reached = [*numbers(found), *found.photos.values(), found.likeness.likeness]

    assert all(value is None or -1 <= value <= 1 for value in reached)


@pytest.mark.parametrize(
    "flaw",
    [{"pixels": 20}, {"sharpness": 1.0}, {"crop": b""}, {"yaw": 0.9}],
    ids=["small", "blurred", "no crop", "profile"],
)
def test_unclear_face_is_not_compared(flaw: dict[str, Any]) -> None:
    clear, unclear = FacesSeen((make_face(),)), FacesSeen((make_face(**flaw),))
    for face_of in (photo_face, picture_face):
        assert face_of(clear) == clear.main
        assert face_of(unclear) is face_of(FacesSeen()) is face_of(None) is None


def test_group_counts_in_pictures_alone() -> None:
    group = make_group("ada", "bob")

    assert photo_face(group) is None
    assert picture_face(group) == group.main

"""Whose faces a dataset shows: one person, one with strangers, two people, or many."""

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lora_drop.datasets.faces.findings import FaceFindings, findings_of
from lora_drop.datasets.faces.groups import People, centre_similarities, people_in
from lora_drop.datasets.images.hints import Photo
from lora_drop.datasets.report import FaceMark
from lora_drop.jobs.problems import MAX_MESSAGE, Problem
from tests.support.faces import NamedFaces, make_group, make_seen, make_seen_photo

OTHER = "image_face_other_person"
SEEDS = st.integers(0, 40)
FEW = settings(max_examples=30, deadline=None)  # the vectors take time


def photos_of(**people: int) -> list[Photo]:
    """So many photos of each person, of whom no two tests' are the same."""
    return [
        make_seen_photo(f"{person}-{number:02}.jpg", make_seen(person, str(number)))
        for person, count in people.items()
        for number in range(count)
    ]


def found(photos: Sequence[Photo], comparer: NamedFaces | None = None) -> FaceFindings:
    findings = findings_of(photos, comparer or NamedFaces())
    assert findings is not None
    return findings


def named(problems: Sequence[Problem]) -> set[tuple[str, str | None]]:
    return {(problem.code, problem.member) for problem in problems}


def marked(findings: FaceFindings, mark: FaceMark) -> set[str]:
    return {name for name, [face] in findings.reports.items() if face.mark is mark}


@pytest.mark.promise("never pay for a dataset that cannot train")
@FEW
@given(seed=SEEDS, own=st.integers(3, 20), shuffle=st.randoms(use_true_random=False))
def test_a_stranger_is_named(seed: int, own: int, shuffle: random.Random) -> None:
    """One stranger among the photos of a person is named, and no other photo, in whatever order they lie."""
    photos = photos_of(**{f"ada{seed}": own, f"eve{seed}": 1})
    shuffle.shuffle(photos)
    assert named(found(photos).warnings) == {(OTHER, f"eve{seed}-00.jpg")}


@FEW
@given(seed=SEEDS, own=st.integers(4, 30))
def test_one_person_is_one(seed: int, own: int) -> None:
    findings = found(photos_of(**{f"ada{seed}": own}))
    assert findings.warnings == ()
    assert all(face.similarity and face.similarity > 0.7 for [face] in findings.reports.values())


@FEW
@given(
    counts=st.lists(st.integers(1, 8), min_size=1, max_size=4),
    shuffle=st.randoms(use_true_random=False),
)
def test_order_changes_nothing(counts: list[int], shuffle: random.Random) -> None:
    photos = photos_of(**{f"p{at}": count for at, count in enumerate(counts)})
    before = found(photos)
    shuffle.shuffle(photos)
    after = found(photos)
    assert named(after.warnings) == named(before.warnings)
    assert after.reports == before.reports


@pytest.mark.parametrize(
    ("people", "codes", "second", "others"),
    [
        ({"ada": 8, "eve": 4}, {"dataset_face_two_people"}, 4, 0),
        ({"ada": 6, "eve": 6}, {"dataset_face_two_people"}, 6, 0),
        ({"ada": 2, "eve": 2}, {"dataset_face_two_people"}, 2, 0),
        ({"ada": 8, "eve": 4, "bo": 1}, {"dataset_face_two_people", OTHER}, 4, 1),
        ({"ada": 8, "eve": 3}, {OTHER}, 0, 3),
        ({"ada": 8, "bo": 1, "cy": 1, "di": 1}, {OTHER}, 0, 3),
        ({"ada": 2, "bo": 1, "cy": 1}, {"dataset_face_many_people"}, 0, 0),
        ({"ada": 4, "bo": 4, "cy": 4}, {"dataset_face_many_people"}, 0, 0),
        (dict.fromkeys("abcdefgh", 1), {"dataset_face_many_people"}, 0, 0),
        ({"ada": 2, "eve": 1}, set(), 0, 0),
    ],
    ids=lambda value: "-".join(f"{n}{c}" for n, c in value.items()) if isinstance(value, dict) else "",
)  # fmt: skip
def test_two_people_are_no_strangers(
    people: dict[str, int], codes: set[str], second: int, others: int
) -> None:
    findings = found(photos_of(**people))
    assert {warning.code for warning in findings.warnings} == codes
    assert len(marked(findings, FaceMark.SECOND_PERSON)) == second
    assert len(marked(findings, FaceMark.OTHER_PERSON)) == others


def test_the_fewer_photos_are_named() -> None:
    [two] = found(photos_of(ada=12, eve=7)).warnings
    assert "one in 12 of them, another in 7" in two.message
    assert two.message.endswith(
        ": eve-00.jpg, eve-01.jpg, eve-02.jpg, eve-03.jpg, eve-04.jpg and 2 more."
    )


def test_long_names_leave_the_message_whole() -> None:
    photos = photos_of(ada=12)
    photos += [make_seen_photo(f"{n}{'x' * 400}.jpg", make_seen("eve", str(n))) for n in range(7)]
    [two] = found(photos).warnings
    assert len(two.message) < MAX_MESSAGE
    assert two.message.endswith(".jpg and 2 more.")


@pytest.mark.parametrize(
    "unclear", [{"pixels": 31}, {"covered": 1.0}, {"sharpness": 1.0}, {"yaw": -1.0}, {"crop": b""}]
)
def test_an_unclear_face_is_no_stranger(unclear: dict[str, Any]) -> None:
    """A face that is small, covered, blurred or seen from the side is not judged by its person."""
    comparer = NamedFaces()
    photos = [*photos_of(ada=6), make_seen_photo("eve.jpg", make_seen("eve", **unclear))]
    findings = found(photos, comparer)
    assert OTHER not in {warning.code for warning in findings.warnings}
    assert findings.reports["eve.jpg"][0].similarity is None
    assert comparer.asked == [6]


def test_a_group_is_only_a_group() -> None:
    photos = [*photos_of(ada=6), make_seen_photo("group.jpg", make_group("eve", "bo"))]
    assert named(found(photos).warnings) == {("image_face_several", "group.jpg")}


def test_a_stranger_on_its_side_is_both() -> None:
    photos = [*photos_of(ada=6), make_seen_photo("eve.jpg", make_seen("eve", turns=1))]
    assert named(found(photos).warnings) == {
        ("image_face_turned", "eve.jpg"),
        (OTHER, "eve.jpg"),
    }


def test_three_faces_are_not_compared() -> None:
    comparer = NamedFaces()
    findings = found(photos_of(ada=2, eve=1), comparer)
    assert (findings.warnings, comparer.asked) == ((), [])


def test_faces_are_compared_in_time_only() -> None:
    comparer = NamedFaces()
    photos = photos_of(ada=9, eve=1)
    late, never = findings_of(photos, comparer, seconds=0.9), findings_of(photos, None)
    assert late is not None
    assert never is not None
    assert {each.code for each in late.warnings} - {each.code for each in never.warnings} == {
        "dataset_face_no_time"
    }
    assert late.reports == never.reports
    strict = findings_of(photos, comparer, seconds=0.9, require_one_person=True)
    assert strict is not None
    assert [error.code for error in strict.errors] == ["dataset_check_too_long"]
    assert comparer.asked == []
    assert findings_of(photos, comparer, seconds=1.1) != findings_of(photos, None)


BLURRED = [make_seen_photo(f"b-{n}.jpg", make_seen("eve", str(n), sharpness=1.0)) for n in range(9)]
GROUPS = [make_seen_photo(f"group-{n:02}.jpg", make_group("ada", "eve")) for n in range(12)]


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize(
    ("photos", "clear"),
    [
        (GROUPS, 0),
        ([*photos_of(ada=2, eve=1), *GROUPS[:9]], 3),
        ([*photos_of(ada=5), *GROUPS[:6]], 5),
        ([*photos_of(ada=8), *BLURRED], 8),
    ],
    ids=["groups", "too few faces", "mostly groups", "mostly blurred"],
)
def test_unseen_photos_are_refused_where_one_person_is_required(
    photos: list[Photo], clear: int
) -> None:
    """With RequireOnePerson a dataset whose photos mostly cannot be compared is refused: nothing unseen passes."""
    findings = findings_of(photos, NamedFaces(), require_one_person=True)
    assert findings is not None
    assert [error.code for error in findings.errors] == ["dataset_face_not_compared"]
    assert findings.errors[0].message.startswith(f"Only {clear} of {len(photos)} photos show")
    assert findings.errors[0].message.endswith(" its parameter RequireOnePerson is true.")
    advice = findings_of(photos, NamedFaces())
    assert advice is not None
    assert (advice.errors, "dataset_face_not_compared" in {w.code for w in advice.warnings}) == (
        (),
        False,
    )


def test_some_group_photos_are_no_error() -> None:
    photos = [*photos_of(ada=6), *GROUPS[:6]]
    findings = findings_of(photos, NamedFaces(), require_one_person=True)
    assert findings is not None
    assert findings.errors == ()


def test_no_face_is_similar_to_nobody() -> None:
    assert people_in([]) == People(many=False)
    assert people_in([[1.0]]) == People(person=(0,))


def test_a_photo_does_not_count_itself() -> None:
    """The cosine to the centre of the others, from the cosines of pairs alone, is that of the vectors."""
    # Unit vectors of the plane at 0, 60 and 90 degrees.
    half, root = 0.5, 3**0.5 / 2
    similarities = [[1.0, half, 0.0], [half, 1.0, root], [0.0, root, 1.0]]
    assert centre_similarities(similarities, [0, 1, 2]) == pytest.approx(
        [0.2588, 0.9659, 0.5], abs=1e-4
    )
    assert centre_similarities(similarities, [0, 1])[2] == pytest.approx(0.5)
    assert centre_similarities(similarities, [1]) == pytest.approx([half, 0.0, root])
    assert centre_similarities(similarities, []) == (0.0, 0.0, 0.0)


def test_a_small_stranger_is_both() -> None:
    """A face that is small, and large enough to be compared, is named for both."""
    photos = [*photos_of(ada=6), make_seen_photo("eve.jpg", make_seen("eve", pixels=32))]
    assert named(found(photos).warnings) == {("image_face_small", "eve.jpg"), (OTHER, "eve.jpg")}

"""What is known of the faces of a dataset: in each photo, and whether all are one person."""

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from lora_drop.datasets.faces.face import Face, FaceComparer, FacesSeen
from lora_drop.datasets.faces.groups import People, centre_similarities, people_in
from lora_drop.datasets.faces.hints import can_be_compared, counted_faces, face_hints, mark_of
from lora_drop.datasets.faces.thresholds import COMPARED_IN, ENOUGH_FACES, ENOUGH_SEEN
from lora_drop.datasets.faces.variety import angle_hint, setting_hint
from lora_drop.datasets.images.hints import Photo
from lora_drop.datasets.parameters import ResolvedParameters
from lora_drop.datasets.report import FaceMark, FaceReport
from lora_drop.datasets.style import is_of_a_person
from lora_drop.jobs.problems import MAX_NAME, Problem, shortened

MOST_REPORTED = 20  # faces of one photo
NAMES_SHOWN = 5
NOT_A_PORTRAIT = "for a style or a thing, choose the preset style, which does not ask for faces"
DEMANDED = "This stack refuses it: its parameter RequireOnePerson is true."


@dataclass(frozen=True, slots=True)
class FaceFindings:
    """What is wrong or could be better about the faces, and what the report says of each photo's, by its name."""

    errors: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()
    reports: Mapping[str, tuple[FaceReport, ...]] = MappingProxyType({})

    def errors_of(self, member: str) -> tuple[Problem, ...]:
        """Return why the dataset is refused for this photo."""
        name = shortened(member, MAX_NAME)
        return tuple(error for error in self.errors if error.member == name)


@dataclass(frozen=True, slots=True)
class _Compared:
    """Photos whose faces were compared, in the order of their names, and whose they are."""

    photos: Sequence[Photo] = ()
    people: People = field(default_factory=People)
    like: Sequence[float] = ()

    def marks(self) -> Mapping[str, FaceMark]:
        """Return the photos that show another person, with what is said of their face."""
        second = {self.photos[at].member: FaceMark.SECOND_PERSON for at in self.people.second}
        others = {self.photos[at].member: FaceMark.OTHER_PERSON for at in self.people.others}
        return second | others

    def similarity(self) -> Mapping[str, float]:
        """Return how similar each face is to the person's others; nothing where there is no such person."""
        if not self.people.person:
            return {}
        named = zip(self.photos, self.like, strict=True)
        return {photo.member: round(like, 2) for photo, like in named}


def shows_a_person(resolved: ResolvedParameters) -> bool:
    """Return whether a training is of one person; one of a style is not, whatever its photos show."""
    return is_of_a_person(resolved.preset, resolved.values.values)


def findings_of(
    photos: Sequence[Photo],
    comparer: FaceComparer | None,
    *,
    seconds: float = math.inf,
    alike: Collection[str] = (),
    require_one_person: bool = False,
) -> FaceFindings | None:
    """Return what is known of the faces in the photos that are trained on; None where they were not looked for.

    The order of the photos changes nothing but the order of what is found. ``comparer`` is asked once, or not at all; without
    it nothing is said of whose faces they are, nor where that would take more than ``seconds``, but that there was no
    time. ``alike``: the photos that look like an earlier one. ``require_one_person``: another person, no face at all,
    that there is no time to compare, and that most photos do not show whose they are, are errors.
    """
    looked = [photo for photo in photos if photo.look.faces is not None]
    if not looked:
        return None
    late = comparer is not None and COMPARED_IN * len(looked) > seconds
    compared = _compared(looked, None if late else comparer)
    of_people = tuple(_about_people(looked, compared))
    warnings = (
        *_about_photos(looked),
        *_about_variety([photo for photo in looked if photo.member not in alike]),
    )
    reports = {photo.member: _reports(photo, compared) for photo in looked}
    if not require_one_person:
        # Advice is not worth a dataset that is never trained, so the time is no error.
        unasked = (_unasked("compared", len(looked)),) if late else ()
        return FaceFindings((), (*warnings, *of_people, *unasked), reports)
    unseen = [_no_time(len(looked))] if late else _about_unseen(looked)
    return FaceFindings((*map(_demanded, of_people), *unseen), warnings, reports)


def findings_without_time(photos: int, *, require_one_person: bool) -> FaceFindings:
    """Return the same for a dataset in all of whose photos there was no time to look for faces: that is all that is known.

    Advice is not worth a dataset that is never trained, so it is an error only with ``require_one_person``.
    """
    if require_one_person:
        return FaceFindings((_no_time(photos),))
    return FaceFindings((), (_unasked("looked for", photos),))


def findings_unavailable(photos: int, *, require_one_person: bool) -> FaceFindings:
    """Return the same for a dataset whose faces cannot be looked for, though the stack is to: it lacks what that needs."""
    problem = Problem(
        code="dataset_face_unavailable",
        message=f"Faces were not looked for in these {photos} photos: this stack lacks what that needs, so nothing is said of "
        "whose they are. Who operates it finds in the submit function's log what is missing.",
    )
    return _only(problem, require_one_person=require_one_person)


def findings_broken(photos: int, where: str, *, require_one_person: bool) -> FaceFindings:
    """Return the same for a dataset on whose faces our own code broke, ``where``; only their advice is missing."""
    problem = Problem(
        code="dataset_face_check_failed",
        message=f"Looking for the faces in these {photos} photos, or comparing them, broke, which is our mistake ({where}). Nothing is "
        "said of whose they are. Please report it.",
    )
    return _only(problem, require_one_person=require_one_person)


def _only(problem: Problem, *, require_one_person: bool) -> FaceFindings:
    """Return this as all that is known: an error where one person is required, else a warning."""
    if require_one_person:
        return FaceFindings((_demanded(problem),))
    return FaceFindings((), (problem,))


def _demanded(problem: Problem) -> Problem:
    return problem.model_copy(update={"message": f"{problem.message} {DEMANDED}"})


def _no_time(photos: int) -> Problem:
    return Problem(
        code="dataset_check_too_long",
        message=f"The faces of {photos} photos cannot be compared in the time that the stack has for a check. "
        f"Choose 20 to 50 photos, or save smaller copies, and drop it again. {DEMANDED}",
    )


def _about_unseen(photos: Sequence[Photo]) -> Iterator[Problem]:
    """Yield that most photos do not show whose they are, however alike the others are; nothing where none has a face."""
    clear = sum(can_be_compared(_seen(photo)) for photo in photos)
    if not any(_seen(photo).faces for photo in photos):
        return
    if clear < ENOUGH_FACES or clear < ENOUGH_SEEN * len(photos):
        least = max(ENOUGH_FACES, math.ceil(ENOUGH_SEEN * len(photos)))
        yield Problem(
            code="dataset_face_not_compared",
            message=f"Only {clear} of {len(photos)} photos show one face clearly enough to be compared, so it cannot be said "
            f"that all are of one person; of so many photos {least} have to. Cut the person out of group photos, or put in "
            f"photos of this person alone. {DEMANDED}",
        )


def _unasked(done: str, photos: int) -> Problem:
    return Problem(
        code="dataset_face_no_time",
        message=f"Faces were not {done} in these {photos} photos: there was no time for it, so nothing is said of whose they are. "
        "Choose 20 to 50 photos, or save smaller copies, to have it done.",
    )


def _seen(photo: Photo) -> FacesSeen:
    return photo.look.faces or FacesSeen()


def _compared(photos: Sequence[Photo], comparer: FaceComparer | None) -> _Compared:
    clear = sorted(
        (photo for photo in photos if can_be_compared(_seen(photo))), key=lambda each: each.member
    )
    if comparer is None or len(clear) < ENOUGH_FACES:
        return _Compared()
    similarities = comparer.similarities(
        [face.crop for photo in clear if (face := _seen(photo).main)]
    )
    people = people_in(similarities)
    return _Compared(clear, people, centre_similarities(similarities, people.person))


def _about_photos(photos: Sequence[Photo]) -> Iterator[Problem]:
    if any(_seen(photo).faces for photo in photos):
        for photo in photos:
            yield from face_hints(photo)


def _about_people(photos: Sequence[Photo], compared: _Compared) -> Iterator[Problem]:
    if not any(_seen(photo).faces for photo in photos):
        yield Problem(
            code="dataset_face_none",
            message="No photo has a face that can be seen. For a portrait, put in photos that show the person's "
            f"face; {NOT_A_PORTRAIT}.",
        )
    elif compared.people.many:
        yield Problem(
            code="dataset_face_many_people",
            message="The photos show many people, and none of them in most of the photos. For a portrait, put in photos "
            f"of one person; {NOT_A_PORTRAIT}.",
        )
    elif compared.people.second:
        yield _two_people(compared)
    marks = compared.marks()
    for photo in photos:
        if marks.get(photo.member) is FaceMark.OTHER_PERSON:
            yield Problem(
                code="image_face_other_person",
                message=f"{photo.member} seems to show another person than the other photos. Leave it out if it does; age, "
                "make-up and light can make one person look like two.",
                member=photo.member,
            )


def _two_people(compared: _Compared) -> Problem:
    people = compared.people
    names = [shortened(compared.photos[at].member, MAX_NAME) for at in people.second]
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return Problem(
        code="dataset_face_two_people",
        message=f"The photos seem to show two people: one in {len(people.person)} of them, another in "
        f"{len(people.second)}. Keep the photos of one of them, and train the other on their own. These are of the "
        f"second: {', '.join(names[:NAMES_SHOWN])}{more}.",
    )


def _about_variety(photos: Sequence[Photo]) -> Iterator[Problem]:
    """Yield advice on angles and places; in the order of names, so that the photos' order does not count."""
    seen = [_seen(photo) for photo in sorted(photos, key=lambda each: each.member)]
    clear = [each for each in seen if can_be_compared(each) or mark_of(each) is FaceMark.PROFILE]
    if problem := angle_hint([face for each in clear if (face := each.main)]):
        yield problem
    if problem := setting_hint([each for each in seen if each.surroundings]):
        yield problem


def _reports(photo: Photo, compared: _Compared) -> tuple[FaceReport, ...]:
    seen = _seen(photo)
    first = compared.marks().get(photo.member) or mark_of(seen)
    similarity = compared.similarity().get(photo.member)
    counted = counted_faces(seen)
    reports = []
    for number, face in enumerate(seen.faces[:MOST_REPORTED]):
        several = FaceMark.SEVERAL if first is FaceMark.SEVERAL and face in counted else None
        reports.append(_report(face, None if number else similarity, several if number else first))
    return tuple(reports)


def _report(face: Face, similarity: float | None, mark: FaceMark | None) -> FaceReport:
    box = face.box
    return FaceReport(
        left=round(box.left, 4),
        top=round(box.top, 4),
        width=round(box.width, 4),
        height=round(box.height, 4),
        pixels=face.pixels,
        mark=mark,
        similarity=similarity,
    )

"""What a report says of all its faces in a few words: in how many photos the person is seen."""

from lora_drop.datasets.report import FaceMark, Report
from lora_drop.jobs.problems import Problem

FACE = "_face_"  # in the code of each problem of a face
# The problems that say whose faces they are; the others are of how well a face is seen.
WHOSE_FACES = frozenset(
    {"image_face_other_person", "dataset_face_two_people", "dataset_face_many_people"}
    | {"dataset_face_none", "dataset_face_not_compared"}
)
OTHERS = frozenset({FaceMark.OTHER_PERSON, FaceMark.SECOND_PERSON})


def face_words(report: Report) -> str:
    """Return how many photos show the person: “one person in 11 of 14 photos”; empty where no face was looked for.

    A face that was not compared (several in a photo, covered, blurred, seen from the side) is not counted, and of those
    from the side, which no warning names, the number is said. Of two people both are counted: “two people in 10 of 10 photos”. Where there is no such person, or nothing was compared,
    it is in how many photos there is a face.
    """
    looked = [photo.faces for photo in report.photos if photo.faces is not None]
    if not report.faces_checked or not looked:
        return ""
    main = [faces[0] for faces in looked if faces]
    of_all = f"of {len(looked):,} photo{'s' if len(looked) > 1 else ''}"
    compared = [face for face in main if face.similarity is not None]
    if not compared:
        return f"seen in {len(main):,} {of_all}"
    person = sum(face.mark not in OTHERS for face in compared)
    second = sum(face.mark is FaceMark.SECOND_PERSON for face in compared)
    sideways = sum(face.mark is FaceMark.PROFILE for face in main)
    aside = f" ({sideways:,} seen from the side)" if sideways else ""
    who = "two people" if second else "one person"
    return f"{who} in {person + second:,} {of_all}{aside}"


def is_about_faces(problem: Problem) -> bool:
    """Return whether a problem is about faces."""
    return FACE in problem.code


def is_of_others(problem: Problem) -> bool:
    """Return whether a problem says that the photos show others than one person, or no face at all."""
    return problem.code in WHOSE_FACES

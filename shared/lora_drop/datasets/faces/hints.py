"""What a photographer should know of the faces in one photo: it trains, and could teach the face better."""

from collections.abc import Iterator

from lora_drop.datasets.faces.face import Face, FacesSeen
from lora_drop.datasets.faces.thresholds import (
    BACKGROUND_FACE,
    BLURRED_FACE,
    COMPARED_FACE,
    COVERED_FACE,
    PROFILE,
    SMALL_FACE,
)
from lora_drop.datasets.images import hints
from lora_drop.datasets.images.hints import Photo
from lora_drop.datasets.report import FaceMark
from lora_drop.jobs.problems import Problem

QUARTER = 90  # degrees
UPSIDE_DOWN = 2  # quarters
# What has to be done so that a face that lies on its side is upright.
TURN = {1: "a quarter to the right", UPSIDE_DOWN: "by half", 3: "a quarter to the left"}
# What keeps a face from being compared: of several one does not know which is meant, the others do not show enough of it.
NOT_COMPARED = frozenset({FaceMark.SEVERAL, FaceMark.COVERED, FaceMark.BLURRED, FaceMark.PROFILE})


def face_hints(photo: Photo) -> tuple[Problem, ...]:
    """Return what to know of the faces in one photo, as warnings; nothing where they were not looked for."""
    seen = photo.look.faces
    if seen is None:
        return ()
    if seen.main is None:
        says = "has no face that can be seen. Put in a photo that shows the face, or leave this one out."
        return (_hint("image_face_none", photo.member, says),)
    return tuple(_hints(photo, seen, seen.main))


def counted_faces(seen: FacesSeen) -> tuple[Face, ...]:
    """Return the largest face and those beside it; the others are far smaller, and stand in the background."""
    if seen.main is None:
        return ()
    least = max(BACKGROUND_FACE * seen.main.pixels, COMPARED_FACE)
    return (seen.main, *(face for face in seen.faces[1:] if face.pixels >= least))


def mark_of(seen: FacesSeen) -> FaceMark | None:
    """Return what is remarkable of the largest face, the most important alone; None where nothing is."""
    return next(iter(_marks(seen)), None)


def can_be_compared(seen: FacesSeen) -> bool:
    """Return whether the largest face can be compared with those of other photos."""
    face = seen.main
    if face is None or face.pixels < COMPARED_FACE or not face.crop:
        return False
    return NOT_COMPARED.isdisjoint(_marks(seen))


def _marks(seen: FacesSeen) -> Iterator[FaceMark]:
    if (face := seen.main) is None:
        return
    marks = {
        FaceMark.SEVERAL: len(counted_faces(seen)) > 1,
        FaceMark.SMALL: face.pixels < SMALL_FACE,
        FaceMark.BLURRED: 0 < face.sharpness < BLURRED_FACE,
        FaceMark.PROFILE: abs(face.yaw) >= PROFILE,
        # Of a face that is blurred or seen from the side it cannot be said.
        FaceMark.COVERED: face.covered >= COVERED_FACE,
        FaceMark.TURNED: face.turns != 0,
    }
    yield from (mark for mark, found in marks.items() if found)


def _hints(photo: Photo, seen: FacesSeen, face: Face) -> Iterator[Problem]:
    name, mark = photo.member, mark_of(seen)
    if face.turns:
        yield _turned(name, face)
    if mark is FaceMark.SEVERAL:
        yield _hint(
            "image_face_several",
            name,
            f"shows {len(counted_faces(seen))} faces. Cut out the part with the person who is trained, or leave it "
            "out: the other faces are learned as well.",
        )
    elif mark is FaceMark.SMALL:
        yield _hint(
            "image_face_small",
            name,
            f"has a face of only {face.pixels} pixels. Put in its larger original, or a photo that was taken "
            "closer.",
        )
    elif mark is FaceMark.COVERED:
        yield _hint(
            "image_face_covered",
            name,
            "shows a face that is partly covered. Choose a photo without a hand or a mask in front of it; "
            "what covers a face in several photos is learned with it.",
        )
    elif mark is FaceMark.BLURRED and photo.look.sharpness >= hints.BLURRED:
        # Of a photo that is blurred altogether, image_blurred says so.
        yield _hint(
            "image_face_blurred",
            name,
            "shows a blurred face. Choose a sharper photo of the same moment, or leave it out.",
        )


def _turned(member: str, face: Face) -> Problem:
    down = face.turns == UPSIDE_DOWN
    lies = "is upside down" if down else "lies on its side"
    return _hint(
        "image_face_turned",
        member,
        f"{lies}: its face is turned by {2 * QUARTER if down else QUARTER} degrees. Turn the photo {TURN[face.turns % 4]} and save it, "
        "so that the face is upright.",
    )


def _hint(code: str, member: str, says: str) -> Problem:
    return Problem(code=code, message=f"{member} {says}", member=member)

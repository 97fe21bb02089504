"""``make bench-faces``: faces found, told apart and turned on free photos; time, memory and size; into benchmarks/faces.md.

Ends with 1 where a photo cannot be fetched. The photos, and what was chosen on which: ``benchmarks.face_photos`` and
``benchmarks.face_held_out``.
"""

import io
import sys
from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import median

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks import face_held_out as held_out
from benchmarks.face_cost import cost_rows
from benchmarks.face_photos import (
    ARCHIVES,
    COMPARED_LATER,
    GROUPS,
    PEOPLE,
    WITHOUT,
    Archive,
    ArchiveMissingError,
    Photo,
    Photos,
)
from lora_drop.adapters.faces import OnnxFaces
from lora_drop.adapters.pillow import PillowPictures
from lora_drop.datasets.faces.face import Face
from lora_drop.datasets.images.describe import describe
from lora_drop.datasets.images.reading import WholeImage
from lora_drop.local.tools import ROOT, state_folder

RESULT = ROOT / "benchmarks" / "faces.md"
SAME, OTHER = 0.45, 0.35  # a pair; a photo's median to the others
LARGE = (4000, 3000)
TURNS = (Image.Transpose.ROTATE_90, Image.Transpose.ROTATE_180, Image.Transpose.ROTATE_270)
SMALL = (16, 20, 24, 32, 48)  # pixels
HEADS = "heads of 92 by 112 pixels"
INTRODUCTION = """# Faces: found, told apart, and what that costs

Written by `make bench-faces`, on another day than RESULTS.md, whose seconds and megabytes are of the newest code; the photos are those of `benchmarks/face_photos.py` and, held out, of `benchmarks/face_held_out.py`.
The detector's scores for another try were chosen on the former, the thresholds of cosines on some of them, and nothing on the latter;
the row of pairs that is held out has the people of both on whom no threshold was chosen. The heads are those of 40 people, ten photos of
each, grey and cut close: what is said of pairs holds for faces of about 90 pixels that look into the camera or nearly so."""

type Row = tuple[str, ...]
type Seen = Mapping[Photo, tuple[Face, ...]]


def faces_of(pictures: PillowPictures, image: Image.Image) -> tuple[Face, ...]:
    """Return the faces of an image as the check sees it: a JPEG."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=92)
    data = buffer.getvalue()
    look = pictures.look(data, describe(WholeImage(data)))
    return look.faces.faces if look.faces else ()


def detection_rows(pictures: PillowPictures, photos: Photos, seen: Seen) -> list[Row]:
    """Return what is found where it is, turned, small, and where nothing is."""
    people = [image for _, image in photos.people(PEOPLE)]
    found = [seen[photo] for photo in PEOPLE]
    rows: list[Row] = [
        ("one person", str(len(people)), *_counted(found)),
        *_group_rows(pictures, photos, "", GROUPS),
    ]
    turned = [
        (faces_of(pictures, image.transpose(turn)), turns)
        for image in people
        for turns, turn in enumerate(TURNS, 1)
    ]
    right = sum(bool(faces) and faces[0].turns == turns for faces, turns in turned)
    rows.append(
        ("turned by 90, 180 or 270°", str(len(turned)), str(right), str(len(turned) - right), "0")
    )
    rows += [_small_row(pictures, people, found, pixels) for pixels in SMALL]
    rows.append(
        ("no face", str(len(WITHOUT)), "0", "0", str(len(_wrong(pictures, photos, WITHOUT))))
    )
    return rows


def held_out_rows(
    pictures: PillowPictures, photos: Photos, seen: Seen
) -> tuple[list[Row], list[str]]:
    """Return what is found in the photos on which nothing was chosen, and the names of those that it is wrong about."""
    rows: list[Row] = []
    names: list[str] = []
    for label, people in (("one person", held_out.PORTRAITS), (HEADS, held_out.HEADS)):
        found = [seen[photo] for photo in people]
        rows.append((f"held out: {label}", str(len(found)), *_counted(found)))
        names += [
            f"{photo.name} ({len(faces)} faces)"
            for photo, faces in zip(people, found, strict=True)
            if len(faces) != 1
        ]
    rows += _group_rows(pictures, photos, "held out: ", held_out.GROUPS)
    wrong = _wrong(pictures, photos, held_out.WITHOUT)
    rows.append(("held out: no face", str(len(held_out.WITHOUT)), "0", "0", str(len(wrong))))
    return rows, [*names, *(f"{name} (has no face)" for name in wrong)]


def turned_rows(pictures: PillowPictures, photos: Photos) -> list[Row]:
    """Return as how far turned each photo of those that are held out is seen, at each quarter turn."""
    heads = [photo for photo in held_out.HEADS if photo.name.endswith("/1.pgm")]
    rows: list[Row] = []
    for label, people in (("one person", held_out.PORTRAITS), (HEADS, heads)):
        images = [image for _, image in photos.people(people)]
        for turns in range(4):
            seen = [
                faces_of(pictures, image.transpose(TURNS[turns - 1]) if turns else image)
                for image in images
            ]
            counts = [
                sum(bool(each) and each[0].turns == turn for each in seen) for turn in range(4)
            ]
            none = sum(not each for each in seen)
            rows.append(
                (f"{label}, by {90 * turns}°", str(len(seen)), *map(str, counts), str(none))
            )
    return rows


def _group_rows(
    pictures: PillowPictures, photos: Photos, label: str, groups: Sequence[tuple[Archive, str, int]]
) -> list[Row]:
    rows: list[Row] = []
    for archive, name, count in groups:
        got = len(faces_of(pictures, photos.image(archive, name)))
        counts = (min(got, count), max(count - got, 0), max(got - count, 0))
        rows.append((f"{label}{name}, a group of {count}", "1", *map(str, counts)))
    return rows


def _wrong(
    pictures: PillowPictures, photos: Photos, without: Sequence[tuple[Archive, str]]
) -> list[str]:
    """Return the names of the photos without a face in which one is found."""
    return [name for archive, name in without if faces_of(pictures, photos.image(archive, name))]


def _counted(found: Sequence[tuple[Face, ...]]) -> tuple[str, str, str]:
    """Return the photos with their face, those without, and the faces that are too many."""
    missed = sum(not faces for faces in found)
    return (
        str(len(found) - missed),
        str(missed),
        str(sum(max(len(faces) - 1, 0) for faces in found)),
    )


def _small_row(
    pictures: PillowPictures,
    people: Sequence[Image.Image],
    found: Sequence[tuple[Face, ...]],
    pixels: int,
) -> Row:
    """Return how many faces of so many pixels are found in photos of 12 megapixels."""
    hits = count = 0
    for image, faces in zip(people, found, strict=True):
        if not faces or faces[0].pixels < pixels:
            continue
        part = pixels / faces[0].pixels
        small = image.resize((round(image.width * part), round(image.height * part)))
        large = Image.new("RGB", LARGE, (96, 112, 104))
        large.paste(small, (LARGE[0] // 2, LARGE[1] // 3))
        count += 1
        hits += bool(faces_of(pictures, large))
    return (f"{pixels} pixels in 12 megapixels", str(count), str(hits), str(count - hits), "0")


def person_rows(comparer: OnnxFaces, seen: Seen) -> list[Row]:
    """Return the cosines of pairs, and how often a stranger in a set is named."""
    later = _compared(comparer, seen, (*COMPARED_LATER, *held_out.PORTRAITS))
    heads = _compared(comparer, seen, held_out.HEADS)
    everyone = _compared(comparer, seen, PEOPLE)
    most = max(everyone[0], key=everyone[0].count)
    return [
        *_pair_rows("held out: ", *later),
        *_pair_rows("held out, heads: ", *heads),
        *_median_rows("held out, heads: ", *heads, sorted(set(heads[0]))),
        *_pair_rows("", *everyone),
        *_median_rows("", *everyone, [most]),
    ]


def _compared(
    comparer: OnnxFaces, seen: Seen, people: Sequence[Photo]
) -> tuple[list[str], npt.NDArray[np.float64]]:
    """Return whose faces are compared, and their cosines; a photo without a face is left out."""
    known = [photo for photo in people if seen[photo]]
    crops = [seen[photo][0].crop for photo in known]
    return [photo.person for photo in known], np.array(comparer.similarities(crops))


def _pair_rows(label: str, names: Sequence[str], cosines: npt.NDArray[np.float64]) -> list[Row]:
    pairs = list(combinations(range(len(names)), 2))
    same = [float(cosines[pair]) for pair in pairs if names[pair[0]] == names[pair[1]]]
    other = [float(cosines[pair]) for pair in pairs if names[pair[0]] != names[pair[1]]]
    return [
        _cosine_row(f"{label}same person, other photo", same, sum(each < SAME for each in same)),
        _cosine_row(f"{label}different people", other, sum(each >= SAME for each in other)),
    ]


def _median_rows(
    label: str, names: Sequence[str], cosines: npt.NDArray[np.float64], owners: Sequence[str]
) -> list[Row]:
    """Return how sets of one owner and one stranger look: each photo's median to the others."""
    kept: list[float] = []
    named: list[float] = []
    for own in owners:
        members = [index for index, name in enumerate(names) if name == own]
        for stranger in (index for index, name in enumerate(names) if name != own):
            photos_of_set = [*members, stranger]
            medians = {
                each: median(cosines[each, rest] for rest in photos_of_set if rest != each)
                for each in photos_of_set
            }
            named.append(medians.pop(stranger))
            kept.extend(medians.values())
    size = max(names.count(own) for own in owners)
    return [
        _cosine_row(
            f"{label}median of a stranger among {size}",
            named,
            sum(each >= OTHER for each in named),
        ),
        _cosine_row(
            f"{label}median of the person's own there", kept, sum(each < OTHER for each in kept)
        ),
    ]


def _cosine_row(name: str, values: Sequence[float], wrong: int) -> Row:
    low, middle, high = min(values), median(values), max(values)
    return (name, str(len(values)), f"{low:.2f}", f"{middle:.2f}", f"{high:.2f}", str(wrong))


def table(head: Row, rows: Sequence[Row]) -> str:
    """Return a table in Markdown."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def report(photos: Photos) -> str:
    """Return all tables in Markdown."""
    comparer = OnnxFaces()
    pictures = PillowPictures(comparer)
    people = (*PEOPLE, *held_out.PORTRAITS, *held_out.HEADS)
    seen = {
        photo: faces_of(pictures, image)
        for photo, (_, image) in zip(people, photos.people(people), strict=True)
    }
    rows, wrong = held_out_rows(pictures, photos, seen)
    return "\n\n".join(
        (
            INTRODUCTION,
            table(
                ("photos", "count", "found", "missed", "too many"),
                [*rows, *detection_rows(pictures, photos, seen)],
            ),
            f"Wrong among those that are held out: {'; '.join(wrong) or 'none'}.",
            "Held out, turned: as how far turned a photo is seen.",
            table(
                ("turned", "count", "0°", "90°", "180°", "270°", "no face"),
                turned_rows(pictures, photos),
            ),
            f"Cosines; wrong: a pair of one person below {SAME} or of two at least that, a median on the wrong side of {OTHER}.",
            table(
                ("pairs", "count", "least", "median", "most", "wrong"),
                person_rows(comparer, seen),
            ),
            table(("", "without", "with faces"), cost_rows()),
        )
    )


def main() -> None:
    """Print the tables and write them; ends with 1 where a photo is missing."""
    photos = Photos(state_folder() / "face-photos")
    try:
        photos.fetch((*ARCHIVES, *held_out.ARCHIVES))
    except ArchiveMissingError as missing:
        sys.exit(f"bench-faces: {missing}")
    text = report(photos)
    sys.stdout.write(text + "\n")
    RESULT.write_text(text + "\n")


if __name__ == "__main__":
    main()

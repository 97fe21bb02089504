"""``make bench-faces``: faces found, told apart and turned on free photos; time, memory and size; into benchmarks/faces.md.

Ends with 1 where a photo cannot be fetched. The photos, and what was chosen on which: ``benchmarks.face_photos``.
"""

import io
import sys
from collections.abc import Iterable, Sequence
from itertools import combinations
from statistics import median

import numpy as np
import numpy.typing as npt
from PIL import Image

from benchmarks.face_cost import cost_rows  # noqa: TID251  # a benchmark itself
from benchmarks.face_photos import GROUPS, HELD_OUT, WITHOUT, ArchiveMissingError, Photos  # noqa: TID251  # a benchmark itself
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

type Row = tuple[str, ...]


def faces_of(pictures: PillowPictures, image: Image.Image) -> tuple[Face, ...]:
    """Return the faces of an image as the check sees it: a JPEG."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=92)
    data = buffer.getvalue()
    look = pictures.look(data, describe(WholeImage(data)))
    return look.faces.faces if look.faces else ()


def detection_rows(pictures: PillowPictures, photos: Photos) -> list[Row]:
    """Return what is found where it is, turned, small, and where nothing is."""
    people = [image for _, image in photos.people()]
    found = [faces_of(pictures, image) for image in people]
    rows: list[Row] = [
        ("one person", str(len(people)), *_counted(found)),
        *(
            (f"{name}, a group of {count}", "1", str(min(got, count)), str(count - got), "0")
            for archive, name, count in GROUPS
            for got in [len(faces_of(pictures, photos.image(archive, name)))]
        ),
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
    none = [faces_of(pictures, photos.image(*each)) for each in WITHOUT]
    wrong = sum(bool(faces) for faces in none)
    rows.append(("no face", str(len(none)), "0", "0", str(wrong)))
    return rows


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


def person_rows(comparer: OnnxFaces, pictures: PillowPictures, photos: Photos) -> list[Row]:
    """Return the cosines of pairs, and how often a stranger in a set is named."""
    names, cosines = _compared(comparer, pictures, photos.people())
    held_out = _compared(comparer, pictures, photos.people(HELD_OUT))
    return [
        *_pair_rows("held out: ", *held_out),
        *_pair_rows("", names, cosines),
        *_median_rows(names, cosines),
    ]


def _compared(
    comparer: OnnxFaces, pictures: PillowPictures, people: Iterable[tuple[str, Image.Image]]
) -> tuple[list[str], npt.NDArray[np.float64]]:
    known = [(name, faces_of(pictures, image)) for name, image in people]
    names = [name for name, faces in known if faces]
    crops = [faces[0].crop for _, faces in known if faces]
    return names, np.array(comparer.similarities(crops))


def _pair_rows(label: str, names: Sequence[str], cosines: npt.NDArray[np.float64]) -> list[Row]:
    pairs = list(combinations(range(len(names)), 2))
    same = [float(cosines[pair]) for pair in pairs if names[pair[0]] == names[pair[1]]]
    other = [float(cosines[pair]) for pair in pairs if names[pair[0]] != names[pair[1]]]
    return [
        _cosine_row(f"{label}same person, other photo", same, sum(each < SAME for each in same)),
        _cosine_row(f"{label}different people", other, sum(each >= SAME for each in other)),
    ]


def _median_rows(names: Sequence[str], cosines: npt.NDArray[np.float64]) -> list[Row]:
    """Return how a set of one person and one stranger looks: each photo's median to the others."""
    own = max(names, key=names.count)
    members = [index for index, name in enumerate(names) if name == own]
    strangers = [index for index, name in enumerate(names) if name != own]
    kept: list[float] = []
    named: list[float] = []
    for stranger in strangers:
        photos_of_set = [*members, stranger]
        medians = {
            each: median(cosines[each, rest] for rest in photos_of_set if rest != each)
            for each in photos_of_set
        }
        named.append(medians.pop(stranger))
        kept.extend(medians.values())
    return [
        _cosine_row(
            f"median of a stranger among {len(members)}",
            named,
            sum(each >= OTHER for each in named),
        ),
        _cosine_row("median of the person's own there", kept, sum(each < OTHER for each in kept)),
    ]


def _cosine_row(name: str, values: Sequence[float], wrong: int) -> Row:
    low, middle, high = min(values), median(values), max(values)
    return (name, str(len(values)), f"{low:.2f}", f"{middle:.2f}", f"{high:.2f}", str(wrong))


def table(head: Row, rows: Sequence[Row]) -> str:
    """Return a table in Markdown."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main() -> None:
    """Print the tables and write them; ends with 1 where a photo is missing."""
    photos = Photos(state_folder() / "face-photos")
    try:
        photos.fetch()
    except ArchiveMissingError as missing:
        sys.exit(f"bench-faces: {missing}")
    comparer = OnnxFaces()
    pictures = PillowPictures(comparer)
    text = "\n\n".join(
        (
            "# Faces: found, told apart, and what that costs",
            "Written by `make bench-faces`; the photos are those of `benchmarks/face_photos.py`. The detector's scores for another try were chosen on these photos; the thresholds of cosines were not chosen on the people who are held out.",
            table(
                ("photos", "count", "found", "missed", "too many"), detection_rows(pictures, photos)
            ),
            f"Cosines; wrong: a pair of one person below {SAME} or of two at least that, a median on the wrong side of {OTHER}.",
            table(
                ("pairs", "count", "least", "median", "most", "wrong"),
                person_rows(comparer, pictures, photos),
            ),
            table(("", "without", "with faces"), cost_rows()),
        )
    )
    sys.stdout.write(text + "\n")
    RESULT.write_text(text + "\n")


if __name__ == "__main__":
    main()

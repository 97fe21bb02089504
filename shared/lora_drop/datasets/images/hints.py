"""What a photographer should know of one photo and of the set: it trains, and could train better."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from lora_drop.datasets.images.header import LOW_SIDE, ImageHeader
from lora_drop.datasets.images.pictures import ImageInspection, near_duplicates
from lora_drop.jobs.problems import Problem

# Of 255. Both have to be small: a portrait in front of black is dark on the whole and well lit where
# it matters.
DARK_MEAN, DARK_HIGHLIGHTS = 40, 96
# Variance of the Laplacian at 512 pixels. Of 44 photos from other sources, the softest sharp one has
# 120; blurred by one pixel at that size they have 19 to 142, by two 5 to 20, by three 3 to 8.
BLURRED = 10.0
SIZES_APART = 2.0


@dataclass(frozen=True, slots=True)
class Photo:
    """An image of a set: its name, the SHA-256 of its bytes, what it says of itself, how it looks."""

    member: str
    digest: str
    header: ImageHeader
    look: ImageInspection


def hints_for(photo: Photo) -> tuple[Problem, ...]:
    """Return what to know of one photo, as warnings."""
    hints = (_name(photo), _resolution(photo), _darkness(photo), _blur(photo), _flat_part(photo))
    return tuple(hint for hint in hints if hint is not None)


def hints_for_set(
    photos: Sequence[Photo], twice: Mapping[str, str], alike: Mapping[str, str]
) -> tuple[Problem, ...]:
    """Return what to know of the set: the same photo ``twice``, photos that look ``alike``, several sizes."""
    single = [photo for photo in photos if photo.member not in twice]
    hints = [_twice(member, first) for member, first in twice.items()]
    hints += [_alike(member, first) for member, first in alike.items()]
    sizes = _sizes(single)
    return (*hints, sizes) if sizes else tuple(hints)


def photos_alike(photos: Sequence[Photo]) -> Mapping[str, str]:
    """Return the photos that look like a better one, each with that one, by name; of equals the first one is kept.

    Better is what has fewer hints of its own (blurred, dark, few pixels), and colours.
    """
    best = sorted(photos, key=lambda photo: (len(hints_for(photo)), photo.look.grey))
    alike = near_duplicates({photo.member: photo.look.fingerprint for photo in best})
    return {photo.member: alike[photo.member] for photo in photos if photo.member in alike}


def exact_duplicates(photos: Sequence[Photo], captioned: Collection[str] = ()) -> Mapping[str, str]:
    """Return the photos whose bytes another one has that is kept, each with that one, by name.

    Kept is one with a caption, where there is any, and of those the one with the shortest name: a
    copy's has ``(1)`` or ``copy`` in it, and may stand before the original's.
    """
    best: dict[str, str] = {}
    for photo in sorted(
        photos, key=lambda each: (each.member not in captioned, len(each.member), each.member)
    ):
        best.setdefault(photo.digest, photo.member)
    return {
        photo.member: best[photo.digest] for photo in photos if best[photo.digest] != photo.member
    }


def _name(photo: Photo) -> Problem | None:
    """Return a warning for a name that says another format than the bytes: some programs believe the name."""
    _, dot, suffix = photo.member.rpartition(".")
    kind = photo.header.format
    if dot and suffix.lower() in kind.suffixes:
        return None
    return _hint(
        "image_wrong_extension",
        photo.member,
        f"is {kind.label}, which its name does not say. Give it a name that ends with "
        f".{kind.suffix}.",
    )


def _resolution(photo: Photo) -> Problem | None:
    width, height = photo.header.upright
    if min(width, height) >= LOW_SIDE:
        return None
    return _hint(
        "image_low_resolution",
        photo.member,
        f"has only {width} by {height} pixels. It is used, but a larger original teaches far more: "
        "1,024 pixels along the shortest side are good.",
    )


def _darkness(photo: Photo) -> Problem | None:
    if photo.look.brightness >= DARK_MEAN or photo.look.highlights >= DARK_HIGHLIGHTS:
        return None
    return _hint(
        "image_very_dark",
        photo.member,
        "is very dark. Brighten it, or take one in better light.",
    )


def _blur(photo: Photo) -> Problem | None:
    if photo.look.sharpness >= BLURRED:
        return None
    return _hint(
        "image_blurred",
        photo.member,
        "looks blurred. Choose a sharper photo of the same moment, or leave it out.",
    )


def _flat_part(photo: Photo) -> Problem | None:
    part = photo.look.flat_part
    if part is None:
        return None
    return _hint(
        "image_flat_part",
        photo.member,
        f"is one flat grey in {part.share:.0%} of it, from side to side: it was cut off once and saved again, or "
        "has a bar at one side. Copy it again from the camera or phone, or cut the bar off.",
    )


def _twice(member: str, first: str) -> Problem:
    return _hint(
        "image_exact_duplicate",
        member,
        f"is the same file as {first}, and is used once. Put in another photo in its place.",
    )


def _alike(member: str, first: str) -> Problem:
    return _hint(
        "image_near_duplicate",
        member,
        f"looks almost the same as {first}. Keep the better one: photos that differ in angle, light "
        "and expression teach more.",
    )


def _sizes(photos: Sequence[Photo]) -> Problem | None:
    """Return a warning for sizes far apart: twice as long a side, however the photos are turned."""
    by_pixels = sorted(photos, key=lambda photo: photo.header.pixels)
    if not photos or by_pixels[-1].header.pixels < by_pixels[0].header.pixels * SIZES_APART**2:
        return None
    small, large = by_pixels[0].header.upright, by_pixels[-1].header.upright
    return Problem(
        code="dataset_several_sizes",
        message=f"The photos have very different sizes, from {small[0]} by {small[1]} to "
        f"{large[0]} by {large[1]} pixels. They are used as they are. If the small ones are reduced "
        "copies, put in the originals: small photos teach less detail.",
    )


def _hint(code: str, member: str, says: str) -> Problem:
    return Problem(code=code, message=f"{member} {says}", member=member)

"""A photographer is told what would teach more, photo by photo and of the set."""

import time
from dataclasses import replace

import pytest

from lora_drop.datasets.images.formats import ImageFormat
from lora_drop.datasets.images.header import LOW_SIDE, ImageHeader
from lora_drop.datasets.images.hints import (
    BLURRED,
    DARK_HIGHLIGHTS,
    DARK_MEAN,
    Photo,
    exact_duplicates,
    hints_for,
    hints_for_set,
)
from lora_drop.datasets.images.pictures import (
    NEAR,
    SIDE,
    ImageInspection,
    distance,
    fingerprint,
    near_duplicates,
)

LOOK = ImageInspection(
    0, brightness=120, highlights=220, sharpness=300, transparent=False, thumbnail=b""
)
GOOD = Photo("anna.jpg", "a1", ImageHeader(ImageFormat.JPEG, 1200, 1600), LOOK)


def photo(member: str, digest: str, bits: int, size: tuple[int, int] = (1200, 1600)) -> Photo:
    header = ImageHeader(ImageFormat.JPEG, *size)
    return Photo(member, digest, header, replace(LOOK, fingerprint=bits))


def test_a_good_photo_needs_no_hint() -> None:
    assert hints_for(GOOD) == ()


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        (replace(GOOD, header=replace(GOOD.header, width=LOW_SIDE - 1)), "image_low_resolution"),
        (replace(GOOD, header=replace(GOOD.header, width=LOW_SIDE)), None),
        (replace(GOOD, look=replace(LOOK, brightness=10, highlights=30)), "image_very_dark"),
        (replace(GOOD, look=replace(LOOK, brightness=DARK_MEAN, highlights=30)), None),
        (replace(GOOD, look=replace(LOOK, brightness=10, highlights=DARK_HIGHLIGHTS)), None),
        (replace(GOOD, look=replace(LOOK, sharpness=BLURRED - 1)), "image_blurred"),
        (replace(GOOD, look=replace(LOOK, sharpness=BLURRED)), None),
        (replace(GOOD, member="anna.png"), "image_wrong_extension"),
        (replace(GOOD, member="anna"), "image_wrong_extension"),
        (
            replace(GOOD, member="anna.jfif"),
            "image_wrong_extension",
        ),  # as Windows saves from the web
        (replace(GOOD, member="holiday/anna.JPEG"), None),
        (
            replace(GOOD, header=replace(GOOD.header, format=ImageFormat.HEIF)),
            "image_wrong_extension",
        ),
    ],
)
def test_each_hint_has_its_code_and_says_what_to_do(changed: Photo, code: str | None) -> None:
    hints = hints_for(changed)

    assert [hint.code for hint in hints] == ([code] if code else [])
    for hint in hints:
        assert hint.member == changed.member
        assert hint.message.startswith(f"{changed.member} ")
        assert hint.message.endswith(".")


def test_a_photo_is_judged_as_it_is_shown() -> None:
    """A photo that lies on its side has the size that one sees."""
    lying = replace(GOOD, header=replace(GOOD.header, width=1600, height=400, orientation=6))

    assert "400 by 1600" in hints_for(lying)[0].message


def test_the_same_file_twice_is_told_of_the_later_one() -> None:
    photos = [photo("a.jpg", "x", 1), photo("b.jpg", "y", 2**40 - 1), photo("c.jpg", "x", 1)]

    assert exact_duplicates(photos) == {"c.jpg": "a.jpg"}
    assert exact_duplicates(photos, {"c.jpg"}) == {"a.jpg": "c.jpg"}
    hints = hints_for_set(photos, {"c.jpg": "a.jpg"})
    assert [(hint.code, hint.member) for hint in hints] == [("image_exact_duplicate", "c.jpg")]
    assert "a.jpg" in hints[0].message


def test_photos_that_look_alike_are_told_of_the_later_ones() -> None:
    near, far = (1 << NEAR) - 1, (1 << NEAR + 1) - 1
    photos = [photo("a.jpg", "1", 0), photo("b.jpg", "2", near), photo("c.jpg", "3", far << 20)]

    hints = hints_for_set(photos, {})
    assert [(hint.code, hint.member) for hint in hints] == [("image_near_duplicate", "b.jpg")]
    assert "a.jpg" in hints[0].message


def test_sizes_far_apart_are_told_and_another_way_up_is_not() -> None:
    apart = hints_for_set([photo("a", "1", 0), photo("b", "2", 2**40 - 1, (600, 800))], {})
    turned = hints_for_set([photo("a", "1", 0), photo("b", "2", 2**40 - 1, (1600, 1200))], {})

    assert [hint.code for hint in apart] == ["dataset_several_sizes"]
    assert "600 by 800" in apart[0].message
    assert turned == ()
    assert hints_for_set([], {}) == ()


def gradient(step: int, *, turn: bool = False) -> bytes:
    """Grey values with waves in them."""
    rows = [[(x * y * step + x * 7) % 256 for x in range(SIDE)] for y in range(SIDE)]
    return bytes(value for row in (zip(*rows, strict=True) if turn else rows) for value in row)


def test_a_fingerprint_is_of_the_shapes_and_not_of_the_light() -> None:
    picture = gradient(1)
    darker = bytes(value * 3 // 4 for value in picture)
    noisy = bytes(min(255, value + at % 3) for at, value in enumerate(picture))

    assert distance(fingerprint(picture), fingerprint(darker)) <= 2
    assert distance(fingerprint(picture), fingerprint(noisy)) <= 2
    assert distance(fingerprint(picture), fingerprint(gradient(3, turn=True))) > 2 * NEAR


def test_a_fingerprint_has_64_bits_half_of_them_set() -> None:
    bits = fingerprint(gradient(1))

    assert bits < 2**64
    assert bits.bit_count() == 32


def test_flat_pictures_of_any_grey_are_alike() -> None:
    flat = [fingerprint(bytes([grey]) * SIDE * SIDE) for grey in (0, 1, 77, 255)]

    assert len(set(flat)) == 1


def test_a_thousand_fingerprints_are_compared_soon() -> None:
    many = {str(number): fingerprint_of(number) for number in range(1000)}

    begun = time.process_time()
    assert near_duplicates(many) == {}
    assert time.process_time() - begun < 2


def fingerprint_of(number: int) -> int:
    return (number * 0x9E3779B97F4A7C15) % 2**64 ^ (number * 0xC2B2AE3D27D4EB4F >> 7) % 2**64

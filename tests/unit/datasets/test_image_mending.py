"""An image is changed where a trainer would stumble over it, and left alone where not."""

import pytest

from lora_drop.datasets.images.formats import CONVERTED, TRAINED, ImageFormat
from lora_drop.datasets.images.header import Colour, ImageHeader, Metadata
from lora_drop.datasets.images.pictures import (
    Change,
    change_sentence,
    changes_for,
    format_after,
    is_lossless,
)

PLAIN = {kind: ImageHeader(kind, 800, 600) for kind in ImageFormat}


@pytest.mark.parametrize("kind", sorted(TRAINED))
def test_a_plain_photo_is_passed_through(kind: ImageFormat) -> None:
    assert changes_for(PLAIN[kind], transparent=False) == ()


@pytest.mark.parametrize("kind", sorted(CONVERTED))
def test_what_no_trainer_names_is_converted(kind: ImageFormat) -> None:
    changes = changes_for(PLAIN[kind], transparent=False)

    assert changes == (Change.CONVERTED,)
    assert not is_lossless(PLAIN[kind], changes)
    assert format_after(PLAIN[kind], changes) is ImageFormat.JPEG


def jpeg(**facts: object) -> ImageHeader:
    return ImageHeader(ImageFormat.JPEG, 800, 600, **facts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("header", "changes"),
    [
        (jpeg(orientation=6), (Change.TURNED,)),
        (jpeg(colour=Colour.CMYK), (Change.COLOURS_CONVERTED,)),
        (jpeg(metadata=frozenset({Metadata.TEXT})), (Change.METADATA_REMOVED,)),
        (ImageHeader(ImageFormat.PNG, 8, 8, bit_depth=16), (Change.DEPTH_REDUCED,)),
        (ImageHeader(ImageFormat.PNG, 8, 8, bit_depth=1, colour=Colour.PALETTE), ()),
        (ImageHeader(ImageFormat.WEBP, 8, 8, animated=True), (Change.FIRST_FRAME,)),
        (ImageHeader(ImageFormat.PNG, 8, 8, has_alpha=True), ()),  # and opaque everywhere
        (
            ImageHeader(ImageFormat.HEIF, 8, 8, 6, metadata=frozenset({Metadata.GPS})),
            (Change.CONVERTED, Change.TURNED, Change.METADATA_REMOVED),
        ),
    ],
)
def test_each_need_is_a_change_of_its_own(header: ImageHeader, changes: tuple[Change, ...]) -> None:
    assert changes_for(header, transparent=False) == changes


def test_transparency_counts_where_one_can_see_through() -> None:
    png = ImageHeader(ImageFormat.PNG, 8, 8, has_alpha=True)

    assert changes_for(png, transparent=True) == (Change.FLATTENED,)


def test_metadata_alone_is_no_need_where_it_may_stay() -> None:
    header = jpeg(metadata=frozenset({Metadata.EXIF, Metadata.GPS}))

    assert changes_for(header, transparent=False, keep_metadata=True) == ()


def test_only_metadata_goes_without_touching_a_pixel() -> None:
    header = jpeg(metadata=frozenset({Metadata.EXIF}))

    assert is_lossless(header, [Change.METADATA_REMOVED])
    assert not is_lossless(header, [Change.TURNED, Change.METADATA_REMOVED])
    assert not is_lossless(PLAIN[ImageFormat.HEIF], [Change.METADATA_REMOVED])


@pytest.mark.parametrize(
    ("kind", "changes", "after"),
    [
        (ImageFormat.WEBP, [Change.METADATA_REMOVED], ImageFormat.WEBP),
        (ImageFormat.WEBP, [Change.TURNED], ImageFormat.JPEG),
        (ImageFormat.WEBP, [Change.FLATTENED], ImageFormat.PNG),
        (ImageFormat.PNG, [Change.TURNED], ImageFormat.PNG),
        (ImageFormat.GIF, [Change.CONVERTED, Change.FLATTENED], ImageFormat.PNG),
        (ImageFormat.TIFF, [Change.CONVERTED, Change.DEPTH_REDUCED], ImageFormat.JPEG),
        (ImageFormat.JPEG, [Change.COLOURS_CONVERTED], ImageFormat.JPEG),
    ],
)
def test_what_loses_nothing_stays_so_and_the_rest_becomes_jpeg(
    kind: ImageFormat, changes: list[Change], after: ImageFormat
) -> None:
    assert format_after(PLAIN[kind], changes) is after


@pytest.mark.parametrize("change", Change)
def test_every_change_has_a_code_and_is_told_in_a_sentence(change: Change) -> None:
    assert change.startswith("image_")
    assert change_sentence(change, PLAIN[ImageFormat.HEIF]).endswith(".")


def test_a_place_that_was_removed_is_told() -> None:
    placed = jpeg(metadata=frozenset({Metadata.EXIF, Metadata.GPS}))

    assert "where it was taken" in change_sentence(Change.METADATA_REMOVED, placed)
    assert "where" not in change_sentence(Change.METADATA_REMOVED, jpeg())

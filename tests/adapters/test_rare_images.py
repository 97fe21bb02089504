"""Photos that few programs read: each is read, saved again, or refused with the right reason."""

import io
import random
import struct
from typing import Any

import pytest
from PIL import Image, ImageCms, ImageStat

from lora_drop.adapters.jpeg_warnings import check_coded_data
from lora_drop.datasets.images.colours import Coded, profile_of
from lora_drop.datasets.images.describe import describe
from lora_drop.datasets.images.header import Flaw, InvalidImageError
from lora_drop.datasets.images.pictures import Change, changes_for
from lora_drop.datasets.images.reading import WholeImage
from tests.support import photos
from tests.support.builders import make_archive
from tests.support.field_photos import PICTURES, SET, files_of, report
from tests.support.photos import box, chunk, encoded, picture, png_with, segment, tiff

JPEG, HEIC = encoded(picture(), "JPEG"), encoded(picture(), "HEIF")


def lossless_jpeg(image: Image.Image) -> bytes:
    """A grey JPEG of process 14 (T.81, annex H): each pixel as its difference from the one before."""
    rows, bits = image.convert("L"), ""
    for y in range(rows.height):
        for x in range(rows.width):
            before = 128 if x == y == 0 else rows.getpixel((x - 1, y) if x else (0, y - 1))
            step = rows.getpixel((x, y)) - before  # type: ignore[operator]
            size = abs(step).bit_length()
            extra = step if step > 0 else step + (1 << size) - 1
            bits += f"{size:05b}" + (f"{extra:0{size}b}" if size else "")
    bits += "1" * (-len(bits) % 8)
    coded = int(bits, 2).to_bytes(len(bits) // 8).replace(b"\xff", b"\xff\0")
    frame = bytes([8, *rows.height.to_bytes(2), *rows.width.to_bytes(2), 1, 1, 0x11, 0])
    table = bytes([0, 0, 0, 0, 0, 17, *[0] * 11, *range(17)])
    head = segment(0xC3, frame) + segment(0xC4, table) + segment(0xDA, bytes([1, 1, 0, 1, 0, 0]))
    return b"\xff\xd8" + head + coded + b"\xff\xd9"


def odd_tiff(**facts: int) -> bytes:
    """A TIFF whose pixels are stored in a way of its own."""
    bits, samples, kind, packed, colour = ({"bits": 8, "samples": 3, "kind": 1, "packed": 1, "colour": 2} | facts).values()  # fmt: skip
    values = {256: 96, 257: 96, 258: bits, 259: packed, 262: colour, 273: 8, 277: samples, 278: 96, 279: 400, 339: kind}  # fmt: skip
    return tiff(*((tag, 3, 1, value) for tag, value in values.items())) + bytes(400)


def fields_bmp(mask: int) -> bytes:
    """A BMP with bit fields that no program is known to write."""
    numbers = struct.pack("<IiiHHI20x3I", 40, 96, 96, 1, 32, 3, mask, 0x3FF << 10, 0x3FF)
    return b"BM" + struct.pack("<8xI", 66) + numbers + bytes(96 * 96 * 4)


REFUSED = {
    "float": odd_tiff(bits=32, kind=3), "half float": odd_tiff(bits=16, kind=3, samples=1, colour=1),
    "double": odd_tiff(bits=64, kind=3, samples=1, colour=1), "12 bits": odd_tiff(bits=12), "12 bits, grey": odd_tiff(bits=12, samples=1, colour=1),
    "Lab of 16 bits": odd_tiff(bits=16, colour=8), "CMYK and alpha": odd_tiff(colour=5, samples=5),
    "WebP in a TIFF": odd_tiff(packed=50001), "JPEG XL in a TIFF": odd_tiff(packed=50002), "LERC": odd_tiff(packed=34887),
    "float by Pillow": encoded(picture().convert("F"), "TIFF"),
    "arithmetic": JPEG.replace(b"\xff\xc0", b"\xff\xc9"), "hierarchical": JPEG.replace(b"\xff\xc0", b"\xff\xc5"),
    "JPEG of 12 bits": JPEG.replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc1\x00\x11\x0c"), "bit fields": fields_bmp(0x3FF << 20),
}  # fmt: skip


@pytest.mark.promise("never pay for a dataset that cannot train")
@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_rare_pixels_are_no_damage(data: bytes) -> None:
    """A photo whose pixels are stored in a way that is not read here is refused for that, not as damaged."""
    header = describe(WholeImage(data))
    with pytest.raises(InvalidImageError) as refused:
        PICTURES.look(data, header)
    assert refused.value.flaw is Flaw.UNSUPPORTED_PIXELS
    assert "Copy it again" not in refused.value.says


MIF3 = HEIC.replace(b"ftypheic", b"ftypmif3", 1)
READ = {
    "scan.dib": encoded(picture(300, 200), "BMP")[14:], "indexed.dib": encoded(picture(300, 200).convert("P"), "BMP")[14:],
    "named.jpg": encoded(picture(300, 200), "BMP")[14:], "new.heic": MIF3,
    "lossless.jpg": lossless_jpeg(picture(96, 80)),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_rare_image_becomes_an_ordinary_jpeg(name: str) -> None:
    found = files_of(make_archive(images=0, members=SET | {name: READ[name]}))
    [own] = [data for each, data in found.items() if each.startswith(name.split(".", maxsplit=1)[0])]  # fmt: skip
    after = describe(WholeImage(own))
    assert (after.format.name, after.rare) == ("JPEG", "")
    mean = ImageStat.Stat(Image.open(io.BytesIO(own)).convert("L")).mean
    assert mean == pytest.approx(ImageStat.Stat(picture().convert("L")).mean, abs=40)


def test_lossless_jpeg_says_why_it_is_saved_again() -> None:
    changes = report(make_archive(images=0, members=SET | {"l.jpg": READ["lossless.jpg"]})).changes
    assert [each.code for each in changes if "lossless" in each.message] == ["image_converted"]


def test_lossless_jpeg_is_never_scaled_as_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """simplejpeg would write past its buffer, and Pillow fail: neither is asked for a smaller picture."""
    for name in ("PIL.JpegImagePlugin.JpegImageFile.draft", "simplejpeg.decode_jpeg"):
        monkeypatch.setattr(name, lambda *_, **__: pytest.fail("it was scaled"))
    data = READ["lossless.jpg"]
    header = describe(WholeImage(data))
    PICTURES.look(data, header)
    for changes in ({Change.CONVERTED}, {Change.CONVERTED, Change.SHRUNK}):
        PICTURES.mend(data, header, changes)


@pytest.mark.parametrize("at", [b"\xff\xc3", b"\xff\xc4", b"\xff\xda"])
def test_no_second_frame_hides_a_lossless_one(at: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("simplejpeg.decode_jpeg", lambda *_, **__: pytest.fail("it was decoded"))
    other = segment(0xC0, bytes([8, 0, 80, 0, 96, 1, 1, 0x11, 0]))
    check_coded_data(WholeImage(READ["lossless.jpg"].replace(at, other + at, 1)))


@pytest.mark.parametrize(
    ("brand", "said"), [(b"heic", "a HEIC photo"), (b"avif", "an AVIF image"), (bytes(4), "a HEIC")]
)
def test_short_form_of_heif_is_named(brand: bytes, said: str) -> None:
    """A HEIF of brand mif3 is called what it is, never a video."""
    with pytest.raises(InvalidImageError) as refused:
        describe(WholeImage(box(b"ftyp", b"mif3", brand) + box(b"mini", bytes(40))))
    assert (refused.value.flaw, said in refused.value.says) == (Flaw.UNSUPPORTED, True)


@pytest.mark.parametrize(
    ("compression", "mode", "at"),
    [("group4", "1", 3000), ("tiff_adobe_deflate", "RGB", 8), ("tiff_lzw", "RGB", 3000)],
)
def test_libtiff_writes_nothing_to_the_logs(
    compression: str, mode: str, at: int, capfd: pytest.CaptureFixture[str]
) -> None:
    """A damaged TIFF is refused, also where libtiff goes on, and its messages do not reach standard error."""
    noise = Image.frombytes("L", (640, 640), random.Random(7).randbytes(640 * 640)).convert(mode)  # noqa: S311  # no secret
    data = bytearray(encoded(noise, "TIFF", compression=compression))
    data[at : at + 40] = bytes.fromhex("8b1f04d7e2936ac5") * 5
    with pytest.raises(InvalidImageError) as refused:
        PICTURES.look(bytes(data), describe(WholeImage(bytes(data))))
    assert refused.value.flaw is Flaw.DAMAGED
    assert capfd.readouterr().err == ""


P3_RED, RED = (234, 51, 35), (255, 0, 0)  # the one in Display P3 is the other in sRGB
SRGB_ICC = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def cicp(colour: tuple[int, ...], numbers: tuple[int, ...], **options: Any) -> bytes:
    return png_with(chunk(b"cICP", bytes((*numbers, 0, 1))), image=encoded(Image.new("RGB", (96, 96), colour), "PNG", **options))  # fmt: skip


# BT.2408: white (203 cd/m2) is a signal of 58 % of PQ, 75 % of HLG.
@pytest.mark.parametrize(
    ("data", "expected", "change"),
    [
        (cicp(P3_RED, (12, 13)), RED, Change.SRGB), (cicp(P3_RED, (12, 13), icc_profile=SRGB_ICC), RED, Change.SRGB),
        (cicp((148,) * 3, (9, 16)), (244,) * 3, Change.TONE_MAPPED), (cicp((191,) * 3, (9, 18)), (244,) * 3, Change.TONE_MAPPED),
        (cicp((97,) * 3, (12, 16)), (101,) * 3, Change.TONE_MAPPED), (cicp(P3_RED, (1, 13)), P3_RED, None),
        (cicp(P3_RED, (1, 13), icc_profile=profile_of(Coded(12, 13))), P3_RED, None),
    ],
)  # fmt: skip
def test_cicp_of_a_png_counts(
    data: bytes, expected: tuple[int, ...], change: Change | None
) -> None:
    """Colours that a PNG says in numbers (third edition, 11.3.2.6) count before its profile."""
    assert mended(data, change) == pytest.approx(expected, abs=8)


LAB_RED = Image.frombytes("LAB", (96, 96), bytes((138, 81, 70)) * 96 * 96)  # L* 54, a* 81, b* 70


@pytest.mark.parametrize(
    ("image", "options", "expected", "change"),
    [
        (LAB_RED, {}, RED, Change.COLOURS_CONVERTED), (Image.new("CMYK", (96, 96), (0, 255, 255, 0)), {}, RED, Change.COLOURS_CONVERTED),
        (Image.new("RGB", (96, 96), RED).quantize(4), {}, RED, Change.CONVERTED), (Image.new("I;16", (96, 96), 32_768), {}, (128,) * 3, Change.DEPTH_REDUCED),
        (Image.new("RGB", (96, 96), P3_RED), {"icc_profile": profile_of(Coded(12, 13))}, RED, Change.CONVERTED),
    ],
    ids=["Lab", "CMYK", "palette", "16 bits", "Display P3"],
)  # fmt: skip
def test_colours_of_a_tiff(
    image: Image.Image, options: dict[str, Any], expected: tuple[int, ...], change: Change
) -> None:
    assert mended(encoded(image, "TIFF", **options), change) == pytest.approx(expected, abs=8)


def mended(data: bytes, change: Change | None) -> tuple[int, ...]:
    header = describe(WholeImage(data))
    changes = changes_for(header, transparent=False)
    assert change is None or change in changes
    shown = PICTURES.mend(data, header, changes).data if changes else data
    size, pixels = photos.pixels(shown)
    assert size == (96, 96)
    return tuple(pixels[:3])

"""Photos with faces that may lie in this repository: the sample's astronaut, and a stranger who is drawn.

The astronaut is NASA's portrait of Eileen Collins, in the public domain (lora_drop/dev/sample.py). The stranger is no
person: the detector finds a face in the drawing, and the recognizer takes it for somebody else's.
"""

import io
import zipfile
from functools import cache

from PIL import Image, ImageDraw, ImageFilter

from lora_drop.local.stack import SAMPLE
from tests.support.photos import encoded

STRANGER, GROUP, BACK, SMALL, TURNED = (
    *("stranger.jpg", "group.jpg", "back of a head.jpg", "small face.jpg", "turned.jpg"),
)
# What is named of each of the five, and nothing else of any photo.
FIVE = {
    STRANGER: "image_face_other_person",
    GROUP: "image_face_several",
    BACK: "image_face_none",
    SMALL: "image_face_small",
    TURNED: "image_face_turned",
}
CANVAS = (1200, 1500)
SKIN, DARK, HAIR = (196, 140, 110), (104, 74, 58), (30, 24, 22)


@cache
def portraits() -> tuple[Image.Image, ...]:
    """The sample's photos of one person."""
    with zipfile.ZipFile(SAMPLE) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
        return tuple(Image.open(io.BytesIO(archive.read(name))).convert("RGB") for name in names)


def five_photos() -> dict[str, bytes]:
    """A dataset of one person with one stranger, one group, one back of a head, one 20-pixel face, one turned photo."""
    views = portraits()
    photos = {
        f"portrait-{number:02}.jpg": view for number, view in enumerate((*views[:8], views[12]))
    }
    photos |= {
        STRANGER: stranger(),
        GROUP: group(),
        BACK: back_of_a_head(),
        SMALL: small_face(),
        TURNED: views[9].transpose(Image.Transpose.ROTATE_90),
    }
    return {name: encoded(photo, "JPEG", quality=92) for name, photo in photos.items()}


def as_archive(photos: dict[str, bytes]) -> bytes:
    """A ZIP of photos, each with a caption."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, data in photos.items():
            archive.writestr(name, data)
            archive.writestr(f"{name.removesuffix('.jpg')}.txt", "a photo of [trigger]")
    return buffer.getvalue()


def group() -> Image.Image:
    """The person and the stranger beside each other."""
    image = Image.new("RGB", (1600, 1000), (90, 110, 130))
    image.paste(portraits()[2].resize((800, 1000)), (0, 0))
    image.paste(stranger().resize((800, 1000)), (800, 0))
    return image


def small_face() -> Image.Image:
    """The person far away: the face has 20 pixels."""
    image = _scene((1600, 1200))
    person = portraits()[2]  # its face is 268 pixels wide
    image.paste(person.resize((person.width * 22 // 268, person.height * 22 // 268)), (780, 620))
    return image


def back_of_a_head() -> Image.Image:
    """Hair, a neck and shoulders."""
    image = _scene(CANVAS)
    draw = ImageDraw.Draw(image)
    _body(draw)
    draw.ellipse((280, 240, 920, 1060), fill=HAIR)
    return image.filter(ImageFilter.GaussianBlur(3))


def stranger(skin: tuple[int, int, int] = SKIN) -> Image.Image:
    """A face that is drawn, from the front."""
    image = _scene(CANVAS)
    draw = ImageDraw.Draw(image)
    draw.ellipse((250, 195, 950, 970), fill=HAIR)
    _body(draw)
    draw.ellipse((310, 285, 890, 1065), fill=skin)
    draw.pieslice((290, 245, 910, 705), 180, 360, fill=HAIR)
    for side in (-1, 1):
        _eye(draw, 600 + side * 120, side)
    draw.polygon(((588, 645), (612, 645), (652, 785), (548, 785)), fill=(211, 151, 119))
    draw.ellipse((540, 755, 660, 810), fill=(186, 133, 104))
    for side in (-1, 1):
        x = 600 + side * 30
        draw.ellipse((x - 14, 783, x + 14, 799), fill=(70, 35, 30))
    draw.ellipse((495, 870, 705, 940), fill=(150, 60, 60))
    draw.ellipse((515, 882, 685, 925), fill=(238, 232, 228))  # teeth
    draw.line((515, 903, 600, 908, 685, 903), fill=(80, 25, 25), width=6)
    draw.arc((520, 930, 680, 985), 20, 160, fill=(120, 80, 62), width=9)  # below the lip
    return image.filter(ImageFilter.GaussianBlur(3))


def _scene(size: tuple[int, int]) -> Image.Image:
    image = Image.linear_gradient("L").resize(size)
    return Image.merge(
        "RGB", (image.point(lambda v: 60 + v // 3), image.point(lambda v: 90 + v // 4), image)
    )


def _body(draw: ImageDraw.ImageDraw) -> None:
    draw.rounded_rectangle((470, 875, 730, 1295), 60, fill=DARK)
    draw.ellipse((40, 1155, 1160, 2000), fill=(70, 60, 110))


def _eye(draw: ImageDraw.ImageDraw, x: int, side: int) -> None:
    y = 625
    draw.ellipse((x - 62, y - 34, x + 62, y + 34), fill=(147, 105, 82))
    draw.ellipse((x - 54, y - 24, x + 54, y + 24), fill=(238, 232, 228))
    draw.ellipse((x - 25, y - 25, x + 25, y + 25), fill=(60, 40, 30))
    draw.ellipse((x - 11, y - 11, x + 11, y + 11), fill=(8, 8, 8))
    draw.ellipse((x + 3, y - 13, x + 12, y - 4), fill=(250, 250, 250))
    draw.arc((x - 58, y - 34, x + 58, y + 34), 185, 355, fill=(25, 15, 12), width=9)
    brow = ((x - 70, y - 68 + side * 6), (x, y - 86), (x + 70, y - 68 - side * 6))
    draw.line(brow, fill=HAIR, width=20, joint="curve")

"""A mask reaches the trainer with every number it had."""

import io
import zipfile

from PIL import Image

from lora_drop.adapters.pillow import PillowPictures
from lora_drop.services.mend import Mender
from tests.support.builders import make_archive
from tests.support.checking import good
from tests.support.memory_files import MemoryRange
from tests.support.photos import encoded, picture

FAST = "fal-ai/flux-lora-fast-training"


def test_a_mask_is_never_flattened_and_never_made_a_jpeg() -> None:
    photos = {f"p{n}.jpg": encoded(picture(640, 480, seed=n), "JPEG") for n in range(12)}
    shape = Image.linear_gradient("L").resize((640, 480))
    seen_through = Image.new("LA", (640, 480), 255)
    seen_through.putalpha(shape)
    masks = {"p0_mask.bmp": encoded(shape, "BMP"), "p1_mask.png": encoded(seen_through, "PNG")}
    data = make_archive(images=0, members=photos | masks)
    pictures = PillowPictures()
    found = good(data, application=FAST, pictures=pictures)

    copy = b"".join(Mender(pictures).mended(MemoryRange(data), found.structure, found.plan))

    with zipfile.ZipFile(io.BytesIO(copy)) as archive:
        from_bmp = Image.open(io.BytesIO(archive.read("p0_mask.png")))
        from_alpha = Image.open(io.BytesIO(archive.read("p1_mask.png")))
        assert from_bmp.convert("L").tobytes() == shape.tobytes()
        assert from_alpha.getchannel("A").tobytes() == shape.tobytes()

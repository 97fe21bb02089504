"""Where the CPU of one photo's check goes, step by step, beside the floor's decoding."""

import hashlib
import time
from collections.abc import Callable

from benchmarks.check_run import decode
from lora_drop.adapters.picture_looks import MEASURED, looked_at
from lora_drop.adapters.pillow import PillowPictures, decoded
from lora_drop.datasets.images.damage import check_no_zeros
from lora_drop.datasets.images.describe import describe
from lora_drop.datasets.images.embedded_captions import embedded_caption
from lora_drop.datasets.images.reading import WholeImage

TIMES = 5


def profile(photo: bytes) -> str:
    """Return what each step takes, the most first; the floor's decoding before them."""
    source, pictures = WholeImage(photo), PillowPictures()
    header = describe(source)
    image = decoded(photo, header, at_least=(MEASURED, MEASURED))
    steps = {
        "how it looks": _milliseconds(lambda: looked_at(image, header)),
        "long runs of zeros": _milliseconds(lambda: check_no_zeros(WholeImage(photo), header)),
        "what its file says and hides": _milliseconds(lambda: describe(source)),
        "SHA-256": _milliseconds(lambda: hashlib.sha256(photo).digest()),
        "a caption in it": _milliseconds(lambda: embedded_caption(photo)),
    }
    whole = _milliseconds(lambda: pictures.look(photo, header))
    steps["decoding, with what the decoder warns of"] = whole - sum(
        steps[name] for name in ("how it looks", "long runs of zeros")
    )
    shares = sorted(steps.items(), key=lambda step: -step[1])
    parts = ", ".join(f"{name} {took:.1f}" for name, took in shares)
    floor = _milliseconds(lambda: decode(photo))
    return f"CPU of one photo, in ms: the floor's decoding {floor:.1f}; ours {parts}"


def _milliseconds(step: Callable[[], object]) -> float:
    step()
    began = time.process_time()
    for _ in range(TIMES):
        step()
    return 1000 * (time.process_time() - began) / TIMES
